"""Names and sentences as a reader sees them. All functions return plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.inference.ratios import TOO_FEW
from grpclab.factors.config import FACTORS
from grpclab.factors.own import PYTHON, REQUIREMENTS, REVISION, is_own
from grpclab.text.printable import printable

_OF_THE_TARGET = {PYTHON: "Python interpreter", REVISION: "revision", REQUIREMENTS: "packages"}


def plain(text: object) -> str:
    """One line without control and formatting characters, which neither XML nor a table cell can hold."""
    return " ".join(printable(str(text)).split())


def short(text: object, width: int) -> str:
    """At most `width` characters of :func:`plain`, the rest as an ellipsis."""
    words = plain(text)
    return words if len(words) <= width else f"{words[: width - 1].rstrip()}…"


def opening(text: object, width: int) -> str:
    """The sentences that a text begins with, as many as `width` characters hold; the first is cut if it is longer."""
    shown, *others = _SENTENCES.split(plain(text))
    for sentence in others:
        if len(shown) + 1 + len(sentence) > width:
            break
        shown = f"{shown} {sentence}"
    return short(shown, width)


_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z(])")


def factor(name: str) -> str:
    """What a factor means, as the title of an axis says it; a name that is no factor as it is."""
    if is_own(name):
        section, _, own = name.partition(".")
        return {"arg": f"argument {own}", "env": f"environment variable {own}"}.get(section) or _OF_THE_TARGET[name]
    return FACTORS[name].meaning if name in FACTORS else name


def title_of(comparison: Comparison, otherwise: str = "") -> str:
    """The title of a comparison, or what it compares; `otherwise` where it says neither."""
    sides = f"{comparison.candidate} against {comparison.baseline}" if comparison.candidate else otherwise
    return plain(comparison.title or sides)


def interval_of(comparison: Comparison) -> str:
    """The interval of a comparison, or that its blocks are too few for one."""
    between = qty.interval(comparison.ci_low, comparison.ci_high)
    return TOO_FEW if comparison.computed and between == qty.MISSING else between


def with_interval(comparison: Comparison) -> str:
    """The same in a sentence: ``95% interval 5.90 to 6.35``, ``too few blocks for an interval``."""
    between = interval_of(comparison)
    if between == TOO_FEW:
        return f"{TOO_FEW} for an interval"
    return f"95% interval {between}"


def ratio_of(comparison: Comparison) -> str:
    """The ratio of a comparison, and whether it is a bound: ``6.12×``, ``at least 6.12×``."""
    bound = f"{comparison.bound_word} " if comparison.bound_word else ""
    return f"{bound}{qty.ratio(comparison.ratio)}"


def estimate(comparison: Comparison) -> str:
    """A ratio with its interval: ``6.12× (95% interval 5.90 to 6.35)``, or that it could not be computed."""
    if not comparison.computed:
        return "no ratio could be computed"
    return f"{ratio_of(comparison)} ({with_interval(comparison)})"


def sentence_case(text: str) -> str:
    """The same with its first letter a capital, for the start of a sentence.

    A name stays as it is written: a factor (``server.threads``), a setting (``threads=64``), a path, an application.
    """
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return text if _NAME.search(first) else text[:1].upper() + text[1:]


def as_subject(title: str) -> str:
    """A title before its verb: a second comma after one like ``optimized, 64 in flight``."""
    return f"{title}," if ", " in title else title


def as_sentence(text: str) -> str:
    """A note as a sentence of its own, with a capital and a full stop."""
    return f"{sentence_case(text).rstrip('.')}."


def typeset(text: str) -> str:
    """A sentence that was written for a terminal too, with the signs of a page: ``2.1x`` as 2.1×, ``us`` as µs.

    Earlier versions stored a space before the percent sign.
    """
    return _PERCENT.sub("%", _MICRO.sub(" µs", _TIMES.sub("×", text)))


_TIMES = re.compile(r"(?<=\d)x(?![\w=.])")
_MICRO = re.compile(r"(?<=\d) us\b")
_PERCENT = re.compile(r"(?<=\d) %(?!\w)")

_NAME = re.compile(r"[._=/:\\{}]\S|^p\d")
"""What no word of English has inside it, or the name of a percentile."""


def listing(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    items = [w for w in words if w]
    return items[0] if len(items) == 1 else " and ".join([", ".join(items[:-1]), items[-1]]) if items else ""
