"""The desk's pages. A request chooses a number of seconds and nothing else: no code, no files, no pids.

Who may ask is decided in :mod:`grpclab.diagnostics.guard`. One profile is taken at a time; it ends with its connection.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from grpclab.diagnostics import guard, heap, metrics_page, page
from grpclab.profiling import flamegraph, pprof, pyspy
from grpclab.profiling.stacks import at_work, readable

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

Found = TypeVar("Found")


def build(pids: Sequence[int], *, folder: str = "", token: str = "") -> web.Application:
    """The application for these server processes. /metrics and the heap are there if `folder` is given.

    With a `token`, every request has to carry it: see :func:`grpclab.diagnostics.guard.refusal`.
    """
    desk = _Desk(pids, folder, token)
    app = web.Application(middlewares=[_guarded(token)])
    app.on_response_prepare.append(_add_headers)
    pages = {
        "/": desk.index,
        "/healthz": desk.health,
        "/debug/pprof/profile": desk.profile,
        "/debug/pprof/flamegraph": desk.flamegraph,
    }
    if folder:
        pages |= {"/debug/pprof/heap": desk.heap, "/metrics": desk.metrics}
    for path, handler in pages.items():
        app.router.add_get(path, handler, allow_head=False)
    return app


def refusal(profile: pyspy.PySpyProfile) -> str:
    """Why there is no profile; empty if there is one. An idle server's has no samples and is one."""
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


class _Desk:
    def __init__(self, pids: Sequence[int], folder: str, token: str) -> None:
        self._pids, self._folder, self._token = list(pids), folder, token
        self._profiling = asyncio.Lock()
        self._counting = asyncio.Lock()

    async def index(self, _request: web.Request) -> web.Response:
        return _html(
            page.index(self._pids, rate_hz=RATE_HZ, longest_s=LONGEST_S, whole=bool(self._folder), token=self._token)
        )

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def profile(self, request: web.Request) -> web.Response:
        started, seconds = time.time_ns(), _seconds(request)
        found = await self._record(seconds)
        body = pprof.cpu(readable(at_work(found.stacks)), rate_hz=RATE_HZ, duration_s=seconds, time_ns=started)
        return _download("profile", body)

    async def flamegraph(self, request: web.Request) -> web.Response:
        seconds = _seconds(request)
        found = await self._record(seconds)
        working = at_work(found.stacks)
        samples = sum(working.values())
        return _html(
            flamegraph.page(
                working,
                heading=f"{samples:,} samples at work in {seconds} s",
                note=f"By py-spy, of Python's threads; {found.samples - samples:,} samples that waited are left out.",
            )
        )

    async def heap(self, request: web.Request) -> web.Response:
        started, seconds = time.time_ns(), _seconds(request)
        try:
            found = await self._alone(lambda: heap.collect(self._folder, self._pids, seconds))
        except (OSError, ValueError) as error:
            raise web.HTTPServiceUnavailable(text=f"a server process does not answer: {error}\n") from None
        return _download("heap", pprof.heap(found, duration_s=seconds, time_ns=started))

    async def metrics(self, _request: web.Request) -> web.Response:
        async with self._counting:  # each scrape asks every server process: one after the other
            text = await asyncio.to_thread(metrics_page.exposition, self._folder, self._pids)
        return web.Response(body=text, headers={"Content-Type": metrics_page.CONTENT_TYPE})

    async def _record(self, seconds: int) -> pyspy.PySpyProfile:
        found = await self._alone(lambda: _sample(self._pids, seconds))
        if reason := refusal(found):
            raise web.HTTPServiceUnavailable(text=f"{reason}\n")
        return found

    async def _alone(self, look: Callable[[], Awaitable[Found]]) -> Found:
        """Look at the servers, unless someone does already: nobody is queued."""
        if self._profiling.locked():
            raise web.HTTPConflict(text="a profile is being taken: try again when it has ended\n")
        async with self._profiling:
            return await look()


async def _sample(pids: Sequence[int], seconds: int) -> pyspy.PySpyProfile:
    """What py-spy records; when this is cancelled, py-spy is ended first."""
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
    given = request.query.get("seconds", str(DEFAULT_S))
    if not re.fullmatch(r"[0-9]{1,3}", given) or not 1 <= int(given) <= LONGEST_S:
        raise web.HTTPBadRequest(text=f"seconds={given[:40]!r}: give a whole number from 1 to {LONGEST_S}\n")
    return int(given)


def _download(name: str, body: bytes) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.pb.gz"'}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})
