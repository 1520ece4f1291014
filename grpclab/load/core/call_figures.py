"""The figures of each call of a mix, from the windows of all. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grpclab.load.core.summary import Summary, summarise
from grpclab.load.core.worker_window import Window


def windows_of(windows: Sequence[Window], number: int) -> list[Window]:
    """Return the windows with the records of one call of the mix; they open and close as those of all calls do."""
    return [
        dataclasses.replace(
            window,
            records=window.records.of_call(number),
            requests=None,
            closes_at=window.closed_at,
            held_open=True,
        )
        for window in windows
    ]


def summaries_by_call(windows: Sequence[Window]) -> tuple[Summary, ...]:
    """Return the figures of each call of the mix by its number; none where one call is made always."""
    return tuple(summarise(windows_of(windows, number)) for number in range(windows[0].records.calls))
