"""What a report is made of: figures with their words, and sections."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path

from grpclab.report import theme, words
from grpclab.report.words import esc

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class FigureBlock:
    """A figure in two widths with the words that belong to it.

    `alt` tells what is to be seen, numbers included, to who cannot see it; `caption` is the one sentence to
    take away; `how_to_read` explains marks and axes. All text is plain and is escaped here.
    """

    title: str
    svg_wide: str
    svg_narrow: str
    alt: str
    caption: str
    how_to_read: str

    def html(self) -> str:
        """A ``<figure>`` whose picture is chosen by the width of the window; nothing in it is loaded."""
        return (
            f'<figure class="gl-figure"><h3>{esc(self.title)}</h3>'
            f'<picture><source media="(max-width: 640px)" srcset="{_data_uri(self.svg_narrow)}">'
            f'<img src="{_data_uri(self.svg_wide)}" alt="{esc(self.alt)}"></picture>'
            f"<figcaption>{esc(self.caption)}</figcaption>"
            f"<details><summary>How to read this</summary><p>{esc(self.how_to_read)}</p></details></figure>"
        )

    def _repr_html_(self) -> str:
        return in_notebook(self.html())


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. `html` is complete and escaped; `anchor` names it within the page."""

    title: str
    html: str
    anchor: str = ""

    def _repr_html_(self) -> str:
        return in_notebook(f"<h2>{esc(self.title)}</h2>{self.html}")


def figure_block(
    *,
    title: str,
    draw: theme.Draw,
    wide_height_in: float,
    narrow_height_in: float,
    alt: str,
    caption: str,
    how_to_read: str,
    engines: str,
) -> FigureBlock:
    """Draw a figure at both widths; `engines` stands on it, so that it is there wherever the picture goes."""
    return FigureBlock(
        title=title,
        svg_wide=theme.draw_svg(draw, narrow=False, height_in=wide_height_in, above=engines),
        svg_narrow=theme.draw_svg(draw, narrow=True, height_in=narrow_height_in, above=engines),
        alt=f"{alt} {words.sentence_case(engines)}." if engines else alt,
        caption=caption,
        how_to_read=how_to_read,
    )


def in_notebook(body: str) -> str:
    """A part of the page on its own, as a notebook shows it: with its style, on white whatever the theme."""
    return f'<style>{style("content.css")}</style><div class="gl gl-cell">{body}</div>'


@functools.cache
def style(name: str) -> str:
    """A style sheet of the template, as text."""
    return (TEMPLATES / "grpclab" / name).read_text(encoding="utf-8")


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode('ascii')}"
