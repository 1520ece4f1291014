"""A bench result in Prometheus' text format, for the textfile collector of node_exporter or for a Pushgateway.

Metrics have the names of ghz, and its units: times are in nanoseconds, the marks of the histogram in seconds. Unlike
ghz's, buckets are cumulative, as Prometheus has them, and each sum is that of the latencies. What ghz does not have
begins with ``grpclab_``. What limited the load is a label of every sample, and each tag of ``--tags`` is a label
``tag_NAME``.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from grpclab.load.output.formats import successful
from grpclab.load.output.ghz_terms import distribution, end_reason, ghz_options, nanoseconds
from grpclab.load.output.histogram import buckets
from grpclab.load.result import LoadResult
from grpclab.status import ENDED_BY_CLIENT, RECORDED_NAMES
from grpclab.system.optional import needs
from grpclab.text.printable import printable

try:
    from prometheus_client import generate_latest
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric, Sample, SummaryMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError:
    raise needs("--format prometheus", "prometheus-client", "desk") from None

_NOT_IN_A_NAME = re.compile(r"\W", re.ASCII)


class _Given(Collector):
    """Metrics that are there already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def exposition(result: LoadResult) -> Iterator[str]:
    """The metrics of the run; percentiles with too few calls beyond them are left out."""
    yield generate_latest(_Given(list(_families(result)))).decode()


def _families(result: LoadResult) -> Iterator[Metric]:
    summary, labels, latency_s = result.run.summary, _labels(result), successful(result)
    gauges = {
        "ghz_run_count": ("Calls.", float(summary.requests)),
        "ghz_run_total": ("Length of the window, ns.", nanoseconds(summary.window_s)),
        "ghz_run_rps": ("Calls per second.", summary.throughput_rps),
        "ghz_run_errors": ("Failed calls.", float(summary.errors)),
    }
    if summary.requests:
        gauges |= {
            "ghz_run_average": ("Mean latency, ns.", nanoseconds(summary.latency_mean_s)),
            "ghz_run_fastest": ("Lowest latency, ns.", nanoseconds(summary.latency_min_s)),
            "ghz_run_slowest": ("Highest latency, ns.", nanoseconds(summary.latency_max_s)),
        }
    for name, (meaning, value) in gauges.items():
        gauge = GaugeMetricFamily(name, meaning, labels=list(labels))
        gauge.add_metric(list(labels.values()), value)
        yield gauge
    yield _histogram(labels, latency_s.tolist(), [(b.mark_s, b.calls) for b in buckets(latency_s)])
    shares = SummaryMetricFamily("ghz_run_latency", "Latency of the calls that succeeded, ns.", labels=list(labels))
    for percentage, value in distribution(latency_s).items():
        shares.samples.append(Sample(shares.name, {**labels, "quantile": f"{percentage / 100}"}, value))
    shares.add_metric(list(labels.values()), len(latency_s), nanoseconds(float(latency_s.sum())))
    yield shares
    statuses = GaugeMetricFamily("grpclab_run_calls", "Calls by status.", labels=[*labels, "status"])
    ended = {RECORDED_NAMES[ENDED_BY_CLIENT]: summary.ended_by_client} if summary.ended_by_client else {}
    counts = {"OK": summary.succeeded - summary.ended_by_client, **ended, **summary.errors_by_status}
    for status, calls in counts.items():
        statuses.add_metric([*labels.values(), status], calls)
    yield statuses


def _histogram(labels: dict[str, str], latency_s: Sequence[float], marks: Sequence[tuple[float, int]]) -> Metric:
    family = HistogramMetricFamily("ghz_run_histogram", "Latency of the calls that succeeded, s.", labels=list(labels))
    up_to = itertools.accumulate(calls for _, calls in marks)
    cumulative = {f"{mark}": float(calls) for (mark, _), calls in zip(marks, up_to, strict=True)}
    cumulative["+Inf"] = float(len(latency_s))
    family.add_metric(list(labels.values()), list(cumulative.items()), sum(latency_s))
    return family


def _labels(result: LoadResult) -> dict[str, str]:
    """The labels of every sample: the name, the options of the load, what limited it, and the user's tags."""
    options = {
        name.replace("-", "_"): str(value).lower() if isinstance(value, bool) else f"{value}"
        for name, value in ghz_options(result).items()
        if len(result.steps) > 1 or not name.startswith("load-")
    }
    labels = {"name": result.name, "end_reason": end_reason(result), **options, "limited_by": result.limited_by}
    if result.cluster is not None and result.cluster.lost:
        labels["lost_generators"] = str(len(result.cluster.lost))
    for name, value in result.tags.items():
        label = f"tag_{_NOT_IN_A_NAME.sub('_', name)}"
        while label in labels:  # a-b and a.b are one name here
            label += "_"
        labels[label] = value
    return {name: printable(value) for name, value in labels.items() if value}
