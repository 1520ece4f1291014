"""Reports: figures and self-contained HTML out of a study's manifest, trials and verdict.

The layout, each module importing only from those above it::

    backend     matplotlib, whatever MPLBACKEND names
    words       numbers and names as a reader sees them, escaping
    theme       colours, type, axes, the way to an SVG
    svg         a drawing inside a page, and back into a file
    elements    the elements of a page that hold data for a program
    data        the study inside its report
    blocks      FigureBlock and Section
    scripts     what a page does beyond being read, and the policy that lets nothing else run
    study       manifest, trials and verdict, and the questions asked of them
    files       files written whole, times in words
    past        the summary of a study that stands in its report
    confidence  how sure, and what limits each side, in words
    summaries   the study as Markdown, as JSON, as a table for a terminal
    figures/    one function a figure
    album       all figures as files
    tables      one function a table
    glossary    the lab's own words, each with what it means
    decisions   why a rung of the ladder is kept or rejected
    waiting     handlers that wait and handlers that do not
    claims      the claims of the Rust demo as a table
    method      how it was measured, on what, how to do it again
    content     the sections, in the order in which they are read
    page        the report
    index       the list of all reports
"""

from __future__ import annotations

import grpclab.report.backend  # noqa: F401  # before anything else loads matplotlib
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.content import sections
from grpclab.report.index import write_index
from grpclab.report.page import write_report

__all__ = ["FigureBlock", "Section", "sections", "write_index", "write_report"]
