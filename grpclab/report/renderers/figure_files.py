"""The figures of a report as files of their own, for papers and slides."""

from __future__ import annotations

import re
from pathlib import Path

from grpclab.report import files
from grpclab.report.content import sections
from grpclab.report.finished import FinishedStudy


def write_figures(folder: Path | str, study: FinishedStudy) -> list[Path]:
    """Write every figure as ``<number>-<title>.svg`` and ``.png`` (200 dots an inch), in the order of the report.

    Returns the paths of the SVG files. Files of the same names are replaced.
    """
    written = []
    blocks = [block for part in sections(study) for block in part.figures]
    for number, block in enumerate(blocks, start=1):
        slug = re.sub(r"[^a-z0-9]+", "-", block.title.lower()).strip("-")[:60] or "figure"
        path = files.replace(Path(folder) / f"{number:02d}-{slug}.svg", block.svg_wide)
        files.replace(path.with_suffix(".png"), block.png())
        written.append(path)
    return written
