"""The figures of a report as files of their own, for papers and slides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from grpclab.report import figures, files
from grpclab.report.blocks import FigureBlock
from grpclab.report.finished import FinishedStudy


def write_figures(folder: Path | str, study: FinishedStudy) -> list[Path]:
    """Write every figure as ``<number>-<title>.svg`` and ``.png`` (200 dots an inch), in the order of the report.

    Returns the paths of the SVG files. Files of the same names are replaced.
    """
    written = []
    for number, block in enumerate(_in_order(study), start=1):
        slug = re.sub(r"[^a-z0-9]+", "-", block.title.lower()).strip("-")[:60] or "figure"
        path = files.replace(Path(folder) / f"{number:02d}-{slug}.svg", block.svg_wide)
        files.replace(path.with_suffix(".png"), block.png())
        written.append(path)
    return written


def _in_order(study: FinishedStudy) -> Iterator[FigureBlock]:
    """Every figure of a report, in its order."""
    curves = study.plan.curves
    drawn = [
        figures.engines(study),
        *(draw(study, curve) for draw in (figures.throughput, figures.latency) for curve in curves),
        figures.latency_distribution(study),
        figures.offered_rates(study),
        figures.idle(study),
        figures.waiting(study),
        figures.ladder(study),
        figures.windows(study),
        figures.sweeps(study),
        figures.slices(study),
        *(figures.profile(study, view) for view in figures.VIEWS),
        *figures.forest(study),
        figures.timeline(study),
    ]
    yield from (block for block in drawn if block is not None)
