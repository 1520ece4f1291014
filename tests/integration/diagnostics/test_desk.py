"""The desk over a real socket, beside a real server."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from grpclab.errors import ServerError, UsageError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.load.generator import Generator
from grpclab.profiling import pyspy
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.servers.process.sidecar import DiagnosticsAddress, beside, diagnostics_address
from grpclab.system.temporary import location
from tests.support.pprof_message import folded, read
from tests.support.processes import until

pytest.importorskip("aiohttp", reason="pip install 'grpclab[desk]'")
DESK = TrialConfig().replace({"server.implementation": "asyncio", "server.metrics": True, "server.desk": True}).server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with launch(replace(DESK, handler_work_us=500)) as running:
        yield running


@pytest.fixture
def desk(server: RunningServer) -> str:
    return server.desk


@contextlib.contextmanager
def load(server: RunningServer) -> Iterator[None]:
    """Calls while the block runs."""
    config = TrialConfig().replace({"load.concurrency": 4, "client.pooling": "shared"})
    with Generator(config, server.target) as generator, generator.background():
        yield


def fetch(url: str, host: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_first_page_links_to_what_there_is(desk: str) -> None:
    status, body = fetch(desk)
    assert status == 200
    assert b"/debug/pprof/flamegraph" in body
    assert b"/metrics" in body
    assert b"/debug/pprof/heap" in body
    assert fetch(f"{desk}/healthz") == (200, b"ok\n")


@pytest.mark.parametrize("page", ["profile", "heap", "flamegraph"])
@pytest.mark.parametrize("seconds", ["0", "61", "-1", "1.5", "x", "", "999999"])
def test_seconds_out_of_range_are_refused_in_one_line(desk: str, page: str, seconds: str) -> None:
    status, body = fetch(f"{desk}/debug/pprof/{page}?seconds={seconds}")
    assert status == 400
    assert body.count(b"\n") == 1
    assert b"from 1 to 60" in body


def test_another_name_for_this_machine_is_refused(desk: str) -> None:
    assert fetch(f"{desk}/healthz", host="elsewhere.example:3000")[0] == 403


def test_two_profiles_at_once_are_one_profile_that_names_the_handler_and_one_409(server: RunningServer) -> None:
    url = f"{server.desk}/debug/pprof/profile?seconds=1"
    with ThreadPoolExecutor() as pool, load(server):
        before = time.time_ns()
        answers = list(pool.map(fetch, [url] * 2))
    (first, body), (second, refused) = sorted(answers)
    if pyspy.PERMISSION_ADVICE.encode() in body + refused or pyspy.MISSING_ADVICE.encode() in body + refused:
        pytest.skip(pyspy.PERMISSION_ADVICE)
    assert (first, second) == (200, 409)
    profile = read(body)
    assert profile.duration_nanos == 1_000_000_000
    assert profile.time_nanos >= before
    handlers = [frame for stack in folded(profile) for frame in stack if frame[0].endswith("SayHello")]
    assert handlers
    assert all(file.endswith("greeter.py") and line > 0 for _, file, line in handlers)


@contextlib.contextmanager
def asking(url: str) -> Iterator[None]:
    """A client that has asked for `url`, and is gone at the end of the block."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port))) as client:
        client.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        yield


def test_a_profile_ends_with_its_connection(server: RunningServer) -> None:
    def samplers() -> list[int]:
        return [one.pid for one in psutil.Process(server.child.pid).children(recursive=True) if "py-spy" in one.name()]

    with asking(f"{server.desk}/debug/pprof/profile?seconds=60"):
        if not until(lambda: bool(samplers()), 20):
            pytest.skip(pyspy.MISSING_ADVICE)
        assert fetch(f"{server.desk}/debug/pprof/profile?seconds=1")[0] == 409
    assert until(lambda: not samplers())
    assert all(psutil.Process(pid).status() != psutil.STATUS_STOPPED for pid in server.pids)


def test_a_heap_profile_ends_with_its_connection(server: RunningServer) -> None:
    url = f"{server.desk}/debug/pprof/heap?seconds="
    with asking(f"{url}60"):
        assert until(lambda: fetch(f"{url}1")[0] == 409)
    assert until(lambda: fetch(f"{url}1")[0] == 200)


def test_head_starts_nothing(server: RunningServer) -> None:
    request = urllib.request.Request(f"{server.desk}/debug/pprof/profile?seconds=60", method="HEAD")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    with refused.value as answer:
        assert (answer.code, answer.headers["Allow"]) == (405, "GET")


def test_a_desk_beyond_loopback_wants_its_token(server: RunningServer) -> None:
    with beside(server.pids, where=DiagnosticsAddress(host="0.0.0.0")) as desk:
        root, _, token = desk.address.replace("0.0.0.0", "127.0.0.1").partition("?")
        assert fetch(f"{root}healthz")[0] == 401
        status, page = fetch(f"{root}?{token}")
        assert status == 200
        assert f"/debug/pprof/profile?seconds=30&amp;{token}".encode() in page
        assert fetch(f"{root}healthz?{token}")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_desk_with_a_chosen_token_wants_that_one_and_does_not_say_it(server: RunningServer, host: str) -> None:
    token = "chosen-by-somebody"
    with beside(server.pids, where=DiagnosticsAddress(host=host, token=token)) as desk:
        assert token not in desk.address
        root = desk.address.replace("0.0.0.0", "127.0.0.1")
        assert fetch(f"{root}/healthz")[0] == 401
        assert fetch(f"{root}/healthz?token={token}")[0] == 200


def test_the_heap_names_the_lines_that_hold_memory(server: RunningServer) -> None:
    with load(server):
        status, body = fetch(f"{server.desk}/debug/pprof/heap?seconds=1")
    assert status == 200
    stacks = folded(read(body))
    assert any(file.endswith(".py") and line > 0 for stack in stacks for _, file, line in stack)
    assert sum(sample.value[1] for sample in read(body).sample) > 0


def test_nothing_of_it_listens_beyond_loopback(server: RunningServer) -> None:
    family = {server.child.pid, *(child.pid for child in psutil.Process(server.child.pid).children(recursive=True))}
    listening = [
        c.laddr.ip
        for pid in family
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2, "the server and its desk"
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_the_desk_ends_with_its_server() -> None:
    with launch(DESK) as running:
        assert fetch(f"{running.desk}/healthz")[0] == 200
        folders = set(location().glob("grpclab-*"))
    with pytest.raises(urllib.error.URLError):
        fetch(f"{running.desk}/healthz")
    assert any(not folder.exists() for folder in folders)


def test_a_process_that_is_gone_is_a_503() -> None:
    with launch(ServerConfig()) as server:
        pids = server.pids
    with beside(pids) as desk:
        status, body = fetch(f"{desk.address}/debug/pprof/flamegraph?seconds=1")
    assert status == 503
    assert b"py-spy" in body


@pytest.mark.parametrize("advice", [pyspy.PERMISSION_ADVICE, pyspy.MISSING_ADVICE])
def test_advice_is_a_refusal_and_samples_are_none(advice: str) -> None:
    from grpclab.diagnostics.app import refusal

    assert refusal(pyspy.PySpyProfile(note=advice)) == advice
    assert refusal(pyspy.PySpyProfile(stacks={"a": 1}, samples=1, note="py-spy fell behind")) == ""


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(ServerError, match="PPROF_PORT"), beside([1], where=DiagnosticsAddress(port=port)):
            pass


@pytest.mark.parametrize(
    ("environ", "default", "port"),
    [
        ({}, False, None),
        ({"PPROF_ENABLED": "false"}, True, None),
        ({"PPROF_PORT": "0"}, True, 0),
        ({"PPROF_ENABLED": "TRUE", "PPROF_PORT": "0"}, False, 0),
    ],
)
def test_the_environment_decides_on_the_desk(environ: dict[str, str], default: bool, port: int | None) -> None:
    assert diagnostics_address(environ, default=default) == (None if port is None else DiagnosticsAddress(port=port))


def test_the_environment_may_choose_the_token() -> None:
    found = diagnostics_address({"PPROF_TOKEN": "0123456789abcdef", "PPROF_PORT": "0"}, default=True)
    assert found == DiagnosticsAddress(token="0123456789abcdef")


@pytest.mark.parametrize(
    "environ",
    [
        {"PPROF_ENABLED": "perhaps"},
        {"PPROF_PORT": "80x"},
        {"PPROF_PORT": "65536"},
        {"PPROF_PORT": "-1"},
        {"PPROF_TOKEN": "too-short"},
        {"PPROF_TOKEN": "with a space in it, and long"},
    ],
)
def test_what_is_no_switch_port_or_token_is_refused_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(environ))) as refused:
        diagnostics_address(environ, default=True)
    assert environ.get("PPROF_TOKEN", "nothing") not in str(refused.value)


def test_a_taken_port_is_a_warning_unless_the_desk_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        taken = {"PPROF_PORT": str(held.getsockname()[1])}
        assert diagnostics_address(taken, default=True) is None
        with pytest.raises(ServerError, match="choose another port with PPROF_PORT"):
            diagnostics_address({**taken, "PPROF_ENABLED": "true"}, default=True)
    assert "no diagnostics server: port" in caplog.text
