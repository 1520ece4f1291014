"""What a line of output says, whatever its words: cells, names and verdicts as they are, prose by its figures.

The first edition's outputs are compared with today's by it. A sentence may be written in better words; its figures, the
factors and configurations that it names and the verdict that it gives must stay.
"""

from __future__ import annotations

import re

PROSE = 6
"""A text of this many words or more is prose; a shorter one is a cell, a label or a title, and stays as it is."""
VERDICTS = frozenset({"faster", "slower", "equivalent", "inconclusive", "client-cpu", "generator-bound"})

REWORDED = {
    " 95 % interval  verdict": "  95% interval  verdict",
    "b 2, a 1) other processes used 0.85 of": "b 2, a 1) other processes used 0.85 to 1.7 of",
    "b 2, a 1) other processes used 1.6 of": "b 2, a 1) other processes used 0.85 to 1.7 of",
    "16384kib 3 and 3 more) other processes used 0.85 of": "16384kib 3 and 3 more) other processes used 0.45 to 1.4 of",
    "basic-c8 1) processes of this machine waited for storage for 29%": (
        "basic-c8 1) processes of this machine waited for storage for 23 to 29%"
    ),
    "down-5ms-1024kib 1) processes of this machine waited for storage for 23%": (
        "down-5ms-1024kib 1) processes of this machine waited for storage for 12 to 23%"
    ),
    "Of 1 comparison:": "This figure shows 1 comparison:",
    "moved the result by": "effect on the result",
    "CPU time for a request": "CPU time per request",
    "kernel, of the CPU time": "kernel, share of the CPU time",
    "system calls for a request": "system calls per request",
    "\nfor one request\n": "\nper request\n",
    "\np adjusted\n": "\nadjusted p\n",
    "\ncannot be set\n": "\ncannot be set in grpcio\n",
    "| what to know |": "| notes |",
    "set; does not show from outside": "set; not visible from outside",
    "\nwhat was done, and the result\n": "\ntest and result\n",
    "blocks would decide it": "blocks would be enough for a verdict",
    "TLS with a throw-away certificate": "TLS with a temporary certificate",
    "round-trip time added": "added round-trip time",
    "pause between two of them": "pause between two messages",
    "the call that is made": "the method that is called",
    "messages of SayHelloStream": "number of messages in SayHelloStream",
    "deadline of each call": "deadline for each call",
    "calls in the measured window": "number of calls in the measured window",
    "longest measured window": "maximum length of the measured window",
    "Your own questions": "Explore a study",
    "Of these 21 of 27 comparisons:": "This figure shows 21 of 27 comparisons:",
    "Of these 6 of 27 comparisons:": "This figure shows 6 of 27 comparisons:",
    "Python's threads, by py-spy": "Python threads, sampled by py-spy",
    "share of the samples at work": "share of active samples",
    " samples at work in ": " active samples in ",
    " of them at work": " of them active",
    "the slowest call in a thousand and more": "the slowest 0.1% of calls and more",
    "waiting, of all samples": "waiting, share of all samples",
    "Of 2 comparisons:": "This figure shows 2 comparisons:",
    "Of 3 comparisons:": "This figure shows 3 comparisons:",
    "Of 4 comparisons:": "This figure shows 4 comparisons:",
    "aria-label=Dots, one a trial. ": "aria-label=One dot per trial. ",
    "\ncpu model\n": "\nCPU model\n",
    "\ncpu quota cores\n": "\nCPU quota, cores\n",
    "\ncap sys ptrace\n": "\nCAP_SYS_PTRACE\n",
    "grpc environment, GRPC DEFAULT SSL ROOTS FILE PATH": "grpc environment, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "\nmemory bytes\n25276514304\n": "\nmemory\n25.3 GB\n",
    "\nnofile soft\n": "\nopen files, soft limit\n",
    "\nnofile hard\n": "\nopen files, hard limit\n",
    "\ndirty\n": "\nuncommitted changes\n",
    "\nrtt ms asked\n": "\nround trip asked for, ms\n",
    "\nrtt ms p50\n": "\nround trip p50, ms\n",
    "\nrtt ms p99\n": "\nround trip p99, ms\n",
    "\noverhead ms p50\n": "\nrelay's own delay p50, ms\n",
    "\ndirect ms p50\n": "\nwithout the relay p50, ms\n",
}
"""Titles, labels and cells that have other words by now, in the order in which they are replaced."""

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|(?:(?! {2,}| \| |").)+')
"""A quoted text, or what stands between the columns of a table."""
_WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_NAME = re.compile(r"\b(?!e\.g|label=)(?:[A-Za-z_]\w*(?:[._=/]\w+)+|[A-Za-z][\w-]*\d[\w-]*)")
_LABEL = re.compile(r"[a-z]+(?:-[a-z]+)?")


def signs(text: str) -> str:
    """A text with the signs themselves that JSON writes as escapes."""
    return text.replace("\\u00d7", "×").replace("\\u00b5", "µ")


def in_today_s_words(text: str) -> str:
    """A text of the first edition with the titles, labels and cells of today."""
    for before, after in REWORDED.items():
        text = text.replace(before, after)
    return text


def substance(text: str) -> str:
    """Every line without the words of its prose."""
    return "\n".join(_PIECE.sub(lambda piece: _without_words(piece[0]), line) for line in text.split("\n"))


def facts(text: str) -> list[str]:
    """The figures and names in a text, in alphabetical order, and after them the verdicts."""
    numbers = sorted(number.replace(",", "") for number in _NUMBER.findall(text))
    return [*numbers, *sorted(_NAME.findall(text)), *sorted(VERDICTS.intersection(_LABEL.findall(text)))]


def _without_words(piece: str) -> str:
    return f"<{' '.join(facts(piece))}>" if len(_WORD.findall(piece)) >= PROSE else piece
