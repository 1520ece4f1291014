"""Latencies as an HdrHistogram: which of its slots they fill, and the text that other tools read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hdrh.histogram import HdrHistogram

from grpclab.load.core.recorder import Floats

HDR_LOWEST_US, HDR_HIGHEST_US, HDR_DIGITS = 1, 3_600_000_000, 3
"""The histogram holds microseconds, 1 us to 1 h, 3 significant digits."""
HDR_BITS = 11
"""Bits of a value that 3 digits keep: values that agree in them share a slot (2048 sub-buckets)."""
SLICE = 1_000_000
"""Observations that are sorted at a time where all at once would cost memory."""


def histogram_slots(latency_s: Floats) -> tuple[list[int], list[int]]:
    """Return the lowest value of each slot that latencies fill, in microseconds, and the number of them in it."""
    found: dict[int, int] = {}
    for first in range(0, len(latency_s), SLICE):
        microseconds = np.rint(latency_s[first : first + SLICE] * 1e6).clip(HDR_LOWEST_US, HDR_HIGHEST_US)
        values = microseconds.astype(np.int64)
        dropped_bits = np.maximum(np.frexp(values)[1] - HDR_BITS, 0)
        slots, counts = np.unique((values >> dropped_bits) << dropped_bits, return_counts=True)
        for slot, count in zip(slots.tolist(), counts.tolist(), strict=True):
            found[slot] = found.get(slot, 0) + count
    return list(found), list(found.values())


def encoded_histogram(slots: Mapping[int, int]) -> str:
    """Return the histogram of some slots and their counts, V2 compressed, base64."""
    hdr = HdrHistogram(HDR_LOWEST_US, HDR_HIGHEST_US, HDR_DIGITS)
    for value, count in slots.items():
        hdr.record_value(value, count)
    return str(hdr.encode().decode("ascii"))
