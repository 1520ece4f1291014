"""The rates of a design's open loops: shares of the throughputs of configurations, measured before the plan."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from grpclab.errors import DesignError, MeasurementError, invalid
from grpclab.factors.config import TrialConfig
from grpclab.study.designs.file_design import FileDesign
from grpclab.study.parameters import AUTO, DESIGNS, Design, StudyParameters
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity
from grpclab.system import environment
from grpclab.system.temporary import TemporaryFolder

COUNTED_S = 1.0
"""The throughput is measured for so long."""
DIGITS = 2
"""The significant digits of a rate."""


def with_rate(parameters: StudyParameters, folder: Path, *, measure: bool = True) -> StudyParameters:
    """The parameters with a number instead of ``rate=auto``, if their design has open loops.

    A study that is stored in `folder` keeps its own rate. Raises DesignError for a manifest that cannot be read, and
    where other machines are to be measured (not `measure`), MeasurementError if the throughput cannot be measured.
    """
    design = DESIGNS[parameters.design]
    if parameters.rate != AUTO or design.rates_of is None:
        return parameters
    if stored := Store(folder).manifest():
        return replace(parameters, rate=str(stored.parameters.get("rate", AUTO)))
    if not measure:
        raise DesignError(
            invalid("rate", AUTO, "calls/s, or none, with --cluster, which does not measure this machine")
        )
    rates = [_rate_of(config, folder.name, design.rate_share) for config in design.rates_of(parameters)]
    return replace(parameters, rate=",".join(rates))


def rate_of_file(own: FileDesign, folder: Path) -> str:
    """The rate of the open loops of a file's design, which takes a share of the throughput of its headline's baseline.

    A study that is stored in `folder` keeps its own. Raises as :func:`with_rate`.
    """
    if (stored := Store(folder).manifest()) and (rate := stored.parameters.get("rate")):
        return str(rate)
    assert own.plan.headline is not None
    name = own.plan.headline.baseline
    return _rate_of(own.plan.configuration(name).config, folder.name, Design.rate_share, own.subjects[name])


def _rate_of(config: TrialConfig, study: str, share: float, subject: Subject = Subject()) -> str:  # noqa: B008
    """A share of the throughput of a configuration. Raises MeasurementError if that cannot be measured."""
    cores = environment.split_cores(environment.machine().affinity)
    with TemporaryFolder() as scratch:
        identity = TrialIdentity(study=study, trial="rate")
        measured = run_trial(config, scratch, cores=cores, identity=identity, subject=subject, counted_s=COUNTED_S)
    rate_rps = share * measured.metrics.get("throughput_rps", math.nan)
    if not measured.valid or not rate_rps >= 1:
        why = measured.invalid_reason or "no call succeeded"
        raise MeasurementError(f"cannot measure the throughput that sets the rate: {why}; or set rate=RATE")
    return f"{float(f'{rate_rps:.{DIGITS}g}'):g}"
