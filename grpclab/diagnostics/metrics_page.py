"""What /metrics says: the servers' counters added up over all processes, and what the system knows of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from grpclab.servers import agent

__all__ = ["CONTENT_TYPE", "exposition"]

ANSWER_TIMEOUT_S = 2.0


def exposition(folder: str, pids: Sequence[int]) -> bytes:
    """The text for Prometheus: counters out of the files in `folder`, and a row for each process alive."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    registry.register(_Processes(folder, pids))
    return generate_latest(registry)


class _Processes(Collector):
    def __init__(self, folder: str, pids: Sequence[int]) -> None:
        self._folder, self._pids = folder, pids

    def collect(self) -> Iterable[Metric]:
        """One sample of each metric for each process that is alive."""
        cpu = CounterMetricFamily("process_cpu_seconds", "User and system time, s.", labels=["pid"])
        memory = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory, bytes.", labels=["pid"])
        threads = GaugeMetricFamily("process_threads", "Threads.", labels=["pid"])
        for pid in self._pids:
            try:
                process = psutil.Process(pid)
                times, resident, count = process.cpu_times(), process.memory_info().rss, process.num_threads()
            except psutil.Error:
                continue
            label = [str(pid)]
            cpu.add_metric(label, times.user + times.system)
            memory.add_metric(label, resident)
            threads.add_metric(label, count)
        return [cpu, memory, threads, *self._collectors()]

    def _collectors(self) -> list[Metric]:
        """Python's garbage collector, as each process tells of its own; none of a process that does not answer."""
        told = {
            "collected": ("python_gc_objects_collected", "Objects collected by the garbage collector."),
            "uncollectable": ("python_gc_objects_uncollectable", "Objects that it found and could not collect."),
            "collections": ("python_gc_collections", "How often each generation was collected."),
        }
        made = {key: CounterMetricFamily(*words, labels=["pid", "generation"]) for key, words in told.items()}
        for pid in self._pids:
            try:
                generations = agent.ask(self._folder, pid, ANSWER_TIMEOUT_S)
            except (OSError, ValueError):
                continue
            for generation, stats in enumerate(generations):
                for key, metric in made.items():
                    metric.add_metric([str(pid), str(generation)], stats[key])
        return list(made.values())
