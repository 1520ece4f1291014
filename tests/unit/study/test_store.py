"""The folder of a study: each trial there whole or not at all, and one study only."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grpclab.errors import DesignError
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.metrics import MEASURED
from grpclab.study import collection
from grpclab.study.documents import SCHEMA_VERSION, write_json
from grpclab.study.model import Manifest
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest
from grpclab.study.trial_result import TrialIdentity, TrialResult
from tests.support import stored_studies
from tests.support.stored_studies import result

PLAN = {"blocks": 6, "configurations": [{"name": "basic", "settings": {}}]}
HOLD_THE_LOCK = """
import sys
from pathlib import Path
from grpclab.study.store import Store
with Store(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "results" / "mine")
    found.open(read_manifest(manifest()))
    return found


def manifest(**changes: Any) -> dict[str, Any]:
    return stored_studies.manifest(PLAN, **changes)


T = "00-000-basic"


def put(store: Store, trial: str = T, *, valid: bool = True) -> None:
    """Store a trial."""
    with store.writing(trial) as folder:
        write_json(folder / "result.json", result(trial, valid=valid))


def validity(store: Store) -> dict[str, bool]:
    """The trials that are there, and whether each is valid."""
    return {name: found.valid for name, found in store.results().items()}


@contextmanager
def held_elsewhere(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process is measuring the study."""
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


# ---- JSON ----------------------------------------------------------------------------------------------------


def test_what_is_no_number_becomes_null(tmp_path: Path) -> None:
    value = {"nan": math.nan, "list": [math.inf, -math.inf, np.float64("nan")], "numpy": np.int64(3), "tuple": (1,)}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "nan": None,
        "list": [None, None, None],
        "numpy": 3,
        "tuple": [1],
    }


def test_json_is_replaced_whole_or_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"version": 1})
    with pytest.raises(TypeError):
        write_json(path, {"version": 2, "unwritable": object()})
    assert json.loads(path.read_text()) == {"version": 1}
    write_json(path, {"version": 3})
    assert json.loads(path.read_text()) == {"version": 3}


# ---- trials --------------------------------------------------------------------------------------------------


def test_a_trial_is_not_there_until_it_is_whole(store: Store) -> None:
    with store.writing(T) as folder:
        write_json(folder / "result.json", result(T))
        assert store.results() == {}
        assert not (store.trials_folder / T).exists()
    assert validity(store) == {T: True}
    assert not folder.exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_trial_that_fails_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    def cut_off() -> None:
        with store.writing("00-000-basic") as folder:
            write_json(folder / "result.json", {"valid": True})
            raise error

    with pytest.raises(error):
        cut_off()
    assert store.results() == {}
    assert list(store.trials_folder.iterdir()) == []


def test_a_trial_measured_again_replaces_the_first_one_whole(store: Store) -> None:
    put(store, valid=False)
    (store.trials_folder / T / "old.txt").write_text("old")
    put(store, valid=True)
    assert validity(store) == {T: True}
    assert [path.name for path in (store.trials_folder / T).iterdir()] == ["result.json"]


def test_a_second_attempt_that_fails_keeps_the_first_one(store: Store) -> None:
    put(store, valid=False)
    with pytest.raises(RuntimeError), store.writing(T):
        raise RuntimeError
    assert validity(store) == {T: False}


def test_what_a_killed_run_left_is_no_trial_and_the_next_run_removes_it(store: Store) -> None:
    put(store, "00-000-whole")
    leftover = store.trials_folder / ".00-001-cut-off"
    leftover.mkdir()
    (leftover / "result.json").write_text("{")
    assert list(store.results()) == ["00-000-whole"]
    with store.lock():
        assert not leftover.exists()
    assert list(store.results()) == ["00-000-whole"]


def test_opening_a_study_that_runs_elsewhere_leaves_its_trial_alone(store: Store) -> None:
    with store.writing(T) as folder:
        Store(store.folder).open(read_manifest(manifest()))
        assert folder.exists()
        write_json(folder / "result.json", result(T))
    assert list(store.results()) == ["00-000-basic"]


# ---- the manifest --------------------------------------------------------------------------------------------


def test_a_study_is_begun_once_and_gone_on_with(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "mine")
    assert store.manifest() is None
    first = store.open(read_manifest(manifest()))
    again = store.open(read_manifest(manifest(created_at="later", git={"commit": "another"})))
    assert first == again == store.manifest()
    assert again.created_at == manifest()["created_at"]
    assert store.name == "mine"


def test_a_study_whose_titles_and_reasons_are_worded_differently_resumes(tmp_path: Path) -> None:
    def worded(title: str, reason: str) -> Manifest:
        factor = "server.window_kib"
        row = {"name": "basic", "title": title, "settings": {factor: 64}, "without_effect": {factor: reason}}
        return read_manifest(manifest(plan=PLAN | {"configurations": [row]}))

    store = Store(tmp_path / "results" / "mine")
    begun = store.open(worded("basic", "BDP probing overrides it"))
    again = store.open(worded("the basic one", "set adaptive_window=false"))
    assert again == begun
    assert [one.title for one in again.plan.configurations] == ["basic"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"design": "quick"}, ["different design"]),
        (
            {"seed": 2, "parameters": {"study": "mine", "seed": 2, "max_trial_s": 0.2}},
            ["different seed", "there seed=7, here seed=2"],
        ),
        (
            {"plan": PLAN | {"blocks": 8}, "parameters": {"study": "mine", "seed": 7, "max_trial_s": 0.4}},
            ["different plan", "there max_trial_s=0.2, here max_trial_s=0.4"],
        ),
        (
            {"identity": {"host": "there", "grpcio": "1.85.1"}},
            ["different identity", "there host=elsewhere, here host=there"],
        ),
        (
            {"identity": {"host": "elsewhere", "grpcio": "1.86.0"}, "design": "quick"},
            ["different design and identity", "there grpcio=1.85.1, here grpcio=1.86.0"],
        ),
    ],
)
def test_another_design_or_machine_is_refused_with_what_differs(
    store: Store, changes: dict[str, Any], words: list[str]
) -> None:
    before = store.manifest()
    with pytest.raises(DesignError) as refusal:
        store.open(read_manifest(manifest(**changes)))
    text = str(refusal.value)
    assert all(word in text for word in [*words, str(store.folder), "give this one another name"])
    assert "\n" not in text
    assert store.manifest() == before


def test_a_study_written_by_another_version_is_refused(store: Store) -> None:
    write_json(store.folder / "manifest.json", manifest(schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(DesignError, match=rf"has schema version {SCHEMA_VERSION + 1}; this grpclab reads"):
        store.manifest()


@pytest.mark.parametrize(("text", "says"), [("{", "is damaged"), ("[]", "is damaged"), ("{}", "has no schema version")])
def test_a_manifest_that_is_none_is_refused_by_its_path(store: Store, text: str, says: str) -> None:
    path = store.folder / "manifest.json"
    path.write_text(text)
    with pytest.raises(DesignError, match=says) as refusal:
        store.manifest()
    assert str(path) in str(refusal.value)


# ---- the lock ------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_until_the_first_has_ended_however_that_was(store: Store) -> None:
    with held_elsewhere(store) as other:
        with pytest.raises(DesignError) as refusal, store.lock():
            pass
        assert str(refusal.value) == (
            "study 'mine' is being measured by another process: wait for it, or use another name"
        )
        other.kill()
        other.wait()
        with store.lock():
            pass


def test_a_refused_process_leaves_the_trial_of_the_other_alone(store: Store) -> None:
    being_written = store.trials_folder / ".00-000-basic"
    with held_elsewhere(store):
        being_written.mkdir()
        with pytest.raises(DesignError), store.lock():
            pass
        assert being_written.exists()


def test_the_lock_is_free_again_after_an_error(store: Store) -> None:
    with pytest.raises(RuntimeError), store.lock():
        raise RuntimeError
    with store.lock():
        pass


def test_two_studies_may_be_locked_at_once(store: Store) -> None:
    with store.lock(), Store(store.folder.parent / "other").lock():
        pass


# ---- the frame -----------------------------------------------------------------------------------------------


def trial_result(block: int, order: int, **metrics: float) -> TrialResult:
    return TrialResult(
        identity=TrialIdentity(study="mine", trial=f"{block:02d}-{order:03d}-t", block=block, order=order),
        config=TrialConfig().replace({"server.window_kib": 64, "server.adaptive_window": False}),
        started_at="2026-11-23T12:00:00+00:00",
        valid=bool(metrics),
        invalid_reason="" if metrics else "the server died",
        metrics=metrics,
        errors_by_status={"UNAVAILABLE": 2},
    )


def test_the_frame_has_a_row_a_trial_in_the_order_of_measuring(store: Store) -> None:
    assert collection.frame(store.results().values()).empty
    for block, order in ((1, 0), (0, 10), (0, 2)):
        made = trial_result(block, order, throughput_rps=100.0 * block + order)
        with store.writing(made.identity.trial) as folder:
            made.write(folder)
    frame = collection.frame(store.results().values())
    assert list(zip(frame["block"], frame["order"], strict=True)) == [(0, 2), (0, 10), (1, 0)]
    assert frame["throughput_rps"].tolist() == [2.0, 10.0, 100.0]
    assert set(FACTORS) | set(MEASURED) <= set(frame.columns)
    assert frame["server.window_kib"].tolist() == [64] * 3


def test_a_trial_stored_before_the_looks_at_threads_and_system_calls_is_a_row(store: Store) -> None:
    with store.writing("00-000-t") as folder:
        trial_result(0, 0, throughput_rps=5.0).write(folder)
    path = store.trials_folder / "00-000-t" / "result.json"
    stored = json.loads(path.read_text())
    for name in ("threads_per_call", "syscalls_per_call", "perf_note", "strace_note", "advertised", "goaways"):
        del stored[name]
    for name in [name for name in stored["metrics"] if name.startswith(("perf_", "link_", "syscalls"))]:
        del stored["metrics"][name]
    path.write_text(json.dumps(stored))
    row = collection.frame(store.results().values()).iloc[0]
    assert row["throughput_rps"] == 5.0
    assert math.isnan(row["perf_samples"])
    assert row["threads_per_call"] == "{}"
    assert row["strace_note"] == ""


def test_an_invalid_trial_is_a_row_with_its_reason_and_no_figures(store: Store) -> None:
    made = trial_result(0, 0)
    with store.writing("00-000-t") as folder:
        made.write(folder)
    row = collection.frame(store.results().values()).iloc[0]
    assert not row["valid"]
    assert row["invalid_reason"] == "the server died"
    assert all(math.isnan(row[name]) for name in MEASURED)


def test_the_frame_comes_back_from_its_file(store: Store) -> None:
    made = trial_result(0, 0, throughput_rps=5.0, errors=2.0)
    with store.writing("00-000-t") as folder:
        made.write(folder)
    frame = collection.frame(store.results().values())
    store.write_frame(frame)
    store.write_frame(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(store.folder / "trials.parquet"), frame)
    assert not list(store.folder.glob(".trials*"))
