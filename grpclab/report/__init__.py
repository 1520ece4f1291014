"""Reports: figures and self-contained HTML out of a study's manifest, trials and verdict.

Each line imports only from those above it::

    backend     matplotlib, whatever MPLBACKEND names
    words       numbers and names as a reader sees them
    files       files written whole, times in words
    assets      templates, style sheets and scripts of the pages, the policy that lets nothing else run
    data        the study inside its report
    svg         a drawing inside a page, and back into a file
    theme       colours, type, axes, the way to an SVG
    tables      pieces of a section as data: tables, facts, badges, marks
    shifts      levels of a profile and their changes, as cells
    blocks      figures with their words, sections, what a notebook cell shows
    tidy        the trials as the report reads them: every column there, of its type
    finished    a finished study, and the questions asked of it
    together    which configurations were measured together, and what alone, in words
    grouping    its comparisons, each in the group that it is made for
    glossary    the lab's own words, each with what it means
    confidence  with what confidence, and what limits each side, in words
    answering   the verdict in at most 15 words, its confidence in a line, the title of the study
    past        the summary of a study that stands in its report
    recurrence  what recurs from study to study
    figures/    one figure, one module
    index       the list of all reports
    sections/   one section, one module
    content     the sections, in the order in which they are read
    renderers/  one medium, one module: HTML, Markdown, terminal, JSON, files of figures
    stored      a finished study as frames
    publish     from stored trials to what people read
    site        all reports, and guides, as a static site
"""

from __future__ import annotations

import grpclab.report.backend  # noqa: F401  # before anything else loads matplotlib
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.content import sections
from grpclab.report.index import write_index
from grpclab.report.renderers.html import write_report

__all__ = ["FigureBlock", "Section", "sections", "write_index", "write_report"]
