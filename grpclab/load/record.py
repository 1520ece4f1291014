"""``grpclab record``: a relay in front of a server, which writes down every call that passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from grpclab.errors import MeasurementError, StorageError, UsageError, invalid
from grpclab.factors.config import LinkConfig
from grpclab.http2.call_reader import CallReader, PassedCall
from grpclab.link.relay import Relay, Tap
from grpclab.load.calls.metadata import own_metadata
from grpclab.load.calls.payloads import MAX_BYTES
from grpclab.load.core.recording import RecordedCall, call_line, header_line, without_secrets
from grpclab.load.reachability import await_listener
from grpclab.quantities import count
from grpclab.status import OK
from grpclab.system import event_loop
from grpclab.system.dialling import loopback_target
from grpclab.text import credentials

Clock = Callable[[], float]
FLUSH_S = 0.5
"""The time after which what was recorded is in the file."""


@dataclass(kw_only=True)
class CallsWriter:
    """Writes calls to a recording, within a number of calls and of bytes; counts them meanwhile."""

    file: IO[str]
    began_at: float
    header: str = ""
    """What is written before the first call; until then the file stays as it is."""
    most_calls: int | None = None
    most_bytes: int = MAX_BYTES
    calls: int = 0
    """Calls written so far."""
    bytes: int = 0
    """Bytes of their messages."""
    by_method: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """By method: the calls that ended with another status than OK."""
    unended: int = 0
    """Calls that had not ended."""
    incomplete: Counter[str] = field(default_factory=Counter)
    """By reason: the calls whose messages are not all there, which are written without any."""
    masked: set[str] = field(default_factory=set)
    """The keys of metadata whose values were taken out."""
    failure: str = ""
    """Why a call could not be written; empty while each could."""

    @property
    def full(self) -> str:
        """The reason why nothing more is written; empty while there is none."""
        if self.failure:
            return self.failure
        if self.most_calls is not None and self.calls >= self.most_calls:
            return f"{self.calls:,} calls were recorded, as requested"
        return f"the requests exceed {self.most_bytes >> 20} MiB" if self.bytes >= self.most_bytes else ""

    def write(self, passed: PassedCall) -> None:
        """Write a call, unless there are enough."""
        method = passed.path.removeprefix("/")
        if self.full or method.count("/") != 1:
            return
        own = own_metadata(passed.metadata)
        metadata = without_secrets(own)
        self.masked |= {key for key, value in metadata if value == credentials.MASK}
        if passed.fault:
            self.incomplete[passed.fault] += 1
        call = RecordedCall(
            at_s=round(max(0.0, passed.began_at - self.began_at), 6),
            method=method,
            messages=() if passed.fault else tuple(passed.messages),
            metadata=metadata,
            status=passed.status,
            answers=passed.answers,
            took_s=None if passed.status is None else round(passed.ended_at - passed.began_at, 6),
        )
        try:
            if not self.calls:
                self._begin()
            self.file.write(call_line(call))
        except OSError as error:
            self.failure = error.strerror or str(error)
            return
        self.calls += 1
        self.bytes += sum(map(len, call.messages))
        self.by_method[method] += 1
        self.failed[method] += passed.status not in (OK, None)
        self.unended += passed.status is None

    def _begin(self) -> None:
        """Replace what is in the file by the header."""
        if self.file.seekable() and self.file.tell():
            self.file.seek(0)
            self.file.truncate()
        self.file.write(self.header)


class RecordingRelay(Relay):
    """A relay that reads the calls that pass, and hands each to `note` when it has ended."""

    def __init__(
        self, hosts: tuple[str, ...], port: int, note: Callable[[PassedCall], None], clock: Clock = time.perf_counter
    ) -> None:
        super().__init__(LinkConfig(), hosts, port)
        self._pass_on, self._clock = note, clock
        self._readers: list[CallReader] = []
        self.unread: Counter[str] = Counter()
        """By reason: the connections that could not be read to their end."""

    def taps(self) -> tuple[Tap, Tap]:
        """Return what reads the calls of a new connection."""
        self.connections += 1
        self._forget()
        reader = CallReader(self._pass_on, self._clock)
        self._readers.append(reader)
        return reader.up, reader.down

    def _forget(self) -> None:
        """Forget the readers of connections that are over."""
        over = [reader for reader in self._readers if reader.over]
        self.unread.update(reader.fault for reader in over if reader.fault)
        self._readers = [reader for reader in self._readers if not reader.over]

    def end(self) -> None:
        """Hand over the calls under way, too: nothing more is read."""
        for reader in self._readers:
            reader.end()
        self._forget()


@dataclass(frozen=True, kw_only=True)
class RecordingSummary:
    """What was recorded, for people."""

    writer: CallsWriter
    seconds: float
    connections: int
    unread: Counter[str]
    ended_because: str = ""


class CallRecording:
    """A relay on `port` of this machine, in front of the server at `target`; its calls go to the file at `path`."""

    def __init__(self, port: int, target: str, path: Path, *, calls: int | None = None) -> None:
        self._port, self._target, self._path, self._most_calls = port, target, path, calls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._listening, self._over, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="the recording relay", daemon=True)
        self._summary: RecordingSummary | None = None
        self._existed = path.exists()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Record while the block runs. Raises UsageError, TargetError or StorageError where it cannot begin."""
        await_listener(self._target, None)
        self._thread.start()
        try:
            self._listening.wait()
            self._raise()
            yield
        finally:
            self._stopping.set()  # before its loop runs, too
            if self._loop is not None and self._stop is not None:
                with contextlib.suppress(RuntimeError):  # its loop has ended by itself
                    self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._raise()

    def wait(self, seconds: float | None) -> None:
        """Wait for so long, or until there are enough calls; without end where it is None."""
        self._over.wait(seconds)

    @property
    def summary(self) -> RecordingSummary:
        """What was recorded, when the block has been left. Raises MeasurementError where no call came."""
        if self._summary is None:
            raise MeasurementError("the recording was stopped before it began, so it contains no calls")
        if not self._summary.writer.calls:
            unread = "; ".join(
                f"{count(number, 'connection')}: {reason}" for reason, number in self._summary.unread.items()
            )
            kept = f"; {self._path} is unchanged" if self._existed else ""
            raise MeasurementError(
                f"no call arrived at port {self._port}, so there is no recording "
                f"({unread or 'no client connected'}){kept}"
            )
        return self._summary

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            event_loop.run(self._record())
        except OSError as error:
            self._error = self._unwritten(error.strerror or str(error))
        except BaseException as error:
            self._error = error
        finally:
            self._listening.set()
            self._over.set()

    def _unwritten(self, reason: str) -> StorageError:
        kept = ""
        if self._listening.is_set():
            with contextlib.suppress(OSError), self._path.open("rb") as file:
                calls = sum(line.endswith(b"\n") for line in file) - 1  # without the header, and a line that is cut off
                kept = f"; the {count(calls, 'call')} before that can be replayed" if calls > 0 else ""
        return StorageError(f"the recording cannot be written to {self._path}: {reason}{kept}")

    async def _record(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping.is_set():
            self._stop.set()
        try:
            # What it holds already stays until there is a call to write.
            with self._path.open("a", encoding="utf-8") as file:
                await self._relay(file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                if not self._existed and not self._path.stat().st_size:
                    self._path.unlink()

    async def _relay(self, file: IO[str]) -> None:
        """Record into a file until it is enough. Raises UsageError where the port is taken, StorageError."""
        assert self._stop is not None
        hosts, port = loopback_target(self._target)
        writer = CallsWriter(
            file=file,
            began_at=time.perf_counter(),
            header=header_line(self._target, datetime.now(UTC).isoformat(timespec="seconds")),
            most_calls=self._most_calls,
        )
        relay = RecordingRelay(hosts, port, writer.write)
        try:
            server, _ = await relay.listen(self._port)
        except OSError as error:
            expected = f"a free port of this machine ({error.strerror or error})"
            raise UsageError(invalid("--listen", self._port, expected)) from None
        self._listening.set()
        try:
            while not (self._stop.is_set() or writer.full):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._stop.wait()
                file.flush()
        finally:
            server.close()
            full = writer.full
            relay.end()
            await relay.close()
        if writer.failure:
            raise self._unwritten(writer.failure)
        self._summary = RecordingSummary(
            writer=writer,
            seconds=time.perf_counter() - writer.began_at,
            connections=relay.connections,
            unread=relay.unread,
            ended_because=full,
        )
