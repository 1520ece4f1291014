"""Silent connections: how long until the first call succeeds again, and how many fail until then."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import numbers
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A configuration after the silence. `first_s` and `censored` have one entry a trial; seconds.

    A censored time is the limit: no call had succeeded by then.
    """

    configuration: str
    title: str
    first_s: list[float]
    censored: list[bool]
    calls: int
    failed: int
    goaways: int

    @property
    def typical(self) -> str:
        """The median time in words, ``> 3 s`` where most are censored."""
        if sum(self.censored) * 2 > len(self.censored):
            return f"> {qty.duration(max(self.first_s))}"
        return qty.duration(float(np.median(self.first_s)))


def silences(study: FinishedStudy) -> list[Silence]:
    """The configurations of the plan's ``idle`` that have valid trials."""
    measured = []
    for name in study.plan.idle.configurations if study.plan.idle else ():
        rows = study.rows(name)
        rows = rows[numbers(rows, "time_to_first_success_s").notna()]
        if rows.empty:
            continue
        measured.append(
            Silence(
                configuration=name,
                title=study.title(name),
                first_s=numbers(rows, "time_to_first_success_s").tolist(),
                censored=(numbers(rows, "first_success_censored") > 0).tolist(),
                calls=int(rows["requests"].sum()),
                failed=int(rows["errors"].sum()),
                goaways=int(numbers(rows, "link_goaways").fillna(0).sum()),
            )
        )
    return measured


def idle(study: FinishedStudy) -> FigureBlock | None:
    """The dots; None where no trial of the scenario is valid."""
    drawn = silences(study)
    planned = study.plan.idle
    if not planned or not drawn:
        return None
    limit, pause, forgotten = (qty.number(s) for s in (planned.limit_s, planned.pause_s, planned.idle_timeout_s))
    least = min(min(one.first_s) for one in drawn)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        ax.set_xscale("log")
        ax.axvline(limit, color=theme.QUIET, lw=1, ls=(0, (4, 3)))
        for y, one in enumerate(drawn):
            colour = theme.VERDICT["slower"] if all(one.censored) else theme.CANDIDATE
            spread = np.linspace(-0.12, 0.12, len(one.first_s)) if len(one.first_s) > 1 else [0.0]
            for first, censored, off in zip(one.first_s, one.censored, spread, strict=True):
                marker, inside = (">", "none") if censored else ("o", colour)
                ax.plot([first], [y + off], ms=7, mec=colour, mew=1.4, ls="none", marker=marker, mfc=inside)
            ax.text(
                limit * 1.35,
                y,
                f"{one.typical}\n{one.failed:,} of {one.calls:,} failed",
                va="center",
                fontsize=8.5,
                color=theme.INK,
            )
        ax.set_xlim(least / 2, limit * (9 if narrow else 4))
        ax.set_ylim(len(drawn) - 0.5, -0.5)
        titles = [textwrap.fill(words.short(one.title, 72), 18 if narrow else 34) for one in drawn]
        ax.set_yticks(range(len(drawn)), titles)
        ticks = [t for t in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10) if least / 2 <= t <= limit]
        theme.plain_ticks(ax, "x", ticks[:: 2 if narrow else 1], qty.duration)
        theme.clean(ax)
        ax.set_xlabel(
            "from the first call to the first success"
            if narrow
            else "from the first call after the idle period to the first success"
        )

    return figure_block(
        title="Time until a call succeeds again",
        draw=draw,
        wide_height_in=0.62 * len(drawn) + 0.9,
        narrow_height_in=0.95 * len(drawn) + 0.9,
        alt=f"One dot per trial. {_outcomes(drawn)}",
        caption=(
            f"The connections were idle for {qty.duration(pause)} on a link that drops idle connections after "
            f"{qty.duration(forgotten)}. {_outcomes(drawn)}"
        ),
        how_to_read=(
            "Each marker is one trial. In a trial, connections are used, then left idle until the emulated link "
            "drops them; then calls resume. A dot shows the time from the first of these calls until one succeeded. "
            "An open arrow at the dashed line marks a trial that ended before any call succeeded, so the true time "
            "is longer. The median time and the number of failed calls across all trials are on the right. A ratio of "
            "such times is only a bound."
        ),
        engines=study.engines([one.configuration for one in drawn]),
    )


def _outcomes(drawn: list[Silence]) -> str:
    parts = []
    for one in drawn:
        late = one.typical.startswith(">")
        first = f"no success within {one.typical.removeprefix('> ')}" if late else f"first success after {one.typical}"
        facts = [first, f"{one.failed:,} of {one.calls:,} calls failed"]
        if one.goaways:
            facts.append(qty.count(one.goaways, "GOAWAY"))
        parts.append(f"{one.title}: {', '.join(facts)}")
    return f"{words.sentence_case('; '.join(parts))}."
