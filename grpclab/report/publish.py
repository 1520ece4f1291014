"""From stored trials to what people read: trials.parquet, verdict.json, the report and its short forms, the index."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from grpclab.errors import GrpclabError, MeasurementError, StorageError
from grpclab.report import data, write_index, write_report
from grpclab.report.files import replace
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.report.stored import load_study
from grpclab.study.documents import manifest_document
from grpclab.study.runner import Study
from grpclab.system.paths import written_to
from grpclab.text.redaction import Redactor, mask_foreign, masked


def publish(study: Study, *, allow_mixed: bool = False) -> Path:
    """Judge the study as it is stored and write its report; returns the report's path.

    Beside it lie the same as Markdown and as JSON, and the index of all reports. An earlier version stored secrets, so
    they are taken out once more, and no report that holds one stays: StorageError. Raises MeasurementError if it holds
    no trial yet, DesignError if it holds trials of different machines or versions, unless `allow_mixed`: then the
    report says so.
    """
    trials = study.collect(allow_mixed=allow_mixed)
    if trials.empty:
        damaged = study.damaged_warning()
        raise MeasurementError(damaged or f"study {study.name} holds no trial yet: run it first")
    judgement, redactor = masked(study.judge(trials).as_dict()), study.store.redactor()
    manifest, trials = redactor.manifest(manifest_document(study.store.folder)), _masked_frame(trials)
    path = study.root / "reports" / f"{study.name}.html"
    artifacts = study.artifacts(trials)
    finished_study = FinishedStudy.of(manifest, trials, judgement, artifacts.histograms, artifacts.profiles)
    solved = f"the results are stored; once that is solved, `grpclab report {study.name}` writes it"
    with written_to(path.parent, solved):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(path, finished_study, details=masked(artifacts.details))
        replace(path.with_suffix(".md"), markdown(finished_study))
        replace(path.with_suffix(".json"), f"{json.dumps(as_json(finished_study), indent=1, allow_nan=False)}\n")
        _refuse_secrets(path, redactor)
        write_index(path.parent)
    return path


def _masked_frame(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials without the secrets in their texts."""
    clean = trials.copy()
    for name in clean.columns:
        if pd.api.types.is_object_dtype(clean[name]) or pd.api.types.is_string_dtype(clean[name]):
            clean[name] = clean[name].map(lambda value: mask_foreign(value) if isinstance(value, str) else value)
    return clean


def _refuse_secrets(path: Path, redactor: Redactor) -> None:
    """Remove a report again in which a secret is left, or that cannot be looked through; raises StorageError."""
    files = [path, path.with_suffix(".md"), path.with_suffix(".json")]
    try:
        packed = data.read(path)
    except GrpclabError as error:
        for file in files:
            file.unlink()
        raise StorageError(f"{path} is not written: it could not be read again: {error}") from None
    inside = json.dumps([packed.manifest, packed.verdict, packed.details, packed.markdown], default=str)
    texts = [*(file.read_text(encoding="utf-8") for file in files), inside, packed.trials.to_csv()]
    if any(redactor.leaked(text, packed.manifest) for text in texts):
        for file in files:
            file.unlink()
        raise StorageError(f"{path} is not written: a secret of this study would be in it; --redact NAME names it")


def finished(study: Study, *, histograms: bool = False) -> FinishedStudy:
    """A study as its report sees it, out of what :func:`publish` has stored; `histograms` only where they are drawn."""
    stored = load_study(study.store.folder)
    latencies = study.artifacts(stored.trials).histograms if histograms else None
    return FinishedStudy.of(stored.manifest, stored.trials, stored.verdict, latencies)
