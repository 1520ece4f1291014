"""The answers that an engine looks into: a sample is kept, and where there is a check, each is put to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from grpclab.http2.exchange import Call, KeptAnswer
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.kept_answers import AnswerLog, AnswerSchedule
from grpclab.status import OK, WRONG_ANSWER, succeeded

CHECK_ONLY = -1
"""Stands for the number of a request whose answer is put to the check, and not kept."""


class AnswerWatch:
    """The answers to the calls of one engine: of each the first messages, as many as the client takes.

    Raises UsageError for a check that cannot be made.
    """

    def __init__(self, call: CallSpec, most: int | None = None) -> None:
        self._most = most
        self.active = call.keeps_answers or bool(call.check)
        """Whether any answer is looked into."""
        self._keeps = call.keeps_answers
        self._numbers = call.numbers()
        self._schedule = AnswerSchedule()
        self._fault: Callable[[bytes], str] | None = None
        if call.check:
            from grpclab.load.calls.checks import answer_check  # loads protobuf, which most workers do without

            self._fault = answer_check(call.check, call.answer)

    @property
    def watch(self) -> Callable[[Call], None] | None:
        """The function that is told of each call that begins; None where no answer is looked into."""
        return self._begin if self.active else None

    def _begin(self, call: Call) -> None:
        number = self.next()
        if number is not None:
            call.kept = KeptAnswer(number)

    def end(self, ended: Iterable[Call], log: AnswerLog) -> None:
        """Look into the answers of calls that are over; one with a wrong answer has failed. An answer that the client
        has cut off is put to the check, and not kept."""
        for call in ended:
            if call.kept is not None and succeeded(call.status):
                number = call.kept.number if call.status == OK else CHECK_ONLY
                fault = self.look(number, call.kept.messages(call.encoding), log)
                if fault:
                    call.status, call.text = WRONG_ANSWER, fault

    def next(self) -> int | None:
        """Return the number of the next call's request where its answer is kept, CHECK_ONLY, or None."""
        number = next(self._numbers)
        if self._keeps and self._schedule.due():
            return number
        return None if self._fault is None else CHECK_ONLY

    def look(self, number: int, messages: Sequence[bytes] | None, log: AnswerLog) -> str:
        """Take the messages of a call that succeeded; returns what is wrong with them, or nothing."""
        if messages is None:  # too long to be kept
            return ""
        messages = messages[: self._most]
        if number != CHECK_ONLY:
            log.note(number, messages)
        if self._fault is None:
            return ""
        return next((fault for message in messages if (fault := self._fault(message))), "")
