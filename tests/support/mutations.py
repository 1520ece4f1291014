"""Mutations of recorded conversations: what a server said, spoilt by frames and by bytes. Each has a number."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import NamedTuple

from grpclab.http2 import frames
from tests.support.http2_peer import Frame, cut

_TYPES = (*range(11), 0x5F, 255)
_IDS = (0, 1, 2, 3, 5, 7, 99, 2**31 - 1, 2**32 - 1)
_BYTES = (0, 1, 2, 4, 8, 0x20, 0x40, 0x7F, 0x80, 0xFE, 0xFF)


class Conversation(NamedTuple):
    """What a server said to three calls."""

    name: str
    streaming: bool
    frames: tuple[Frame, ...]


class Mutation(NamedTuple):
    """Bytes for a client with three calls, and where they are cut."""

    streaming: bool
    data: bytes
    cuts: tuple[int, ...]


def conversations() -> list[Conversation]:
    """As ``record_conversations.py`` wrote them."""
    stored = json.loads((Path(__file__).resolve().parents[1] / "data" / "conversations.json").read_text())
    return [
        Conversation(name, told["streaming"], tuple(cut(base64.b64decode(told["said"]))))
        for name, told in stored.items()
    ]


class Mutator:
    """Makes the mutation of any number, always the same."""

    def __init__(self, recorded: list[Conversation]) -> None:
        self._recorded = recorded

    def __call__(self, number: int) -> Mutation:
        """Some frames of one conversation, or of two, changed in one to six places."""
        rng = random.Random(number)
        chosen = rng.choice(self._recorded)
        said = list(chosen.frames)
        for _ in range(rng.randint(0, 4)):
            self._change_frames(rng, said)
        data = bytearray(b"".join(_bytes(rng, frame) for frame in said))
        for _ in range(rng.randint(0 if len(said) != len(chosen.frames) else 1, 2)):
            _change_bytes(rng, data)
        cuts = tuple(rng.randrange(len(data) + 1) for _ in range(rng.randint(0, 6)))
        return Mutation(chosen.streaming, bytes(data), cuts)

    def _change_frames(self, rng: random.Random, said: list[Frame]) -> None:
        at = rng.randrange(len(said) + 1)
        frame = said[at] if at < len(said) else Frame(rng.choice(_TYPES), rng.randrange(256), rng.choice(_IDS), b"")
        match rng.randrange(10):
            case 0:
                del said[at : at + rng.randint(1, 3)]
            case 1:
                said[at:at] = [frame] * rng.choice((1, 2, 3, 50))
            case 2:
                other = rng.randrange(len(said) + 1)
                said[min(at, other) : max(at, other)] = reversed(said[min(at, other) : max(at, other)])
            case 3:
                said[at : at + 1] = [frame._replace(stream_id=rng.choice(_IDS))]
            case 4:
                said[at : at + 1] = [frame._replace(flags=frame.flags ^ 1 << rng.randrange(8))]
            case 5:
                said[at : at + 1] = [frame._replace(kind=rng.choice(_TYPES))]
            case 6:
                place = rng.randrange(len(frame.body) + 1)
                body = frame.body[:place] + rng.randbytes(rng.randrange(12)) + frame.body[place + rng.randrange(12) :]
                said[at : at + 1] = [frame._replace(body=body)]
            case 7:
                place = rng.randrange(len(frame.body) + 1)
                said[at : at + 1] = [frame._replace(body=frame.body[:place]), frame._replace(body=frame.body[place:])]
            case 8:
                settings = frames.settings({rng.randrange(9): rng.choice((0, 1, 2**14, 2**16, 2**31, 2**32 - 1))})
                said[at:at] = cut(settings)
            case _:
                other_said = rng.choice(self._recorded).frames
                begin = rng.randrange(len(other_said))
                said[at:at] = other_said[begin : begin + rng.randint(1, 6)]


def _bytes(rng: random.Random, frame: Frame) -> bytes:
    data = frames.frame(frame.kind, frame.flags, frame.stream_id, frame.body)
    if rng.random() < 0.02:  # a length that is not true
        data = rng.choice((0, 1, len(frame.body) + 1, 16_385, 2**24 - 1)).to_bytes(3, "big") + data[3:]
    return data


def _change_bytes(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(5):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at : at + 1] = bytes((rng.choice(_BYTES),))
        case 2:
            del data[at : at + rng.randint(1, 20)]
        case 3:
            data[at:at] = data[at : at + rng.randint(1, 40)]
        case _:
            data[at:at] = rng.randbytes(rng.randint(1, 20))
