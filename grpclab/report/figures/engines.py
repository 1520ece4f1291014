"""The cost of the client: the same servers loaded by two engines, and the CPU that each side spends on a call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grpclab import quantities as qty
from grpclab.analysis import Comparison, Interval
from grpclab.metrics import value_text
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

ORDER = ("grpcio", "wire")
"""The engines in the order of reading: the client that people have first."""
_SERVER, _CLIENT = "#4A5866", "#E3A94F"
_CUT = 1.25  # an interval that reaches further than so many times the longest bar is cut
_GROUP = 0.9  # the room of a variant's name, in rows


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant under one engine. `limits` are the labels of what limited it."""

    engine: str
    configuration: str
    throughput_rps: Interval
    server_cpu_s: Interval
    client_cpu_s: Interval
    limits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Client:
    """A variant under both engines. `comparison` is wire / grpcio in throughput."""

    variant: str
    colour: str
    rows: tuple[Row, ...]
    comparison: Comparison

    @property
    def ratio(self) -> float:
        """Requests/s with wire over those with grpcio; NaN if there is none."""
        return self.comparison.ratio

    @property
    def at_least(self) -> bool:
        """Whether the faster client was at its end too, so that the ratio may be larger."""
        return any(row.limits for row in self.rows if row.engine == "wire")


def clients(study: FinishedStudy) -> list[Client]:
    """The variants that the plan measures with both engines, and that have a valid trial."""
    measured = []
    scenario = study.plan.engines.scenario if study.plan.engines else ""
    for variant, names in study.engine_rows.items():
        pair = [names[engine] for engine in ("grpcio", "wire") if engine in names]
        rows = tuple(_row(study, engine, names[engine], pair) for engine in ORDER if engine in names)
        rows = tuple(row for row in rows if math.isfinite(row.throughput_rps.mean))
        if rows:
            measured.append(
                Client(
                    variant=variant,
                    colour=study.colour(list(names.values())),
                    rows=rows,
                    comparison=study.comparison(
                        scenario, "throughput_rps", names.get("grpcio", ""), names.get("wire", "")
                    ),
                )
            )
    return measured


def engines(study: FinishedStudy) -> FigureBlock | None:
    """Requests/s of each variant under each engine, and CPU per call; None where nothing was measured."""
    drawn = clients(study)
    if not drawn:
        return None
    places, rows = _places(drawn)
    spent = any(math.isfinite(row.server_cpu_s.mean) for client in drawn for row in client.rows)
    panels = 2 if spent else 1

    def draw(figure: Figure, narrow: bool) -> None:
        shape = (panels, 1) if narrow else (1, panels)
        axes = figure.subplots(*shape, squeeze=False, sharey=not narrow).ravel()
        _throughput(axes[0], places)
        if spent:
            _cpu(axes[1], places)
        for ax in axes:
            _frame(ax, drawn, places, rows, names=narrow or ax is axes[0])

    panel_in = 0.34 * rows + 0.75
    return figure_block(
        title="The same servers, two clients",
        draw=draw,
        wide_height_in=panel_in,
        narrow_height_in=panel_in * panels,
        alt=_alt(drawn),
        caption=_caption(study),
        how_to_read=(
            "First panel: requests per second with 95% intervals (an arrow marks an interval that extends beyond the "
            "panel). The ratio in brackets is the throughput with wire divided by the throughput with grpcio, taken "
            "within blocks. A hollow bar means that the client was the limit, so the server can do at least that "
            "much. Second panel: CPU time per call in the server and in the client. The server's cost should hardly "
            "depend on the client; the client's own cost does, and it caps the throughput of a client that has one "
            "core."
        ),
        engines=study.engines(row.configuration for client in drawn for row in client.rows),
    )


def sentence(study: FinishedStudy) -> str:
    """The cost of the client in one plain-text sentence; "" where nothing was measured."""
    drawn = clients(study)
    if not drawn:
        return ""
    by_verdict: dict[str, list[Client]] = {}
    for client in reversed(drawn):  # the variant that asks most of its client first
        verdict = client.comparison.verdict if client.comparison.computed else "none"
        by_verdict.setdefault(verdict, []).append(client)
    parts = []
    if more := by_verdict.get("faster"):
        first, *others = [f"{'at least ' if c.at_least else ''}{qty.ratio(c.ratio)}" for c in more]
        gains = [f"{more[0].variant} reaches {first}"]
        gains += [f"{c.variant} {ratio}" for c, ratio in zip(more[1:], others, strict=True)]
        base = study.plan.engines.base if study.plan.engines else ""
        reached = "it reaches" if len(more) == 1 else "they reach"
        parts.append(f"With the wire engine, {words.listing(gains)} the throughput that {reached} with a Python client")
        parts.append(
            "The client accounts for that difference in the figures above"
            if base == "grpcio"
            else "With a Python client, throughput would be lower than in the figures above by that factor"
        )
    if same := by_verdict.get("equivalent"):
        parts.append(
            f"{_ratios(same)}: both engines reach the same throughput, so the server is the limit, not the client"
        )
    if less := by_verdict.get("slower"):
        parts.append(f"{_ratios(less)}: throughput is lower with the wire engine than with a Python client")
    if open_ := by_verdict.get("inconclusive"):
        parts.append(f"{_ratios(open_)}: undecided; the client may or may not reduce throughput")
    if none := by_verdict.get("none"):
        parts.append(f"No block has results with both engines for {words.listing(c.variant for c in none)}")
    return f"{'. '.join(parts)}."


def _ratios(alike: list[Client]) -> str:
    ratios = words.listing([f"{words.estimate(c.comparison)} for {c.variant}" for c in alike])
    return f"The ratio of the wire engine to grpcio is {ratios}"


def variants(study: FinishedStudy) -> tuple[str, str]:
    """The two variants of the headline, baseline and candidate, where the plan measures both with both engines."""
    of = {name: variant for variant, row in study.engine_rows.items() for name in row.values()}
    baseline, candidate = of.get(study.baseline, ""), of.get(study.candidate, "")
    return (baseline, candidate) if baseline and candidate else ("", "")


def by_engine(study: FinishedStudy) -> list[tuple[str, Comparison]]:
    """The headline's two variants compared under each engine; those without a ratio are left out."""
    baseline, candidate = (study.engine_rows.get(variant, {}) for variant in variants(study))
    scenario, metric = study.headline.scenario, study.metric_of_headline
    compared = [
        (engine, study.comparison(scenario, metric, baseline[engine], candidate[engine]))
        for engine in ORDER
        if engine in baseline and engine in candidate
    ]
    return [(engine, c) for engine, c in compared if c.computed]


def _row(study: FinishedStudy, engine: str, configuration: str, pair: Sequence[str]) -> Row:
    def level(metric: str) -> Interval:
        table = study.levels_of_pair(metric, *pair) if len(pair) == 2 else study.levels([configuration], metric)
        row = next(table[table["configuration"] == configuration].itertuples(index=False))
        return Interval(
            mean=qty.number(row.mean),
            low=qty.number(row.ci_low),
            high=qty.number(row.ci_high),
            blocks=int(qty.number(row.blocks)),
        )

    return Row(
        engine=engine,
        configuration=configuration,
        throughput_rps=level("throughput_rps"),
        server_cpu_s=level("server_cpu_per_call_s"),
        client_cpu_s=level("client_cpu_per_call_s"),
        limits=tuple(study.limits(configuration)),
    )


def _places(drawn: list[Client]) -> tuple[list[tuple[Client, Row, float]], float]:
    """Every bar with its height in rows, and how many rows there are in all."""
    places, y = [], 0.0
    for client in drawn:
        y += _GROUP
        for row in client.rows:
            places.append((client, row, y))
            y += 1
    return places, y


def _throughput(ax: Axes, places: list[tuple[Client, Row, float]]) -> None:
    levels = [row.throughput_rps for _, row, _ in places]
    ends = [max(v for v in (level.mean, level.high) if math.isfinite(v)) for level in levels]
    cut = min(max(ends), _CUT * max(level.mean for level in levels))
    ax.set_xlim(0, cut * 1.5)
    for client, row, y in places:
        level = row.throughput_rps
        face = theme.PAPER if row.limits else client.colour
        ax.barh(y, level.mean, height=0.62, fc=face, ec=client.colour, lw=1.6, zorder=2)
        end = min(cut, max(v for v in (level.mean, level.high) if math.isfinite(v)))
        if math.isfinite(level.low) and math.isfinite(level.high):
            ax.plot([level.low, end], [y, y], color=theme.INK, lw=1.2, zorder=3)
            if level.high > cut:
                ax.plot(end, y, ">", color=theme.INK, ms=4, zorder=3)
        judged = row.engine == "wire" and client.comparison.computed
        text = qty.amount(level.mean) + (f"  ({qty.ratio(client.ratio)})" if judged else "")
        _beside(ax, end, y, text, bold=judged)
    theme.clean(ax, grid="x")
    ax.xaxis.set_major_formatter(lambda value, _: qty.amount_tick(value))
    ax.locator_params(axis="x", nbins=5)
    ax.set_title("requests per second")


def _cpu(ax: Axes, places: list[tuple[Client, Row, float]]) -> None:
    longest = 0.0
    for _, row, y in places:
        left, spent = 0.0, []
        for level, colour in ((row.server_cpu_s, _SERVER), (row.client_cpu_s, _CLIENT)):
            if math.isfinite(level.mean):
                ax.barh(y, level.mean * 1e6, left=left, height=0.62, fc=colour, ec=theme.PAPER, lw=0.8, zorder=2)
                left += level.mean * 1e6
                spent.append(qty.microseconds(level.mean))
        _beside(ax, left, y, " + ".join(spent), bold=False)
        longest = max(longest, left)
    ax.set_xlim(0, longest * 1.45)
    theme.clean(ax, grid="x")
    ax.locator_params(axis="x", nbins=5)
    ax.set_title("CPU per call, µs")
    ax.legend(
        handles=[Patch(fc=_SERVER, label="server"), Patch(fc=_CLIENT, label="client")],
        loc="lower right",
        bbox_to_anchor=(1, 0.99),
        ncols=2,
        frameon=False,
        fontsize=8.5,
        handlelength=1.1,
        handleheight=1.1,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _beside(ax: Axes, x: float, y: float, text: str, *, bold: bool) -> None:
    ax.annotate(
        text,
        xy=(x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold" if bold else "normal",
        color=theme.INK if bold else theme.QUIET,
    )


def _frame(ax: Axes, drawn: list[Client], places: list[tuple[Client, Row, float]], rows: float, *, names: bool) -> None:
    ax.set_yticks([y for _, _, y in places], [row.engine for _, row, _ in places], color=theme.INK)
    ax.tick_params(left=False, labelleft=names)
    ax.set_ylim(rows - 0.5, -0.35)
    ax.spines["left"].set_visible(False)
    for client in drawn if names else ():
        first = next(y for other, _, y in places if other is client)
        ax.text(0, first - 0.72, words.short(client.variant, 40), transform=ax.get_yaxis_transform(), fontweight="bold")


def _alt(drawn: list[Client]) -> str:
    parts = []
    for client in drawn:
        rows = [
            f"{row.engine} {value_text('throughput_rps', row.throughput_rps.mean)}, CPU per call "
            f"{qty.duration(row.server_cpu_s.mean)} (server) and {qty.duration(row.client_cpu_s.mean)} (client)"
            for row in client.rows
        ]
        parts.append(f"{client.variant}: {'; '.join(rows)}; wire over grpcio {qty.ratio(client.ratio)}")
    return f"Bar chart. {'. '.join(parts)}."


def _caption(study: FinishedStudy) -> str:
    compared = by_engine(study)
    ratios = [f"{qty.ratio(c.ratio)} with {engine} ({c.verdict})" for engine, c in compared]
    if not ratios:
        return "Requests per second and CPU time per call, by engine."
    baseline, candidate = variants(study)
    return f"{words.sentence_case(candidate)} against {baseline}: {words.listing(ratios)}."
