"""Whether the generator was the limit of a window, or the bound of its calls in flight, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grpclab.load.core.summary import Summary
from grpclab.load.core.worker_window import Window
from grpclab.load.worker_messages import WindowEnded

BUSY_LIMIT = 0.90
"""A worker busier than this share of a core may be the limit, not the server."""
UNSENT_LIMIT = 0.01
"""An open loop that has not sent more than this share of what was due by its end is not the one drawn."""
LATE_LIMIT = 0.10
"""A percentile of which late sends make up more than this share says more of the generator than of the server."""

LATE_S = 0.001
"""A send that is late by more than this had to wait for something."""
WAITED_LIMIT = 0.10
"""A worker that waits for a core for more than this share of the window shares it with others."""
STILL_LIMIT = 0.01
"""A generator that stood still for more than this share of the window is its limit."""


def find_bound(windows: Sequence[Window], *, bound_hits: int, unsent: int, busy_share: float) -> str:
    """Return the reason why `load.max_in_flight` made calls late, in words; nothing where something else did."""
    late = sum(int(np.count_nonzero(window.records.late_s[window.inside] > LATE_S)) for window in windows)
    if not bound_hits or busy_share > BUSY_LIMIT or 2 * bound_hits < late:
        return ""
    never = f" ({unsent:,} were never sent)" if unsent else ""
    return f"{bound_hits:,} calls had to wait{never}: the server was too slow for this rate and this limit"


def find_limits(
    windows: Sequence[Window],
    summary: Summary,
    *,
    busy_share: float,
    planned: int | None = None,
    still_s: float = 0.0,
    held_back: str = "",
    crowded: tuple[float, float] = (0.0, 0.0),
) -> tuple[str, ...]:
    """The reasons why the generator was the limit, each in words; `planned` is None in a closed loop.

    `crowded`: the shares of the window in which its event loop waited for a core, and was at work.

    Calls that were late since `load.max_in_flight` was reached (`held_back`) are none of them.
    """
    limits = []
    if busy_share > BUSY_LIMIT:
        limits.append(f"a generator process was busy for {busy_share:.0%} of the window, above {BUSY_LIMIT:.0%}")
    if still_s > STILL_LIMIT * summary.window_s:
        limits.append(
            f"the generator stalled for {still_s:.2f} s of {summary.window_s:.2f} s, as if it had been stopped"
        )
    waited, worked = crowded
    if waited > WAITED_LIMIT and waited + worked > BUSY_LIMIT >= busy_share:
        limits.append(
            f"a generator process waited for a core for {waited:.0%} of the window and ran for {worked:.0%} of it"
        )
    if planned is not None and not held_back:
        limits += late_limits(sum(window.sent_in_time for window in windows), len(windows), summary, planned)
    return tuple(limits)


def late_limits(sent_in_time: int, workers: int, summary: Summary, planned: int) -> Iterator[str]:
    """Yield the reasons that lie in late calls: of the `planned` ones, `sent_in_time` had been sent at the end."""
    missing = planned - sent_in_time
    # One call for each worker may be on its way at the border.
    if abs(missing) > max(workers, UNSENT_LIMIT * planned):
        yield f"{missing:,} of {planned:,} calls had not been sent when the window closed"
    distorted = [
        name
        for name, corrected in summary.latency.items()
        if abs(corrected - summary.latency_uncorrected[name]) > LATE_LIMIT * corrected
    ]
    if distorted:
        yield f"late sends account for more than {LATE_LIMIT:.0%} of {', '.join(distorted)}"


def crowded_shares(answer: WindowEnded) -> tuple[float, float]:
    """Return the shares of the window in which a worker's event loop waited for a core, and was at work."""
    seconds = max(answer.busy_s, 1e-9)
    return answer.waited_s / seconds, max(0.0, answer.loop_s - answer.spin_s) / seconds
