"""A study whose trials all fail: it stops early, keeps what was measured, and its exit code says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from grpclab.errors import MeasurementError
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.group_order import identity_of
from grpclab.study.parameters import StudyParameters
from grpclab.study.runner import Study
from grpclab.study.store import Store
from grpclab.study.trial_progress import FAILED_ALIKE, Failing
from grpclab.study.trial_result import TrialResult
from tests.support.stored_studies import result, stored_result


class FailingStudy(Study):
    """Every trial fails, for the next of these reasons."""

    reasons: Iterator[str] = iter(())

    def measure_group(self, group: ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:  # noqa: ARG002
        for trial in group.trials:
            identity = identity_of(group, trial.configuration, self.manifest)
            config = self.plan.configuration(trial.configuration).config
            failed = TrialResult(identity=identity, config=config, started_at="", invalid_reason=next(self.reasons))
            failed.write(folders[trial.name])
        return ""


def study(root: Path, reasons: Iterable[str]) -> FailingStudy:
    parameters = StudyParameters(study="x", design="quick", concurrency="8", blocks=1)  # type: ignore[arg-type]
    planned = Study.planned(parameters, root)
    made = FailingStudy(Store(root / "results" / "x"), planned.manifest, root)
    made.store.open(planned.manifest)
    made.reasons = iter(reasons)
    return made


def test_a_study_stops_after_equal_failures_and_keeps_what_was_measured(tmp_path: Path) -> None:
    running = study(tmp_path, (f"no server responded at 127.0.0.1:{port}" for port in itertools.count(4000)))
    with pytest.raises(MeasurementError) as caught:
        running.run(lambda _: None)
    assert caught.value.exit_code == 3
    first = running.groups[0]
    assert len(first.trials) >= FAILED_ALIKE
    assert f"127.0.0.1:{3999 + len(first.trials)}" in str(caught.value)
    assert set(running.store.results()) == {trial.name for trial in first.trials} < {t.name for t in running.trials}


def test_failures_that_differ_are_all_tried_and_the_study_is_invalid_in_the_end(tmp_path: Path) -> None:
    running = study(tmp_path, (f"reason {'ab'[number % 2]}" for number in itertools.count()))
    with pytest.raises(MeasurementError):
        running.run(lambda _: None)
    assert set(running.store.results()) == {trial.name for trial in running.trials}


def test_one_valid_trial_is_enough_to_go_on() -> None:
    failing = Failing(valid=False)
    good, bad = (stored_result(result("00-000-a", valid=valid)) for valid in (True, False))
    assert not any(failing.enough(result) for result in (good, bad, bad, bad, bad))
