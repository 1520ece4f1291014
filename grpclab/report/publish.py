"""From stored trials to what people read: trials.parquet, verdict.json, the report and its short forms, the index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grpclab.errors import GrpclabError, StorageError
from grpclab.report import data, sections, write_index, write_report
from grpclab.report.blocks import Section
from grpclab.report.data import Packed
from grpclab.report.files import replace
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.study.documents import manifest_document
from grpclab.study.runner import Study
from grpclab.study.stored_values import read_manifest
from grpclab.system.paths import written_to
from grpclab.text.redaction import Redactor, mask_foreign, masked


@dataclass(frozen=True, kw_only=True)
class Published:
    """A report that was written, and the study as it shows it."""

    path: Path
    study: FinishedStudy
    sections: Sequence[Section]


def publish(study: Study, *, allow_mixed: bool = False) -> Published:
    """Judge the study as it is stored and write its report.

    Beside it lie the same as Markdown and as JSON, and the index of all reports. An earlier version stored secrets, so
    they are taken out once more, and no report that holds one stays: StorageError. Raises MeasurementError if it holds
    no trial yet, DesignError if it holds trials of different machines or versions, unless `allow_mixed`: then the
    report says so.
    """
    evaluation, redactor = study.evaluate(allow_mixed=allow_mixed), study.store.redactor()
    judgement, trials, artifacts = masked(evaluation.judgement), _masked_frame(evaluation.trials), evaluation.artifacts
    manifest = redactor.manifest(manifest_document(study.store.folder))
    path = study.root / "reports" / f"{study.name}.html"
    finished = FinishedStudy.of(read_manifest(manifest), trials, judgement, artifacts.histograms, artifacts.profiles)
    finished = finished.with_groups_of(study.store.folder)
    parts = sections(finished)
    packed = Packed(
        manifest=manifest,
        trials=trials,
        verdict=judgement.as_dict(),
        details=masked(artifacts.details),
        markdown=markdown(finished, parts),
    )
    solved = f"the results are stored; once this is fixed, run `grpclab report {study.name}`"
    with written_to(path.parent, solved):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_report(path, finished, packed, parts)
        replace(path.with_suffix(".md"), packed.markdown)
        replace(path.with_suffix(".json"), f"{json.dumps(as_json(finished, parts), indent=1, allow_nan=False)}\n")
        _refuse_secrets(path, redactor)
        write_index(path.parent)
    return Published(path=path, study=finished, sections=parts)


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
        raise StorageError(f"{path} was not written, because the file could not be read back: {error}") from None
    inside = json.dumps([packed.manifest, packed.verdict, packed.details, packed.markdown], default=str)
    texts = [*(file.read_text(encoding="utf-8") for file in files), inside, packed.trials.to_csv()]
    if any(redactor.leaked(text, packed.manifest) for text in texts):
        for file in files:
            file.unlink()
        raise StorageError(
            f"{path} was not written, because it would contain a secret of this study: pass the name of that secret "
            "with --redact NAME"
        )
