"""Temporary folders: private, of one owner, gone with it, and refused in one line where they cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.cli.commands import main
from grpclab.errors import StorageError
from grpclab.servers.process.launcher import RunningServer
from grpclab.system import temporary
from grpclab.system.temporary import OWNER, UNOWNED_S, TemporaryFolder, remove_abandoned, require_room

HOLD = "from grpclab.system.temporary import TemporaryFolder\n"
HOLD += "own = TemporaryFolder(); print(own.path, flush=True); input()"


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that TMPDIR names."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    remove_abandoned.cache_clear()
    yield tmp_path
    remove_abandoned.cache_clear()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk: run the tests as root, in a container with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", folder], check=True)


def other_process() -> tuple[subprocess.Popen[str], Path]:
    """Another process, and its temporary folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_private_and_goes_at_the_end_of_its_block(parent: Path) -> None:
    with TemporaryFolder() as folder:
        assert folder.parent == parent
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inner").mkdir()
        (folder / "inner" / "file").touch()
    assert not list(parent.iterdir())


def test_the_folder_of_a_process_that_was_killed_goes_with_the_next_one_and_that_of_a_living_one_stays(
    parent: Path,
) -> None:
    killed, left = other_process()
    living, kept = other_process()
    with killed, living:
        killed.kill()
        killed.wait()
        assert left.exists()
        with TemporaryFolder() as own:
            assert set(parent.iterdir()) == {own, kept}
        living.kill()


def test_the_folder_of_a_stopped_process_stays(parent: Path) -> None:
    process, folder = other_process()
    with process:
        process.send_signal(signal.SIGSTOP)
        remove_abandoned(parent)
        assert folder.exists()
        process.kill()


def test_what_is_not_a_folder_of_ours_is_left_alone(parent: Path) -> None:
    target = parent / "elsewhere"
    target.mkdir()
    (target / OWNER).touch()
    (parent / "grpclab-link").symlink_to(target)
    (parent / "grpclab-file").touch()
    (parent / "grpclab-new").mkdir()
    old = parent / "grpclab-old"
    old.mkdir()
    long_ago = time.time() - UNOWNED_S - 60
    os.utime(old, (long_ago, long_ago))
    before = set(parent.iterdir())
    remove_abandoned(parent)
    assert set(parent.iterdir()) == before - {old}
    assert (target / OWNER).exists()


def test_a_folder_that_was_taken_for_abandoned_before_it_had_its_lock_is_made_again(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = temporary._locked
    taken: list[Path] = []

    def late(handle: int) -> bool:
        if not taken:
            (found,) = parent.glob("grpclab-*")
            taken.append(found)
            (found / OWNER).unlink()
            found.rmdir()
        return real(handle)

    monkeypatch.setattr(temporary, "_locked", late)
    with TemporaryFolder() as folder:
        assert folder.exists()
        assert list(parent.iterdir()) == [folder]


def test_a_file_system_without_locks_serves_too(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(temporary, "_locked", none)
    with TemporaryFolder() as folder:
        assert list(parent.iterdir()) == [folder]
    assert not list(parent.iterdir())


def test_a_tmpdir_that_is_not_there_is_refused_by_its_name(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(parent / "missing"))
    with pytest.raises(StorageError, match=f"{parent}/missing .*No such file"):
        TemporaryFolder()


def test_a_full_tmpdir_is_refused_and_left_as_it_was(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tiny))
    with pytest.raises(StorageError, match=f"{tiny} .*No space left"):
        TemporaryFolder()
    assert not list(tiny.iterdir())


def test_room_is_looked_for_by_writing(tiny: Path) -> None:
    require_room(tiny, 16 << 10)
    with pytest.raises(OSError, match="No space left"):
        require_room(tiny, 128 << 10)
    assert not list(tiny.iterdir())


def test_a_load_is_not_begun_where_its_records_have_no_room(
    tiny: Path, quick_server: RunningServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tiny))
    assert main(["bench", quick_server.target, "-n", "10"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tiny) in line
    assert "TMPDIR" in line
