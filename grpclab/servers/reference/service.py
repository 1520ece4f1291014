"""The answers of the reference server, and their times: calls come in with the time of their bytes and wait in a heap.

No sockets here: a :class:`Responder` is one connection, the clock is passed in, and one wake-up is asked for at a time.
Calls do not wait for each other: the service time is a delay, not a queue. A call's residence is the time from when
its bytes were read until its answer is written; it is told in the trailer ``grpclab-residence-ns``. Waiting for the
client's flow-control window is no part of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from google.protobuf.message import DecodeError

from grpclab.generated import greet_pb2
from grpclab.http2 import messages
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.http2.replies import Reply
from grpclab.http2.server import ServerConnection
from grpclab.http2.streams import Stream
from grpclab.servers.reference.disturbances import outcomes
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.status import STATUS_NAMES

SAY_HELLO: Final = "/greet.GreeterService/SayHello"
SAY_HELLO_STREAM: Final = "/greet.GreeterService/SayHelloStream"
HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"
"""``HealthCheckResponse(status=SERVING)``."""
_HEALTHY: Final = (b"", b"\n\x14greet.GreeterService")
"""Requests for the health of the whole server, and of the greeter."""
KNOWN_REQUESTS: Final = 256
"""So many different requests have their answers prepared..."""
KNOWN_BYTES: Final = 4 * 1024 * 1024
"""...and not more than so many bytes of requests."""
CANCELLED_WAITING: Final = 1_000
"""So many cancelled calls may wait for their time, unless most are."""
_SHOWN: Final = 200
BATCH: Final = 1000
"""Answers and messages between two looks at the sockets."""

WakeAt = Callable[[float, Callable[[], None]], None]
"""Asks for one wake-up; replaces the one that was pending."""


class ServerCall(Stream):
    """A call inside the server, with its times in seconds of the server's clock."""

    read_at: float = 0.0
    due: float = 0.0
    """When it is to be answered, stalls aside; of a stream, its first message."""
    inside: bool = False
    responder: Responder
    reply: Reply
    message: bytes | None = None
    """What a stream repeats; None for a unary call."""
    sent: int = 0
    """Messages of a stream so far."""


class Responder(Protocol):
    """A connection, as the service sees it."""

    http2: ServerConnection

    def answer(self, calls: Sequence[ServerCall], now: float) -> None:
        """Answer these calls, which leave at `now`."""

    def flush(self) -> None:
        """Write what is to be said."""


class _Prepared(NamedTuple):
    """The answer to a request."""

    reply: Reply
    counted: bool
    message: bytes | None


class Service:
    """See the module. `calls`, `inside` and `high_water` count calls of the greeter."""

    def __init__(
        self, spec: ReferenceSpec, *, clock: Callable[[], float], wake_at: WakeAt, streams: bool = True
    ) -> None:
        self.calls = self.inside = self.high_water = 0
        self._spec, self._clock, self._wake_at, self._streams = spec, clock, wake_at, streams
        self._stamp = RESIDENCE_HEADER if spec.residence else ""
        self._times = spec.distribution.draws(spec.seed)
        self._outcomes = outcomes(spec.mishaps, spec.seed + 1)
        self._failures = {
            mishap.status: Reply(None, mishap.status, "as requested by --error", stamp=self._stamp)
            for mishap in spec.mishaps
        }
        self._stalls = spec.stall_times
        self._first_at: float | None = None
        self._hold = spec.hold
        self._held: list[ServerCall] = []
        self._waiting: list[tuple[float, int, ServerCall]] = []
        self._cancelled = 0
        """Calls in `_waiting` and `_held` that are over already, about."""
        text = "x" * spec.response_bytes
        self._same = {streamed: self._greeting(text, streamed=streamed) for streamed in (False, True)} if text else {}
        """The answers where they are the same to every request."""
        self._pushed = 0
        self._known: dict[tuple[str, tuple[bytes, ...]], _Prepared] = {}
        self._known_bytes = 0

    # ---- calls come in -----------------------------------------------------------------------------------------

    def take(self, responder: Responder, calls: Iterable[ServerCall], read_at: float) -> None:
        """There is news of these calls, in bytes that were read at `read_at`."""
        at_once: list[ServerCall] = []
        for call in calls:
            if call.cancelled:
                self._cancel(call)
                continue
            key = (call.request.path, call.messages)
            prepared = self._known.get(key) or self._prepare(key)
            if not prepared.counted:
                responder.http2.answers.reply(call, prepared.reply)
                continue
            self.calls += 1
            self.inside += 1
            call.responder, call.read_at, call.inside = responder, read_at, True
            status = next(self._outcomes)
            if status:
                call.reply = self._failures[status]
            else:
                call.reply, call.message = prepared.reply, prepared.message
            call.due = read_at + next(self._times)
            if self._first_at is None:
                self._first_at = read_at
            due = self._released(call.due)
            if self._hold:
                self._hold_back(call)
            elif due <= read_at and call.message is None:
                at_once.append(call)
            else:
                self._push(call, due)
        self.high_water = max(self.high_water, self.inside)
        if at_once:
            self.inside -= len(at_once)
            responder.answer(at_once, self._clock())

    def _prepare(self, key: tuple[str, tuple[bytes, ...]]) -> _Prepared:
        prepared = self._answer_to(*key)
        size = len(key[0]) + sum(map(len, key[1]))
        if len(key[1]) == 1 and size <= KNOWN_BYTES // 4:
            if len(self._known) >= KNOWN_REQUESTS or self._known_bytes + size > KNOWN_BYTES:
                self._known.clear()
                self._known_bytes = 0
            self._known[key] = prepared
            self._known_bytes += size
        return prepared

    def _cancel(self, call: ServerCall) -> None:
        call.messages = ()
        if not call.inside or call.answered:
            return
        call.inside = False
        self.inside -= 1
        self._cancelled += 1
        if self._cancelled > max(CANCELLED_WAITING, (len(self._waiting) + len(self._held)) // 2):
            self._forget_cancelled()

    def _forget_cancelled(self) -> None:
        self._waiting[:] = [waiting for waiting in self._waiting if not waiting[2].cancelled]
        heapq.heapify(self._waiting)
        self._held[:] = [call for call in self._held if not call.cancelled]
        self._cancelled = 0

    def _answer_to(self, path: str, request: tuple[bytes, ...]) -> _Prepared:
        def refusal(status: str, text: str) -> _Prepared:
            return _Prepared(Reply(None, STATUS_NAMES.index(status), text), False, None)

        if path not in (SAY_HELLO, SAY_HELLO_STREAM, HEALTH_CHECK):
            return refusal("UNIMPLEMENTED", f"{path[:_SHOWN]} is not served here")
        if len(request) != 1:
            return refusal("INTERNAL", f"{len(request)} messages in a unary request")
        if path == HEALTH_CHECK:
            if request[0] in _HEALTHY:
                return _Prepared(Reply(_SERVING), False, None)
            return refusal("NOT_FOUND", "unknown service")
        try:
            name = greet_pb2.HelloRequest.FromString(request[0]).name
        except DecodeError:
            return refusal("INTERNAL", "the request is not a valid HelloRequest")
        streamed = path == SAY_HELLO_STREAM and self._streams
        return self._same[streamed] if self._same else self._greeting(f"Hello {name}!", streamed=streamed)

    def _greeting(self, text: str, *, streamed: bool) -> _Prepared:
        message = greet_pb2.HelloResponse(message=text).SerializeToString()
        if streamed:
            return _Prepared(Reply(None, stamp=self._stamp), True, message)
        return _Prepared(Reply(message, stamp=self._stamp), True, None)

    def _released(self, due: float) -> float:
        if not self._stalls:
            return due
        assert self._first_at is not None
        return self._first_at + self._stalls.release(due - self._first_at)

    def _hold_back(self, call: ServerCall) -> None:
        self._held.append(call)
        if self.inside >= self._hold:
            self._hold = 0
            for other in self._held:
                self._push(other, self._released(other.due))
            self._held.clear()

    def _push(self, call: ServerCall, at: float) -> None:
        self._pushed += 1
        heapq.heappush(self._waiting, (at, self._pushed, call))
        if self._waiting[0][2] is call:
            self._wake_at(at, self._wake)

    # ---- answers go out ----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        now = self._clock()
        leaving: dict[Responder, list[ServerCall]] = {}
        waiting = self._waiting
        for _ in range(BATCH):
            if not waiting or waiting[0][0] > now:
                break
            call = heapq.heappop(waiting)[2]
            if call.cancelled:
                continue
            calls = leaving.setdefault(call.responder, [])
            if call.message is None:
                calls.append(call)
            else:
                self._stream(call)
        for responder, calls in leaving.items():
            self.inside -= len(calls)
            responder.answer(calls, self._clock())
            responder.flush()
        if waiting:
            self._wake_at(waiting[0][0], self._wake)

    def _stream(self, call: ServerCall) -> None:
        """The next message of a stream; its trailers go with the last."""
        assert call.message is not None
        http2 = call.responder.http2
        if call.blocked:
            call.on_drained = self._resume
            return
        if self._spec.stream_messages:
            http2.answers.send_message(call, call.message)
            call.sent += 1
        if call.sent < self._spec.stream_messages:
            self._push(call, self._released(call.due + call.sent * self._spec.stream_interval_ms / 1000))
            return
        self.inside -= 1
        stamp = self.stamp(call, self._clock()).decode("ascii")
        http2.answers.finish(call, messages.OK, "", ((self._stamp, stamp),) if stamp else ())

    def _resume(self, call: ServerCall) -> None:
        """The client's window was closed to a stream, and is open again."""
        call.on_drained = None
        self._push(call, self._clock())

    def stamp(self, call: ServerCall, now: float) -> bytes:
        """The residence time in ns, as it is told; empty where it is not."""
        return b"%d" % int((now - call.read_at) * 1e9) if self._stamp else b""
