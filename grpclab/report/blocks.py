"""The parts of a report: figures with their words, and sections."""

from __future__ import annotations

import base64
import functools
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from grpclab.load.output.notebook_html import in_cell
from grpclab.report import assets, svg, theme, words
from grpclab.report.tables import Composed, Contents, Piece, plain_pieces
from grpclab.text import pages


@dataclass(frozen=True, kw_only=True)
class FigureBlock(Piece):
    """A figure in two widths with the words that belong to it.

    `alt` tells what is to be seen, numbers included, to who cannot see it; `caption` is the one sentence to
    take away; `how_to_read` explains marks and axes. All text is plain. `above` stands on the picture, so that it is
    there wherever the picture goes.
    """

    title: str
    draw: theme.Draw
    wide_height_in: float
    narrow_height_in: float
    above: str
    alt: str
    caption: str
    how_to_read: str

    TEMPLATE = "figure.html.j2"

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

    @functools.cached_property
    def wide(self) -> str:
        """The picture for a page, as an element that follows its theme."""
        return svg.inline(self.svg_wide)

    @functools.cached_property
    def narrow(self) -> str:
        """The picture for a phone, as such an element."""
        return svg.inline(self.svg_narrow)

    @property
    def image(self) -> str:
        """The picture as the address of an image."""
        encoded = base64.b64encode(svg.themed(self.wide).encode()).decode("ascii")
        return f"data:image/svg+xml;base64,{encoded}"

    @property
    def told(self) -> tuple[str, ...]:
        """What the figure shows, in sentences: the caption, unless `alt` repeats it, and `alt`."""
        return (self.alt,) if self.caption in self.alt else (self.caption, self.alt)

    def html(self) -> str:
        """A ``<figure>`` whose picture is chosen by the width of the window and follows the theme of the page."""
        return str(self.rendered())

    def _repr_html_(self) -> str:
        return in_notebook(self)


@dataclass(frozen=True, kw_only=True)
class Section(Piece):
    """A part of the report: a title, and what stands below it.

    `anchor` names it within the page. `data` is a piece, or several of them one after the other. A section that is
    `folded` shows its title alone until it is opened.
    """

    title: str
    anchor: str = ""
    data: Contents = None
    folded: bool = False

    def rendered(self, *, in_cell: bool = False) -> Markup:
        """All below the title."""
        return assets.rendered("pieces_in_order.html.j2", in_cell=in_cell, it=self.data).strip()

    @functools.cached_property
    def html(self) -> Markup:
        """All below the title, for a page."""
        return self.rendered()

    @functools.cached_property
    def plain_pieces(self) -> list[Piece]:
        """All below the title as plain pieces, for media other than HTML."""
        return list(plain_pieces(self.data))

    @property
    def figures(self) -> list[FigureBlock]:
        """Its figures, in their order."""
        return [piece for piece in self.plain_pieces if isinstance(piece, FigureBlock)]

    @property
    def gist(self) -> str:
        """What stands beside the title while the section is folded: the caption of its first figure, or a count."""
        if self.figures:
            return words.opening(self.figures[0].caption, _GIST)
        return self.data.gist if isinstance(self.data, Composed) else ""

    def _repr_html_(self) -> str:
        return in_notebook(TitledPart(title=self.title, part=self))


_GIST = 170
"""So many letters of a caption stand beside a folded section's title."""


@dataclass(frozen=True, kw_only=True)
class TitledPart(Piece):
    """A part below its title."""

    title: str
    part: Piece

    TEMPLATE = "cells/titled.html.j2"


@dataclass(frozen=True, kw_only=True)
class Folded(Piece):
    """Sections one below the other, each folded to its title and its gist, but for the anchors `unfolded`.

    A reader sees on one screen what there is.
    """

    sections: Sequence[Section]
    unfolded: Container[str] = ()

    TEMPLATE = "cells/folded.html.j2"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The output of a notebook cell: its parts in the report's style, and the same as text for readers without HTML."""

    parts: Sequence[Piece]
    text: str

    def __repr__(self) -> str:
        return self.text

    @property
    def html(self) -> str:
        """The parts as HTML, without the style that a cell needs."""
        return _in_cell(self.parts)

    def _repr_html_(self) -> str:
        return in_notebook(*self.parts)


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


def in_notebook(*parts: Piece) -> str:
    """Parts of the page on their own, as a notebook shows them: with their style, in the theme of the notebook."""
    return in_cell(pages.cell_style(), Markup('<div class="gl">{}</div>').format(_in_cell(parts)))


def _in_cell(parts: Iterable[Piece]) -> Markup:
    return Markup().join(part.rendered(in_cell=True) for part in parts)
