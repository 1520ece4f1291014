"""`grpclab profile` on real processes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grpclab import cli, cli_profile
from grpclab.config import ServerConfig
from grpclab.profiling import perf, pyspy
from grpclab.servers.launcher import launch

CODE = "def busy_work():\n while True:\n  sum(range(1000))\nprint(flush=True)\nbusy_work()"


@pytest.fixture(scope="module")
def busy() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_child_processes_that_run_python_are_looked_at_and_others_are_not() -> None:
    popen = "subprocess.Popen"
    code = f"import subprocess,sys\n{popen}(['sleep','30'])\n{popen}([sys.executable,'-c',{CODE!r}]).wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = psutil.Process(parent.pid).children()
        try:
            assert {child.name() for child in children} >= {"sleep"}
            (busy_child,) = (child.pid for child in children if child.name() != "sleep")
            assert cli_profile._processes(parent.pid) == [parent.pid, busy_child]
        finally:
            for child in children:
                child.kill()
            parent.kill()


def test_a_busy_process_is_told_by_family_and_function_and_written_in_every_format(
    busy: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = ["flame.html", "x.folded", "x.speedscope.json", "x.pb.gz"]
    words = [word for file in files for word in ("-o", file)]
    code = cli.main(["profile", "--pid", str(busy), "--duration", "1", "--json", "figures.json", *words])
    out, err = capsys.readouterr()
    if err.strip().endswith((pyspy.PERMISSION_ADVICE, pyspy.MISSING_ADVICE)):
        pytest.skip(err)
    assert code == 0
    assert f"py-spy samples 1 process ({busy}) for 1 s" in err
    assert f"process {busy}, 1 s: " in out
    assert "busy_work" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert sum(figures["py_spy"]["work"].values()) == pytest.approx(1)
    assert figures["py_spy"]["work"]["python"] > 0.5
    assert figures["py_spy"]["samples"] > 20
    assert figures["perf"]["samples"] > 20 or figures["perf"]["note"] in (perf.MISSING_ADVICE, perf.PERMISSION_ADVICE)
    assert "busy_work" in (tmp_path / "x.folded").read_text()
    assert json.loads((tmp_path / "x.speedscope.json").read_text())["profiles"][0]["type"] == "sampled"
    assert b"busy_work" in gzip.decompress((tmp_path / "x.pb.gz").read_bytes())
    assert "data-stacks=" in (tmp_path / "flame.html").read_text()


def test_a_server_is_found_by_its_port(capsys: pytest.CaptureFixture[str]) -> None:
    with launch(ServerConfig()) as server:
        code = cli.main(["profile", "--server", server.target, "--duration", "1", "--json", "-"])
    out, err = capsys.readouterr()
    if err.strip().endswith((pyspy.PERMISSION_ADVICE, pyspy.MISSING_ADVICE)):
        pytest.skip(err)
    assert code == 0
    assert json.loads(out)["pids"] == server.pids


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--pid", "99999999"], 2, "--pid 99999999: there is no such process"),
        (["--server", "example.com:80"], 2, "example.com"),
        (["--pid", str(os.getpid()), "--duration", "0"], 2, "invalid --duration=0: expected whole seconds"),
        (["--pid", str(os.getpid()), "--duration", "1.5s"], 2, "invalid --duration=1.5s: expected whole seconds"),
        (["--pid", str(os.getpid()), "--duration", "soon"], 2, "invalid --duration=soon: expected a time"),
        (["--pid", str(os.getpid()), "--rate", "5000"], 2, "invalid --rate=5000: expected"),
        (["--pid", str(os.getpid()), "-o", "flame.png"], 2, "--output flame.png: its ending is none of .html"),
        (["--pid", str(os.getpid()), "-o", "no/such/x.html"], 2, "there is no folder no/such"),
        (["--pid", str(os.getpid()), "--json", "no/such.json"], 2, "cannot write no/such.json: No such file"),
    ],
)
def test_bad_input_is_one_line(words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profile", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


def test_a_port_where_nobody_listens_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    from command import unused_port

    assert cli.main(["profile", "--server", f"127.0.0.1:{unused_port()}"]) == 3
    assert "start the server, or give --pid" in capsys.readouterr().err
