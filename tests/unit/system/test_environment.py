"""Facts of the machine, read from a made-up file system where they must be certain."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from grpclab.errors import UsageError
from grpclab.study.stored_values import read, written
from grpclab.system.environment import (
    IDENTITY,
    CorePlan,
    GitState,
    Machine,
    cgroup_folders,
    cpu_quota,
    git_state,
    identity,
    machine,
    split_cores,
    versions,
)


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_a_machine_is_read_back_from_its_json() -> None:
    here = machine()
    assert read(Machine, json.loads(json.dumps(written(here)))) == here
    assert (here.cores or 0) >= len(here.affinity) >= 1


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    unknown = {name for name, value in vars(machine(tmp_path)).items() if value is None}
    assert unknown >= {
        "governor",
        "turbo",
        "cpu_quota_cores",
        "ptrace_scope",
        "cap_sys_ptrace",
        "virtual_machine",
    }


def test_the_machine_is_read_from_proc_and_sys(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast 9000\nflags\t: hypervisor\n\nprocessor\t: 1",
            "proc/self/status": "Name:\tx\nCapEff:\t0000000000080000",
            "proc/sys/kernel/yama/ptrace_scope": "1",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
            "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
        },
    )
    found = vars(machine(root))
    expected = {
        "cpu_model": "Fast 9000",
        "virtual_machine": True,
        "cap_sys_ptrace": True,
        "ptrace_scope": 1,
        "governor": "powersave",
        "turbo": True,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("boost", "turbo"), [("1", True), ("0", False)])
def test_turbo_is_read_from_boost_too(tmp_path: Path, boost: str, turbo: bool) -> None:
    assert machine(lay(tmp_path, {"sys/devices/system/cpu/cpufreq/boost": boost})).turbo is turbo


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
                "sys/fs/cgroup/a/cpu.max": "200000 100000",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "0::/../..", "sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n2:cpu,cpuacct:/box\n0::/",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            3.0,
        ),
        ({}, None),
    ],
)
def test_the_tightest_cgroup_quota_counts(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(lay(tmp_path, files)) == quota


def test_cgroup_folders_stay_below_their_mount(tmp_path: Path) -> None:
    root = lay(tmp_path, {"proc/self/cgroup": "0::/../../elsewhere"})
    assert cgroup_folders("cpu", root)
    assert all(".." not in folder.parts for folder in cgroup_folders("cpu", root))


def test_versions_name_what_is_installed_and_the_variables_of_grpc() -> None:
    found = versions({"GRPC_TRACE": "http", "HOME": "/root", "GRPC_A": "1"})
    assert found["grpcio"]
    assert found["grpc_environment"] == {"GRPC_A": "1", "GRPC_TRACE": "http"}
    assert json.loads(json.dumps(found)) == found


def test_identity_is_what_must_be_equal() -> None:
    found = identity(Machine(host="a", cores=2, load_average=(1,)), {"python": "3.12.1", "pandas": "3"})
    assert tuple(found) == IDENTITY
    assert found["host"] == "a"
    assert found["python"] == "3.12.1"
    assert found["uvloop"] is None


git = pytest.mark.skipif(shutil.which("git") is None, reason="git is missing: apt-get install git")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for words in (
        ["init", "-q"],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


@git
def test_a_repository_has_a_commit_and_is_dirty_once_a_file_is_added(repository: Path) -> None:
    clean = git_state(repository)
    assert len(clean.commit or "") == 40
    assert clean.dirty is False
    (repository / "new.py").write_text("")
    assert git_state(repository) == GitState(commit=clean.commit, dirty=True)


@git
def test_a_repository_further_up_is_not_taken_for_ones_own(repository: Path) -> None:
    inner = repository / "inner"
    inner.mkdir()
    assert git_state(inner) == GitState()
    (inner / ".git").mkdir()  # looks like one, and is none
    assert git_state(inner) == GitState()


@git
def test_variables_of_git_do_not_lead_elsewhere(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    assert git_state(tmp_path_factory.mktemp("empty")).commit is None


def test_without_git_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == GitState()


@pytest.mark.parametrize(
    ("affinity", "server", "generator", "shared"),
    [
        ([3, 0, 1, 2], (0, 1, 2), (3,), False),
        ({4, 6}, (4,), (6,), False),
        ([5], (5,), (5,), True),
    ],
)
def test_the_generator_has_the_last_core(
    affinity: list[int], server: tuple[int, ...], generator: tuple[int, ...], shared: bool
) -> None:
    assert split_cores(affinity) == CorePlan(server=server, generator=generator, shared=shared)


def test_no_core_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        split_cores([])
