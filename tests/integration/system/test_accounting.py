"""What the kernel counts, read from a file system made by hand, and once from the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.system.accounting import MOST_THREADS, KernelCounts, Throttling, is_stopped, throttling, waited_seconds
from grpclab.system.environment import cpu_quota
from tests.support.processes import until

OWN = os.getpid()


def lay(root: Path, files: dict[str, str]) -> Path:
    """A file system with these files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_time_of_a_core_is_that_of_its_processes_and_what_was_stolen_stands_apart(
    tmp_path: Path,
) -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 20 30 999 5 7 8 40 6 6\ncpu3 200 0 0 1 0 0 0 0 0 0\nintr 1 2\n"
    stat += "ctxt 7\nbtime 5\nprocesses 4211\nprocs_running 3\n"
    found = KernelCounts.take(root=lay(tmp_path, {"proc/stat": stat}))
    assert found.forks == 4211
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert found.used_s == pytest.approx({0: 150 * tick_s, 3: 200 * tick_s})
    assert found.stolen_s == pytest.approx({0: 40 * tick_s, 3: 0})


def test_pressure_is_the_time_in_which_some_task_waited(tmp_path: Path) -> None:
    lines = "some avg10=3.54 avg60=1.68 avg300=3.84 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    root = lay(tmp_path, {"proc/pressure/cpu": lines, "proc/pressure/io": "Operation not supported\n"})
    assert KernelCounts.take(root=root).pressure_s == {"cpu": 2.5}


def test_what_cannot_be_read_is_missing(tmp_path: Path) -> None:
    found = KernelCounts.take([OWN], root=tmp_path)
    assert (found.used_s, found.pressure_s, found.waited_s, found.throttling) == ({}, {}, {}, {})
    assert waited_seconds(OWN, tmp_path) is None
    assert not is_stopped(OWN, tmp_path)


def test_waiting_is_that_of_all_threads_unless_they_are_too_many(tmp_path: Path) -> None:
    root = lay(tmp_path, {f"proc/7/task/{tid}/schedstat": f"11 {tid}000000000 3\n" for tid in (1, 2)})
    assert waited_seconds(7, root) == 3.0
    lay(tmp_path, {f"proc/7/task/{tid}/schedstat": "0 0 0" for tid in range(3, MOST_THREADS + 2)})
    assert waited_seconds(7, root) is None


@pytest.mark.parametrize(
    ("files", "counted"),
    [
        (
            {
                "proc/7/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.stat": "usage_usec 5\nnr_periods 20\nnr_throttled 4\nthrottled_usec 250000\n",
                "sys/fs/cgroup/a/b/cpu.stat": "nr_periods 20\nnr_throttled 1\nthrottled_usec 10000\n",
            },
            Throttling(periods=20, throttled=4, throttled_s=0.25),
        ),
        (
            {
                "proc/7/cgroup": "2:cpuacct:/x\n1:cpu:/c\n0::/\n",
                "sys/fs/cgroup/cpu/c/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 1500000000\n",
            },
            Throttling(periods=9, throttled=2, throttled_s=1.5),
        ),
        ({"proc/7/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "nr_periods 0\nnr_throttled 0\n"}, None),
    ],
    ids=["version 2: the worst of all above", "version 1", "no quota"],
)
def test_throttling_is_read_from_both_versions_of_cgroups(
    tmp_path: Path, files: dict[str, str], counted: Throttling | None
) -> None:
    assert throttling(7, lay(tmp_path, files)) == counted


def test_a_quota_is_that_of_the_process_asked_for(tmp_path: Path) -> None:
    files = {"proc/7/cgroup": "0::/a\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}
    root = lay(tmp_path, files)
    assert (cpu_quota(root, pid=7), cpu_quota(root)) == (0.5, None)


@contextlib.contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_stopped_process_is_told_from_a_running_one() -> None:
    with sleeper() as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        assert until(lambda: is_stopped(process.pid))
        process.send_signal(signal.SIGCONT)
        assert until(lambda: not is_stopped(process.pid))


@contextlib.contextmanager
def quota_group() -> Iterator[Path]:
    """A cgroup that allows a tenth of a core; skips where none may be made."""
    folder = Path(f"/sys/fs/cgroup/cpu/grpclab-test-{os.getpid()}")
    if not (folder.parent / "cpu.cfs_quota_us").parent.is_dir():
        pytest.skip("no cgroup of version 1 with the cpu controller")
    try:
        folder.mkdir()
        (folder / "cpu.cfs_period_us").write_text("20000")
        (folder / "cpu.cfs_quota_us").write_text("2000")
    except OSError as error:
        pytest.skip(f"no cgroup may be made: {error}")
    try:
        yield folder
    finally:
        assert until(lambda: not (folder / "cgroup.procs").read_text().strip())
        folder.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="cgroups")
def test_the_kernel_throttles_a_process_at_its_quota_and_we_read_that() -> None:
    with quota_group() as group, subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
            before = KernelCounts.take([process.pid]).throttling.get(process.pid, Throttling())  # none until it runs
            assert cpu_quota(pid=process.pid) == pytest.approx(0.1)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                counted = KernelCounts.take([process.pid]).throttling.get(process.pid, Throttling())
                if counted.throttled >= 3 and counted.throttled_s > before.throttled_s:
                    break
                time.sleep(0.02)
            assert counted.throttled >= 3
            assert counted.throttled_s > before.throttled_s
        finally:
            process.kill()
