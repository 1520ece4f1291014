"""The formats in which a bench result is written, and the registry of them: ``bench --format``, ghz's ``-O``.

Each line imports only from those above it::

    hdr         HdrHistogram's percentiles as text (``.hgrm``)
    influx      InfluxDB's line protocol
    page        A bench result as a page of HTML
    prometheus  Prometheus' text format
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from grpclab.system.registry import Registry

if TYPE_CHECKING:
    from grpclab.load.result import LoadResult


class Exporter(Protocol):
    """Makes a text of a result, piece by piece: there may be millions of calls."""

    def __call__(self, result: LoadResult, /) -> Iterable[str]:
        """Yield the text."""


FORMATS: Registry[Exporter] = Registry(
    "grpclab.formats",
    "format",
    {
        "summary": "grpclab.load.output.render:summary_chunks",
        "json": "grpclab.load.output.formats:json_chunks",
        "csv": "grpclab.load.output.call_columns:csv_chunks",
        "html": "grpclab.load.output.exporters.page:page",
        "prometheus": "grpclab.load.output.exporters.prometheus:exposition",
        "influx-summary": "grpclab.load.output.exporters.influx:summary_line",
        "influx-details": "grpclab.load.output.exporters.influx:detail_lines",
        "hgrm": "grpclab.load.output.exporters.hdr:percentile_text",
    },
)
"""A format that needs a package which is not installed raises MissingDependencyError as it is read here."""
