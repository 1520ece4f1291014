"""Pictures inside the page: names and styles of their own, colours of the page's theme, and back into files."""

from __future__ import annotations

import re
from typing import get_args
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from grpclab.analysis.inference.verdict import Verdict
from grpclab.report import svg, theme
from grpclab.report.assets import light_colours


def drawn(text: str = "a") -> str:
    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        (line,) = ax.plot([1, 2, 3], [3, 1, 2], "o-", color=theme.CANDIDATE, clip_on=True)
        theme.tip(line, text)
        ax.set_title(text)

    return theme.draw_svg(draw, narrow=False, height_in=2)


def test_two_pictures_share_no_name_and_no_style() -> None:
    first, second = svg.inline(drawn("a")), svg.inline(drawn("b"))
    names = [set(re.findall(r'\bid="([^"]+)"', one)) for one in (first, second)]
    assert names[0]
    assert names[0].isdisjoint(names[1])
    for one, mine in zip((first, second), names, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', one)) == mine
        assert "<style" not in one
        assert "<metadata" not in one
        assert one.startswith('<svg viewBox="')


def test_every_colour_is_one_of_the_page() -> None:
    element = svg.inline(drawn())
    assert not re.search(r"#[0-9a-f]{6}\b", element)
    palette = svg.palette(element)
    used = set(re.findall(r"var\(--c([0-9a-f]{6})\)", element))
    assert "d55e00" in used
    assert set(re.findall(r"--c([0-9a-f]{6}):light-dark\(#", palette)) == used


def test_a_picture_can_be_a_file_again() -> None:
    root = ElementTree.fromstring(svg.alone(svg.inline(drawn("x < y & z"))))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "x < y & z" in "".join(root.itertext())
    assert "var(" not in svg.alone(svg.inline(drawn()))


@pytest.mark.parametrize("text", ["plain", "</title><script>alert(1)</script>", "a\"b'c", "größer ×"])
def test_a_tooltip_is_text(text: str) -> None:
    element = svg.inline(drawn(text))
    root = ElementTree.fromstring(element.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    assert [title.text for title in root.iter("title")] == [text]
    assert not list(root.iter("script"))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [theme.INK, theme.QUIET, *theme.VERDICT.values(), theme.BASELINE, theme.CANDIDATE])
def test_words_and_marks_can_be_read_in_the_dark(colour: str) -> None:
    dark = svg.in_the_dark(colour[1:].lower())
    ground = luminance("#171e26")
    assert (luminance(dark) + 0.05) / (ground + 0.05) > 4.5


def test_every_verdict_has_one_colour_on_its_badge_and_in_figures() -> None:
    assert set(theme.VERDICT) == set(theme.VERDICT_MARKER) == set(get_args(Verdict))
    assert light_colours("slower") == {"slower": theme.VERDICT["slower"]}
