"""Somebody who answers the questions of `grpclab menu` by a script."""

from __future__ import annotations

from collections.abc import Mapping

from grpclab.cli.menu import QUIT


class ScriptedPrompts:
    """Chooses these entries of the menu, one after the other, and then leaves it.

    A question that `answers` holds is answered by it, where it is an error by raising it; any other by its default.
    """

    def __init__(self, *entries: str, answers: Mapping[str, str | BaseException] | None = None) -> None:
        self._entries = [*entries, QUIT]
        self._answers = dict(answers or {})

    def choose(self, question: str, answers: Mapping[str, str], default: str) -> str:
        """An answer that there is."""
        answer = self._entries.pop(0) if QUIT in answers else self.ask(question, default)
        assert answer in answers
        return answer

    def ask(self, question: str, default: str) -> str:
        """A text."""
        answer = self._answers.get(question, default)
        if isinstance(answer, BaseException):
            raise answer
        return answer
