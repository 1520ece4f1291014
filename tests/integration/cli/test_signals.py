"""SIGTERM, SIGHUP and Ctrl-C in every phase of every command: one line, its exit code, and nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from grpclab.servers.process.launcher import RunningServer, launch_command
from grpclab.system.interrupts import SIGNALS
from tests.support import synthetic
from tests.support.command import GRPCLAB
from tests.support.histories import CALL, application_history
from tests.support.processes import carrying, stack_of, until
from tests.support.stored_studies import as_folder

MARK = "GRPCLAB_TEST_MARK"
"""The name of a variable by which all that a command started is found."""
SMALL = ["-n", "100000", "-z", "20", "--warmup", "0", "-c", "2", "--blocks", "2", "--study", "small"]
STUDY = ["study", "--study", "small", "--design", "quick", "--blocks", "1", "--windows-kib", "64", "--rtt-ms", "5"]
BISECT = ["bisect", "--good", "main~1", "--bad", "main", "--app", "shop.server:register", "--app-dir", "{root}/shop"]
BISECT += ["--call", CALL]
HANDLED = "its signals are handled"
"""The first moment of a command: it still loads what it needs."""
LOOK_EVERY_S = 0.1
"""Looking at every process of the machine takes CPU that the command needs."""


def marked(mark: str) -> list[psutil.Process]:
    """The running processes that carry this mark."""
    return carrying(MARK, mark)


@dataclass
class Running:
    """`grpclab`, with temporary files, results and a home of its own."""

    process: subprocess.Popen[str]
    mark: str
    root: Path

    def family(self) -> list[psutil.Process]:
        """It, and all that descends from it, wherever they are."""
        return marked(self.mark)

    def reaches(self, phase: str) -> bool:
        """Whether it is where one of its processes runs or has loaded `phase`."""
        if phase == HANDLED:
            return handles(self.process.pid)
        with contextlib.suppress(psutil.Error):
            if any(phase in " ".join(process.cmdline()) for process in self.family()):
                return True
        with contextlib.suppress(OSError):
            return phase in Path(f"/proc/{self.process.pid}/maps").read_text()
        return False

    def ends(self, *numbers: int) -> tuple[int, str, str]:
        """Its exit code and its two outputs after these signals; nothing of it is left."""
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.05 if len(numbers) > 1 else 0)
        try:
            out, err = self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end: {stack_of(self.process.pid)}")
        assert until(lambda: not self.family(), every_s=LOOK_EVERY_S), [process.cmdline() for process in self.family()]
        for folder in ("tmp", "home"):
            left = [path for path in (self.root / folder).rglob("*") if not path.is_dir() or "grpclab" in path.name]
            assert not left
        assert "Traceback" not in err
        return self.process.returncode, out, err


def handles(pid: int) -> bool:
    """Whether a process has a handler for SIGHUP."""
    with contextlib.suppress(OSError, StopIteration):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt:"))
        return bool(caught >> (signal.SIGHUP - 1) & 1)
    return False


@contextlib.contextmanager
def running(root: Path, *words: str) -> Iterator[Running]:
    """The command until the block is left."""
    mark = uuid.uuid4().hex
    for name in ("tmp", "home"):
        (root / name).mkdir()
    own = {"TMPDIR": str(root / "tmp"), "HOME": str(root / "home"), "GRPCLAB_ROOT": str(root), MARK: mark}
    own |= {"PPROF_PORT": "0", "MPLCONFIGDIR": str(root / "mpl"), "IPYTHONDIR": str(root / "ipython")}
    process = subprocess.Popen(
        [*GRPCLAB, *words], env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    found = Running(process, mark, root)
    try:
        yield found
    finally:
        process.kill()
        process.communicate()
        for left in found.family():
            left.kill()


PHASES = [
    (["doctor"], HANDLED),
    (["bench", "{target}", "-z", "60"], HANDLED),
    (["bench", "{target}", "-z", "60"], "grpclab.load.worker"),
    (["bench", "{target}", "-z", "60", "--set", "link.rtt_ms=5"], "grpclab.link.emulation"),
    (["compare", "basic", "optimized", *SMALL], "grpclab.servers.process.child"),
    (["compare", "basic", "optimized", *SMALL, "--set", "server.metrics=true"], "grpclab.load.worker"),
    (["compare", "basic", "basic", *SMALL[:-4]], "grpclab.load.worker"),  # the pilot
    (STUDY, HANDLED),
    (STUDY, "trial_kernel"),
    (STUDY, "grpclab.load.worker"),
    (["profile", "--pid", "{pid}", "--duration", "60"], "py-spy"),
    (["report", "synthetic"], "libarrow"),
    (["report", "synthetic"], "_backend_agg"),
    ([*BISECT, *SMALL], "grpclab.load.worker"),
]
LONG = ((STUDY, "grpclab.load.worker"), (["report", "synthetic"], "_backend_agg"))


@pytest.mark.parametrize(
    ("words", "phase", "number"),
    [
        pytest.param(*phase, number, marks=pytest.mark.long if phase in LONG else ())
        for phase, number in zip(PHASES, itertools.cycle(SIGNALS), strict=False)
    ],
)
def test_a_signal_ends_a_command_with_a_line_and_its_exit_code_and_leaves_nothing(
    words: list[str], phase: str, number: signal.Signals, quick_server: RunningServer, tmp_path: Path
) -> None:
    if words[0] == "report":
        as_folder(synthetic.full_study(), tmp_path / "results" / "synthetic")
    if words[0] == "bisect":
        application_history(tmp_path / "shop", [0.002, 0.002])
    given = {"target": quick_server.target, "pid": quick_server.pids[0], "root": tmp_path}
    with running(tmp_path, *(word.format(**given) for word in words)) as command:
        every_s = 0.02 if phase == HANDLED else LOOK_EVERY_S
        assert until(lambda: command.reaches(phase) or command.process.poll() is not None, 180, every_s=every_s)
        code, out, err = command.ends(number)
    assert code == 128 + number, err
    told = [line for line in err.splitlines() if "interrupted" in line or "stopped" in line]
    assert len(told) == 1 or (words[0] == "bench" and "interrupted" in out)
    assert psutil.Process(quick_server.pids[0]).status() != psutil.STATUS_STOPPED


@pytest.mark.parametrize(
    ("variant", "number"),
    [
        *(("optimized", signal.SIGTERM), ("optimized", signal.SIGHUP)),
        *(("reference", signal.SIGINT), ("reference", signal.SIGTERM)),
    ],
)
def test_each_signal_drains_a_server_that_serves(variant: str, number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path, "serve", variant, "--port", "0") as server:
        assert server.process.stdout is not None
        assert "Ctrl-C stops it" in server.process.stdout.readline()
        assert server.ends(number)[:2] == (0, "served 0 calls, at most 0 at once\n")


def test_a_second_signal_while_ending_changes_nothing_of_what_is_left(
    quick_server: RunningServer, tmp_path: Path
) -> None:
    with running(tmp_path, "bench", quick_server.target, "-z", "60") as command:
        assert until(lambda: command.reaches("grpclab.load.worker"), 180, every_s=LOOK_EVERY_S)
        code, _, _ = command.ends(signal.SIGTERM, signal.SIGINT)
    assert code == 143


def test_a_signal_while_bench_writes_its_output_loses_none_of_it(quick_server: RunningServer, tmp_path: Path) -> None:
    words = ["-n", "3000", "--warmup", "0", "--json", "-", "--details"]
    with running(tmp_path, "bench", quick_server.target, *words) as command:
        assert command.process.stdout is not None
        pipe = command.process.stdout.fileno()

        def full() -> bool:
            return bool(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"0" * 4))[0] > 60_000)

        assert until(full, 180)
        code, out, err = command.ends(signal.SIGINT)
    assert code == 130
    assert json.loads(out)["count"] == len(json.loads(out)["details"]) == 3000
    assert err == "grpclab: interrupted (Ctrl-C)\n"


# ---- servers that leave the process group of their command ---------------------------------------------------------

SERVES = """
import os, socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for _ in range(2):
    if not os.fork():
        os.setsid()  # a session of its own
        if not os.fork():
            time.sleep(600)  # and init's child, if nobody adopts it
        {worker}
{server}
"""
STAYS = {"worker": "time.sleep(600)", "server": "time.sleep(600)"}
LEAVES = {"worker": "os._exit(0)", "server": "time.sleep(600)"}


@pytest.mark.parametrize("how", [STAYS, LEAVES])
@pytest.mark.parametrize("killed", ["nobody", "launcher", "keeper"])
def test_workers_in_sessions_of_their_own_do_not_survive(how: dict[str, str], killed: str, tmp_path: Path) -> None:
    script, mark = tmp_path / "server.py", uuid.uuid4().hex
    script.write_text(SERVES.format(**how))
    command = shlex.join(["env", f"{MARK}={mark}", sys.executable, str(script)]) + " {port}"
    family = partial(marked, mark)
    many = 5 if how is STAYS else 3
    if killed == "launcher":
        code = "import sys\nfrom grpclab.servers.process.launcher import launch_command\n"
        code += f"with launch_command({command!r}) as s:\n"
        code += " print('up', flush=True)\n sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as launcher:
            assert launcher.stdout is not None
            assert launcher.stdout.readline()
            assert until(lambda: len(family()) == many, every_s=LOOK_EVERY_S)
            launcher.kill()
    else:
        with launch_command(command) as server:
            assert until(lambda: len(family()) == many, every_s=LOOK_EVERY_S)
            if killed == "keeper":
                server.child.popen.kill()
    assert until(lambda: not family(), every_s=LOOK_EVERY_S)
