"""pprof's ``Profile`` message (github.com/google/pprof, proto/profile.proto), gzipped.

The message needs varints and length-delimited fields only, so it is written here without generated code.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_FRAME = re.compile(r"(?P<name>.+) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)", re.DOTALL)

Types = Sequence[tuple[str, str]]
"""What the values of a sample are: type and unit, as ``("cpu", "nanoseconds")``."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a stack. `line` is 0 and `file` empty where nobody knows them."""

    name: str
    file: str = ""
    line: int = 0


Sample = tuple[Sequence[Frame], Sequence[int]]
"""A stack, the root first, and a value for each type."""


def cpu(stacks: Mapping[str, int], *, rate_hz: int, duration_s: float, time_ns: int) -> bytes:
    """A profile of folded stacks (root first, frames parted by ``;``) and their samples.

    Sample types are samples/count and cpu/nanoseconds: one sample stands for 1 / `rate_hz` seconds.
    `time_ns` is the start, since the epoch. The same input gives the same bytes.
    """
    period_ns = round(1e9 / rate_hz)
    samples = (
        ([parse_frame(text) for text in stack.split(";")], (count, count * period_ns))
        for stack, count in stacks.items()
    )
    types = (("samples", "count"), ("cpu", "nanoseconds"))
    return encode(samples, types=types, period=period_ns, duration_s=duration_s, time_ns=time_ns)


def heap(samples: Iterable[Sample], *, duration_s: float, time_ns: int) -> bytes:
    """A profile of memory: values are blocks and bytes that are held."""
    types = (("inuse_objects", "count"), ("inuse_space", "bytes"))
    return encode(samples, types=types, period=1, duration_s=duration_s, time_ns=time_ns)


def parse_frame(text: str) -> Frame:
    """``name (file:line)``, ``name (file)`` or a bare name."""
    match = _FRAME.fullmatch(text)
    if match is None:
        return Frame(name=text)
    return Frame(name=match["name"], file=match["file"], line=int(match["line"] or 0))


def encode(samples: Iterable[Sample], *, types: Types, period: int, duration_s: float, time_ns: int) -> bytes:
    """A gzipped Profile. The period is in the unit of the last type."""
    strings: dict[str, int] = {"": 0}
    functions: dict[tuple[str, str], int] = {}
    locations: dict[Frame, int] = {}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    def location(frame: Frame) -> int:
        functions.setdefault((frame.name, frame.file), len(functions) + 1)
        return locations.setdefault(frame, len(locations) + 1)

    value_types = [_number(1, string(kind)) + _number(2, string(unit)) for kind, unit in types]
    parts = [_message(1, kind) for kind in value_types]
    parts += [
        _message(2, _packed(1, [location(frame) for frame in reversed(stack)]) + _packed(2, values))
        for stack, values in samples
    ]
    for frame, number in locations.items():
        line = _number(1, functions[frame.name, frame.file]) + _number(2, frame.line)
        parts.append(_message(4, _number(1, number) + _message(4, line)))
    for (name, file), number in functions.items():
        known = _number(2, string(name)) + _number(3, string(name)) + _number(4, string(file))
        parts.append(_message(5, _number(1, number) + known))
    parts += [_message(6, text.encode(errors="replace")) for text in strings]
    parts += [
        _number(9, time_ns),
        _number(10, round(duration_s * 1e9)),
        _message(11, value_types[-1]),
        _number(12, period),
    ]
    return gzip.compress(b"".join(parts), mtime=0)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _message(field, b"".join(map(_varint, values)))
