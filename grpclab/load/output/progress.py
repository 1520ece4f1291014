"""The line on a terminal that says how a running load is doing; erased at the end."""

from __future__ import annotations

import math
import shutil
from typing import TextIO

from grpclab import quantities as qty
from grpclab.load.run import LoadProgress
from grpclab.system.terminal import erase


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
        return "  ".join([*parts, f"the window is over, {calls} still under way"])
    if not math.isnan(progress.latency_p99_s):
        parts.append(f"p99 {qty.duration_in(progress.latency_p99_s, 'ms', ',.2f')}")
    return "  ".join(parts)


class ProgressLine:
    """Shows the figures of a running load on one line, if the stream is a terminal; else nothing at all."""

    def __init__(self, stream: TextIO, *, duration_s: float | None, requests: int | None, quiet: bool = False) -> None:
        self._stream = stream
        self._bounds = (duration_s, requests)
        self._shown = False
        self.active = not quiet and stream.isatty()

    def show(self, label: str, progress: LoadProgress) -> None:
        """Replace what is shown by these figures."""
        width = shutil.get_terminal_size().columns
        self._shown = True
        erase(self._stream)
        self._stream.write(progress_text(progress, label, *self._bounds)[: width - 1])
        self._stream.flush()

    def erase(self) -> None:
        """Leave the line empty."""
        if self._shown:
            erase(self._stream)
            self._stream.flush()
            self._shown = False
