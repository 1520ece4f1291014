"""The folders of a study: what is full, missing or read-only is said by its path before anything is measured."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from grpclab.cli.commands import main
from grpclab.errors import StorageError
from grpclab.report.publish import publish
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.group_order import identity_of
from grpclab.study.runner import Study
from grpclab.study.trial_result import TrialResult
from grpclab.system import paths, temporary
from grpclab.system.paths import require_writable, written_to

DESIGN = """
headline = "server.threads=4"
profile = false
[factors]
server.threads = [10, 4]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a design, in which every trial is valid without being measured."""

    def measure(study: Study, group: ScheduledGroup, _: Path, folders: Mapping[str, Path]) -> str:
        for trial in group.trials:
            identity = identity_of(group, trial.configuration, study.manifest)
            config = study.plan.configuration(trial.configuration).config
            result = TrialResult(identity=identity, config=config, started_at="2026-01-01T00:00:00+00:00", valid=True)
            result.metrics["throughput_rps"] = 100.0
            result.write(folders[trial.name])
        return ""

    monkeypatch.setattr(Study, "measure_group", measure)
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    (tmp_path / "s.toml").write_text(DESIGN)
    return tmp_path


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Put a file system in memory at a path of the project: with these options."""
    mounted: list[Path] = []

    def at(name: str, options: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root can mount a file system: run the tests as root, in a container with CAP_SYS_ADMIN")
        mounted.append(folder)
        return folder

    yield at
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def refused(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The line with which the study ends."""
    assert main(["study", "--file", str(root / "s.toml"), "-q"]) == 3
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize("name", ["results", "reports"])
@pytest.mark.parametrize("state", [("ro", "Read-only file system"), ("size=64k", "No space left on device")])
def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_measured(
    root: Path,
    mount: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    name: str,
    state: tuple[str, str],
) -> None:
    options, why = state
    folder = mount(name, options)
    monkeypatch.setattr(Study, "measure_group", lambda *_: pytest.fail("it was measured"))
    line = refused(root, capsys)
    assert str(folder) in line
    assert why in line
    assert sorted(path.name for path in root.iterdir()) == sorted({name, "s.toml"}), "and nothing is left"
    assert not list(folder.iterdir())


def test_a_full_folder_of_temporary_files_ends_a_study_before_anything_is_measured(
    root: Path, mount: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(mount("temporary", "size=64k")))
    assert str(root / "temporary") in refused(root, capsys)
    assert not (root / "results").exists()


def test_a_disk_that_fills_in_the_middle_keeps_the_trials_and_says_how_to_continue(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure, wanted = Study.measure_group, 6

    def until_full(study: Study, *arguments: object) -> str:
        if len(study.store.results()) == wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        return measure(study, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Study, "measure_group", until_full)
    line = refused(root, capsys)
    assert str(root / "results" / "s") in line
    assert "No space left" in line
    monkeypatch.setattr(Study, "measure_group", measure)
    study = Study.stored(root / "results" / "s")
    assert len(study.store.results()) == wanted
    study.run(lambda _: None)
    assert not study.missing()


def test_a_report_that_cannot_be_written_names_its_folder_and_the_command_that_writes_it(
    root: Path, mount: Callable[..., Path]
) -> None:
    study = Study.described(root / "s.toml", root=root).begin()
    study.run(lambda _: None)
    folder = mount("reports", "size=64k")
    with pytest.raises(StorageError, match=f"{folder} .*No space left.*grpclab report s"):
        publish(study)
    assert not list(folder.iterdir())


def test_a_working_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(StorageError, match=str(tmp_path / "results")):
        require_writable(tmp_path / "results" / "s")


def test_looking_for_room_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    require_writable(tmp_path / "results" / "a" / "b")
    assert [path.name for path in tmp_path.rglob("*")] == ["results"]


def test_a_folder_that_another_study_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tries, require_room = tmp_path / "results" / "a", [], temporary.require_room

    def look(path: Path, room_bytes: int) -> None:
        tries.append(path.is_dir())
        if len(tries) == 1:
            path.rmdir()
        require_room(path, room_bytes)

    monkeypatch.setattr(temporary, "require_room", look)
    require_writable(folder)
    assert tries == [True, True]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", paths.SCARCE)
def test_a_want_of_processes_or_memory_is_not_blamed_on_a_folder(tmp_path: Path, number: int) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as caught, written_to(tmp_path):
        raise OSError(number, os.strerror(number))
    assert not isinstance(caught.value, StorageError)
