"""The pages of the diagnostics server. A request chooses a number of seconds and nothing else: no code, files or pids.

:mod:`grpclab.diagnostics.guard` decides which requests are answered. One profile is taken at a time; it ends with its
connection.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

import psutil
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from grpclab.diagnostics import guard
from grpclab.profiling import flamegraph, pprof, pyspy
from grpclab.profiling.pprof import Frame, Sample
from grpclab.profiling.stacks import at_work, readable
from grpclab.servers import agent
from grpclab.text import pages

RATE_HZ = 100
DEFAULT_S = 30
LONGEST_S = 60
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {flamegraph.SCRIPT_HASH};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: no page of another origin may embed it, and no proxy may keep it."""

Result = TypeVar("Result")


def build(pids: Sequence[int], *, folder: str = "", token: str = "", heap: bool = True) -> web.Application:
    """The application for these server processes. /metrics, and with `heap` their memory, are there if `folder` is
    given.

    With a `token`, every request has to carry it: see :func:`grpclab.diagnostics.guard.refusal`.
    """
    desk = _Pages(pids, folder, token, heap=heap and bool(folder))
    app = web.Application(middlewares=[_guarded(token)])
    app.on_response_prepare.append(_add_headers)
    handlers = {
        "/": desk.index,
        "/healthz": desk.health,
        "/debug/pprof/profile": desk.profile,
        "/debug/pprof/flamegraph": desk.flamegraph,
    }
    if folder:
        handlers |= {"/metrics": desk.metrics, **({"/debug/pprof/heap": desk.heap} if heap else {})}
    for path, handler in handlers.items():
        app.router.add_get(path, handler, allow_head=False)
    return app


def refusal(profile: pyspy.PySpyProfile) -> str:
    """The reason why there is no profile; empty if there is one. An idle server's has no samples and is one."""
    return "" if profile.stacks or profile.note == pyspy.IDLE_NOTE else profile.note


def _guarded(token: str) -> Middleware:
    """The middleware that answers nobody whom the guard refuses."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = guard.refusal(request.method, request.path, request.headers, request.query, token=token)
        if refused is not None:
            headers = {"Allow": "GET"} if refused.status == 405 else {}
            return web.Response(status=refused.status, text=f"{refused.text}\n", headers=headers)
        return await handler(request)

    return guarded


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


class _Pages:
    def __init__(self, pids: Sequence[int], folder: str, token: str, *, heap: bool) -> None:
        self._pids, self._folder, self._token, self._heap = list(pids), folder, token, heap
        self._profiling = asyncio.Lock()
        self._counting = asyncio.Lock()

    async def index(self, _request: web.Request) -> web.Response:
        return _html(
            index_page(
                self._pids,
                rate_hz=RATE_HZ,
                longest_s=LONGEST_S,
                metrics=bool(self._folder),
                heap=self._heap,
                token=self._token,
            )
        )

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def profile(self, request: web.Request) -> web.Response:
        started, seconds = time.time_ns(), _seconds(request)
        profile = await self._record(seconds)
        body = pprof.cpu(readable(at_work(profile.stacks)), rate_hz=RATE_HZ, duration_s=seconds, time_ns=started)
        return _download("profile", body)

    async def flamegraph(self, request: web.Request) -> web.Response:
        seconds = _seconds(request)
        profile = await self._record(seconds)
        working = at_work(profile.stacks)
        samples = sum(working.values())
        return _html(
            flamegraph.page(
                working,
                heading=f"{samples:,} active samples in {seconds} s",
                note=f"Python threads, sampled by py-spy; {profile.samples - samples:,} waiting samples are not shown.",
            )
        )

    async def heap(self, request: web.Request) -> web.Response:
        started, seconds = time.time_ns(), _seconds(request)
        try:
            allocations = await self._alone(lambda: collect_heap(self._folder, self._pids, seconds))
        except (OSError, ValueError) as error:
            raise web.HTTPServiceUnavailable(text=f"a server process did not answer: {error}\n") from None
        return _download("heap", pprof.heap(allocations, duration_s=seconds, time_ns=started))

    async def metrics(self, _request: web.Request) -> web.Response:
        async with self._counting:  # each scrape asks every server process: one after the other
            text = await asyncio.to_thread(metrics_text, self._folder, self._pids)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def _record(self, seconds: int) -> pyspy.PySpyProfile:
        profile = await self._alone(lambda: _sample(self._pids, seconds))
        if reason := refusal(profile):
            raise web.HTTPServiceUnavailable(text=f"{reason}\n")
        return profile

    async def _alone(self, look: Callable[[], Awaitable[Result]]) -> Result:
        """Look at the servers, unless someone does already: nobody is queued."""
        if self._profiling.locked():
            raise web.HTTPConflict(text="another profile is being taken: try again when that profile is finished\n")
        async with self._profiling:
            return await look()


async def _sample(pids: Sequence[int], seconds: int) -> pyspy.PySpyProfile:
    """Record with py-spy; when this is cancelled, py-spy is ended first."""
    stop = threading.Event()
    recording = asyncio.ensure_future(
        asyncio.to_thread(pyspy.record, pids, duration_s=seconds, rate_hz=RATE_HZ, stop=stop)
    )
    try:
        return await asyncio.shield(recording)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({recording})
        raise


def _seconds(request: web.Request) -> int:
    text = request.query.get("seconds", str(DEFAULT_S))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LONGEST_S:
        raise web.HTTPBadRequest(text=f"invalid seconds={text[:40]!r}: expected a whole number from 1 to {LONGEST_S}\n")
    return int(text)


def _download(name: str, body: bytes) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.pb.gz"'}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


# ---- the first page -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LinkedPage:
    """A page of the server, and what it shows; `code` is a command in that text, "" for none."""

    path: str
    title: str
    text: str
    code: str = ""
    more: str = ""


def index_page(pids: Sequence[int], *, rate_hz: int, longest_s: int, metrics: bool, heap: bool, token: str = "") -> str:
    """The page for these server processes, which count their calls (`metrics`) and tell of their memory (`heap`).

    A `token` is part of each link.
    """
    entries = [
        LinkedPage(
            path="/debug/pprof/flamegraph?seconds=5",
            title="Flamegraph",
            text=(
                "A flamegraph of what the Python threads are doing, sampled by py-spy. Click a frame to zoom; type to "
                "search."
            ),
        ),
        LinkedPage(
            path="/debug/pprof/profile?seconds=30",
            title="CPU profile",
            text="The same profile in the format that ",
            code="go tool pprof",
            more=" and similar tools read.",
        ),
    ]
    if heap:
        entries.append(
            LinkedPage(
                path="/debug/pprof/heap?seconds=10",
                title="Heap profile",
                text=(
                    "Memory allocated while the profile runs and still held at its end, recorded by tracemalloc, "
                    "which slows the server down while recording."
                ),
            )
        )
    if metrics:
        entries.append(
            LinkedPage(
                path="/metrics",
                title="Metrics",
                text=(
                    "Metrics in Prometheus format: calls by method and status, call durations, processes, and the "
                    "garbage collector."
                ),
            )
        )
    entries.append(LinkedPage(path="/healthz", title="Health", text="A check that this server is running."))
    template = Path(__file__).parent / "templates"
    return str(
        pages.rendered(
            template, "desk.html.j2", entries=entries, token=token, pids=pids, rate_hz=rate_hz, longest_s=longest_s
        )
    )


# ---- memory -------------------------------------------------------------------------------------------------------

GRACE_S = 30.0
"""How much longer than asked for a snapshot may take."""


async def collect_heap(folder: str, pids: Sequence[int], seconds: float) -> list[Sample]:
    """Samples of the memory that was allocated in so many seconds and is still held, of all processes side by side.

    A process whose question is cancelled traces no longer. Raises OSError or ValueError where one does not answer.
    """
    heap = agent.HeapQuestion(seconds=seconds)
    questions = [asyncio.ensure_future(agent.ask_later(folder, pid, seconds + GRACE_S, heap)) for pid in pids]
    try:
        answers = await asyncio.gather(*questions)
    finally:
        for question in questions:
            question.cancel()
        await asyncio.wait(questions)
    return list(heap_samples(allocation for answer in answers for allocation in answer.allocations))


def heap_samples(allocations: Iterable[agent.Allocation]) -> Iterable[Sample]:
    """The samples of a heap profile. tracemalloc knows lines, not functions: a frame is named by file and line."""
    for one in allocations:
        frames = [Frame(name=f"{PurePath(file).name}:{line}", file=file, line=line) for file, line in one.frames]
        yield frames, (one.blocks, one.size)


# ---- metrics ------------------------------------------------------------------------------------------------------

ANSWER_TIMEOUT_S = 2.0


def metrics_text(folder: str, pids: Sequence[int]) -> bytes:
    """The text for Prometheus: counters out of the files in `folder`, and a row for each process alive."""
    registry = CollectorRegistry()
    registry.register(_Counters(folder))
    registry.register(_Processes(folder, pids))
    return generate_latest(registry)


class _Counters(Collector):
    """The counters in the files of a folder. A file that a process is about to fill is empty, which its library
    does not expect."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterable[Metric]:
        """The sums over all processes."""
        files = [str(path) for path in sorted(self._folder.glob("*.db")) if path.stat().st_size]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


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
        """Python's garbage collector, by process; no sample for a process that does not answer."""
        described = {
            "collected": ("python_gc_objects_collected", "Objects collected by the garbage collector."),
            "uncollectable": (
                "python_gc_objects_uncollectable",
                ("Objects that the garbage collector found but could not collect."),
            ),
            "collections": ("python_gc_collections", "Number of collections of each generation."),
        }
        metrics = {key: CounterMetricFamily(*words, labels=["pid", "generation"]) for key, words in described.items()}
        for pid in self._pids:
            try:
                answer = agent.ask(self._folder, pid, ANSWER_TIMEOUT_S, agent.GenerationsQuestion())
            except (OSError, ValueError):
                continue
            for generation, stats in enumerate(answer.generations):
                for key, metric in metrics.items():
                    metric.add_metric([str(pid), str(generation)], getattr(stats, key))
        return list(metrics.values())
