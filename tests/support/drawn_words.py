"""The words in a picture as they are drawn: which of them are cut off by its edge, and which lie on others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from grpclab.report import FigureBlock, theme

CUT_POINTS = 1.5
"""So far may a text reach over the edge: the sides of its letters are empty."""
SHARED_POINTS = (1.5, 3.0)
"""Two texts may share so much, across and down: lines of text are higher than their letters."""


def words_out_of_place(block: FigureBlock, narrow: bool) -> Iterator[str]:
    """What is wrong with the words of one of the two pictures, a line each."""
    height_in = block.narrow_height_in if narrow else block.wide_height_in
    with theme.drawn(block.draw, narrow=narrow, height_in=height_in, above=block.above) as figure:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        points = 72 / figure.dpi
        boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in _shown(figure)]
        for text, box in boxes:
            beyond = max(-box.x0, -box.y0, box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) * points
            if beyond > CUT_POINTS:
                yield f"{text!r} is cut off by {beyond:.0f} points"
        for (text, box), (other, there) in itertools.combinations(boxes, 2):
            across = (min(box.x1, there.x1) - max(box.x0, there.x0)) * points
            down = (min(box.y1, there.y1) - max(box.y0, there.y0)) * points
            if across > SHARED_POINTS[0] and down > SHARED_POINTS[1]:
                yield f"{text!r} lies on {other!r}"


def _shown(figure: Figure) -> list[Text]:
    """The texts of a figure that are drawn; the labels of ticks beyond the ends of an axis are not."""
    hidden: set[Text] = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (ax.axison and low <= tick.get_loc() <= high):
                    hidden |= {tick.label1, tick.label2}
    texts = [each for each in figure.findobj(Text) if isinstance(each, Text) and each not in hidden]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]
