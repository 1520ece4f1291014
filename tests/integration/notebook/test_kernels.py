"""The kernel of a study: a process of its own, whatever surrounds it, that leaves nothing in the working folder."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client import launcher
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from grpclab.errors import WorkerError
from grpclab.study import kernel
from grpclab.study.kernel import LONGEST_SOCKET, WarmKernel
from grpclab.system.interrupts import Interrupted, handled
from grpclab.system.temporary import remove_abandoned
from tests.support.processes import until

ASK = """
import json, os, sys
import matplotlib
answer = {
    "pid": os.getpid(),
    "cwd": os.getcwd(),
    "python": sys.executable,
    "prefix": sys.prefix,
    "backend": matplotlib.get_backend(),
    "started": "started" in globals(),
}
open(%r, "w").write(json.dumps(answer))
"""
DESIGN = """
headline = "server.threads=4"
profile = false
blocks = 6
[set]
load.requests = 60
load.duration_s = 2.0
load.warmup_s = 0.1
[factors]
server.threads = [10, 4]
"""
HOLD = """
from grpclab.study.kernel import KERNEL
KERNEL.ready("python3", {})
print(KERNEL.pid, flush=True)
input()
"""
STUDY = """
import sys
from pathlib import Path
from grpclab.study.runner import Study
study = Study.described(Path(sys.argv[1]), sys.argv[2]).begin()
study.groups = study.groups[:1]
study.trials = list(study.groups[0].trials)
study.run(lambda line: None)
results = study.store.results().values()
print(len(results) > 1, *{(result.valid, result.invalid_reason) for result in results})
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that TMPDIR names."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    remove_abandoned.cache_clear()
    yield folder
    remove_abandoned.cache_clear()


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    folder = tmp_path / "working"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def started() -> Iterator[Callable[[], WarmKernel]]:
    """Kernels that end with the test."""
    made: list[WarmKernel] = []

    def start() -> WarmKernel:
        made.append(WarmKernel())
        made[-1].ready("python3", {})
        return made[-1]

    yield start
    for one in made:
        one.stop()


def asked(one: WarmKernel, file: Path) -> dict[str, object]:
    """What a kernel says of itself."""
    one._execute(ASK % str(file))
    answer: dict[str, object] = json.loads(file.read_text())
    return answer


@pytest.mark.usefixtures("temporary")
def test_a_kernel_is_this_pythons_whatever_its_user_has_set_up_for_sessions_of_their_own(
    tmp_path: Path,
    working: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    started: Callable[[], WarmKernel],
) -> None:
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/false", "{connection_file}"], "display_name": "foreign", "language": "python"})
    )
    start_up = tmp_path / "ipython" / "profile_default" / "startup"
    start_up.mkdir(parents=True)
    (start_up / "00.py").write_text("started = True; print('of the start-up file'); import os; os._exit(3)")
    (start_up.parent / "ipython_config.py").write_text("c.InteractiveShellApp.exec_lines = ['started = True']")
    (tmp_path / "start.py").write_text("started = True")
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("print('of sitecustomize')")
    (working / "IPython.py").write_text("raise SystemExit('of the working folder')")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "start.py"))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "nonsense")
    answer = asked(started(), tmp_path / "answer")
    assert (answer["python"], answer["prefix"]) == (sys.executable, sys.prefix)
    assert "inline" in str(answer["backend"])
    assert not answer["started"]
    assert answer["cwd"] == str(working)
    assert capfd.readouterr() == ("", "")


def test_kernels_in_one_folder_are_each_ones_own_and_leave_nothing_there_or_among_temporary_files(
    tmp_path: Path, temporary: Path, working: Path, started: Callable[[], WarmKernel]
) -> None:
    several = [started(), started()]
    assert [asked(one, tmp_path / "answer")["pid"] for one in several] == [one.pid for one in several]
    assert not list(working.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in temporary.iterdir()), "nobody else can speak to them"
    for one in several:
        one.stop()
    assert not list(temporary.iterdir())


def test_a_kernels_sockets_have_a_short_path_where_that_of_temporary_files_is_long(
    tmp_path: Path, working: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[[], WarmKernel]
) -> None:
    long = tmp_path / ("x" * LONGEST_SOCKET)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    assert asked(started(), tmp_path / "answer")["cwd"] == str(working)


def test_a_kernel_that_does_not_start_says_what_it_wrote_last(
    temporary: Path, working: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ipykernel.py").write_text("raise SystemExit('nothing of IPython here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerError, match="nothing of IPython here"):
        WarmKernel().ready("python3", {})
    assert not list(temporary.iterdir())


def test_a_process_that_was_killed_leaves_nothing_in_its_folder_and_the_next_one_removes_its_temporary_files(
    temporary: Path, working: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=working, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert not list(working.iterdir())
    assert until(lambda: not os.path.exists(f"/proc/{inner}")), "the kernel ends with its owner"
    assert list(temporary.iterdir())
    remove_abandoned(temporary)
    assert not list(temporary.iterdir())


@pytest.mark.long
def test_studies_at_once_in_one_folder_and_one_in_a_read_only_folder_are_valid_and_leave_no_file(
    tmp_path: Path, temporary: Path, working: Path
) -> None:
    (tmp_path / "s.toml").write_text(DESIGN)
    read_only = tmp_path / "read-only"
    read_only.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", read_only], capture_output=True, check=False)
    running: list[subprocess.Popen[str]] = []
    places = [working, working, *([read_only] if mounted.returncode == 0 else [])]
    try:
        running += [
            subprocess.Popen(
                [sys.executable, "-c", STUDY, str(tmp_path / "s.toml"), f"s{number}"],
                cwd=place,
                env={**os.environ, "GRPCLAB_ROOT": str(tmp_path)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for number, place in enumerate(places)
        ]
        said = [process.communicate(timeout=600)[0].strip() for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
        if mounted.returncode == 0:
            subprocess.run(["umount", read_only], check=True)
    assert said == ["True (True, '')"] * len(places)
    assert not list(working.iterdir())
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        pytest.param(AsyncKernelManager, "format_kernel_cmd", id="before it is a process"),
        pytest.param(AsyncKernelClient, "kernel_info", id="while it starts"),
        pytest.param(AsyncKernelClient, "execute", id="while it works"),
    ],
)
def test_an_interrupted_kernel_leaves_no_task_whose_error_nobody_takes(
    owner: type, step: str, temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = getattr(owner, step)

    def interrupt() -> None:
        raise KeyboardInterrupt

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        asyncio.get_running_loop().call_soon(interrupt)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, step, interrupted)
    warm = WarmKernel()
    with pytest.raises(KeyboardInterrupt):
        warm.ready("python3", {})
    warm.stop()
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []
    assert list(temporary.iterdir()) == []


def test_a_signal_while_the_kernels_process_is_made_leaves_neither_it_nor_its_folder(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[bytes]] = []

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return made[-1]

    monkeypatch.setattr(launcher, "Popen", interrupted)
    monkeypatch.setattr(kernel, "module_command", lambda *_: ["sleep", "600"])
    warm = WarmKernel()
    with handled(), pytest.raises(Interrupted):
        warm.ready("python3", {})
    warm.stop()
    [process] = made
    left = process.poll() is None
    process.kill()
    assert not left
    assert not list(temporary.iterdir())


def test_a_signal_while_a_socket_is_made_does_not_keep_the_kernel_from_its_end(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the end of a socket that its context does not know, the context waits forever."""
    add, made, known = zmq.Context._add_socket, [], []

    def interrupted(context: zmq.Context[Any], socket: Any) -> None:
        made.append(socket)
        if len(made) == 3:  # the first is the manager's, the others are its client's
            signal.raise_signal(signal.SIGINT)
        add(context, socket)
        known.append(socket)

    monkeypatch.setattr(zmq.Context, "_add_socket", interrupted)
    warm = WarmKernel()
    with handled(), pytest.raises(Interrupted):
        warm.ready("python3", {})
    if made != known:
        warm.kill()
    assert made == known != []
    made.clear()
    known.clear()
    warm.stop()
    assert not list(temporary.iterdir())


def test_a_kernel_has_ended_when_it_is_stopped_even_where_its_manager_gives_up_waiting(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[[], WarmKernel]
) -> None:
    async def give_up(*_: Any, **__: Any) -> None:
        """What is left of it on a machine so busy that a killed process has not ended after some seconds."""

    warm = started()
    process = warm._manager.provisioner.process
    monkeypatch.setattr(AsyncKernelManager, "_async_kill_kernel", give_up)
    warm.stop()
    assert process.returncode == -signal.SIGKILL
    assert process.stdin is None or process.stdin.closed
    assert not list(temporary.iterdir())
