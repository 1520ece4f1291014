"""From stored trials to what people read: trials.parquet, verdict.json, the report, the index of reports."""

from __future__ import annotations

from pathlib import Path

from grpclab.errors import MeasurementError
from grpclab.report import write_index, write_report
from grpclab.study.runner import Study


def publish(study: Study, *, allow_mixed: bool = False) -> Path:
    """Judge the study as it is stored and write its report; returns the report's path.

    Raises MeasurementError if it holds no trial yet, DesignError if it holds trials of different machines or versions,
    unless `allow_mixed`: then the report says so.
    """
    trials = study.collect(allow_mixed=allow_mixed)
    if trials.empty:
        raise MeasurementError(f"study {study.name} holds no trial yet: run it first")
    judgement = study.judge(trials)
    path = study.root / "reports" / f"{study.name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_report(path, study.manifest, trials, judgement.as_dict(), **study.material(trials))
    write_index(path.parent)
    return path
