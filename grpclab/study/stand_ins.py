"""What stands in for other parties beside a server that is measured, on the load generator's cores.

It is a collector of traces and, for the factor ``server.scrape_s``, a scraper of metrics. A trial says what they used.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping

import psutil

from grpclab.errors import ServerError
from grpclab.servers.process.scraper import Scraper
from grpclab.system import procfs
from grpclab.system.notices import Notice

COLLECTOR, SCRAPER = "collector", "scraper"


class StandIns:
    """The stand-ins of one configuration while it is measured; `pids` are their processes, by name."""

    def __init__(self, pids: Mapping[str, int] | None = None, scraper: Scraper | None = None) -> None:
        self._pids = {**(pids or {}), **({} if scraper is None else {SCRAPER: scraper.pid})}
        self._scraper = scraper
        self._before_s: dict[str, float] | None = None
        self._loaded_s = 0.0

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return list(self._pids.values())

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Wrap each stretch of the measured load in this: the scraper is at work meanwhile.

        Raises WorkerError where the scraper has died.
        """
        if self._before_s is None:
            self._before_s = self._spent_s()
        with contextlib.nullcontext() if self._scraper is None else self._scraper.reading():
            began = time.perf_counter()
            yield
            self._loaded_s += time.perf_counter() - began

    def metrics(self) -> dict[str, float]:
        """The columns of a trial that are of them; what one uses for work that came late counts, too.

        Raises ServerError where the page of metrics was never read although that was tried.
        """
        if self._before_s is None or self._loaded_s <= 0:
            return {}
        spent_s = self._spent_s()
        found = {
            f"{name}_cores": (spent_s[name] - before_s) / self._loaded_s for name, before_s in self._before_s.items()
        }
        if self._scraper is not None:
            scrapes = self._scraper.scrapes
            if scrapes.failed and not scrapes.done:
                raise ServerError(f"the metrics of the server could not be read: {scrapes.trouble}")
            found |= {"scrapes": scrapes.done, "scrapes_failed": scrapes.failed}
        return found

    def notices(self) -> list[Notice]:
        """What whoever reads the figures should know."""
        scrapes = None if self._scraper is None else self._scraper.scrapes
        if scrapes is None or not scrapes.failed:
            return []
        text = (
            f"{scrapes.failed:,} of {scrapes.done + scrapes.failed:,} reads of the server's metrics failed, the last "
            f"one because of this: {scrapes.trouble}"
        )
        return [Notice(kind="scrapes-failed", severity="warning", text=text)]

    def _spent_s(self) -> dict[str, float]:
        return {name: _cpu_s(pid) for name, pid in self._pids.items()}


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far; NaN where it has ended."""
    try:
        return procfs.cpu_seconds(pid)
    except psutil.Error:
        return math.nan
