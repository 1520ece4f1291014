"""Questions in a terminal, on prompt_toolkit: one of several answers, or a text.

prompt_toolkit writes to the terminal itself, past :mod:`grpclab.system.terminal`. It shows control characters as ``^[``
and the like; what others wrote is made printable here as well. Ctrl-C raises KeyboardInterrupt, Ctrl-D EOFError. A
terminal that cannot move its cursor (``TERM=dumb``) gets plain lines, where Ctrl-C is a signal.

SIGTERM and SIGHUP end a question from outside: prompt_toolkit would show an exception inside it with a traceback, in a
terminal that stays raw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.shortcuts.choice_input import ChoiceInput
from prompt_toolkit.utils import is_dumb_terminal

from grpclab.system import interrupts
from grpclab.text.printable import printable

LOOK_EVERY_S = 0.1
"""So often an open question looks whether a signal has come."""
Answer = TypeVar("Answer")


def _answer(question: Coroutine[Any, Any, Answer]) -> Answer:
    """Wait for the answer. Raises :class:`.interrupts.Interrupted` at a signal, when the terminal is as it was."""
    with interrupts.deferred():
        return asyncio.run(_unless_interrupted(question))


async def _unless_interrupted(question: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer; a signal that waits cancels the question."""
    asking = asyncio.current_task()
    assert asking is not None

    async def watch() -> None:
        while not interrupts.waiting():
            await asyncio.sleep(LOOK_EVERY_S)
        asking.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await question
    finally:
        watching.cancel()


def _leaving() -> KeyBindings:
    """Ctrl-D leaves a choice, as it leaves a text."""
    bindings = KeyBindings()

    @bindings.add("c-d")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError())

    return bindings


class TerminalPrompts:
    """See :class:`grpclab.cli.menu.Prompts`."""

    def choose(self, question: str, answers: Mapping[str, str], default: str) -> str:
        """One of the answers, by arrow keys and Enter, or by its number."""
        labels = {value: printable(label) for value, label in answers.items()}
        if is_dumb_terminal():
            return self._by_number(question, labels, default)
        asked = ChoiceInput(message=question, options=list(labels.items()), default=default, key_bindings=_leaving())
        return _answer(asked.prompt_async())

    def _by_number(self, question: str, labels: Mapping[str, str], default: str) -> str:
        """Ask for the number of an answer, in a terminal that cannot move its cursor."""
        values = list(labels)
        print("\n".join([question, *(f"{number}. {label}" for number, label in enumerate(labels.values(), 1))]))
        while True:
            word = self.ask("number", str(values.index(default) + 1))
            if word.isdecimal() and 1 <= int(word) <= len(values):
                return values[int(word) - 1]
            print(f"expected 1 to {len(values)}")

    def ask(self, question: str, default: str) -> str:
        """A text on one line, which may be empty; the default stands there to be changed."""
        if is_dumb_terminal():  # where a text that stands there cannot be changed
            return input(f"{question} [{printable(default)}]: ").strip() or default
        return _answer(PromptSession[str]().prompt_async(f"{question}: ", default=default)).strip()
