"""The fast path: streams whose frames are those of a stream before, but for the stream id, recognised at once.

Most streams of a connection look alike: their frames are the same bytes, only with another stream id in each. So the
frames of one stream are cut at its id and kept; those of further streams are compared with them, joined by their own
ids: many streams that follow each other in one comparison. What a recognised stream means is the `sample` that its side
has made of the stream that was learnt.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from grpclab.http2.frames import DATA, END_HEADERS, HEADER_BYTES, HEADERS, frame_start, unpack_header

LEARN_EVERY: Final = 16
"""Every so many unusual exchanges one is learnt: where they all differ, the attempt must cost nothing."""
MOST_AT_ONCE: Final = 1_024
"""So many streams are compared at once at most."""

Sample = TypeVar("Sample")


class UsualFrames(NamedTuple, Generic[Sample]):
    """Frames that are recognised."""

    pieces: tuple[bytes, ...]
    """The frames, cut at the stream's id."""
    size: int
    """Bytes of all frames."""
    data_bytes: int
    """Bytes of DATA among them."""
    sample: Sample


class RecognisingSide(Protocol):
    """A side of a connection, as the fast path sees it."""

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> Any:
        """What the stream that has just come to its end stands for; None where it may not stand for others.

        Of its frames, those are looked at that came without others in between: the first is of type `kind`, and
        their DATA is `data_bytes` long.
        """

    def beginning(self) -> tuple[bytes, Any] | None:
        """A header block with which streams begin whose other frames come later, and what it stands for."""

    def recognise(self, stream_ids: Sequence[int], sample: Any) -> int:
        """Take streams that are like the sample; returns how many of them, from the first, were to be expected."""


class FastPath(Generic[Sample]):
    """The frames that are recognised: at most one sequence of them for each type of the first.

    One that begins with HEADERS is a whole stream, or, where the other frames come later, its beginning; one that
    begins with DATA is what is left of a stream then.
    """

    __slots__ = ("_at_once", "_unusual", "usual")

    def __init__(self) -> None:
        self.usual: dict[bytes, UsualFrames[Sample]] = {}
        """The frames by their first five bytes."""
        self._unusual = 0
        self._at_once = 2

    def take(self, side: RecognisingSide, data: bytes, at: int, usual: UsualFrames[Sample], most: int) -> int:
        """Recognise streams, `most` of them, whose frames are at ``data[at:]``. Returns their number."""
        pieces, size, _, sample = usual
        if at + 2 * size > len(data):  # one at most
            name = data[at + 5 : at + 9]
            if not data.startswith(name.join(pieces), at):
                return 0
            return side.recognise((int.from_bytes(name, "big"),), sample)
        number = min((len(data) - at) // size, most, self._at_once)
        start = pieces[0]
        while not data.startswith(start, at + (number - 1) * size):
            number >>= 1  # to 1 at last: there it starts
        names = [data[place : place + 4] for place in range(at + 5, at + number * size, size)]
        same = _same(data, at, b"".join([name.join(pieces) for name in names]), size)
        taken = side.recognise(struct.unpack(f">{same}I", b"".join(names[:same])), sample) if same else 0
        # Where many are not recognised, no more than twice as many as are have been compared.
        self._at_once = min(2 * self._at_once, MOST_AT_ONCE) if taken == number else max(2, taken)
        return taken

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
        self._remember(kind, UsualFrames((*pieces, ending[cut:]), len(ending), data_bytes, sample))
        beginning = side.beginning() if kind == DATA else None
        if beginning is not None and not any(len(usual.pieces) > 2 for usual in self._usual_of(HEADERS)):
            block, sample = beginning
            start = frame_start(len(block), HEADERS, END_HEADERS)
            self._remember(HEADERS, UsualFrames((start, block), HEADER_BYTES + len(block), 0, sample))

    def _usual_of(self, kind: int) -> list[UsualFrames[Sample]]:
        return [usual for start, usual in self.usual.items() if start[3] == kind]

    def _remember(self, kind: int, usual: UsualFrames[Sample]) -> None:
        for other in self._usual_of(kind):
            del self.usual[other.pieces[0]]
        self.usual[usual.pieces[0]] = usual

    def forget(self) -> None:
        """Recognise nothing until something is learnt."""
        self.usual.clear()


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
