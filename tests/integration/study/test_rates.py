"""The rate of a design's open loops, out of a real measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grpclab.errors import DesignError
from grpclab.study.parameters import StudyParameters
from grpclab.study.rates import with_rate
from grpclab.study.runner import Study

QUICK: dict[str, Any] = {"design": "production", "requests": 300, "max_trial_s": 0.5, "blocks": 1}


def test_the_rate_is_measured_once_and_a_stored_study_keeps_it(tmp_path: Path) -> None:
    study = Study.prepare(StudyParameters(study="features", **QUICK), tmp_path)
    rate_rps = float(study.manifest.parameters["rate"])
    assert rate_rps >= 1
    assert rate_rps == float(f"{rate_rps:.2g}")
    steady = [one.config.load.rate_rps for one in study.plan.configurations if one.config.load.rate_rps is not None]
    assert set(steady) == {rate_rps}
    again = Study.prepare(StudyParameters(study="features", **QUICK), tmp_path)
    assert again.plan == study.plan
    with pytest.raises(DesignError):
        Study.prepare(StudyParameters(study="features", rate=f"{2 * rate_rps:g}", **QUICK), tmp_path)


def test_each_implementation_has_the_rate_of_its_own_throughput(tmp_path: Path) -> None:
    parameters = with_rate(StudyParameters(implementation="both", **QUICK), tmp_path)
    assert len(parameters.rates_rps) == 2
    assert [parameters.rate_of(name) for name in ("sync", "asyncio")] == list(parameters.rates_rps)
    assert all(rate_rps >= 1 for rate_rps in parameters.rates_rps)


@pytest.mark.parametrize("given", [{"rate": "none"}, {"rate": "70"}])
def test_a_rate_that_is_given_is_not_measured(tmp_path: Path, given: dict[str, str]) -> None:
    parameters = StudyParameters(**QUICK | given)
    assert with_rate(parameters, tmp_path) == parameters


def test_a_design_without_open_loops_has_no_rate(tmp_path: Path) -> None:
    parameters = StudyParameters(design="quick")
    assert with_rate(parameters, tmp_path) == parameters
