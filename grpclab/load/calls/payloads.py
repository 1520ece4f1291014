"""The requests of a call, encoded once into one file that every worker maps.

The file holds the messages in the order in which they are sent, each with gRPC's prefix, behind a table of where each
begins; a request that is a stream is several messages, one after the other. Worker k of n sends numbers k, k + n,
k + 2n, ...: together they send each once, in order. A random order is a shuffled file, so both sides of a comparison
walk the same sequence from its start.

Layout, all numbers 8 bytes, little-endian: MAGIC, the number of messages, their begins and the end of the last, the
messages.
"""

from __future__ import annotations

import array
import contextlib
import hashlib
import itertools
import math
import mmap
import random
import struct
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from grpclab.errors import StorageError, UsageError
from grpclab.http2.messages import PREFIX_BYTES, prefixed
from grpclab.system.temporary import TemporaryFolder

T = TypeVar("T")

MAGIC = b"GLABREQ1"
MAX_BYTES = 256 * 2**20
"""The largest file of requests."""
MOST_COPIED, MOST_COPIED_BYTES = 4096, 1 << 20
"""So many requests, in a file of so many bytes, are copied by each worker."""
CHUNK = 64
_TOLD_EVERY = 1000
_SURELY = 1.5
"""Requests that would have so many times the most bytes, by those made so far, are not made to their end."""
MOST_KEPT = 64
"""So many encodings are kept, the oldest ones leave first; a study with more kinds of requests encodes again."""
_NUMBER = 8


@dataclass(frozen=True, kw_only=True)
class Payloads:
    """The requests of a worker: of the first `count` in a file those from `first` on, each `step` apart.

    `repeat`: begin again after the last one. Else the load ends with it.
    """

    file: Path
    count: int
    """The number of requests over all workers; the file may hold more."""
    repeat: bool = True
    first: int = 0
    step: int = 1

    def of_worker(self, worker: int, workers: int) -> Payloads:
        """The share of one worker, numbered from 0."""
        return replace(self, first=worker, step=workers)

    @property
    def supply(self) -> int | None:
        """The number of calls that this worker can make; None where the requests repeat."""
        return None if self.repeat else len(range(self.first, self.count, self.step))

    def numbers(self) -> Iterator[int]:
        """The numbers of the requests in the order in which this worker sends them, without end."""
        at, count, step = self.first % self.count, self.count, self.step % self.count
        while True:
            yield at
            at += step
            if at >= count:
                at -= count

    def messages(self, *, prefix: bool = True) -> Iterator[bytes]:
        """The requests in that order, with or without gRPC's prefix. Raises StorageError where the file is gone.

        Few are copied, of many a chunk at a time: a call then takes one without a step of Python's.
        """
        mapped, begins = self._map()
        skipped = 0 if prefix else PREFIX_BYTES
        cycle = self.count // math.gcd(self.count, self.step)
        if cycle <= MOST_COPIED and len(mapped) <= MOST_COPIED_BYTES:
            numbers = itertools.islice(self.numbers(), cycle)
            return itertools.cycle([mapped[begins[at] + skipped : begins[at + 1]] for at in numbers])
        return itertools.chain.from_iterable(self._chunks(mapped, begins, skipped))

    def _chunks(self, mapped: mmap.mmap, begins: memoryview, skipped: int) -> Iterator[list[bytes]]:
        at, count, step = self.first % self.count, self.count, self.step % self.count or self.count
        while True:
            end = min(count, at + CHUNK * step)
            starts, ends = begins[at:end:step].tolist(), begins[at + 1 : end + 1 : step].tolist()
            yield [mapped[start + skipped : stop] for start, stop in zip(starts, ends, strict=True)]
            at = (at + len(starts) * step) % count

    def message(self, number: int, *, prefix: bool = False) -> bytes:
        """One request, with or without the prefix."""
        mapped, begins = self._map()
        return mapped[begins[number] + (0 if prefix else PREFIX_BYTES) : begins[number + 1]]

    def digest(self) -> str:
        """The hash of all requests: that of the file which holds them and no more."""
        mapped, begins = self._map()
        start = _first_begin(self.count)
        further = begins[0] - start
        hashed = hashlib.blake2b(_head([begin - further for begin in begins]), digest_size=8)
        hashed.update(memoryview(mapped)[begins[0] : begins[self.count]])
        return hashed.hexdigest()

    def _map(self) -> tuple[mmap.mmap, memoryview]:
        try:
            with self.file.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise StorageError(f"the request file {self.file} cannot be read: {error}") from None
        start = len(MAGIC) + _NUMBER
        table = memoryview(mapped)[start : start + _NUMBER * (self.count + 1)]
        if sys.byteorder == "little":
            return mapped, table.cast("Q")
        swapped = array.array("Q", table.tobytes())  # pragma: no cover
        swapped.byteswap()  # pragma: no cover
        return mapped, memoryview(swapped)  # pragma: no cover


class EncodingWatch(Protocol):
    """What is told of requests that are being encoded."""

    def show(self, encoded: int, planned: int | None) -> None:
        """So many are encoded so far, of so many where that is known."""

    def end(self) -> None:
        """All are encoded, or it was given up."""


@dataclass(frozen=True, kw_only=True)
class _Kept:
    made: bytes | Payloads
    endless: bool


class PayloadFolder:
    """The files of requests of this process, which end with it or with the block of :meth:`in_use`.

    What was encoded is kept under a key, so that a study encodes its requests once and not in each trial; so is what a
    server has said of their schema. Several threads may ask for the same.
    """

    def __init__(self) -> None:
        self.watch: EncodingWatch | None = None
        self._folder: TemporaryFolder | None = None
        self._files = 0
        self._users = 0
        self._kept: dict[Hashable, _Kept] = {}
        self._schemas: dict[Hashable, Any] = {}
        self._asking: dict[Hashable, threading.Lock] = {}
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def in_use(self, watch: EncodingWatch | None = None) -> Iterator[None]:
        """Remove the files when the block ends, or the outermost of several; `watch` is told where no other one is."""
        before, self.watch = self.watch, self.watch or watch
        self._users += 1
        try:
            yield
        finally:
            self.watch = before
            self._users -= 1
            if not self._users:
                self.clear()

    def clear(self) -> None:
        """Remove all files, and forget what was encoded and what servers have said."""
        self._kept.clear()
        self._schemas.clear()
        self._asking.clear()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()

    def once(
        self, key: Hashable, planned: int, encode: Callable[[], tuple[bytes | Payloads, bool]]
    ) -> bytes | Payloads:
        """What was encoded under this key, else what `encode` makes now.

        That is one request or a file, and whether they are `endless`: made for so many calls as were planned, the first
        of which are the same whatever their number. Of those that are there already the first `planned` are taken.
        """
        with self._lock:
            return self._once(key, planned, encode)

    def _once(
        self, key: Hashable, planned: int, encode: Callable[[], tuple[bytes | Payloads, bool]]
    ) -> bytes | Payloads:
        kept = self._kept.pop(key, None)
        if kept is None or not _covers(kept, planned):
            if kept is not None:
                _unlink(kept)
            made, endless = encode()
            kept = _Kept(made=made, endless=endless)
        self._kept[key] = kept  # the last one, so that what is used stays
        while len(self._kept) > MOST_KEPT:
            _unlink(self._kept.pop(next(iter(self._kept))))
        if isinstance(kept.made, Payloads) and kept.endless:
            return replace(kept.made, count=min(planned, kept.made.count))
        return kept.made

    def schema_once(self, server: Hashable, ask: Callable[[], T]) -> T:
        """What this server said first while the folder is in use, else what `ask` brings now.

        None is a server that is unknown, which is always asked.
        """
        if server is None or not self._users:
            return ask()
        with self._lock:
            asking = self._asking.setdefault(server, threading.Lock())
        with asking:  # the servers of a group start at the same time
            if server not in self._schemas:
                self._schemas[server] = ask()
            found: T = self._schemas[server]
            return found

    def files(self) -> list[Path]:
        """The files that are there now."""
        return [] if self._folder is None else sorted(self._folder.path.glob("requests-*"))

    def write(
        self,
        messages: Iterable[bytes],
        *,
        repeat: bool = True,
        shuffled_by: int | None = None,
        planned: int | None = None,
        framed: bool = False,
    ) -> Payloads:
        """Write a file of encoded messages, of which there will be `planned`; `shuffled_by` is the seed of a random
        order. With `framed` each is a stream: its messages have their prefixes already.

        Raises UsageError where there is none, or more than MAX_BYTES; StorageError where they cannot be written.
        """
        with self._lock:
            return self._written(messages, repeat=repeat, shuffled_by=shuffled_by, planned=planned, framed=framed)

    def _written(
        self, messages: Iterable[bytes], *, repeat: bool, shuffled_by: int | None, planned: int | None, framed: bool
    ) -> Payloads:
        try:
            kept = self._gathered(messages, planned)
        finally:
            if self.watch is not None:
                self.watch.end()
        if not kept:
            raise UsageError("invalid data: expected at least one request")
        if shuffled_by is not None:
            random.Random(f"requests/{shuffled_by}").shuffle(kept)
        if self._folder is None or not self._folder.path.exists():
            self._folder = TemporaryFolder()
        self._files += 1
        path = self._folder.path / f"requests-{self._files}"
        try:
            _write(path, kept, framed=framed)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            raise StorageError(f"the requests cannot be written to {path}: {error.strerror or error}") from None
        return Payloads(file=path, count=len(kept), repeat=repeat)

    def _gathered(self, messages: Iterable[bytes], planned: int | None) -> list[bytes]:
        """The messages. Raises UsageError where they are too large together, as soon as that can be known."""
        kept, size = [], 0
        expected = f"invalid data: expected requests of at most {MAX_BYTES >> 20} MiB in total;"
        for message in messages:
            kept.append(message)
            size += len(message) + PREFIX_BYTES + _NUMBER
            if size > MAX_BYTES:
                raise UsageError(f"{expected} the first {len(kept):,} alone are larger")
            if len(kept) % _TOLD_EVERY == 0:
                total = size / len(kept) * (planned or 0)
                if total > _SURELY * MAX_BYTES:
                    mean = size // len(kept)
                    raise UsageError(
                        f"{expected} {planned:,} of about {mean:,} bytes would take {total / 2**20:,.0f} MiB; plan "
                        "fewer calls"
                    )
                if self.watch is not None:
                    self.watch.show(len(kept), planned)
        return kept


PAYLOAD_FOLDER = PayloadFolder()
"""The files of this process."""


def _covers(kept: _Kept, planned: int) -> bool:
    """Whether what is kept is still there, and is enough."""
    made = kept.made
    return isinstance(made, bytes) or (made.file.exists() and (not kept.endless or made.count >= planned))


def _unlink(kept: _Kept) -> None:
    if isinstance(kept.made, Payloads):
        with contextlib.suppress(OSError):
            kept.made.file.unlink()


def _first_begin(count: int) -> int:
    """The begin of the first of so many messages."""
    return len(MAGIC) + _NUMBER * (count + 2)


def _head(begins: list[int]) -> bytes:
    """What stands before the messages of a file."""
    return MAGIC + struct.pack("<Q", len(begins) - 1) + struct.pack(f"<{len(begins)}Q", *begins)


def _write(path: Path, messages: list[bytes], *, framed: bool) -> None:
    at = _first_begin(len(messages))
    begins = [at]
    for message in messages:
        at += len(message) + (0 if framed else PREFIX_BYTES)
        begins.append(at)
    with path.open("wb") as file:
        file.write(_head(begins))
        file.writelines(messages if framed else map(prefixed, messages))
