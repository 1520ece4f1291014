"""One look for every figure: colours, sizes, type, and the way to an SVG.

The two colours of a study go with it through every figure: the baseline grey-blue, the candidate orange. They
differ in hue and in lightness for every common kind of colour blindness; no figure says anything by colour
alone.
"""

from __future__ import annotations

import contextlib
import html
import io
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from grpclab import quantities as qty
from grpclab.report import assets, words

BASELINE = "#5F7590"
CANDIDATE = "#D55E00"
OTHERS = ("#0072B2", "#009E73", "#CC79A7", "#8C6D1F", "#56B4E9")
INK, QUIET, FAINT, PAPER = "#1F2933", "#66727F", "#DDE3EA", "#FFFFFF"
VERDICT = assets.light_colours("faster", "slower", "equivalent", "inconclusive")
VERDICT_MARKER = {"faster": "^", "slower": "v", "equivalent": "s", "inconclusive": "o"}
BAND = "#EDF0F4"

WIDE_IN, NARROW_IN = 8.5, 4.2
_ABOVE_IN = 0.24
Draw = Callable[[Figure, bool], None]

# Text stays text: a quarter of the size of outlines, and the page's own face. Boxes are laid out with
# DejaVu Sans, which is wider than any of these, so nothing that fits here overlaps there.
_FACES = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_FONT_IN_SVG = re.compile(r"'DejaVu Sans'[^;\"]*?sans-serif(?:, [^;\"]+)?(?=[;\"])")

_TIP = re.compile(r'<g id="tip-\d+-((?:[0-9a-f]{2})*)">')
_CLIP = re.compile(r"\bp[0-9a-f]{10}\b")


def _rc() -> Any:
    import seaborn as sns

    # Any: the stubs of matplotlib want the literal names of its settings.
    return {
        **sns.axes_style("ticks"),
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "axes.labelsize": 9.5,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 8,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "text.color": INK,
        "axes.labelcolor": QUIET,
        "axes.titlecolor": INK,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "axes.edgecolor": "#B4BDC8",
        "axes.linewidth": 0.8,
        "axes.facecolor": PAPER,
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "grid.color": FAINT,
        "grid.linewidth": 0.7,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "xtick.bottom": True,
        "ytick.left": True,
        "hatch.linewidth": 0.8,
        "lines.linewidth": 2,
        "axes.unicode_minus": True,
        "axes.formatter.use_mathtext": False,
        "text.parse_math": False,
        "text.usetex": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "grpclab",
        "path.simplify": True,
    }


def draw_svg(draw: Draw, *, narrow: bool, height_in: float, above: str = "") -> str:
    """The SVG that `draw(figure, narrow)` makes, byte for byte the same for the same data.

    `above` is a line of words on top, for which the picture grows.
    """
    out = io.StringIO()
    with drawn(draw, narrow=narrow, height_in=height_in, above=above) as figure:
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(out, metadata=nothing)  # savefig would draw twice more
    svg = _TIP.sub(lambda match: f"<g>\n<title>{_decoded(match[1])}</title>", out.getvalue())
    return _numbered(_FONT_IN_SVG.sub(_FACES, svg))


def tip(artist: Artist, text: object) -> None:
    """Words that show where the pointer rests on an artist: its ``<title>`` in the SVG."""
    artist.set_gid(f"tip-{id(artist)}-{words.plain(text).encode('utf-8', 'replace').hex()}")


def _decoded(code: str) -> str:
    return html.escape(bytes.fromhex(code).decode("utf-8", "replace"), quote=False)


def draw_png(draw: Draw, *, height_in: float, above: str = "", dots_per_inch: int = 200) -> bytes:
    """The wide picture of :func:`draw_svg` as a PNG file."""
    out = io.BytesIO()
    with drawn(draw, narrow=False, height_in=height_in, above=above) as figure:
        figure.savefig(out, format="png", dpi=dots_per_inch)
    return out.getvalue()


@contextlib.contextmanager
def drawn(draw: Draw, *, narrow: bool, height_in: float, above: str) -> Iterator[Figure]:
    """The figure, drawn but not yet a file."""
    # From matplotlib's own defaults: a matplotlibrc of the user, or one in the working folder, is for other pictures.
    with style.context(["default", _rc()]), warnings.catch_warnings():
        # A study may carry any name; a letter that DejaVu lacks is there in the reader's own face.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"constrained_layout not applied")
        width_in, strip_in = NARROW_IN if narrow else WIDE_IN, _ABOVE_IN if above else 0.0
        height_in += strip_in
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        layout: Any = figure.get_layout_engine()
        room = (0, 0, 1, 1 - strip_in / height_in)
        layout.set(w_pad=0.06, h_pad=0.06, wspace=0.06, hspace=0.03, rect=room)
        if above:
            middle = 1 - strip_in / 2 / height_in
            figure.text(0.08 / width_in, middle, words.plain(above), color=QUIET, fontsize=8.5, va="center")
        draw(figure, narrow)
        yield figure


def lay_out(figure: Figure) -> None:
    """Give the axes the places that they will have, for what is set by the space of the screen."""
    layout: Any = figure.get_layout_engine()
    layout.execute(figure)


def _numbered(svg: str) -> str:
    """The same picture with its clip paths counted.

    matplotlib names them by a hash of their corners, and the layout's solver gives these another last digit
    from run to run.
    """
    names: dict[str, str] = {}
    return _CLIP.sub(lambda match: names.setdefault(match[0], f"clip{len(names)}"), svg)


def clean(ax: Axes, *, grid: str = "y") -> None:
    """Two spines, a light grid behind the data."""
    import seaborn as sns

    sns.despine(ax=ax, left=grid == "y", bottom=False)
    if grid:
        ax.grid(True, axis="both" if grid == "both" else grid, which="major")  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def plain_ticks(ax: Axes, axis: str, ticks: Sequence[float], text: Callable[[float], str]) -> None:
    """Exactly these ticks, written by `text`, without minor ones."""
    which = ax.xaxis if axis == "x" else ax.yaxis
    which.set_major_locator(FixedLocator(list(ticks)))
    which.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    which.set_minor_locator(NullLocator())


def latency_ticks(ax: Axes, axis: str, values_s: Sequence[float], *, most: int = 9) -> None:
    """Limits and ticks of a logarithmic axis of latencies, seconds, around these values."""
    ends = [v for v in values_s if math.isfinite(v) and v > 0]
    low, high = min(ends) / 1.6, max(ends) * 1.6
    every: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        every = [m * 10.0**e for e in range(-7, 5) for m in steps if low <= m * 10.0**e <= high]
        if len(every) <= most:
            break
    (ax.set_xlim if axis == "x" else ax.set_ylim)(low, high)
    plain_ticks(ax, axis, every, qty.duration)


REACH = 2.5
"""An interval's end moves a log axis by this factor beyond the points at most, or by their own span if that is more."""


def within_reach(points: Sequence[float], ends: Sequence[float], *, also: Sequence[float] = ()) -> list[float]:
    """The points, and the ends of their intervals no further out than REACH allows: a log axis that holds them follows
    no interval that says nothing. `also` are values that the axis holds in any case. Positive numbers; others go."""
    inside = [v for v in (*points, *also) if math.isfinite(v) and v > 0]
    if not inside:
        return []
    factor = max(REACH, max(inside) / min(inside))
    low, high = min(inside) / factor, max(inside) * factor
    return [*inside, *(min(max(v, low), high) for v in ends if not math.isnan(v))]


def arrowheads(ax: Axes, axis: str, ends: tuple[float, float], at: float, colour: str) -> None:
    """Marks at the edges of the axes where an interval goes on beyond them; call it when the axes have their limits."""
    edges = sorted(ax.get_xlim() if axis == "x" else ax.get_ylim())
    beyond = (ends[0] < edges[0], ends[1] > edges[1])
    for edge, goes_on, marker in zip(edges, beyond, "<>" if axis == "x" else "v^", strict=True):
        if goes_on:
            place = (edge, at) if axis == "x" else (at, edge)
            ax.plot(*place, marker, color=colour, ms=5, mew=0, clip_on=False, zorder=4)


_FINE = (0.01, 0.02, 0.05, 0.1, 0.2)
_STEPS: tuple[tuple[float, ...], ...] = (
    *(tuple(round(1 + k * step, 2) for k in range(round(-0.8 / step), round(2 / step) + 1)) for step in _FINE),
    (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5),
    (0.2, 0.5, 1, 1.5, 2, 3, 5, 7, 10),
    tuple(10.0**e * m for e in range(-4, 6) for m in (1, 2, 5)),
    tuple(10.0**e * m for e in range(-4, 6) for m in (1, 3)),
    tuple(10.0**e for e in range(-9, 10)),
)


def ratio_ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Ratios worth a tick between two ends of a log axis, 1 always among them."""
    apart = math.log(high / low) * (0.85 / most)
    for steps in _STEPS:
        inside = [s for s in steps if low * 0.999 <= s <= high * 1.001]
        gaps = [math.log(b / a) for a, b in itertools.pairwise(inside)]
        length = max((len(qty.ratio_tick(s)) for s in inside), default=0)
        far = apart * max(1.0, length / 5)  # `most` is meant for labels like 0.95×
        if steps[0] <= low * 1.5 and steps[-1] >= high / 1.5 and len(inside) >= 3 and min(gaps) >= far:
            return inside
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / most))
    return [10.0**e for e in range(first, last + 1) if e % every == 0]


def ratio_axis(ax: Axes, values: Sequence[float], *, most: int, pad: float = 0.06) -> tuple[float, float]:
    """A log x axis with all finite positive `values` and 1, and at most `most` ticks. Returns its ends."""
    usable = [v for v in values if math.isfinite(v) and v > 0] + [1.0]
    low, high = math.log(min(usable)), math.log(max(usable))
    margin = max(pad * (high - low), 0.02)
    ends = math.exp(low - margin), math.exp(high + margin)
    ax.set_xscale("log")
    ax.set_xlim(*ends)
    plain_ticks(ax, "x", ratio_ticks(*ends, most=most), qty.ratio_tick)
    return ends


def end_labels(ax: Axes, labels: Sequence[tuple[float, float, str, str]], *, gap_points: float = 13.0) -> None:
    """Names at the ends of lines, (x, y, text, colour), pushed apart where they would overlap.

    Call it when the axes have their limits: overlaps are judged in the space of the screen.
    """
    placed = sorted(((float(ax.transData.transform((x, y))[1]), x, y, text, c) for x, y, text, c in labels))
    scale = 72 / ax.figure.dpi
    last = -math.inf
    for height, x, y, text, colour in placed:
        at = max(height * scale, last + gap_points)
        last = at
        ax.annotate(
            words.plain(text),
            xy=(x, y),
            xytext=(8, at - height * scale),
            textcoords="offset points",
            color=colour,
            fontweight="bold",
            va="center",
            ha="left",
            annotation_clip=False,
        )
