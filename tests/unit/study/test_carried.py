"""What is carried between machines: bounds, paths, and what stays."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from grpclab.analysis.study_plan import PlannedConfiguration, StudyPlan
from grpclab.errors import UsageError
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.servers.target import Address, App, Command
from grpclab.study import carried as carrying
from grpclab.study.carried import CarryError, carried, files_below, packed, require_carriable, unpacked
from grpclab.study.target import Subject


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(folder: Path) -> list[str]:
    return [name for _, name in files_below(folder)]


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    source = fill(tmp_path / "source", "a", "deep/er/b")
    (source / "a").chmod(0o755)
    (there := tmp_path / "there").mkdir()
    unpacked(packed(files_below(source), 1000), there, 1000)
    assert names(there) == ["a", "deep/er/b"]
    assert (there / "deep/er/b").read_text() == "deep/er/b"
    assert (there / "a").stat().st_mode & 0o777 == 0o755


def test_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    first, second = (fill(tmp_path / name, "a", "b") for name in ("first", "second"))
    assert packed(files_below(first), 1000) == packed(files_below(second), 1000)


def archive(name: str, kind: bytes = tarfile.REGTYPE, size: int = 1) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size if kind == tarfile.REGTYPE else 0, "/etc/passwd"
        file.addfile(info, io.BytesIO(b"x" * size))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        archive("../outside"),
        archive("/outside"),
        archive("link", tarfile.SYMTYPE),
        archive("link", tarfile.LNKTYPE),
        archive("large", size=101),
        b"no archive at all" * 100,
    ],
)
def test_an_archive_that_could_harm_is_refused(content: bytes, tmp_path: Path) -> None:
    (inside := tmp_path / "inside").mkdir()
    with pytest.raises(CarryError):
        unpacked(content, inside, 100)
    assert names(tmp_path) == []


def test_too_many_bytes_are_not_packed(tmp_path: Path) -> None:
    with pytest.raises(CarryError):
        packed(files_below(fill(tmp_path, "a" * 60)), 59)


def test_hidden_files_environments_and_results_stay_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    stay = ("venv/pyvenv.cfg", "venv/lib/x.py", ".env", ".git/config", "__pycache__/a.pyc", "results/s/manifest.json")
    fill(tmp_path, "a.py", "package/b.py", "package/results/kept.txt", *stay)
    found = carried({"a": Subject(target=App("a:register"))}, tmp_path)
    assert found is not None
    assert found.files == 3
    assert str(tmp_path) in found.text(2)
    unpacked(found.archive, (there := fill(tmp_path / "there")) / "x", 10_000)
    assert names(there) == ["x/0/a.py", "x/0/package/b.py", "x/0/package/results/kept.txt"]


def test_a_folder_that_is_too_large_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "MOST_FILES", 1)
    fill(tmp_path, "a", "b")
    with pytest.raises(UsageError, match=str(tmp_path)):
        carried({"a": Subject(target=App("a:register"))}, tmp_path)


def test_the_built_in_greeter_needs_nothing_from_here() -> None:
    assert carried({"a": Subject()}) is None


def test_paths_of_a_subject_name_the_carried_folders(tmp_path: Path) -> None:
    app, other = fill(tmp_path / "app", "server.py", "x.proto"), fill(tmp_path / "other", "data.jsonl")
    subject = Subject(
        target=App("server:register", app_dir="app", prepare=f"{app}/prepare --all"),
        call="a.B/C",
        data=f"@{other}/data.jsonl",
        proto="app/x.proto",
    )
    found = carried({"a": subject}, tmp_path)
    assert found is not None
    assert found.places.roots == (str(app), str(other / "data.jsonl"))
    unpacked(found.archive, there := tmp_path / "there", 10_000)
    moved = replace(found.places, folder=str(there)).subject(subject)
    assert moved.target.app_dir == str(there / "0")
    assert moved.target.prepare == f"{there}/0/prepare --all"
    assert (moved.proto, moved.data) == (str(there / "0/x.proto"), f"@{there}/1")
    assert Path(str(moved.data)[1:]).read_text() == "data.jsonl"


def test_a_command_runs_in_its_carried_folder(tmp_path: Path) -> None:
    fill(tmp_path, "srv")
    subject = Subject(target=Command("./srv {port}"), mix=(MixedCall(method="a.B/C", data="{}"),))
    found = carried({"a": subject}, tmp_path)
    assert found is not None
    moved = replace(found.places, folder="/there").subject(subject)
    assert (moved.target.cwd, moved.target.command) == ("/there/0", "./srv {port}")
    assert moved.mix == subject.mix


@pytest.mark.parametrize(
    ("subject", "settings", "named"),
    [
        (Subject(target=Address("localhost:1")), {}, "--address=localhost:1"),
        (Subject(target=App("a:b", python="python3")), {}, "--python=python3"),
        (Subject(target=App("a:b")), {"target.rev": "main"}, "target.rev=main"),
        (Subject(target=App("a:b")), {"load.arrival": "replay:x.calls@2", "load.rate_rps": 5.0}, "load.arrival"),
    ],
)
def test_what_another_machine_cannot_measure_is_refused(subject: Subject, settings: dict[str, str], named: str) -> None:
    plan = StudyPlan(configurations=(PlannedConfiguration(name="a", settings=settings),))
    with pytest.raises(UsageError, match="invalid") as raised:
        require_carriable(plan, {"a": subject})
    assert named in str(raised.value)
    assert "without --cluster" in str(raised.value)
