"""The record of each call: 25 bytes in a file; memory holds a chunk of them, however long the run.

Of a mix of calls each has one byte more, the number of its call.

An engine appends to columns (:class:`Recorder`), which go to disk a chunk at a time; :class:`Records` maps the file
into memory.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grpclab.errors import StorageError
from grpclab.load.core.failures import FailureLog
from grpclab.load.core.kept_answers import AnswerLog
from grpclab.load.core.running import Tally
from grpclab.status import ENDED_BY_CLIENT, NOT_ENDED, OK

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

GIVEN_UP, NEVER_SENT = "still in progress when the run ended", "due, but not sent when the run ended"
"""The texts of the calls that were given up."""
CHUNK = 8192
"""Calls that are kept in memory."""
_CALL = np.dtype([("start_s", "<f8"), ("latency_s", "<f8"), ("late_s", "<f8"), ("status", "u1")])
_MESSAGE = np.dtype(
    [("start_s", "<f8"), ("message_s", "<f8"), ("first", "?"), ("age_s", "<f8"), ("reply_s", "<f8"), ("call", "u1")]
)
_SENT = np.dtype([("start_s", "<f8"), ("sent", "<f8"), ("call", "<f8")])


def _call_type(*, residence: bool, mixed: bool) -> np.dtype[np.void]:
    """The columns of a call."""
    return np.dtype([*_CALL.descr, *([("residence_s", "<f8")] * residence), *([("call", "u1")] * mixed)])


@dataclass(frozen=True, kw_only=True)
class Records:
    """Calls in the order in which they ended. Seconds on the workers' common clock."""

    start_s: Floats
    """(n,) When the caller began; in an open loop, when it was planned to."""
    latency_s: Floats
    """(n,) From `start_s` until the answer was complete."""
    status: Codes
    """(n,) gRPC status codes."""
    late_s: Floats = field(default_factory=lambda: np.zeros(1))
    """(n,) How long after `start_s` the call was handed to the connection; 0 in a closed loop. Waiting for the peer's
    stream limit is no lateness."""
    residence_s: Floats | None = None
    """(n,) Its time inside the server, as the reference server tells; NaN where it did not."""
    message_s: Floats = field(default_factory=lambda: np.zeros(0))
    """(m,) Of each message of a stream: since the one before it; of the first, since its call's `start_s`."""
    message_start_s: Floats = field(default_factory=lambda: np.zeros(0))
    """(m,) `start_s` of the call of the message."""
    message_first: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(m,) Whether it is the first of its call."""
    message_age_s: Floats = field(default_factory=lambda: np.zeros(0))
    """(m,) Since its call's `start_s`; NaN: unknown."""
    message_reply_s: Floats = field(default_factory=lambda: np.zeros(0))
    """(m,) Since the client sent the last message; NaN where it streams nothing."""
    sent_start_s: Floats = field(default_factory=lambda: np.zeros(0))
    """(k,) `start_s` of each call whose client has begun to stream."""
    sent_messages: Floats = field(default_factory=lambda: np.zeros(0))
    """(k,) The messages that the client sent in it."""
    calls: int = 0
    """The number of calls in the mix; 0 where one call is made always."""
    call: Codes | None = None
    """(n,) The number of the call in the mix; None where one call is made always."""
    message_call: Codes | None = None
    """(m,) The same of the call that the message belongs to."""
    sent_call: Floats | None = None
    """(k,) The same of each call whose client streams."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "late_s", np.broadcast_to(self.late_s, self.start_s.shape))
        for column in ("message_age_s", "message_reply_s"):
            if not len(getattr(self, column)):
                object.__setattr__(self, column, np.full(len(self.message_s), math.nan))

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def end_s(self) -> Floats:
        """(n,) The end of each call."""
        return self.start_s + self.latency_s

    def of_call(self, number: int) -> Records:
        """Return the records of one call of the mix."""
        assert self.call is not None
        assert self.message_call is not None
        assert self.sent_call is not None
        return self.part(self.call == number, self.message_call == number, self.sent_call == number)

    def part(self, calls: Mask, messages: Mask, sent: Mask) -> Records:
        """Return some of the calls, of the messages, and of the calls whose client streams."""
        masks = {"message": messages, "sent": sent}
        columns: Mapping[str, Any] = {
            name: None if column is None else column[masks.get(name.partition("_")[0], calls)]
            for name, column in vars(self).items()
            if name != "calls"
        }
        return Records(calls=self.calls, **columns)

    @classmethod
    def load(cls, path: Path, *, residence: bool = False, calls: int = 0) -> Records:
        """Map the file of a :class:`Recorder`. It may be removed then: its content goes with the last column.

        `calls`: those of the mix, if it is one.
        """
        rows = _mapped(path, _call_type(residence=residence, mixed=bool(calls)))
        messages, sent = _mapped(_beside(path), _MESSAGE), _mapped(_beside(path, ".sent"), _SENT)
        return cls(
            start_s=rows["start_s"],
            latency_s=rows["latency_s"],
            status=rows["status"],
            late_s=rows["late_s"],
            residence_s=rows["residence_s"] if residence else None,
            message_s=messages["message_s"],
            **{f"message_{name}": messages[name] for name in ("start_s", "first", "age_s", "reply_s")},
            sent_start_s=sent["start_s"],
            sent_messages=sent["sent"],
            calls=calls,
            call=rows["call"] if calls else None,
            message_call=messages["call"] if calls else None,
            sent_call=sent["call"] if calls else None,
        )


def remove(path: Path) -> None:
    """Remove the files of one recorder."""
    for file in (path, _beside(path), _beside(path, ".sent")):
        file.unlink(missing_ok=True)


def _beside(path: Path, suffix: str = ".messages") -> Path:
    """The path of another table: of the messages, or of the numbers of those that were sent."""
    return path.with_suffix(suffix)


def _mapped(path: Path, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    if not path.exists() or not path.stat().st_size:  # nothing cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype, mode="r"))


class Recorder:
    """Takes calls as they end. Without a path they are only counted.

    :meth:`record` is on the hot path: four appends to arrays, no object is kept. Engines call :meth:`flush_full` now
    and then.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        residence: bool = False,
        mixed: bool = False,
        failures: FailureLog | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.starts = array("d")
        self.latencies = array("d")
        self.lates = array("d")
        self.statuses = array("B")
        self.failures = FailureLog() if failures is None else failures
        """The texts of the calls that failed."""
        self.failure = ""
        """Why records cannot be written; calls are only counted then."""
        self.encodings: dict[str, int] = {}
        """Successful calls of the window whose answers were compressed, by encoding."""
        self.answers = AnswerLog()
        """The answers that are kept, those of the warm-up included."""
        self.unsent = 0
        """Calls of :meth:`never_sent`."""
        self.tally = Tally() if tally is None else tally
        """The calls that have been written."""
        self._residences = array("d")
        self._calls = array("B")  # the number of each in the mix
        self._messages = array("d")  # start, time, age, reply, start, time, ...
        self._firsts = array("B")
        self._message_calls = array("B")
        self._sent = array("d")  # start, number, call of the mix, start, number, ...
        self._dtype = _call_type(residence=residence, mixed=mixed)
        self._path = path
        self._files: dict[Path, FileIO] = {}
        self._written_calls = self._written_errors = 0
        self._last_chunk: Floats = np.zeros(0)
        if path is not None:
            self._append(path, b"")

    @property
    def calls(self) -> int:
        """Calls that have ended so far."""
        return self._written_calls + len(self.starts)

    @property
    def errors(self) -> int:
        """Calls that have failed so far."""
        good = self.statuses.count(OK) + self.statuses.count(ENDED_BY_CLIENT)
        return self._written_errors + len(self.statuses) - good

    def record(self, start_s: float, end_s: float, status: int, late_s: float = 0.0) -> None:
        """Record a call that is over."""
        self.starts.append(start_s)
        self.latencies.append(end_s - start_s)
        self.lates.append(late_s)
        self.statuses.append(status)

    def record_batch(self, starts_s: Sequence[float], end_s: float) -> None:
        """Record calls that succeeded at the same moment; none was late."""
        self.starts.extend(starts_s)
        self.latencies.extend([end_s - start_s for start_s in starts_s])
        self.lates.frombytes(bytes(8 * len(starts_s)))
        self.statuses.frombytes(bytes(len(starts_s)))

    def never_sent(self, planned: Floats, now: float, numbers: Iterator[int] | None = None) -> None:
        """Record calls that were due and not sent by `now`: NOT_ENDED, as late as they took; `numbers`: in the mix."""
        if not len(planned):
            return
        self.flush()
        waited = array("d", (now - planned).tobytes())
        self.starts.frombytes(planned.tobytes())
        self.latencies.extend(waited)
        self.lates.extend(waited)
        self.statuses.frombytes(bytes([NOT_ENDED]) * len(planned))
        self._calls.extend(itertools.islice(numbers or itertools.repeat(0), len(planned)))
        self.unsent += len(planned)
        self.failures.note(NOT_ENDED, NEVER_SENT, float(planned[0]), now, calls=len(planned))
        self.flush()

    def residence(self, seconds: float) -> None:
        """Note the time inside the server of the call recorded next; NaN: unknown."""
        self._residences.append(seconds)

    def call(self, number: int) -> None:
        """Note which call of a mix is recorded next."""
        self._calls.append(number)

    def message(self, now: float, before_s: float, start_s: float, sent_s: float = math.nan, call: int = 0) -> None:
        """Record a message of a stream; the one before it came at `before_s`, 0 for the first.

        `start_s` and `call`, a number in the mix, are its call's; at `sent_s` its client has sent the last message.
        """
        self._messages.extend((start_s, now - (before_s or start_s), now - start_s, now - sent_s))
        self._firsts.append(not before_s)
        self._message_calls.append(call)

    def sent(self, start_s: float, messages: int, call: int = 0) -> None:
        """Record the messages that the client has sent in a call that is over."""
        self._sent.extend((start_s, messages, call))

    def encoded(self, encoding: str) -> None:
        """Count a compressed answer of a successful call of the window."""
        self.encodings[encoding] = self.encodings.get(encoding, 0) + 1

    def recent(self, calls: int) -> Floats:
        """The latencies of the last `calls` calls in memory: some thousands."""
        buffered = np.array(self.latencies, dtype=np.float64)
        latest: Floats = np.concatenate([self._last_chunk, buffered])
        return latest[max(0, len(latest) - calls) :]

    def tally_so_far(self) -> Tally:
        """Return the tally of all calls so far, those in memory included."""
        tally = self.tally.copy()
        tally.add(self.starts, self.latencies, self.statuses)
        return tally

    def flush_full(self) -> None:
        """Write what has come together if it fills a chunk."""
        if len(self.starts) >= CHUNK or len(self._firsts) >= CHUNK:
            self.flush()

    def written(self, first: int) -> npt.NDArray[np.void]:
        """Write the rest; return the calls from number `first` on: columns start_s, latency_s, late_s, status.

        Raises StorageError where that fails.
        """
        self.flush()
        if self.failure:
            raise StorageError(self.failure)
        assert self._path is not None
        rows = np.fromfile(self._path, self._dtype, offset=first * self._dtype.itemsize)
        return rows

    def close(self) -> None:
        """Write the rest. Raises StorageError where that fails."""
        self.flush()
        for file in self._files.values():
            file.close()
        if self.failure:
            raise StorageError(self.failure)

    def flush(self) -> None:
        """Write what has come together."""
        if self._path is not None and not self.failure:
            self._append(self._path, self._rows().tobytes())
            if self._messages:
                self._append(_beside(self._path), self._message_rows().tobytes())
            if self._sent:
                self._append(_beside(self._path, ".sent"), self._sent.tobytes())
        if self.starts:
            self._last_chunk = np.array(self.latencies, dtype=np.float64)
            if self.tally.limits_s:
                self.tally.add(self.starts, self.latencies, self.statuses)
        self._written_errors = self.errors
        self._written_calls = self.calls
        calls = (self.starts, self.latencies, self.lates, self.statuses, self._residences, self._calls)
        for column in (*calls, self._messages, self._firsts, self._message_calls, self._sent):
            del column[:]

    def _rows(self) -> npt.NDArray[np.void]:
        rows = np.empty(len(self.starts), self._dtype)
        if self.starts:  # an empty array has no buffer
            rows["start_s"] = np.frombuffer(self.starts)
            rows["latency_s"] = np.frombuffer(self.latencies)
            rows["late_s"] = np.frombuffer(self.lates)
            rows["status"] = np.frombuffer(self.statuses, np.uint8)
            names = self._dtype.names or ()
            if "residence_s" in names:
                residences = np.array(self._residences)
                rows["residence_s"] = residences if len(residences) == len(rows) else math.nan
            if "call" in names:
                rows["call"] = np.frombuffer(self._calls, np.uint8)
        return rows

    def _message_rows(self) -> npt.NDArray[np.void]:
        rows = np.empty(len(self._firsts), _MESSAGE)
        columns = np.frombuffer(self._messages).reshape(-1, 4).T
        rows["start_s"], rows["message_s"], rows["age_s"], rows["reply_s"] = columns
        rows["first"] = np.frombuffer(self._firsts, np.bool_)
        rows["call"] = np.frombuffer(self._message_calls, np.uint8)
        return rows

    def _append(self, path: Path, data: bytes) -> None:
        try:
            if path not in self._files:
                self._files[path] = path.open("wb", buffering=0)
            rest = memoryview(data)
            while rest:  # a disk that is nearly full takes a part, and refuses the next one
                rest = rest[self._files[path].write(rest) :]
        except OSError as error:
            self.failure = (
                f"the call records cannot be written to {path} ({error.strerror}): free some space, or set TMPDIR "
                "to a folder with enough space"
            )
