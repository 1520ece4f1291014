"""A stand-in for Prometheus beside a server that is measured: it reads the page /metrics of its diagnostics server.

``python -m grpclab.servers.process.scraper`` takes a ScrapeOrder, reads the page once, and says with Scrapes whether it
could. From then on, it reads while a ScrapeSwitch has it on: once in each period, at a moment of it that is drawn. Time
in which it is off does not count, so a trial that is measured in slices is scraped as often in each second of its load
as one that is measured in one window. It ends when its standard input closes.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import queue
import random
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from grpclab.errors import ServerError, WorkerError
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, die_with_parent, say

MODULE = "grpclab.servers.process.scraper"
PATH = "/metrics"
HEADERS = {"Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "User-Agent": "grpclab"}
READ_TIMEOUT_S = 5.0
PATIENCE_S = 3 * READ_TIMEOUT_S
"""The time within which it says that it is off: a reading that has begun goes on to its end."""
SIGN = b"# TYPE "
"""What a page in Prometheus's format has in it."""


@dataclass(frozen=True, kw_only=True)
class ScrapeOrder:
    """The page to read, and how often: once in each `every_s`."""

    host: str
    port: int
    every_s: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class ScrapeSwitch:
    """From now on, read the page, or do not."""

    on: bool


@dataclass(frozen=True, kw_only=True)
class Scrapes:
    """The readings so far."""

    done: int = 0
    """Those that brought a whole page."""
    failed: int = 0
    trouble: str = ""
    """Why the last of these failed."""


def moments(every_s: float, seed: int) -> Iterator[float]:
    """A moment in each period of this length, in seconds from the first one's start.

    Were they at equal distances, slices of a length of which the period is a multiple would all have theirs at the same
    place.
    """
    draw = random.Random(seed)
    for period in itertools.count():
        yield (period + draw.random()) * every_s


class _Page:
    """A page, on one connection, as Prometheus reads it."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=READ_TIMEOUT_S)
        self.scrapes = Scrapes()

    def read(self) -> None:
        """Read it; a connection that the server has closed meanwhile is opened again."""
        kept = self._connection.sock is not None
        try:
            try:
                trouble = self._trouble()
            except ConnectionError:
                if not kept:
                    raise
                self._connection.close()
                trouble = self._trouble()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            trouble = str(error) or type(error).__name__
        if trouble:
            self.scrapes = replace(self.scrapes, failed=self.scrapes.failed + 1, trouble=trouble)
        else:
            self.scrapes = replace(self.scrapes, done=self.scrapes.done + 1)

    def _trouble(self) -> str:
        """Read it once; what is wrong with the answer, "" for nothing. Raises OSError or HTTPException."""
        self._connection.request("GET", PATH, headers=HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            return f"its status is {answer.status}"
        return "" if SIGN in text else "it is not in Prometheus's format"


class Scraper:
    """The stand-in, running."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.scrapes = Scrapes()
        """The readings by the end of the last block of :meth:`reading`."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Have it read the page while the block runs; the last reading has ended with it. Raises WorkerError."""
        self._child.send(ScrapeSwitch(on=True))
        try:
            yield
        except BaseException:
            self._child.kill()  # nothing more is measured
            raise
        self._child.send(ScrapeSwitch(on=False))
        self.scrapes = self._child.receive(PATIENCE_S, Scrapes)


@contextlib.contextmanager
def running_scraper(
    desk: str,
    every_s: float,
    *,
    seed: int = 1,
    cpus: Collection[int] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Scraper]:
    """A scraper of the diagnostics server at the URL `desk`, on these cores, until the block is left.

    It reads nothing until it is told to. Raises ServerError where the page cannot be read.
    """
    where = urlsplit(desk)
    with Child(MODULE, name="the scraper", cpus=cpus, env=env) as child:
        try:
            child.send(ScrapeOrder(host=where.hostname or "", port=where.port or 0, every_s=every_s, seed=seed))
            first = child.receive(START_TIMEOUT_S, Scrapes)
        except WorkerError as error:
            raise ServerError(str(error)) from None
        if first.failed:
            raise ServerError(f"the page {desk}{PATH} cannot be read: {first.trouble}")
        yield Scraper(child)


def main() -> None:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    order = decode(ScrapeOrder, lines.get())
    page = _Page(order.host, order.port)
    page.read()
    say(page.scrapes)
    page.scrapes = Scrapes()
    due = moments(order.every_s, order.seed)
    on_s, next_s = 0.0, next(due)
    while True:
        decode(ScrapeSwitch, lines.get())
        on_s, next_s = _until_off(lines, page, due, on_s, next_s)
        say(page.scrapes)


def _until_off(
    lines: queue.SimpleQueue[str], page: _Page, due: Iterator[float], on_s: float, next_s: float
) -> tuple[float, float]:
    """Read the page at its moments until a line says to stop.

    `on_s` is the time for which it has been on before, and `next_s` the next moment, in that time; returns the same.
    """
    began = time.monotonic() - on_s
    while True:
        try:
            lines.get(timeout=max(0.0, next_s - (time.monotonic() - began)))
        except queue.Empty:
            page.read()
            now_s = time.monotonic() - began
            next_s = next(moment for moment in due if moment > now_s)
        else:
            return time.monotonic() - began, next_s


if __name__ == "__main__":
    main()
