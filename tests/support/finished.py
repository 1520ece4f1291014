"""Finished studies, and their reports, out of what is stored of them: JSON objects and a frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.report import write_report
from grpclab.report.content import sections
from grpclab.report.data import Packed
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.markdown import markdown
from grpclab.study.stored_values import read_manifest, read_verdict


def finished(
    manifest: Mapping[str, Any], trials: pd.DataFrame, verdict: Mapping[str, Any], **material: Any
) -> FinishedStudy:
    """The study as its report sees it, with `histograms` and `profiles` where there are any."""
    parts = {name: material[name] for name in ("histograms", "profiles") if name in material}
    return FinishedStudy.of(read_manifest(manifest), trials, read_verdict(verdict), **parts)


def written_report(
    path: Path, manifest: Mapping[str, Any], trials: pd.DataFrame, verdict: Mapping[str, Any], **material: Any
) -> Path:
    """The report of the study, with `histograms`, `profiles` and `details` where there are any."""
    study = finished(manifest, trials, verdict, **material)
    made = sections(study)
    packed = Packed(
        manifest=manifest,
        trials=trials,
        verdict=verdict,
        details=material.get("details", {}),
        markdown=markdown(study, made),
    )
    return write_report(path, study, packed, made)
