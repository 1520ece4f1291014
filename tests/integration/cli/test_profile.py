"""`grpclab profile` on real processes."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from grpclab.cli import commands
from grpclab.errors import MeasurementError
from grpclab.factors.config import ServerConfig
from grpclab.profiling import perf, processes, pyspy
from grpclab.servers.process.launcher import launch
from tests.support.processes import until

CODE = "def busy_work():\n while True:\n  sum(range(1000))\nprint(flush=True)\nbusy_work()"


@pytest.fixture
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
            assert sorted(processes.by_pid(parent.pid)) == sorted([parent.pid, busy_child])
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
    code = commands.main(["profile", "--pid", str(busy), "--duration", "1", "--json", "figures.json", *words])
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
    # perf samples by the CPU time of the process, which is a part of the second.
    assert figures["perf"]["samples"] > 0 or figures["perf"]["note"] in (perf.MISSING_ADVICE, perf.PERMISSION_ADVICE)
    assert "busy_work" in (tmp_path / "x.folded").read_text()
    assert json.loads((tmp_path / "x.speedscope.json").read_text())["profiles"][0]["type"] == "sampled"
    assert b"busy_work" in gzip.decompress((tmp_path / "x.pb.gz").read_bytes())
    assert "data-stacks=" in (tmp_path / "flame.html").read_text()


def test_a_server_is_found_by_its_port(capsys: pytest.CaptureFixture[str]) -> None:
    with launch(ServerConfig()) as server:
        code = commands.main(["profile", "--server", server.target, "--duration", "1", "--json", "-"])
    out, err = capsys.readouterr()
    if err.strip().endswith((pyspy.PERMISSION_ADVICE, pyspy.MISSING_ADVICE)):
        pytest.skip(err)
    assert code == 0
    assert json.loads(out)["pids"] == server.pids


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--pid", "99999999"], 2, "--pid 99999999: there is no such process"),
        (["--pid", "-1"], 2, "invalid --pid=-1: expected a process ID"),
        (["--pid", "0"], 2, "invalid --pid=0: expected a process ID"),
        (["--pid", str(2**64)], 2, f"invalid --pid={2**64}: expected a process ID"),
        (["--server", "example.com:80"], 2, "example.com"),
        (["--pid", str(os.getpid()), "--duration", "0"], 2, "invalid --duration=0: expected whole seconds"),
        (["--pid", str(os.getpid()), "--duration", "1.5s"], 2, "invalid --duration=1.5s: expected whole seconds"),
        (["--pid", str(os.getpid()), "--duration", "soon"], 2, "invalid --duration=soon: expected a time"),
        (["--pid", str(os.getpid()), "--rate", "5000"], 2, "invalid --rate=5000: expected"),
        (["--pid", str(os.getpid()), "-o", "flame.png"], 2, "--output flame.png: its extension is not one of .html"),
        (["--pid", str(os.getpid()), "-o", "no/such/x.html"], 2, "there is no folder no/such"),
        (["--pid", str(os.getpid()), "--json", "no/such.json"], 2, "cannot write no/such.json: No such file"),
    ],
)
def test_bad_input_is_one_line(words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["profile", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


def test_a_port_where_nobody_listens_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.support.command import unused_port

    assert commands.main(["profile", "--server", f"127.0.0.1:{unused_port()}"]) == 3
    assert "start the server, or use --pid" in capsys.readouterr().err


# ---- what else a process id may name ---------------------------------------------------------------------------------


def refused(pid: int, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line by which a profile of that is refused."""
    assert commands.main(["profile", "--pid", str(pid), "--duration", "1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"invalid --pid={pid}: expected" in err
    return err


@contextlib.contextmanager
def program(*words: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until the block is left."""
    with subprocess.Popen(words, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_program_that_is_not_python_is_named_with_what_to_use_instead(capsys: pytest.CaptureFixture[str]) -> None:
    with program("sleep", "60") as process:
        assert until(lambda: psutil.Process(process.pid).name() == "sleep")
        assert "runs sleep; use perf record -p" in refused(process.pid, capsys)


def test_a_zombie_and_a_thread_are_no_processes(capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen(["true"]) as ended:
        zombie = psutil.Process(ended.pid)
        assert until(lambda: zombie.status() == psutil.STATUS_ZOMBIE)
        assert "zombie" in refused(ended.pid, capsys)
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert other.native_id
        assert f"use --pid {os.getpid()}" in refused(other.native_id, capsys)
    finally:
        over.set()


@pytest.mark.skipif(not Path("/proc/2/comm").exists(), reason="no thread of the kernel can be seen here")
def test_a_thread_of_the_kernel_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    if Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("in a container 2 is anything")
    assert "a kernel thread" in refused(2, capsys)


def test_a_process_that_may_not_be_looked_at_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: psutil.Process) -> str:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "exe", denied)
    with pytest.raises(MeasurementError, match=f"belongs to user {psutil.Process().username()}"):
        processes.by_pid(os.getpid())


@pytest.fixture
def renamed(tmp_path: Path) -> Path:
    """This interpreter, under a name that says nothing."""
    path = tmp_path / "server"
    shutil.copy2(Path(sys.executable).resolve(), path)
    return path


def test_a_renamed_interpreter_below_a_shell_is_found(renamed: Path) -> None:
    env = {**os.environ, "PYTHONHOME": sys.base_prefix}
    with program("sh", "-c", f"{renamed} -c {shlex.quote(CODE)}; true", stdout=subprocess.PIPE, env=env) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        (child,) = psutil.Process(shell.pid).children()
        try:
            assert processes.by_pid(shell.pid) == [child.pid]
        finally:
            child.kill()


@pytest.mark.parametrize("stacks", [{"thread;work (x.py)": 9}, {}])
def test_a_process_that_ends_meanwhile_keeps_what_was_seen_of_it(
    stacks: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def record(*_: object, **__: object) -> pyspy.PySpyProfile:
        process.kill()
        process.wait()
        return pyspy.PySpyProfile(stacks=stacks, samples=sum(stacks.values()), note="py-spy says something of its own")

    monkeypatch.setattr(pyspy, "record", record)
    with program(sys.executable, "-c", CODE, stdout=subprocess.DEVNULL) as process:
        assert until(lambda: processes.runs_python(psutil.Process(process.pid)))
        code = commands.main(["profile", "--pid", str(process.pid), "--duration", "1", "--json", "-"])
    out, err = capsys.readouterr()
    if stacks:
        assert (code, json.loads(out)["ended"]) == (0, [process.pid])
    else:
        assert (code, out) == (3, "")
        assert f"1 process ({process.pid}) ended before py-spy took a sample" in err


def test_perf_without_samples_is_told_with_what_was_used_in_its_own_time(
    busy: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = pyspy.PySpyProfile(stacks={"thread;work (x.py)": 9}, samples=9)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(pyspy, "record", lambda *_, **__: seen)
    monkeypatch.setattr(perf, "record", lambda *_, **__: perf.PerfProfile(note="perf took no samples: nothing ran"))
    assert commands.main(["profile", "--pid", str(busy), "--duration", "1", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert "too little for a sample" in json.loads(out)["perf"]["note"]
    assert ["1 of 2" in line or "2 of 2" in line for line in err.splitlines()] == [True, True]


def test_the_profile_of_a_shell_leaves_out_the_command_that_was_started_in_it() -> None:
    command = '"$0" -P -m grpclab profile --pid $$ --duration 1; echo "ended with $?"'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=240, check=True
    )
    assert done.stdout == "ended with 2\n"
    assert "expected a process that runs Python" in done.stderr
