"""The fast path: streams whose frames are those of a stream before, but for the stream id, recognised at once.

Most streams of a connection look alike: their frames are the same bytes, only with another stream id in each. So the
frames of one stream are cut at its id and kept; those of further streams are compared with them, joined by their own
ids: many streams that follow each other in one comparison. What a recognised stream means is the `sample` that its side
has made of the stream that was learnt; the last bytes of its frames may be ones that differ from stream to stream.
"""

from __future__ import annotations

import functools
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADER_BYTES, HEADERS, frame_start, unpack_header
from grpclab.http2.headers import LONG

LEARN_EVERY: Final = 16
"""Every so many unusual exchanges one is learnt: where they all differ, the attempt must cost nothing."""
MOST_AT_ONCE: Final = 128
"""So many streams are compared at once at most."""

Sample = TypeVar("Sample")


class RecognisingSide(Protocol):
    """A side of a connection, as the fast path sees it."""

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> Any:
        """What the stream that has just come to its end stands for; None where it may not stand for others.

        Of its frames, those are looked at that came without others in between: the first is of type `kind`, and
        their DATA is `data_bytes` long.
        """

    def varying(self, block: bytes) -> int:
        """How many bytes at the end of this header block, the last of that stream, may be others in further streams.

        They may also be more or fewer, fewer than LONG, after a byte that says how many.
        """

    def recognise(self, stream_ids: Sequence[int], sample: Any, ends: Sequence[bytes]) -> int:
        """Take streams that are like the sample; returns how many of them, from the first, were to be expected.

        `ends` are the last bytes of each, where they may differ; else it is empty.
        """


class UsualFrames(Generic[Sample]):
    """Frames that are recognised: their bytes, cut at the stream's id, and what a stream of them means."""

    __slots__ = ("_at_once", "_lengths", "data_bytes", "other", "pieces", "sample", "size", "varying")

    def __init__(self, pieces: tuple[bytes, ...], size: int, data_bytes: int, sample: Sample, varying: int = 0) -> None:
        self.pieces = pieces
        self.size = size
        """Bytes of all frames."""
        self.data_bytes = data_bytes
        """Bytes of DATA among them."""
        self.sample = sample
        self.varying = varying
        """So many bytes at the end, which are not among the pieces, differ from stream to stream. Their number stands
        before them."""
        self.other: UsualFrames[Sample] | None = None
        """Shorter frames that begin alike, to be looked for where these are not."""
        self._at_once = 2  # twice as many streams as last time are compared at once, or as many as were recognised then
        self._lengths: dict[int, UsualFrames[Sample]] = {}  # the same frames with an end of another length

    def with_end(self, data: bytes, at: int) -> UsualFrames[Sample]:
        """The frames with an end as long as that of the stream whose frames are at ``data[at:]``."""
        place = at + self.size - self.varying - 1
        if place >= len(data) or data[place] == self.varying or not 0 < data[place] < LONG:
            return self
        length = data[place]
        known = self._lengths.get(length)
        if known is None:
            *before, start, last = self.pieces
            start = start[:-5] + frame_start(len(last) + length, start[-2], start[-1])
            pieces, size = (*before, start, last[:-1] + data[place : place + 1]), self.size - self.varying + length
            known = self._lengths[length] = UsualFrames(pieces, size, self.data_bytes, self.sample, length)
        return known

    def recognised(self, side: RecognisingSide, data: bytes, at: int, most: int) -> int:
        """The number of streams, `most` of them, whose frames are at ``data[at:]``, and that the side has taken."""
        pieces, size, varying = self.pieces, self.size, self.varying
        stop = at + size
        if stop + size > len(data):  # one at most
            name = data[at + 5 : at + 9]
            if not data.startswith(name.join(pieces), at) or stop > len(data):
                return 0
            ends: Sequence[bytes] = (data[stop - varying : stop],) if varying else ()
            return side.recognise((int.from_bytes(name, "big"),), self.sample, ends)
        number = _beginnings(data, at, pieces[0], size, min((len(data) - at) // size, most, self._at_once))
        names, ids = _id_readers(size, number)
        expected, ends = [name.join(pieces) for name in names(data, at)], ()
        if varying:
            ends = _end_reader(size, number, varying)(data, at)
            expected = list(map(operator.add, expected, ends))
        same = _same(data, at, b"".join(expected), size)
        taken = side.recognise(ids(data, at)[:same], self.sample, ends[:same]) if same else 0
        # Where many are not recognised, no more than twice as many as are have been compared.
        self._at_once = min(2 * self._at_once, MOST_AT_ONCE) if taken == number else max(2, taken)
        return taken


class FastPath(Generic[Sample]):
    """The frames that are recognised: those of whole streams, and, where the other frames of a stream come later than
    its header block, the block alone and what follows it.
    """

    __slots__ = ("_begun", "_learnt", "_unusual", "usual")

    def __init__(self) -> None:
        self.usual: dict[bytes, UsualFrames[Sample]] = {}
        """The frames by their first five bytes."""
        self._learnt: dict[tuple[int, bool], UsualFrames[Sample]] = {}  # by the first type, and whether they are whole
        self._unusual = self._begun = 0

    def begin(self, block: bytes, sample: Sample) -> None:
        """Take note of a header block with which a stream begins whose other frames come later."""
        self._begun += 1
        if (self._begun - 1) % LEARN_EVERY == 0:
            start = frame_start(len(block), HEADERS, END_HEADERS)
            self._remember(UsualFrames((start, block), HEADER_BYTES + len(block), 0, sample))

    def learn(self, side: RecognisingSide, data: bytes, begin: int, stop: int, stream_id: int) -> None:
        """Remember the frames with which a stream came to its end, ``data[begin:stop]``, as the usual ones."""
        self._unusual += 1
        kind = data[begin + 3]
        if (self._unusual - 1) % LEARN_EVERY or kind > HEADERS:
            return
        ending = data[begin:stop]
        pieces, at, cut, data_bytes = [], 0, 0, 0
        while at < len(ending):
            high, low, frame_kind, _, frame_id = unpack_header(ending, at)
            if frame_id != stream_id:
                return  # others came in between
            length = high << 8 | low
            pieces.append(ending[cut : at + 5])
            cut = at + 9
            at = cut + length
            data_bytes += length if frame_kind == DATA else 0
        if len(pieces) < 2:
            return
        sample = side.sample(kind, stream_id, data_bytes)
        if sample is None:
            return
        varying = side.varying(ending[cut:]) if pieces[-1].endswith(_WHOLE_BLOCK) else 0
        last = ending[cut : len(ending) - varying]
        self._remember(UsualFrames((*pieces, last), len(ending), data_bytes, sample, varying))

    def _remember(self, usual: UsualFrames[Sample]) -> None:
        """Recognise these frames instead of others of their kind."""
        self._learnt[usual.pieces[0][3], len(usual.pieces) > 2] = usual
        self.usual.clear()
        for _, known in sorted(self._learnt.items(), key=lambda item: item[0]):  # header blocks alone come first
            known.other = self.usual.get(known.pieces[0])
            self.usual[known.pieces[0]] = known

    def forget(self) -> None:
        """Recognise nothing until something is learnt."""
        self.usual.clear()
        self._learnt.clear()


_WHOLE_BLOCK: Final = bytes((HEADERS, END_HEADERS | END_STREAM))
"""The end of the first bytes of a frame with the block that ends its stream."""

_Reader = Callable[[bytes, int], tuple[Any, ...]]


@functools.lru_cache(maxsize=512)
def _id_readers(size: int, number: int) -> tuple[_Reader, _Reader]:
    """What reads the stream ids of so many sequences of `size` bytes at an offset: as bytes, and as numbers."""
    rest = size - HEADER_BYTES
    as_bytes, as_numbers = (struct.Struct(">" + f"5x{kind}{rest}x" * number) for kind in ("4s", "I"))
    return as_bytes.unpack_from, as_numbers.unpack_from


@functools.lru_cache(maxsize=512)
def _end_reader(size: int, number: int, end: int) -> _Reader:
    """What reads the last bytes, `end` of them, of so many sequences of `size` bytes at an offset."""
    return struct.Struct(f"{size - end}x{end}s" * number).unpack_from


def _beginnings(data: bytes, at: int, start: bytes, size: int, most: int) -> int:
    """How many sequences of `size` bytes may begin at ``data[at:]``, where one does: the last of them begins alike."""
    if data.startswith(start, at + (most - 1) * size):
        return most
    number = 1
    while number < most - 1:  # fewer than `most` do
        middle = (number + most) // 2
        if data.startswith(start, at + (middle - 1) * size):
            number = middle
        else:
            most = middle
    return number


def _same(data: bytes, at: int, expected: bytes, size: int) -> int:
    """How many sequences of `size` bytes, from the first, are in ``data[at:]`` as expected."""
    most = len(expected) // size
    if data.startswith(expected, at):
        return most
    same = 0
    while same < most - 1:  # fewer than `most` are
        middle = (same + most) // 2
        if data.startswith(expected[: middle * size], at):
            same = middle
        else:
            most = middle
    return same
