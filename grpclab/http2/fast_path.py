"""The fast path: streams whose frames are those of a stream before, but for the stream id, recognised at once.

Most streams of a connection look alike: their frames are the same bytes, only with another stream id in each. So the
frames of one stream are cut at its id and kept; those of a further stream are compared with them, joined by its own id,
in one comparison. What a recognised stream means is the `sample` that its side has made of the stream that was learnt.
"""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

from grpclab.http2.frames import DATA, HEADERS, unpack_header

LEARN_EVERY: Final = 16
"""Every so many unusual exchanges one is learnt: where they all differ, the attempt must cost nothing."""

SampleT = TypeVar("SampleT")
SampleT_co = TypeVar("SampleT_co", covariant=True)


class Sampler(Protocol[SampleT_co]):
    """A side of a connection, as the fast path sees it."""

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> SampleT_co | None:
        """What the stream that has just come to its end stands for; None where it may not stand for others.

        Of its frames, those are looked at that came without others in between: the first is of type `kind`, and
        their DATA is `data_bytes` long.
        """


class FastPath(Generic[SampleT]):
    """The frames of streams that are recognised: at most two sequences of them.

    One is a whole stream, which begins with HEADERS; the other what is left of one whose HEADERS came before, from
    DATA on.
    """

    __slots__ = ("_unusual", "usual")

    def __init__(self) -> None:
        self.usual: dict[bytes, tuple[tuple[bytes, ...], int, SampleT]] = {}
        """By their first five bytes: the frames, cut at the stream's id, the bytes of DATA in them, and the sample."""
        self._unusual = 0

    def learn(self, side: Sampler[SampleT], data: bytes, begin: int, stop: int, stream_id: int) -> None:
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
        if sample is not None:
            for start in [start for start in self.usual if start[3] == kind]:
                del self.usual[start]
            self.usual[ending[:5]] = ((*pieces, ending[cut:]), data_bytes, sample)

    def forget(self) -> None:
        """Recognise nothing until something is learnt."""
        self.usual.clear()
