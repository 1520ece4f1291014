"""Reports: figures and self-contained HTML out of a study's manifest, trials and verdict.

Each line imports only from those above it::

    backend    matplotlib, whatever MPLBACKEND names
    elements   the elements of a page that hold data for a program
    data       the study inside its report
    svg        a drawing inside a page, and back into a file
    trial      the picture of a single trial, for its own notebook: the run over time, and latency by percentile
    words      numbers and names as a reader sees them, escaping
    files      files written whole, times in words
    theme      colours, type, axes, the way to an SVG
    blocks     figureBlock and Section
    finished   A finished study as the report sees it
    past       the summary of a study that stands in its report
    figures/   one function a figure
    scripts    what a page does beyond being read, and the policy that lets nothing else run
    index      the list of all reports
    sections/  the sections of a report and the tables in them
    content    the sections, in the order in which they are read
    stored     A finished study as frames
    summaries  the study as Markdown, as JSON, as a table for a terminal
    page       the report
    publish    from stored trials to what people read
    site       all reports, and guides, as a static site
"""

from __future__ import annotations

import grpclab.report.backend  # noqa: F401  # before anything else loads matplotlib
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.content import sections
from grpclab.report.index import write_index
from grpclab.report.page import write_report

__all__ = ["FigureBlock", "Section", "sections", "write_index", "write_report"]
