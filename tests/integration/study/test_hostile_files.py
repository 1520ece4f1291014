"""Reports and stores that are damaged or were made to harm: one line each, within bounds, and nothing outside."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grpclab.analysis.inference.distribution import merge
from grpclab.cli import commands
from grpclab.errors import DesignError
from grpclab.report.data import Packed, unpack
from grpclab.study import collection
from grpclab.study.documents import write_json
from grpclab.study.runner import Study
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest
from grpclab.study.trial_result import TrialIdentity, TrialResult, measured_on
from grpclab.system.parquet import from_parquet
from grpclab.system.paths import project_root
from grpclab.system.untrusted import JSON_DEPTH, json_object, read_bytes, read_tail
from tests.support import hostile_contents, hostile_files

EXAMPLE = project_root() / "reports" / "example.html"
RNG = random.Random(1)


# 500 files are all kinds, those that draw something more than once.
@pytest.mark.parametrize("count", [4, pytest.param(500, marks=pytest.mark.long)])
def test_damaged_and_hostile_files_are_a_line_each_within_seconds_and_500_mb(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-m", hostile_files.__name__, str(count)]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"GRPCLAB_ROOT": str(tmp_path)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{count} read, 0 wrong" in run.stdout


LOAD = f"""
import os, grpclab.report.stored, pyarrow.parquet
threads = lambda: len(os.listdir("/proc/self/task"))
before = threads()
grpclab.load_study({str(EXAMPLE)!r})
print(threads() - before)
"""


def test_a_script_that_reads_a_report_leaves_no_thread_of_pyarrow_behind_and_ends_well() -> None:
    run = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "0"), run.stderr


# ---- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["deep", "deep objects", "short texts", "an open text of escapes", "a long number", "no number", "half"]
)
def test_no_such_json_is_read(kind: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_object(hostile_contents.texts(kind, RNG))


def test_json_within_its_bounds_is_read() -> None:
    assert json_object(b'{"a": ' + hostile_contents.nested(JSON_DEPTH - 1) + b"}")
    assert json_object(b'{"quoted": "[[[\\"{{{", "n": -1.5e3}') == {"quoted": '[[["{{{', "n": -1500.0}


@pytest.mark.parametrize(
    "kind", ["many rows", "one text in many rows", "prefixes", "many columns", "lists", "a long footer", "text"]
)
def test_no_such_table_is_read(kind: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_parquet(hostile_contents.tables(kind, RNG))


def test_an_index_that_a_table_only_claims_is_left_out() -> None:
    assert list(from_parquet(hostile_contents.tables("an index of its own", RNG)).index) == [0]


@pytest.mark.parametrize("kind", hostile_files.SPECIAL[:5] + hostile_files.SPECIAL[6:])
def test_what_is_no_file_is_not_read(kind: str, tmp_path: Path) -> None:
    hostile_files.special(tmp_path / "x", kind, tmp_path)
    with pytest.raises((ValueError, OSError)):
        read_bytes(tmp_path / "x", 1000)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    study = tmp_path / "study"
    hostile_files.special(study / "server.log", "elsewhere", tmp_path)
    assert read_bytes(study / "server.log", 1000) == hostile_files.SECRET.encode()
    for read in (read_bytes, read_tail):
        with pytest.raises(ValueError, match="symbolic link that leaves"):
            read(study / "server.log", 1000, inside=study)


def test_a_report_that_is_too_large_to_be_read_again_leaves_out_details() -> None:
    details = {str(n): {"log": "x" * 2000} for n in range(9000)}
    page = Packed(manifest={}, trials=hostile_contents.trials(), verdict={}, details=details).elements()
    assert unpack(page).details == {}


@pytest.mark.parametrize("seed", range(5))
def test_a_histogram_of_anyones_takes_no_memory(seed: int) -> None:
    found = hostile_files._with_histogram(random.Random(seed))["histogram"]
    with contextlib.suppress(ValueError):  # what a flipped byte of a count makes is a histogram, too
        merged = merge([found])
        assert merged is not None
        assert len(merged.counts) < 30_000


# ---- damaged stores ----------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A whole study of two trials, whose trials are measured by writing them down."""
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))

    def measure(self: Study, config: Any, identity: TrialIdentity, folder: Path) -> str:
        made = TrialResult(identity=identity, config=config, started_at="2026-01-01T00:00:00+00:00", valid=True)
        made.metrics["throughput_rps"] = 100.0
        made.write(folder)
        return ""

    monkeypatch.setattr(Study, "measure", measure)
    made_here = hostile_contents.manifest() | {"identity": measured_on(), "plan": hostile_contents.plan(blocks=1)}
    found = Study(Store(tmp_path / "results" / "tiny"), read_manifest(made_here), tmp_path).begin()
    found.run(lambda line: None)
    return found


def result_of(study: Study) -> Path:
    """The result of the second trial."""
    return study.store.trials_folder / study.trials[1].name / "result.json"


DAMAGES: dict[str, Callable[[Path], object]] = {
    "half": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "empty": lambda path: path.write_text(""),
    "an object": lambda path: path.write_text("{}"),
    "a list": lambda path: path.write_text("[]"),
    "gone": lambda path: path.unlink(),
    "text as a metric": lambda path: path.write_text(
        json.dumps(json.loads(path.read_text()) | {"metrics": {"throughput_rps": "fast"}})
    ),
    "of another trial": lambda path: path.write_text(
        json.dumps(json.loads(path.read_text()) | {"trial": "../../../elsewhere"})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trial_is_set_aside_named_and_measured_again(damage: str, study: Study) -> None:
    path = result_of(study)
    name = path.parent.name
    others = {one: one.stat().st_mtime_ns for one in study.store.trials_folder.glob("*/result.json") if one != path}
    DAMAGES[damage](path)
    (path.parent / "mark").write_text("of the damaged one")

    told = study.judge().warnings[0]
    assert told.startswith("damaged: ")
    assert name in told
    assert [trial.name for trial in study.missing()] == [name]

    lines: list[str] = []
    study.run(lines.append)
    assert name in lines[0]
    assert (study.store.folder / "damaged" / f"{name}.1" / "mark").exists()
    assert json.loads(path.read_text())["valid"]
    assert {one: one.stat().st_mtime_ns for one in others} == others
    assert not any(warning.startswith("damaged") for warning in study.judge().warnings)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", '{"schema_version": 1}', '{"schema_version": 1, "plan": []}'])
def test_a_damaged_manifest_says_what_is_saved_and_beginning_again_saves_it(
    content: str, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study.store.folder / "manifest.json"
    path.write_text(content)
    for words in (["report", "tiny"], ["study", "--repeat", str(path)], ["compare", *[f"{path.parent}:few"] * 2]):
        assert commands.main(words) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "to keep the 2 complete trials, remove that file" in err
    path.unlink()
    again = Study(study.store, study.manifest, study.root).begin()
    assert again.missing() == []


def test_trials_of_another_plan_are_not_taken_for_those_of_a_new_one(study: Study) -> None:
    (study.store.folder / "manifest.json").unlink()
    other = hostile_contents.manifest()
    other["plan"]["configurations"][0]["settings"]["server.threads"] = 3
    with pytest.raises(DesignError, match="a trial of a different plan"):
        Study(study.store, read_manifest(other), study.root).begin()


# ---- nothing outside ---------------------------------------------------------------------------------------------


def test_what_lies_behind_links_is_neither_read_nor_written_nor_removed(study: Study, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".precious").mkdir(parents=True)
    (home / "notes").write_text("notes")
    trial = result_of(study).parent
    for name in (".trials.parquet", ".lock", f".manifest.json.{os.getpid()}"):
        link = study.store.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(home / "notes")
    (trial / "server.log").unlink(missing_ok=True)
    (trial / "server.log").symlink_to(home / "notes")
    details = collection.details(study.store.trials_folder, study.store.results())
    assert "notes" not in json.dumps(details)
    study.collect()
    write_json(study.store.folder / "manifest.json", hostile_contents.manifest())
    with pytest.raises(DesignError, match="symbolic link"):
        study.run(lambda line: None)
    (study.store.folder / ".lock").unlink()

    study.store.trials_folder.rename(tmp_path / "trials")
    study.store.trials_folder.symlink_to(home)
    with pytest.raises(DesignError, match="symbolic link that leaves"):
        study.run(lambda line: None)
    assert (home / ".precious").is_dir()
    assert (home / "notes").read_text() == "notes"
    assert sorted(path.name for path in home.iterdir()) == [".precious", "notes"]
