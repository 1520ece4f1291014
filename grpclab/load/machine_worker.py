"""A generator process on one machine of a cluster, as the load generator on another machine sees it.

:class:`MachineWorker` runs in a Dask worker process (an actor). It starts :mod:`grpclab.load.worker` as a child, passes
orders on, keeps the answers until they are asked for, and counts the records, which stay here. Moments are seconds of
this machine's ``time.perf_counter``.

Whoever ordered the load has to ask for news again and again. If it does not for LEASE_S (it was killed, or the network
is cut), the child process ends, so that no load goes on that nobody controls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grpclab.cluster import slot
from grpclab.errors import GrpclabError, WorkerError
from grpclab.load.core.call_figures import windows_of
from grpclab.load.core.merging import Slots, Values, WindowCounts, inside, observations
from grpclab.load.core.recorder import Records
from grpclab.load.core.summary import lateness, longest_silence, summarise
from grpclab.load.core.traffic import read_core_log
from grpclab.load.core.worker_window import Window
from grpclab.load.generator_limits import crowded_shares, find_bound, find_limits
from grpclab.load.interference_watch import InterferenceWatch
from grpclab.load.worker_messages import Connect, MeasureWindow, WindowEnded, WorkerAnswer, WorkerOrder
from grpclab.system.interference import GENERATOR, Interference
from grpclab.system.listeners import connections_of
from grpclab.system.subprocesses import Child, receive_any
from grpclab.system.temporary import TemporaryFolder

LEASE_S = 8.0
"""The time without a question after which the load ends."""
LISTEN_S = 0.02
"""The time from one look at the child's answers to the next."""


@dataclass(frozen=True, kw_only=True)
class News:
    """The answers of the generator process since the last question, and the reason why it ended, if it did."""

    answers: tuple[WorkerAnswer, ...]
    ended: str = ""


@dataclass(frozen=True, kw_only=True)
class PartBounds:
    """The bounds of the window of this machine: :class:`grpclab.load.core.worker_window.Window` has their meaning."""

    opened_at: float
    open_loop: bool
    requests: int | None
    closes_at: float | None
    held_open: bool
    cut_at: float
    planned: int | None
    """The calls that were due here; None in a closed loop, and where the window was cut short."""


@dataclass(frozen=True, kw_only=True)
class MachinePart:
    """The figures of one machine's part of a window."""

    counts: tuple[WindowCounts, ...] = field(repr=False)
    """Of all calls; of a mix, then those of each call."""
    calls: int
    first_s: float
    """The moment at which this process began: of its first call, warm-up included, or in an open loop of the common
    start and what its first call was late by. NaN without a call."""
    late_p99_s: float
    """NaN in a closed loop, and with too few calls."""
    busy_share: float
    limits: tuple[str, ...]
    """The reasons why this process was the limit."""
    held_back: str
    silence: tuple[float, float]
    """The longest time in which no call ended here, and the moment at which it began."""
    goaways: Mapping[str, int]
    interference: Interference


class MachineWorker:
    """The generator process of one machine. Its ``async`` methods answer at once, whatever the others are doing."""

    def __init__(self, purpose: str, engine: str, cpus: tuple[int, ...]) -> None:
        """Start the process on some cores. Raises MeasurementError where somebody else measures in this Dask worker."""
        slot.take(purpose)
        self._stack = contextlib.ExitStack()
        self._stack.callback(slot.release)
        try:
            self._folder = self._stack.enter_context(TemporaryFolder())
            self._log = self._folder / "log"
            # C-core tells of a server's GOAWAYs in its log only.
            verbose = engine == "grpcio" and "GRPC_VERBOSITY" not in os.environ
            self._child = Child(
                "grpclab.load.worker",
                engine,
                name=f"the generator process on {os.uname().nodename}",
                cpus=cpus,
                env={"GRPC_VERBOSITY": "INFO"} if verbose else {},
                log=self._stack.enter_context(self._log.open("w+b")),
            )
        except BaseException:
            self._stack.close()
            raise
        self._lock = threading.Lock()
        self._answers: list[WorkerAnswer] = []
        self._ended = ""
        self._asked_at = time.monotonic()
        self._closing = threading.Event()
        self._window = 0
        self._watch: InterferenceWatch | None = None
        self._starts_at = self._opens_at = math.inf
        self._last: WindowEnded | None = None
        self._interference = Interference()
        self._part: Window | None = None
        self._values: tuple[Values, ...] = ()
        self._listener = threading.Thread(target=self._listen, name="generator process", daemon=True)
        self._listener.start()

    # ---- orders --------------------------------------------------------------------------------------------------

    async def clock(self) -> float:
        """Return this machine's clock."""
        self._asked_at = time.monotonic()
        return time.perf_counter()

    async def news(self) -> News:
        """Return what the process has said since the last question."""
        self._asked_at = time.monotonic()
        with self._lock:
            answers, self._answers = tuple(self._answers), []
        return News(answers=answers, ended=self._ended)

    async def order(self, order: WorkerOrder) -> float:
        """Pass an order on. Returns the moment at which that was done. Raises WorkerError where the process is gone."""
        self._asked_at = time.monotonic()
        if isinstance(order, MeasureWindow):
            self._window += 1
            order = dataclasses.replace(order, record=self._folder / f"window-{self._window}")
            self._starts_at, self._opens_at, self._last = order.starts_at, order.opens_at, None
            self._watch = InterferenceWatch({GENERATOR: [self._child.pid]})
        elif isinstance(order, Connect):
            self._setup = order
        self._child.send(order)
        return time.perf_counter()

    def close(self) -> None:
        """End the process, and give the Dask worker back."""
        self._closing.set()
        if threading.current_thread() is not self._listener:
            self._listener.join()

    # ---- figures -------------------------------------------------------------------------------------------------

    def part(self, bounds: PartBounds) -> MachinePart:
        """Count this machine's part of the last window."""
        ended = self._last
        assert ended is not None
        calls = 0 if self._setup.call.mix is None else len(self._setup.call.mix.calls)
        records = Records.load(self._folder / f"window-{self._window}", calls=calls)
        window = Window(
            records=records,
            opened_at=bounds.opened_at,
            requests=bounds.requests,
            closes_at=bounds.closes_at,
            held_open=bounds.held_open,
            cut_at=bounds.cut_at,
        )
        windows = [window, *(one for number in range(calls) for one in windows_of([window], number))]
        self._part, self._values = window, tuple(observations(one) for one in windows)
        summary = summarise([window])
        busy_share = max(0.0, ended.cpu_s - ended.spin_s) / max(ended.busy_s, 1e-9)
        held_back = find_bound([window], bound_hits=ended.bound_hits, unsent=ended.unsent, busy_share=busy_share)
        silence_s, since_s = longest_silence([window])
        return MachinePart(
            counts=tuple(WindowCounts.of(one, values) for one, values in zip(windows, self._values, strict=True)),
            calls=summary.requests,
            first_s=self._first(records, open_loop=bounds.open_loop),
            late_p99_s=math.nan if not bounds.open_loop else lateness([window])["p99"],
            busy_share=busy_share,
            limits=find_limits(
                [window],
                summary,
                busy_share=busy_share,
                planned=bounds.planned,
                still_s=ended.still_s,
                held_back=held_back,
                crowded=crowded_shares(ended),
            ),
            held_back=held_back,
            silence=(silence_s, window.opened_at + since_s),
            goaways=read_core_log(self._log.read_text(errors="replace").splitlines())[0],
            interference=self._interference,
        )

    def _first(self, records: Records, *, open_loop: bool) -> float:
        if not len(records):
            return math.nan
        first = int(records.start_s.argmin())
        return float(self._starts_at + records.late_s[first] if open_loop else records.start_s[first])

    def connections(self) -> int:
        """Count the connections that the process has to the target now."""
        return connections_of([self._child.pid], self._setup.target, self._setup.security.remote)

    def inside(self, wanted: tuple[Slots, ...]) -> tuple[Values, ...]:
        """Return the observations of the last part in some slots: of all calls, then of each call of a mix."""
        return tuple(inside(values, slots) for values, slots in zip(self._values, wanted, strict=True))

    def records(self) -> Records:
        """Return the records of the last part."""
        assert self._part is not None
        columns: Mapping[str, Any] = {
            name: np.array(column) if isinstance(column, np.ndarray) else column
            for name, column in vars(self._part.records).items()
        }
        return Records(**columns)

    # ---- the thread that listens ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            while not self._closing.is_set():
                for _, answer in receive_any([self._child], 0.1, WorkerAnswer, every_s=LISTEN_S, tick=self._look):
                    self._take(answer)
                if time.monotonic() - self._asked_at > LEASE_S:
                    raise WorkerError(f"grpclab did not poll this process for {LEASE_S:g} s")
        except GrpclabError as error:
            self._ended = str(error)
        finally:
            self._child.abandon()
            if not self._closing.is_set():  # the answers so far are still asked for, as long as somebody asks
                while not self._closing.wait(0.1) and time.monotonic() - self._asked_at <= LEASE_S:
                    pass
            self._stack.close()

    def _look(self) -> None:
        watch, now = self._watch, time.perf_counter()
        if watch is None or now < self._opens_at:
            return
        if self._opens_at > -math.inf:
            watch.open(late_s=now - self._opens_at)
            self._opens_at = -math.inf
        watch.look()

    def _take(self, answer: WorkerAnswer) -> None:
        if isinstance(answer, WindowEnded):
            self._last = answer
            if self._watch is not None:
                self._interference, self._watch = self._watch.close(), None
        with self._lock:
            self._answers.append(answer)
