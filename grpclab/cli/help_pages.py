"""The pages of ``--help``: what a command is for, its options in groups, examples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLUMN = 28
"""Where the meaning of an option begins."""
WIDEST = 104


def width() -> int:
    """The columns that a page may take."""
    import shutil  # here: it loads compression, which a usage error has no use for

    return max(40, min(WIDEST, shutil.get_terminal_size().columns - 2))


@dataclass(frozen=True, kw_only=True)
class HelpTable:
    """Words and their meanings, under a title and perhaps a note."""

    title: str
    meanings: Mapping[str, str]
    note: str = ""
    column: int = COLUMN

    def lines(self) -> list[str]:
        """The lines of the table."""
        note = [*_wrapped(self.note, "  "), ""] if self.note else []
        return [f"{self.title}:", *note, *rows(self.meanings, column=self.column)]


def page(usage: str, description: str, tables: Sequence[HelpTable], epilog: str) -> str:
    """The page of a command: its usage, what it is for, its options, and examples."""
    parts = [
        "\n".join(folded(f"usage: {usage}", indent=7)),
        text(description),
        *("\n".join(table.lines()) for table in tables),
        text(epilog),
    ]
    return "\n\n".join(filter(None, parts))


def painted(page: str) -> str:
    """The page with titles in bold, options and commands in colour."""
    page = re.sub(r"(?m)^(\S[^\n]*:)$|^(usage:)", "\x1b[1m\\g<0>\x1b[0m", page)
    return re.sub(r"(?m)^  (-[^ ,]+(?:, -[^ ]+)?|[a-z]+(?=  ))", "  \x1b[36m\\1\x1b[0m", page)


def text(words: str) -> str:
    """Paragraphs, of which each is filled; those with lines that are set in stay as they are."""
    return "\n\n".join(_paragraph(one) for one in words.strip("\n").split("\n\n"))


def _paragraph(words: str) -> str:
    lines = words.split("\n")
    if any(line.startswith(" ") for line in lines):
        return "\n".join(_set_in(lines))
    return "\n".join(_wrapped(" ".join(lines)))


def _set_in(lines: Sequence[str]) -> list[str]:
    """Lines of a title and of commands, perhaps with what each is for; a command that is too long goes on below."""
    long = any(len(line) > width() for line in lines)
    made: list[str] = []
    for line in lines:
        command, gap, meaning = (
            part or "" for part in (*re.split(r"(?<=\S)( {2,})(?=\S)", line, maxsplit=1), "", "")[:3]
        )
        if long and meaning:
            made += [command, *_wrapped(meaning, " " * 6)]
        else:
            made += folded(f"{command}{gap}{meaning}", indent=6, end=" \\")
    return made


def folded(line: str, *, indent: int, end: str = "") -> list[str]:
    """The line in parts that fit, cut before an option where there is one; each part but the last has this end."""
    if len(line) <= width():
        return [line]
    words = re.findall(r"(?:'[^']*'|\([^)]*\)|[^\s'(]|\((?![^)]*\)))+", line)
    parts: list[str] = []  # an option and its values
    for word in words:
        if parts and not word.startswith(("-", "[", "(")) and parts[-1].startswith("-"):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    first = line[: len(line) - len(line.lstrip())]
    made = [first + parts[0]]
    for part in parts[1:]:
        if len(made[-1]) + 1 + len(part) + len(end) <= width():
            made[-1] += f" {part}"
        else:
            made[-1] += end
            made.append(" " * indent + part)
    return made


def _wrapped(words: str, indent: str = "") -> list[str]:
    import textwrap  # here, as in width

    return textwrap.wrap(
        words,
        width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def rows(meanings: Mapping[str, str], *, column: int = COLUMN) -> list[str]:
    """Words and their meanings side by side; a word that is too long has a line of its own."""
    lines = []
    for word, meaning in meanings.items():
        first, *rest = _wrapped(meaning, " " * (column + 2)) or [""]
        if len(word) > column - 2:
            lines += [f"  {word}", first]
        else:
            lines.append(f"  {word:<{column}}{first.lstrip()}".rstrip())
        lines += rest
    return lines
