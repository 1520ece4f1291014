"""A bench result as a page of HTML: one file, which opens without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grpclab import __version__
from grpclab import quantities as qty
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import format_level
from grpclab.load.output.formats import successful
from grpclab.load.output.histogram import bar_lengths, buckets
from grpclab.load.result import LoadResult
from grpclab.system.optional import needs

try:
    import jinja2  # noqa: F401

    from grpclab.load.output.html import TEMPLATES, card
    from grpclab.text import pages
except ModuleNotFoundError as error:
    raise needs("--format html", str(error.name), "study") from None


@dataclass(frozen=True, kw_only=True)
class BarRow:
    """A bucket of the histogram as the page shows it: its mark, its calls, and its length in percent of the longest."""

    mark: str
    calls: str
    length: int


def page(result: LoadResult) -> Iterator[str]:
    """The page: the card of the result, its histogram, its settings and its tags."""
    drawn = [] if result.steps else buckets(successful(result))
    lengths = bar_lengths(drawn, 100)
    bars = [
        BarRow(mark=qty.milliseconds(bucket.mark_s), calls=f"{bucket.calls:,}", length=length)
        for bucket, length in zip(drawn, lengths, strict=True)
    ]
    yield pages.rendered(
        TEMPLATES,
        "page.html.j2",
        title=result.name or "Load test",
        started=result.started_at.strftime("%Y-%m-%d %H:%M:%S %Z"),
        version=__version__,
        tags=list(result.tags.items()),
        card=card(result, cell=False),
        bars=bars,
        settings=[(name, format_level(level)) for name, level in result.config.differences(TrialConfig()).items()],
    )
