"""The calls of a bench result as columns, by start, and as CSV."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grpclab.errors import UsageError
from grpclab.load.core.failures import only_text
from grpclab.load.core.recorder import Codes, Floats
from grpclab.load.core.worker_window import Window
from grpclab.load.result import LoadResult
from grpclab.status import RECORDED_NAMES

CSV_CHUNK = 10_000
"""Lines of CSV that are made at a time."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Columns of the calls of a result, by start; `start_s` counts from the opening of the first window."""

    start_s: Floats
    late_s: Floats
    latency_s: Floats
    status: Codes
    rate_rps: Floats
    """The rate of the call's step; NaN without a schedule."""
    call: Codes | None
    """The number of the call in its mix; None where one call is made always."""


def calls_by_start(result: LoadResult) -> Calls:
    """The calls of all windows, by start (then by latency). Raises UsageError where their records are elsewhere."""
    if result.run.distributions:
        raise UsageError("the records of the calls stayed on the machines of the cluster: fetch them with records=True")
    runs = [(step.rate_rps, step.run) for step in result.steps] or [(math.nan, result.run)]
    windows = [window for _, run in runs for window in run.windows]
    start = column(windows, "start_s") - min(window.opened_at for window in windows)
    latency = column(windows, "latency_s")
    order = np.lexsort((latency, start))
    rates = [np.full(np.count_nonzero(window.inside), rate) for rate, run in runs for window in run.windows]
    return Calls(
        start_s=start[order],
        late_s=column(windows, "late_s")[order],
        latency_s=latency[order],
        status=column(windows, "status")[order],
        rate_rps=np.concatenate(rates)[order],
        call=column(windows, "call")[order] if result.calls else None,
    )


def column(windows: Sequence[Window], name: str) -> Any:
    """One column of Records, of the calls that started in the windows."""
    return np.concatenate([getattr(window.records, name)[window.inside] for window in windows])


def call_names(result: LoadResult, calls: Calls) -> Iterator[str]:
    """Yield the name of each call in its mix, without end where one call is made always: then it is empty."""
    names = [call.name for call in result.calls]
    return itertools.repeat("") if calls.call is None else (names[number] for number in calls.call.tolist())


def csv_chunks(result: LoadResult) -> Iterator[str]:
    """One line a call: start_s since the window opened, late_s, latency_s, status, error; of a schedule the rate, too,
    and of a mix the name of the call.

    `error` is the text of a failed call, where all calls of its status had the same one.
    """
    calls = calls_by_start(result)
    errors = [_csv_cell(text) for text in ("", *(only_text(result.run.failures, name) for name in RECORDED_NAMES[1:]))]
    scheduled, mixed, names = bool(result.steps), bool(result.calls), call_names(result, calls)
    yield "start_s,late_s,latency_s,status,error" + ",rate_rps" * scheduled + ",call" * mixed + "\n"
    for first in range(0, len(calls.start_s), CSV_CHUNK):
        part = slice(first, first + CSV_CHUNK)
        columns = (calls.start_s, calls.late_s, calls.latency_s, calls.status, calls.rate_rps)
        yield "".join(
            f"{start:.6f},{late:.9f},{latency:.9f},{RECORDED_NAMES[status]},{errors[status]}"
            + (f",{rate:g}" if scheduled else "")
            + (f",{next(names)}\n" if mixed else "\n")
            for start, late, latency, status, rate in zip(*(c[part].tolist() for c in columns), strict=True)
        )


def _csv_cell(text: str) -> str:
    """The text in quotes, a spreadsheet's formula made harmless; nothing for no text."""
    if not text:
        return ""
    safe = f"'{text}" if text[0] in "=+-@" else text
    return '"' + safe.replace('"', '""') + '"'
