"""Where load may go: nothing leaves this machine unasked, and with leave the ceilings end a run.

The other machine is a network namespace that the test makes, at the end of the only cable of the client's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.namespaces import SERVER_ADDRESS, Namespaces, missing, namespaces
from tests.support.proxies import VARIABLES

pytestmark = [pytest.mark.long]
TARGET = f"{SERVER_ADDRESS}:50061"
CALL = ("--call", "grpc.health.v1.Health/Check")
SERVER = """
import sys
from tests.support.certificates import health_server
with health_server(sys.argv[1]):
    print("up", flush=True)
    sys.stdin.read()
"""
engines = pytest.mark.parametrize("engine", ["wire", "grpcio"])


@pytest.fixture(scope="module")
def net() -> Iterator[Namespaces]:
    if reason := missing():
        pytest.skip(reason)
    with namespaces() as made:
        yield made


@pytest.fixture(scope="module")
def remote(net: Namespaces) -> Iterator[str]:
    """A server in the server's namespace."""
    words = net.at_server(sys.executable, "-c", SERVER, TARGET)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        yield TARGET
        server.communicate()


def bench(net: Namespaces, *words: str, hosts: Path | None = None, **variables: str) -> Any:
    """Run `grpclab bench` in the client's namespace."""
    line = net.at_client(
        "env", *(f"{name}={value}" for name, value in variables.items()),
        *(sys.executable, "-m", "grpclab", "bench", *words),
        hosts=hosts,
    )  # fmt: skip
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)


def ceilings(rate: float, calls: int, time: str) -> tuple[str, ...]:
    return ("--allow-remote", "--max-rate", str(rate), "--max-calls", str(calls), "--max-time", time)


@pytest.mark.parametrize("name", [TARGET, "shop.example.org:80", "localhost.example.org:80", "dns:///shop.example:80"])
def test_no_packet_leaves_this_machine_for_another_name(net: Namespaces, remote: str, name: str) -> None:
    before = net.sent()
    run = bench(net, name, *CALL, "-n", "5")
    assert (run.returncode, net.sent()) == (2, before)
    assert "any other address needs --allow-remote" in run.stderr


@pytest.mark.parametrize(
    "lines", [f"{SERVER_ADDRESS} localhost\n", f"127.0.0.1 localhost\n{SERVER_ADDRESS} localhost\n"]
)
def test_no_packet_leaves_for_a_localhost_that_is_another_machine(
    net: Namespaces, remote: str, lines: str, tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text(lines)
    before = net.sent()
    run = bench(net, "localhost:50061", *CALL, "-n", "5", hosts=tmp_path / "hosts")
    assert (run.returncode, net.sent()) == (2, before)
    assert f"localhost is {SERVER_ADDRESS}" in run.stderr.replace("127.0.0.1, ", "")


@engines
def test_no_packet_leaves_for_a_name_server_or_a_proxy(
    net: Namespaces, remote: str, engine: str, tmp_path: Path
) -> None:
    """Without a line for localhost a resolver would ask the name server, through the only route."""
    (tmp_path / "hosts").write_text("")
    proxies = dict.fromkeys(VARIABLES, f"http://{SERVER_ADDRESS}:3128")
    words = net.at_client(sys.executable, "-c", SERVER, "127.0.0.1:50062")
    before = net.sent()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        run = bench(net, "localhost:50062", *CALL, "-n", "50", "--engine", engine, hosts=tmp_path / "hosts", **proxies)
        server.communicate()
    assert (run.returncode, net.sent()) == (0, before), run.stderr
    assert "50   100.0%" in run.stdout


@engines
def test_with_leave_another_machine_is_loaded_until_the_ceiling_of_calls(
    net: Namespaces, remote: str, engine: str, tmp_path: Path
) -> None:
    run = bench(
        net,
        *(remote, *CALL, *ceilings(1000, 1500, "20s"), "--rate", "1000", "-z", "10", "--engine", engine),
        *("--json", str(tmp_path / "result.json")),
    )
    assert run.returncode == 0, run.stderr
    told = [line for line in run.stderr.splitlines() if "sends " in line]
    limits = "at most 1,000 calls/s, 1,500 calls, 20 s"
    assert told == [
        f"grpclab: sends grpc.health.v1.Health/Check calls to {remote} ({SERVER_ADDRESS}) in plain text: {limits}"
    ]
    assert "stopped early: the load has reached its limit --max-calls=1500" in run.stdout
    measured = json.loads((tmp_path / "result.json").read_text())
    assert 900 <= measured["count"] <= 1500  # the rest was warm-up
    assert measured["statusCodeDistribution"] == {"OK": measured["count"]}


@pytest.mark.parametrize(
    ("limits", "words", "ceiling"),
    [
        (ceilings(1000, 10**6, "1500ms"), ("--rate", "200", "-z", "30"), "--max-time=1.5"),
        (ceilings(100, 10**6, "30s"), ("-n", "100000"), "--max-rate=100"),
    ],
)
def test_each_ceiling_ends_a_run(
    net: Namespaces, remote: str, limits: tuple[str, ...], words: tuple[str, ...], ceiling: str
) -> None:
    run = bench(net, remote, *CALL, *limits, *words, "--warmup", "0")
    assert run.returncode == 0, run.stderr
    assert f"reached its limit {ceiling}" in run.stdout


def test_a_comparison_shares_its_ceilings_and_ends_with_them(net: Namespaces, remote: str, tmp_path: Path) -> None:
    words = ("--address", remote, *CALL, "--blocks", "2", "-n", "500", "-c", "2", "--warmup", "0")
    command = net.at_client("env", f"GRPCLAB_ROOT={tmp_path}", sys.executable, "-m", "grpclab", "compare", *words)

    def compare(*limits: str) -> Any:
        return subprocess.run([*command, *limits], capture_output=True, text=True, check=False, timeout=240)

    whole = compare(*ceilings(10**6, 10**6, "100s"))
    assert whole.returncode == 4, whole.stderr
    assert whole.stderr.count("sends ") == 1
    cut = compare(*ceilings(10**6, 1100, "100s"))
    assert cut.returncode == 3
    assert "the load has reached its limit --max-calls=1100" in cut.stderr


STUDY = """
headline = "client.pooling=per_call"
profile = false
[target]
address = "{target}"
[call]
method = "grpc.health.v1.Health/Check"
[set]
load = {{requests = 500, warmup_s = 0.0, concurrency = 2, duration_s = 20.0}}
[factors]
client.pooling = ["shared", "per_call"]
"""


def test_the_study_of_a_file_shares_its_ceilings_and_ends_with_them(
    net: Namespaces, remote: str, tmp_path: Path
) -> None:
    (tmp_path / "there.toml").write_text(STUDY.format(target=remote))
    words = (sys.executable, "-m", "grpclab", "study", "--file", str(tmp_path / "there.toml"))
    command = net.at_client("env", f"GRPCLAB_ROOT={tmp_path}", *words)
    before = net.sent()
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert (refused.returncode, net.sent()) == (2, before)
    assert "any other address needs --allow-remote" in refused.stderr
    limits = ceilings(10**6, 1100, "100s")
    cut = subprocess.run([*command, *limits], capture_output=True, text=True, check=False, timeout=240)
    assert cut.returncode == 3
    assert "the load has reached its limit --max-calls=1100" in cut.stderr
    assert cut.stderr.count("sends ") == 1


def test_a_name_is_resolved_once_and_told_with_its_address(net: Namespaces, remote: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(f"{SERVER_ADDRESS} shop.example.org\n")
    run = bench(
        net,
        *("shop.example.org:50061", *CALL, *ceilings(1000, 1500, "20s"), "-n", "20", "-c", "1", "--warmup", "0"),
        hosts=tmp_path / "hosts",
    )
    assert run.returncode == 0, run.stderr
    assert f"to shop.example.org:50061 ({SERVER_ADDRESS}) in plain text" in run.stderr
    assert "20   100.0%" in run.stdout
