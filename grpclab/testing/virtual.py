"""An event loop and a pacer on a clock of their own: waiting takes no time, and no figure depends on the machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from grpclab.system.pacing import Pacer

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Instead of waiting it moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout:
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """Times that are multiples of 1/1024 s are met exactly: sums of them carry no rounding."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


class VirtualPacer:
    """See :class:`grpclab.system.pacing.Pacer`; always in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self.touched = 0

    def wake_at(self, when: float, callback: Callable[[], None]) -> None:
        self.cancel()
        self._handle = self._loop.call_at(when, callback)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def touch(self) -> None:
        self.touched += 1


def pacer(loop: asyncio.AbstractEventLoop) -> Pacer:
    """A virtual one, for what asks for a real one."""
    return cast("Pacer", VirtualPacer(loop))


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """The result of `main` on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()
