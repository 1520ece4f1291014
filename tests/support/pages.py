"""A page of HTML as a test reads it, and text that must not act in one."""

from __future__ import annotations

import functools
import re
from html.parser import HTMLParser

from grpclab.report.blocks import Section
from grpclab.report.svg import alone
from grpclab.report.tables import Contents

EVIL = (
    " <script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>"
    " $x_1^2$ $\\frac{1}$ & </script><!-- \x00\x1b \N{SNOWMAN WITHOUT SNOW}\N{GOTHIC LETTER AHSA}"
)

PINGS = (
    " @octocat @org/team #123 GH-7 org/repo#9 https://github.com/o/r/issues/1 www.evil.example a|b `code` *bold* _it_"
    " [link](javascript:alert(1)) ![image](http://evil.example/x.png) <img src=x onerror=alert(1)> <!-- --> ~~no~~ $x$"
)
"""Text that would act in Markdown."""


def html_of(data: Contents) -> str:
    """What a page shows of pieces one after the other; "" for None."""
    return plain_spaces(str(Section(title="", data=data).html))


def plain_spaces(html: str) -> str:
    """The same with a plain space between a number and its unit, where a page has one that does not break."""
    return html.replace("\N{NO-BREAK SPACE}", " ")


VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a test asks of a page: its elements, its text, and whether it is well nested."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.html = html
        self.feed(re.sub(r"<wbr/?>", "", html))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @functools.cached_property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def images(self) -> list[str]:
        """What every figure is said to show."""
        return [a["aria-label"] for a in self.all("div") if a.get("role") == "img"]

    @functools.cached_property
    def _drawn(self) -> list[str]:
        drawn = [alone(svg) for svg in re.findall(r"<svg .*?</svg>", self.html, re.DOTALL)]
        return drawn[::2] + drawn[1::2]

    def pictures(self) -> list[str]:
        """Every drawing inside, as a file: the wide ones, then the narrow ones."""
        return self._drawn
