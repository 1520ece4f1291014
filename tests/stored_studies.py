"""Made-up studies where a finished one is looked for: as a folder of results, and inside a report."""

from __future__ import annotations

import html
import json
from pathlib import Path

import synthetic

from grpclab.report.data import Packed
from grpclab.report.page import summary


def as_folder(made: synthetic.MadeStudy, folder: Path) -> Path:
    """The study as ``grpclab study`` leaves it behind, without the trials' own folders."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(made.manifest))
    (folder / "verdict.json").write_text(json.dumps(made.verdict))
    made.trials.to_parquet(folder / "trials.parquet", index=False)
    return folder


def as_report(made: synthetic.MadeStudy, path: Path) -> Path:
    """The least that is a report: the summary that an index reads, and the study."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = json.dumps(summary(made.manifest, made.verdict)).replace("<", "\\u003c")
    packed = Packed(manifest=made.manifest, trials=made.trials, verdict=made.verdict)
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><head><title>{html.escape(made.manifest["study"])}</title>'
        f'<script type="application/json" id="grpclab-summary">{about}</script></head>'
        f"<body><main><h1>Study</h1>{packed.elements()}</main></body></html>"
    )
    return path
