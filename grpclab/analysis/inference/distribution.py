"""Latencies of many trials as one distribution: HdrHistograms added up, never percentiles averaged. Pure.

Histograms are encoded as in result.json: microseconds, 3 significant digits.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from grpclab.load.core.hdr_slots import HDR_DIGITS, HDR_HIGHEST_US, HDR_LOWEST_US
from grpclab.metrics import MIN_BEYOND
from grpclab.system.untrusted import MIB, inflate

HISTOGRAM_BYTES = MIB
"""All of its 23,552 counters take at most 9 bytes each."""
_OUTER = 8
"""A cookie and a length stand before the deflated part."""
_HEADER = struct.Struct(">12xIQQ")
"""Digits, lowest and highest value, after a cookie, a length and an offset."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Distinct latencies in ascending order, seconds, and how many observations are at or below each."""

    latency_s: Floats
    at_or_below: Floats

    @property
    def count(self) -> int:
        """All observations."""
        return int(self.at_or_below[-1]) if len(self.at_or_below) else 0

    @property
    def last(self) -> float:
        """The highest share that has MIN_BEYOND observations beyond it; 0 where there are too few for any."""
        return max(0.0, 1 - MIN_BEYOND / self.count) if self.count else 0.0

    def at(self, share: float) -> float:
        """The latency that so large a share of the observations does not exceed (nearest rank), NaN beyond `last`."""
        if not self.count or share > self.last + 1e-12:
            return float("nan")
        rank = max(1.0, np.ceil(share * self.count - 1e-9))
        return float(self.latency_s[np.searchsorted(self.at_or_below, rank)])

    def curve(self, points: int = 200) -> tuple[Floats, Floats]:
        """Shares from 0 to `last`, evenly spaced on the axis of 1 / (1 - share), and their latencies in seconds."""
        if self.last <= 0:
            return np.empty(0), np.empty(0)
        shares = 1 - np.geomspace(1, 1 - self.last, points)
        shares[-1] = self.last
        return shares, np.array([self.at(share) for share in shares])


def check_histogram(text: str) -> None:
    """Raise ValueError for what is no encoded HdrHistogram as the load generator makes them."""
    try:
        packed = base64.b64decode(text, validate=True)
        payload = inflate(packed[_OUTER:], HISTOGRAM_BYTES)
        digits, lowest, highest = _HEADER.unpack_from(payload)
    except (binascii.Error, struct.error):
        raise ValueError("is not a valid encoded HdrHistogram") from None
    if (digits, lowest, highest) != (HDR_DIGITS, HDR_LOWEST_US, HDR_HIGHEST_US):
        raise ValueError("is an HdrHistogram with a different range")


def merge(encoded: Iterable[str]) -> HdrHistogram | None:
    """The histograms added up; None without one. Raises ValueError for what is no histogram."""
    whole = None
    for text in encoded:
        if not text:
            continue
        try:
            check_histogram(text)
            one = HdrHistogram.decode(text)
        except Exception as error:  # the library raises its own kinds, struct.error, zlib.error and more
            raise ValueError(f"this is not a valid encoded HdrHistogram: {text[:20]}") from error
        if whole is None:
            whole = one
        else:
            whole.add(one)
    return whole


def distribution(encoded: Iterable[str]) -> Distribution:
    """The distribution of all observations in these histograms."""
    whole = merge(encoded)
    if whole is None:
        return Distribution(latency_s=np.empty(0), at_or_below=np.empty(0))
    # The library's own iterator takes every empty slot in Python: a thousand times as long.
    counts = np.ctypeslib.as_array(whole.counts).astype(float)
    slots = np.flatnonzero(counts)
    values = [whole.get_highest_equivalent_value(whole.get_value_from_index(int(slot))) for slot in slots]
    return Distribution(latency_s=np.array(values, dtype=float) / 1e6, at_or_below=np.cumsum(counts[slots]))
