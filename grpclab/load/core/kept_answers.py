"""The answers that are kept of a load: which calls' are looked at, and what they said. Pure.

A sample is kept by the number of the request: of the first FIRST calls, the warm-up as a rule, and on average of every
EVERY-th later. The same requests are chosen in each trial, so both sides of a comparison can be held against each
other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

FIRST, EVERY = 500, 100
MOST_BYTES = 1 << 20
"""So many bytes of answers are kept at most."""
MOST_SAMPLES = 4000
"""So many different answers."""


@dataclass(frozen=True, kw_only=True)
class AnswerSample:
    """An answer to a request, by its number, and how often it came."""

    number: int
    messages: tuple[bytes, ...]
    count: int = 1


class AnswerSchedule:
    """Whether the answer to the next call is kept. The gaps are drawn, as a server may repeat itself in steps."""

    def __init__(self) -> None:
        self._drawn = 1
        self._calls = 0
        self._next = 0

    def due(self) -> bool:
        """Return it for one call after the other."""
        self._calls += 1
        if self._calls <= self._next:
            return False
        self._next += 1 if self._calls < FIRST else self._gap()
        return True

    def _gap(self) -> int:
        """Draw a gap by a linear congruential generator (Knuth, MMIX): the core has no other source of chance."""
        self._drawn = (self._drawn * 6364136223846793005 + 1442695040888963407) % 2**64
        return 1 + (self._drawn >> 33) % (2 * EVERY - 1)


class AnswerLog:
    """Answers as they come, equal ones counted, within MOST_BYTES and MOST_SAMPLES."""

    def __init__(self) -> None:
        self._samples: dict[tuple[int, bytes], AnswerSample] = {}
        self._bytes = 0

    def note(self, number: int, messages: Iterable[bytes]) -> None:
        """Take the answer to a request."""
        kept = tuple(messages)
        digest = hashlib.blake2b(b"".join(len(one).to_bytes(4, "big") + one for one in kept), digest_size=16).digest()
        known = self._samples.get((number, digest))
        if known is not None:
            self._samples[number, digest] = replace(known, count=known.count + 1)
            return
        size = sum(map(len, kept))
        if self._bytes + size <= MOST_BYTES and len(self._samples) < MOST_SAMPLES:
            self._bytes += size
            self._samples[number, digest] = AnswerSample(number=number, messages=kept)

    def samples(self) -> tuple[AnswerSample, ...]:
        """Return what was kept, in the order in which it first came."""
        return tuple(self._samples.values())


def merged_samples(parts: Iterable[Iterable[AnswerSample]]) -> tuple[AnswerSample, ...]:
    """Return the samples of several workers as one."""
    merged: dict[tuple[int, tuple[bytes, ...]], AnswerSample] = {}
    for part in parts:
        for sample in part:
            key = sample.number, sample.messages
            known = merged.get(key)
            merged[key] = sample if known is None else replace(known, count=known.count + sample.count)
    return tuple(merged.values())
