"""The calls of a load one after the other: which call of a mix each is, and what it sends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from grpclab.http2.messages import prefixed, unframed
from grpclab.load.calls.answer_watch import AnswerWatch
from grpclab.load.calls.method import CallMix, CallSpec
from grpclab.load.calls.payloads import Payloads

Turn = tuple[int, bytes, bytes]
"""The number of the call in its mix, its message with its prefix (of a stream all of them), and the block of the
metadata that differs from call to call."""


def mixed_turns(mix: CallMix, *, encoding: str = "") -> Iterator[Turn]:
    """Yield the turns of one worker without end; each message has gRPC's prefix. With an `encoding`, messages of
    clients that do not stream are compressed."""
    recorded = mix.recorded
    if recorded is not None:
        entries = zip(mix.order(), recorded.requests.messages(prefix=True), strict=False)
        requests_in_order = (_encoded(mix.calls[number], entry, encoding) for number, entry in entries)
        yield from zip(mix.order(), requests_in_order, _blocks(recorded.headers), strict=False)
        return
    requests = [
        call.streams() if call.client_streaming else call.messages(prefix=True, encoding=encoding) for call in mix.calls
    ]
    blocks = [_blocks(call.headers) for call in mix.calls]
    for number in mix.order():
        yield number, next(requests[number]), next(blocks[number])


def _encoded(call: CallSpec, entry: bytes, encoding: str) -> bytes:
    return prefixed(unframed(entry)[0], encoding) if encoding and not call.client_streaming else entry


def _blocks(headers: Payloads | None) -> Iterator[bytes]:
    return itertools.repeat(b"") if headers is None else headers.messages(prefix=False)


class CallTurns:
    """The turns of one engine, where its calls are a mix; any other call has none of its own."""

    def __init__(self, call: CallSpec, answers: AnswerWatch, *, encoding: str = "") -> None:
        """`answers`: those of the same engine, which count requests, too."""
        self.mixed = call.mix is not None
        """Whether the calls are a mix."""
        self.calls: tuple[CallSpec, ...] = (call,) if call.mix is None else call.mix.calls
        """Each call of the mix, by its number."""
        self.unsent: Iterator[int] = self._skipped(answers) if self.mixed else itertools.repeat(0)
        """The number of one call after the other that is over without having been sent: its turn is over as well."""
        self._turns: Iterator[Turn] = iter(()) if call.mix is None else mixed_turns(call.mix, encoding=encoding)

    def __iter__(self) -> Iterator[Turn]:
        return self._turns

    def _skipped(self, answers: AnswerWatch) -> Iterator[int]:
        for number, _, _ in self._turns:
            if answers.active:
                answers.next(number)
            yield number
