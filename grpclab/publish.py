"""From stored trials to what people read: trials.parquet, verdict.json, the report and its short forms, the index."""

from __future__ import annotations

import json
from pathlib import Path

from grpclab.errors import MeasurementError
from grpclab.places import written_to
from grpclab.report import summaries, write_index, write_report
from grpclab.report.files import replace
from grpclab.report.study import Study as Finished
from grpclab.stored import load_study
from grpclab.study.runner import Study


def publish(study: Study, *, allow_mixed: bool = False) -> Path:
    """Judge the study as it is stored and write its report; returns the report's path.

    Beside it lie the same as Markdown and as JSON, and the index of all reports. Raises MeasurementError if it holds
    no trial yet, DesignError if it holds trials of different machines or versions, unless `allow_mixed`: then the
    report says so.
    """
    trials = study.collect(allow_mixed=allow_mixed)
    if trials.empty:
        damaged = study.damaged_warning()
        raise MeasurementError(damaged or f"study {study.name} holds no trial yet: run it first")
    judgement = study.judge(trials).as_dict()
    path = study.root / "reports" / f"{study.name}.html"
    material, told = study.material(trials), Finished.of(study.manifest, trials, judgement)
    solved = f"the results are stored; once that is solved, `grpclab report {study.name}` writes it"
    with written_to(path.parent, solved):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(path, study.manifest, trials, judgement, **material)
        replace(path.with_suffix(".md"), summaries.markdown(told))
        replace(path.with_suffix(".json"), f"{json.dumps(summaries.as_json(told), indent=1, allow_nan=False)}\n")
        write_index(path.parent)
    return path


def finished(study: Study, *, histograms: bool = False) -> Finished:
    """A study as its report sees it, out of what :func:`publish` has stored; `histograms` only where they are drawn."""
    stored = load_study(study.store.folder)
    latencies = study.material(stored.trials)["histograms"] if histograms else None
    return Finished.of(stored.manifest, stored.trials, stored.verdict, latencies)
