"""The latencies of all calls as HdrHistogram's percentiles (``.hgrm``), in milliseconds: what its plotter reads.

https://hdrhistogram.github.io/HdrHistogram/plotFiles.html
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from hdrh.histogram import HdrHistogram

from grpclab.load.result import LoadResult

_US_PER_MS = 1000.0
_LINE = "#[Mean    = {:12.3f}, StdDeviation   = {:12.3f}]"


def percentile_text(result: LoadResult) -> Iterator[str]:
    """The table of percentiles; what limited the load, and lost workers, stand in comments at its end."""
    histogram = HdrHistogram.decode(result.run.summary.histogram)
    table = io.BytesIO()
    histogram.output_percentile_distribution(table, _US_PER_MS)
    # The library leaves the standard deviation in microseconds.
    scaled = _LINE.format(histogram.get_mean_value() / _US_PER_MS, histogram.get_stddev() / _US_PER_MS)
    for line in table.getvalue().decode("ascii").splitlines():
        yield f"{scaled if line.startswith('#[Mean') else line}\n"
    if result.limited_by:
        yield f"#[Limited by {result.limited_by}]\n"
    if result.cluster is not None and result.cluster.lost:
        yield f"#[{result.cluster.loss}]\n"
