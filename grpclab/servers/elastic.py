"""A thread pool that stays small under load and grows only while all of its threads are blocked.

``ThreadPoolExecutor(10_000)`` starts a thread for every call that finds none idle; under load that is one for
each call in flight, and they fight for the interpreter's lock (0.81× to 0.96× of ten threads at 64 in flight, see
docs/basic-and-optimized.md). A small pool is faster, but ten handlers that wait for something else stop it. This one
keeps `threads` and lends up to `spare` more as long as nothing moves; they leave when they are idle.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # an application's interpreter, which loads this module, may be older than these
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")
    Work = tuple[Future[Any], Callable[[], Any]]

LOOK_EVERY_S = 0.02
IDLE_S = 1.0
"""A spare thread that finds no work for this long ends."""
BUSY_SHARE = 0.5
"""A process that uses more of a core than this is working, not blocked."""


class ElasticThreadPool(Executor):
    """See the module's docstring."""

    def __init__(self, threads: int, spare: int) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._spare_limit, self._spare = spare, 0
        self._taken = 0
        self._backlog = threading.Event()
        self._closed = False
        self._threads = threads
        for _ in range(threads):
            threading.Thread(target=self._serve, name="handler", daemon=True).start()
        threading.Thread(target=self._watch, name="elastic", daemon=True).start()

    @property
    def spare_threads(self) -> int:
        """Spare threads alive now."""
        return self._spare

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call on a thread of the pool, as Executor.submit. Raises RuntimeError after shutdown."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[T] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        if not self._backlog.is_set():
            self._backlog.set()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Take no more work; what is queued is still done. Does not wait for threads that are blocked."""
        self._closed = True
        self._backlog.set()
        for _ in range(self._threads + self._spare):
            self._work.put(None)

    def _serve(self, idle_s: float | None = None) -> None:
        while True:
            try:
                work = self._work.get(timeout=idle_s)
            except queue.Empty:
                break
            if work is None:
                break
            self._taken += 1  # may lose a count between threads: only "has it moved" is asked of it
            future, call = work
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            work = future = call = None  # type: ignore[assignment]  # keep nothing alive while waiting
        if idle_s is not None:
            with self._lock:
                self._spare -= 1

    def _watch(self) -> None:
        while not self._closed:
            self._backlog.wait()
            self._backlog.clear()
            while not self._work.empty() and not self._closed:
                taken, cpu = self._taken, time.process_time()
                time.sleep(LOOK_EVERY_S)
                idle = time.process_time() - cpu < BUSY_SHARE * LOOK_EVERY_S
                if taken == self._taken and idle:
                    self._grow()

    def _grow(self) -> None:
        """Start as many threads again as there are, within the limit and the need."""
        with self._lock:
            number = min(self._threads + self._spare, self._spare_limit - self._spare, self._work.qsize())
            self._spare += number
        for _ in range(number):
            threading.Thread(target=self._serve, args=(IDLE_S,), name="spare", daemon=True).start()
