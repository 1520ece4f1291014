"""What the TAB key offers: values of options and arguments, for bash, zsh and fish.

The shells ask by way of click, once their start file says ``eval "$(_GRPCLAB_COMPLETE=bash_source grpclab)"``, or
``zsh_source``; for fish it is ``_GRPCLAB_COMPLETE=fish_source grpclab | source``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

VARIABLE = "_GRPCLAB_COMPLETE"
"""By which a shell asks for its script, or for what may stand at the cursor."""
Offer = Callable[[click.Context, click.Parameter, str], list[str]]


def offering(words: Callable[[], Iterable[str]]) -> Offer:
    """Offer those of the words that begin like the one at the cursor."""
    return lambda _ctx, _param, begun: [word for word in words() if word.startswith(begun)]


def of_placeholder(metavar: str) -> Offer | None:
    """Offer what stands for a value in the help: the words of ``auto|spin|timer``, factors; None where that is none."""
    if metavar == "FACTOR=LEVEL":
        return settings
    words = [word for word in metavar.split("|") if word.islower()]  # one in capitals stands for others
    return offering(lambda: words) if "|" in metavar and words else None


def settings(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Offer the factors, and behind ``FACTOR=`` its levels."""
    from grpclab.factors.config import FACTORS

    name, equals, _ = begun.partition("=")
    if not equals:
        return [f"{factor}=" for factor in FACTORS if factor.startswith(begun)]
    factor = FACTORS.get(name)
    levels = ("true", "false") if factor and factor.kind is bool else factor.choices if factor else ()
    return [word for level in levels if (word := f"{name}={level}").startswith(begun)]


def respond(program: click.Command, instruction: str) -> int:
    """Answer a shell; returns the exit code."""
    from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete

    class BashWords(BashComplete):
        """For bash ``FACTOR=LEVEL`` is three words, and what is offered replaces the last of them."""

        name = "bash"
        before = ""

        def get_completion_args(self) -> tuple[list[str], str]:
            args, begun = super().get_completion_args()
            if begun == "=":
                args, begun = [*args, begun], ""
            if len(args) > 1 and args[-1] == "=":
                self.before = f"{args[-2]}="
                return args[:-2], f"{self.before}{begun}"
            return args, begun

        def format_completion(self, item: CompletionItem) -> str:
            item.value = item.value.removeprefix(self.before)
            return super().format_completion(item)

    add_completion_class(BashWords, "bash")
    return shell_complete(program, {}, "grpclab", VARIABLE, instruction)
