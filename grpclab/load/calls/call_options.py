"""The options of a call's requests and of its answers, as a user gives them and a plan stores them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import LoadConfig

FORMATS: Final = ("json", "jsonl", "csv", "binary", "calls")
RECORDED: Final = "calls"
"""The format of a recording, which has methods of its own."""
IN_TURN, RANDOM = "in-turn", "random"
ORDERS: Final = (IN_TURN, RANDOM)
_SUFFIXES: Final = {
    **{".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".bin": "binary", ".binary": "binary"},
    ".calls": RECORDED,
}
MARK: Final = "@"
"""The beginning of data that stands for a file; no JSON begins so."""


@dataclass(frozen=True, kw_only=True)
class AnswerKind:
    """The type of a method's answers: its name, and the files that define it, as serialized FileDescriptorProtos."""

    name: str
    files: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class StreamData:
    """How the requests of a call are read whose client streams: a list is the messages of one call.

    `dynamic`: the templates are filled in for each message, of which there are `messages`, or those of the list.
    """

    dynamic: bool = False
    messages: int | None = None

    @classmethod
    def of(cls, load: LoadConfig) -> Self:
        """As the factors of a load say it; the number of messages matters here only where each is made anew."""
        return cls(dynamic=load.stream_dynamic, messages=load.stream_messages if load.stream_dynamic else None)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How requests are read and sent.

    `format` is one of FORMATS, "" for that of the file's name; `order` is one of ORDERS, a random one by `seed`.
    `repeat`: requests that differ from call to call may begin again; a plain list always does. Raises UsageError.
    """

    format: str = ""
    order: str = IN_TURN
    repeat: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.format and self.format not in FORMATS:
            raise UsageError(invalid("--data-format", self.format, f"one of {', '.join(FORMATS)}"))
        if self.order not in ORDERS:
            raise UsageError(invalid("--data-order", self.order, f"one of {', '.join(ORDERS)}"))

    def format_of(self, name: str) -> str:
        """The format of a file."""
        return self.format or _format_by_name(name)

    def is_recorded(self, data: object) -> bool:
        """Return whether data stands for a recording of calls."""
        return is_recorded(data, self.format)


def _format_by_name(name: str) -> str:
    return next((kind for end, kind in _SUFFIXES.items() if name.lower().endswith(end)), "json")


def is_recorded(data: object, format_: str) -> bool:
    """Return whether data, in a format or in that of its name where none is given, stands for a recording of calls."""
    return isinstance(data, str) and data.startswith(MARK) and (format_ or _format_by_name(data)) == RECORDED
