"""A question that a signal ends: it puts the terminal back first."""

from __future__ import annotations

import asyncio
import signal

import pytest

from grpclab.cli import prompts
from grpclab.system import interrupts


def test_a_signal_is_raised_once_the_question_has_ended() -> None:
    seen: list[str] = []

    async def question() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
            seen.append("nothing is raised inside")
            await asyncio.sleep(60)
        finally:
            seen.append("put back")
        return "never answered"

    with interrupts.handled(), pytest.raises(interrupts.Interrupted, match="SIGINT"):
        prompts._answer(question())
    assert seen == ["nothing is raised inside", "put back"]


def test_a_question_is_answered_and_what_it_raises_is_raised() -> None:
    async def answered() -> str:
        return "4"

    async def left() -> str:
        raise EOFError

    assert prompts._answer(answered()) == "4"
    with pytest.raises(EOFError):
        prompts._answer(left())
