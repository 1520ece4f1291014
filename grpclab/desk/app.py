"""The desk's pages. A request chooses a number of seconds and nothing else: no code, no files, no pids."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiohttp import web

from grpclab.desk import heap, metrics, page
from grpclab.profiling import flamegraph, pprof, pyspy
from grpclab.profiling.stacks import at_work, readable

RATE_HZ = 100
DEFAULT_S = 30
LONGEST_S = 300
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; script-src {flamegraph.SCRIPT_HASH}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Found = TypeVar("Found")


def build(pids: Sequence[int], *, folder: str = "") -> web.Application:
    """The application for these server processes. /metrics and the heap are there if `folder` is given."""
    desk = _Desk(pids, folder)
    app = web.Application(middlewares=[_local_names_only])
    app.router.add_get("/", desk.index)
    app.router.add_get("/healthz", desk.health)
    app.router.add_get("/debug/pprof/profile", desk.profile)
    app.router.add_get("/debug/pprof/flamegraph", desk.flamegraph)
    if folder:
        app.router.add_get("/debug/pprof/heap", desk.heap)
        app.router.add_get("/metrics", desk.metrics)
    return app


def refusal(profile: pyspy.Profile) -> str:
    """Why there is no profile; empty if there is one. An idle server's has no samples and is one."""
    return "" if profile.stacks or profile.note == pyspy.IDLE_NOTE else profile.note


@web.middleware
async def _local_names_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A web page elsewhere may point its own name at 127.0.0.1: such names are refused."""
    if re.sub(r":\d+$", "", request.host) not in _HOSTS:
        raise web.HTTPForbidden(text="the desk answers to 127.0.0.1 and localhost only\n")
    return await handler(request)


class _Desk:
    def __init__(self, pids: Sequence[int], folder: str) -> None:
        self._pids, self._folder = list(pids), folder
        self._busy = asyncio.Lock()

    async def index(self, _request: web.Request) -> web.Response:
        return _html(page.index(self._pids, rate_hz=RATE_HZ, longest_s=LONGEST_S, whole=bool(self._folder)))

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
        text = await asyncio.to_thread(metrics.exposition, self._folder, self._pids)
        return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _record(self, seconds: int) -> pyspy.Profile:
        found = await self._alone(lambda: pyspy.record(self._pids, duration_s=seconds, rate_hz=RATE_HZ))
        if reason := refusal(found):
            raise web.HTTPServiceUnavailable(text=f"{reason}\n")
        return found

    async def _alone(self, look: Callable[[], Found]) -> Found:
        """Look at the servers in a thread, unless someone does already."""
        if self._busy.locked():
            raise web.HTTPConflict(text="a profile is being taken: try again when it has ended\n")
        async with self._busy:
            return await asyncio.to_thread(look)


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
