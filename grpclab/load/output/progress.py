"""The lines that say how a running load, and the encoding of its requests, are doing."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from typing import TextIO

from grpclab import quantities as qty
from grpclab.load.run import LoadProgress
from grpclab.system.terminal import bar, erase

SILENT_S = 1.0
"""What takes less is not told."""
EVERY_S = 0.5
NARROWEST_BAR, WIDEST_BAR = 6, 24
"""Columns of a bar; where there are fewer, the figures have all the room."""


def progress_text(
    progress: LoadProgress, label: str = "", duration_s: float | None = None, requests: int | None = None
) -> str:
    """``3 of 10: 1,500/s  2.3 of 5 s  3,449 calls  1,500/s  0 failed  p99 2.31 ms``."""
    parts = [label] if label else []
    if progress.elapsed_s < 0:
        return "  ".join([*parts, "warming up"])
    parts.append(
        f"{progress.elapsed_s:.1f} s" if duration_s is None else f"{progress.elapsed_s:.1f} of {duration_s:g} s"
    )
    parts.append(f"{progress.calls:,} calls" if requests is None else f"{progress.calls:,} of {requests:,} calls")
    if progress.elapsed_s > 0:
        rate = progress.calls / progress.elapsed_s
        parts.append(f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.1f}/s")
    parts.append(f"{progress.errors:,} failed")
    if progress.over:
        calls = "1 call" if progress.under_way == 1 else f"{progress.under_way:,} calls"
        return "  ".join([*parts, f"the window is over, {calls} still in progress"])
    if not math.isnan(progress.latency_p99_s):
        parts.append(f"p99 {qty.duration_in(progress.latency_p99_s, 'ms', ',.2f')}")
    return "  ".join(parts)


def with_bar(text: str, share: float, stream: TextIO, elapsed_s: float | None = None) -> str:
    """The figures of something that takes a while behind a bar, and the time left where it can be foretold."""
    if elapsed_s and share > 0:
        text = f"{text}  {qty.rough_duration(max(0.0, elapsed_s * (1 / min(share, 1.0) - 1)))} left"
    room = shutil.get_terminal_size().columns - len(text) - 3
    return f"{bar(share, min(room, WIDEST_BAR), stream)}  {text}" if room >= NARROWEST_BAR else text


def _beginning(text: str) -> str:
    """As many of the figures as the terminal has room for; the first one is cut if there is not even room for it."""
    first, *others = text.split("  ")
    room = shutil.get_terminal_size().columns - 1
    for figure in others:
        if len(first) + 2 + len(figure) > room:
            break
        first += f"  {figure}"
    return first[:room]


class ProgressLine:
    """Shows the figures of a running load on one line, if the stream is a terminal; else nothing at all."""

    def __init__(self, stream: TextIO, *, duration_s: float | None, requests: int | None, quiet: bool = False) -> None:
        self._stream = stream
        self._bounds = (duration_s, requests)
        self._shown = False
        self.active = not quiet and stream.isatty()

    def show(self, label: str, progress: LoadProgress) -> None:
        """Replace what is shown by these figures."""
        text, share = progress_text(progress, label, *self._bounds), self._share(progress)
        self._shown = True
        if share is not None and not progress.over:
            text = with_bar(text, share, self._stream, progress.elapsed_s)
        erase(self._stream)
        self._stream.write(_beginning(text))
        self._stream.flush()

    def _share(self, progress: LoadProgress) -> float | None:
        """How much of the window is over; None where that is not known."""
        duration_s, requests = self._bounds
        shares = [progress.elapsed_s / duration_s] if duration_s else []
        shares += [progress.calls / requests] if requests else []
        return max(shares) if shares and progress.elapsed_s >= 0 else None

    def erase(self) -> None:
        """Leave the line empty."""
        if self._shown:
            erase(self._stream)
            self._stream.flush()
            self._shown = False


class EncodingLine:
    """Says on a stream that requests are being encoded, where that takes longer than a second.

    On a terminal the figures are replaced by later ones, and erased at the end; elsewhere they are one line.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._now = stream, now
        self._begun: float | None = None
        self._next_s = SILENT_S
        self._shown = False

    def show(self, encoded: int, planned: int | None) -> None:
        """So many are encoded so far, of so many where that is known."""
        if self._begun is None:
            self._begun = self._now()
        elapsed_s = self._now() - self._begun
        if elapsed_s < self._next_s:
            return
        text = f"encoding requests before the run: {encoded:,}"
        if planned:
            text += f" of {planned:,}, about {elapsed_s * (planned - encoded) / encoded:,.0f} s left"
        if self._stream.isatty():
            shown = with_bar(text, encoded / planned, self._stream) if planned else text
            erase(self._stream)
            self._stream.write(_beginning(shown))
            self._next_s = elapsed_s + EVERY_S
        else:
            self._stream.write(f"grpclab: {text}\n")
            self._next_s = math.inf
        self._stream.flush()
        self._shown = True

    def end(self) -> None:
        """Leave a terminal's line empty; what is encoded next is told for itself."""
        if self._shown and self._stream.isatty():
            erase(self._stream)
            self._stream.flush()
        self._begun, self._next_s, self._shown = None, SILENT_S, False
