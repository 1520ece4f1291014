"""The parts of a report: figures with their words, and sections."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from html import unescape

from grpclab.load.output.notebook_html import in_cell
from grpclab.report import svg, theme, words
from grpclab.report.assets import style
from grpclab.report.words import esc


@dataclass(frozen=True, kw_only=True)
class FigureBlock:
    """A figure in two widths with the words that belong to it.

    `alt` tells what is to be seen, numbers included, to who cannot see it; `caption` is the one sentence to
    take away; `how_to_read` explains marks and axes. All text is plain and is escaped here. `above` stands on the
    picture, so that it is there wherever the picture goes.
    """

    title: str
    draw: theme.Draw
    wide_height_in: float
    narrow_height_in: float
    above: str
    alt: str
    caption: str
    how_to_read: str

    @functools.cached_property
    def svg_wide(self) -> str:
        """The picture for a page, as an SVG file."""
        return theme.draw_svg(self.draw, narrow=False, height_in=self.wide_height_in, above=self.above)

    @functools.cached_property
    def svg_narrow(self) -> str:
        """The picture for a phone, as an SVG file."""
        return theme.draw_svg(self.draw, narrow=True, height_in=self.narrow_height_in, above=self.above)

    def png(self) -> bytes:
        """The picture for a page, as a PNG file of 200 dots an inch."""
        return theme.draw_png(self.draw, height_in=self.wide_height_in, above=self.above)

    def html(self) -> str:
        """A ``<figure>`` whose picture is chosen by the width of the window and follows the theme of the page."""
        return (
            f'<figure class="gl-figure"><h3>{esc(self.title)}</h3>'
            f'<div class="gl-picture" role="img" aria-label="{esc(self.alt)}">'
            f'<div class="gl-wide">{svg.inline(self.svg_wide)}</div>'
            f'<div class="gl-narrow">{svg.inline(self.svg_narrow)}</div></div>'
            f"<figcaption>{esc(self.caption)}</figcaption>"
            f"<details><summary>How to read this</summary><p>{esc(self.how_to_read)}</p></details></figure>"
        )

    def _repr_html_(self) -> str:
        return in_notebook(self.html())


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. `html` is complete and escaped; `anchor` names it within the page."""

    title: str
    html: str = field(repr=False)
    anchor: str = ""

    def _repr_html_(self) -> str:
        return in_notebook(f"<h2>{esc(self.title)}</h2>{self.html}")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The output of a notebook cell: HTML in the report's style, and the same as text for readers without HTML."""

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return in_notebook(self.html)


def folded(parts: Iterable[Section], *, unfolded: Container[str] = ()) -> str:
    """Sections one below the other, each folded to its title and what it shows first, but for the anchors `unfolded`.

    A reader sees on one screen what there is.
    """
    return "".join(
        f'<details class="gl-fold"{" open" if part.anchor in unfolded else ""}>'
        f"<summary><b>{esc(part.title)}</b>{_gist(part.html)}</summary>{part.html}</details>"
        for part in parts
    )


_CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
_WARNINGS = re.compile(r'<ul class="gl-warnings">(.*?)</ul>', re.DOTALL)
_GIST = 140
"""So many letters of a caption stand beside a folded section's title."""


def _gist(html: str) -> str:
    if match := _WARNINGS.search(html):
        return f" <small>({match[1].count('<li>')})</small>"
    caption = _CAPTION.search(html)
    return f" <small>{esc(words.short(unescape(caption[1]), _GIST))}</small>" if caption else ""


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
    """A figure of trials; `engines` are those that made its load."""
    return FigureBlock(
        title=title,
        draw=draw,
        wide_height_in=wide_height_in,
        narrow_height_in=narrow_height_in,
        above=engines,
        alt=f"{alt} {words.sentence_case(engines)}." if engines else alt,
        caption=caption,
        how_to_read=how_to_read,
    )


_PICTURE = re.compile(
    r'<div class="gl-picture" role="img" aria-label="([^"]*)"><div class="gl-wide">(<svg.*?</svg>)</div>'
    r'<div class="gl-narrow">.*?</svg></div></div>',
    re.DOTALL,
)


def in_notebook(body: str) -> str:
    """A part of the page on its own, as a notebook shows it: with its style, in the theme of the notebook.

    Pictures become images: viewers that do not trust a notebook drop drawings, and keep images.
    """
    shown = _PICTURE.sub(lambda match: f'<img src="{_data_uri(svg.themed(match[2]))}" alt="{match[1]}">', body)
    return in_cell(style("content.css") + style("cell.css"), f'<div class="gl">{shown}</div>')


def _data_uri(picture: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode('ascii')}"
