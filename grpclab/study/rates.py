"""The rate of a design's open loops: a share of the throughput of one configuration, measured before the plan."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from grpclab.errors import DesignError, MeasurementError, invalid
from grpclab.study.parameters import AUTO, DESIGNS, StudyParameters
from grpclab.study.store import Store
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
    rate_of = DESIGNS[parameters.design].rate_of
    if parameters.rate != AUTO or rate_of is None:
        return parameters
    if stored := Store(folder).manifest():
        return replace(parameters, rate=str(stored.parameters.get("rate", AUTO)))
    if not measure:
        raise DesignError(invalid("rate", AUTO, "calls/s, or none, with --cluster: this machine is not measured"))
    cores = environment.split_cores(environment.machine().affinity)
    with TemporaryFolder() as scratch:
        identity = TrialIdentity(study=folder.name, trial="rate")
        measured = run_trial(rate_of(parameters), scratch, cores=cores, identity=identity, counted_s=COUNTED_S)
    rate_rps = DESIGNS[parameters.design].rate_share * measured.metrics.get("throughput_rps", math.nan)
    if not measured.valid or not rate_rps >= 1:
        why = measured.invalid_reason or "no call succeeded"
        raise MeasurementError(f"cannot measure the throughput that sets the rate: {why}; or set rate=RATE")
    return replace(parameters, rate=f"{float(f'{rate_rps:.{DIGITS}g}'):g}")
