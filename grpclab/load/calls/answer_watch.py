"""The answers that an engine looks into: a sample is kept, and where there is a check, each is put to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from grpclab.http2.exchange import KeptAnswer
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.kept_answers import AnswerLog, AnswerSchedule
from grpclab.load.core.stream_plan import StreamPlan
from grpclab.status import OK, WRONG_ANSWER, succeeded

CHECK_ONLY = -1
"""Stands for the number of a request whose answer is put to the check, and not kept."""


class NumberedCall(Protocol):
    """One call of a connection, with the number that it has in its mix."""

    number: int
    kept: KeptAnswer | None
    status: int
    text: str
    encoding: str


class _OneCall:
    """What is looked for in the answers to one call: in the first messages, as many as the client takes (`most`).

    Raises UsageError for a check that cannot be made.
    """

    def __init__(self, call: CallSpec, numbers: Iterator[int], most: int | None) -> None:
        self.most = most
        self.active = call.keeps_answers or bool(call.check)
        self.fault: Callable[[bytes], str] | None = None
        self._keeps = call.keeps_answers
        self._numbers = numbers
        self._schedule = AnswerSchedule()
        if call.check:
            from grpclab.load.calls.checks import answer_check  # loads protobuf, which most workers do without

            self.fault = answer_check(call.check, call.answer)

    def next(self) -> int | None:
        number = next(self._numbers)
        if self._keeps and self._schedule.due():
            return number
        return None if self.fault is None else CHECK_ONLY


class AnswerWatch:
    """The answers to the calls of one engine, of a mix to each of them.

    Raises UsageError for a check that cannot be made.
    """

    def __init__(self, call: CallSpec, plans: Sequence[StreamPlan | None] = (None,)) -> None:
        """`plans`: what the client does in streams, of a mix in each call."""
        most = [None if plan is None else plan.receives_at_most for plan in plans]
        if call.mix is None:
            self._calls = [_OneCall(call, call.numbers(), most[0])]
        else:
            numbers = [call.mix.numbers_of(number) for number in range(len(call.mix.calls))]
            self._calls = [_OneCall(*one) for one in zip(call.mix.calls, numbers, most, strict=True)]
        self.active = any(one.active for one in self._calls)
        """Whether any answer is looked into."""

    @property
    def watch(self) -> Callable[[NumberedCall], None] | None:
        """The function that is told of each call that begins; None where no answer is looked into."""
        return self._begin if self.active else None

    def _begin(self, call: NumberedCall) -> None:
        number = self.next(call.number)
        if number is not None:
            call.kept = KeptAnswer(number)

    def end(self, ended: Iterable[NumberedCall], log: AnswerLog) -> None:
        """Look into the answers of calls that are over; one with a wrong answer has failed.

        An answer that the client has cut off is put to the check, and not kept.
        """
        for call in ended:
            if call.kept is not None and succeeded(call.status):
                number = call.kept.number if call.status == OK else CHECK_ONLY
                if fault := self.look(number, call.kept.messages(call.encoding), log, call.number):
                    call.status, call.text = WRONG_ANSWER, fault

    def next(self, call: int = 0) -> int | None:
        """Return the number of the next request of a call where its answer is kept, CHECK_ONLY, or None."""
        return self._calls[call].next()

    def look(self, number: int, messages: Sequence[bytes] | None, log: AnswerLog, call: int = 0) -> str:
        """Take the messages of a call that succeeded; returns what is wrong with them, or nothing."""
        if messages is None:  # too long to be kept
            return ""
        messages = messages[: self._calls[call].most]
        if number != CHECK_ONLY:
            log.note(number, messages)
        faulty = self._calls[call].fault
        if faulty is None:
            return ""
        return next((fault for message in messages if (fault := faulty(message))), "")
