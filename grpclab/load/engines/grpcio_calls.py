"""The calls of engine `grpcio`: each from its sending to its end, with what is recorded of it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc.aio

from grpclab.factors.config import LoadConfig
from grpclab.http2.messages import OK, UNIMPLEMENTED, UNKNOWN, unframed
from grpclab.load.calls.answer_watch import CHECK_ONLY, AnswerWatch
from grpclab.load.calls.method import CallSpec
from grpclab.load.calls.turns import CallTurns
from grpclab.load.core.recorder import Recorder
from grpclab.load.engines.grpcio_messages import (
    MOST_KEPT,
    Metadata,
    error_details_of,
    messages_of,
    method_of,
    residence_of,
    sent_by,
)
from grpclab.load.engines.grpcio_streams import GrpcioStream
from grpclab.load.engines.loops import Clock
from grpclab.status import ENDED_BY_CLIENT, WRONG_ANSWER, status_in_time, succeeded
from grpclab.system.optional import needs


class Next(NamedTuple):
    """The turn of a call: which one of a mix it is, what it sends, and the number of its request where its answer is
    looked into."""

    call: int
    request: Any
    metadata: Metadata | None
    answer: int | None


def tracing(share: float | None) -> Sequence[grpc.aio.ClientInterceptor]:
    """The interceptors that trace a share of the calls; none without a share. Raises MissingDependencyError."""
    if share is None:
        return ()
    try:
        from grpclab.servers.tracing import client_interceptors
    except ImportError:
        raise needs("client.tracing_share", "opentelemetry-instrumentation-grpc", "tracing") from None
    return client_interceptors(share)


async def send_spans() -> None:
    """Send the spans that have not been sent: what that costs belongs to the window whose calls they are of."""
    from grpclab.servers.tracing import flush

    await asyncio.to_thread(flush)


class CallMaker:
    """Makes the calls of one engine, each with the next request and metadata.

    `residence`: note the reference server's own account of each call's time inside it.
    """

    def __init__(self, spec: CallSpec, load: LoadConfig, *, residence: bool, clock: Clock) -> None:
        self._calls, self._residence, self._clock = spec.members, residence, clock
        self._plans = spec.stream_plans(load)
        self._answers = AnswerWatch(spec, self._plans)
        turns = CallTurns(spec, self._answers)
        self._mixed = turns.mixed
        self._sent = sent_by(spec, turns)
        self.unsent = turns.unsent
        """The number of one call after the other that is over without having been sent."""

    def methods_on(self, channel: grpc.aio.Channel) -> list[Any]:
        """The method on a channel of each call of the mix, or of the one: :meth:`make` takes them."""
        return [method_of(channel, one, encoded=self._mixed) for one in self._calls]

    def next(self) -> Next:
        """Take the turn of the next call."""
        call, request, metadata = next(self._sent)
        return Next(call, request, metadata, self._answers.next(call) if self._answers.active else None)

    async def make(
        self, turn: Next, method: Any, timeout_s: float | None, start_s: float, recorder: Recorder
    ) -> tuple[int, float]:
        """Make a call. Returns as :class:`grpclab.load.engines.loops.CallFunction`."""
        spec, plan, stream = self._calls[turn.call], self._plans[turn.call], None
        if plan is not None:
            stream = GrpcioStream(plan, unframed(turn.request) if plan.sends else (), self._clock)
        begun = method(None if spec.client_streaming else turn.request, timeout=timeout_s, metadata=turn.metadata)
        call = _Call(begun, stream, recorder, start_s=start_s, timeout_s=timeout_s, clock=self._clock, number=turn.call)
        number = turn.answer
        if number is not None:
            call.kept = []
        try:
            status, residence_s = await call.outcome(streamed=spec.server_streaming, residence=self._residence)
        finally:
            if stream is not None and stream.sends:
                recorder.sent(start_s, stream.sent, turn.call)
        if number is not None and succeeded(status):
            # An answer that the client has cut off is put to the check, and not kept.
            wanted = number if status == OK else CHECK_ONLY
            if fault := self._answers.look(wanted, messages_of(call.kept), recorder.answers, turn.call):
                status = call.fail(WRONG_ANSWER, fault)
        return status, residence_s


class _Call:
    """One call under way."""

    __slots__ = ("_begun_s", "_call", "_clock", "_number", "_recorder", "_start_s", "_stream", "_timeout_s", "kept")

    def __init__(
        self,
        call: Any,
        stream: GrpcioStream | None,
        recorder: Recorder,
        *,
        start_s: float,
        timeout_s: float | None,
        clock: Clock,
        number: int,
    ) -> None:
        self._call, self._stream, self._recorder = call, stream, recorder
        self._start_s, self._clock, self._number = start_s, clock, number
        self.kept: list[Any] | None = None
        """The messages of its answer, where they are looked at."""
        self._begun_s, self._timeout_s = clock(), timeout_s  # the library counts the timeout from here on

    async def outcome(self, *, streamed: bool, residence: bool) -> tuple[int, float]:
        """Read the answer; returns the status, and the time inside the server: NaN where it is unknown."""
        stream, residence_s = self._stream, math.nan
        try:
            async with contextlib.nullcontext() if stream is None else stream.beside(self._call):
                status = await (self._read_stream() if streamed else self._read_one())
            if residence:
                residence_s = residence_of(await self._call.trailing_metadata())
        except asyncio.CancelledError:
            if stream is None or not stream.ended_by_client or _is_being_cancelled():
                raise
            status = ENDED_BY_CLIENT
        except grpc.aio.AioRpcError as error:
            details = error_details_of(error.trailing_metadata())
            status = status_in_time(int(error.code().value[0]), self._clock() - self._begun_s, self._timeout_s)
            self.fail(status, error.details() or "", details)
        except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
            status = self.fail(UNKNOWN, f"grpcio: {error}")
        return status, residence_s

    def fail(self, status: int, text: str, details: bytes = b"") -> int:
        """Note why the call has failed; returns its status."""
        self._recorder.failures.note(status, text, self._start_s, self._clock(), details)
        return status

    def _message(self, now: float, before_s: float) -> None:
        sent_s = math.nan if self._stream is None else self._stream.last_sent_at
        self._recorder.message(now, before_s, self._start_s, sent_s, self._number)

    async def _read_one(self) -> int:
        """Read the one message of an answer; returns the status."""
        answer = await self._call
        if answer is None:  # "Response cardinality violation": doc/statuscodes.md
            return self.fail(UNIMPLEMENTED, "0 messages in a unary answer")
        if self._stream is not None:
            self._message(self._clock(), 0.0)
        if self.kept is not None:
            self.kept.append(answer)
        return OK

    async def _read_stream(self) -> int:
        """Read all messages of an answer, and record the times of each; returns the status."""
        stream, previous_s = self._stream, 0.0
        async for message in self._call:
            if stream is not None and stream.ended_by_client:  # beyond the last one that was wanted
                continue
            now = self._clock()
            self._message(now, previous_s)
            previous_s = now
            if self.kept is not None and len(self.kept) <= MOST_KEPT:
                self.kept.append(message)
            if stream is not None:
                stream.answered(self._call, now)
        return OK


def _is_being_cancelled() -> bool:
    """Return whether it is the task that is cancelled, and not the call that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
