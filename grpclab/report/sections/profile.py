"""The profiles of the server: baseline, candidate, and the change with its interval over blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference import evidence
from grpclab.analysis.inference.ratios import numbers
from grpclab.profiling.families import SHOWN as FAMILIES
from grpclab.report import figures, words
from grpclab.report.blocks import FigureBlock
from grpclab.report.figures.shares import VIEWS, View
from grpclab.report.finished import FinishedStudy
from grpclab.report.shifts import Format, change, level, points
from grpclab.report.tables import BREAK, Cell, Cells, Composed, Contents, Missing, Paragraph, Table, code, small

TITLE, ANCHOR, PLACE, FOLDED = "Profile", "profile", 160, True

MOST_CALLS = 8
"""So many system calls are listed by name, the most frequent ones."""
LEAST_CPU = 0.002
"""Threads with less than this share of the CPU time of a call are not listed."""
_TO_US = 1e6


@dataclass(frozen=True, kw_only=True)
class Profiled(Composed):
    """What changed most, the pictures, the profilers that gave none and why, and the tables; or why there is nothing.

    `nothing` is "" where there are pictures.
    """

    nothing: str = ""
    lead: str = ""
    pictures: tuple[FigureBlock, ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def pieces(self) -> Contents:
        """What changed most, the figures, the tables; or that there is nothing."""
        if self.nothing:
            return Missing(text=f"There is no profile: {self.nothing}.")
        return [
            Paragraph(text=self.lead) if self.lead else None,
            self.pictures,
            [Paragraph(text=f"There is no figure from {name}: {note}") for name, note in self.lacking],
            self.tables,
        ]


def section(study: FinishedStudy) -> Profiled | None:
    """The largest changes, the figures of the profilers, and the tables; None where the plan profiles nothing."""
    drawn = [block for view in VIEWS if (block := figures.profile(study, view)) is not None]
    if not drawn:
        reasons = notes(study)
        text = "; ".join(reasons) if reasons else "no trial was sampled"
        return Profiled(nothing=text) if study.plan.profiled else None
    lacking = tuple((view.name, note) for view in VIEWS if (note := _lacking(study, view.note)))
    pair = _sides(study)
    text = evidence.moved(study.trials, *pair, {key: name for key, (name, _) in FAMILIES.items()}) if pair else ""
    tables = tuple(table for table in (_families(study), _accounts(study)) if table)
    return Profiled(lead=words.typeset(text), pictures=tuple(drawn), lacking=lacking, tables=tables)


def notes(study: FinishedStudy) -> list[str]:
    """The reasons why nothing was profiled, as far as trials say so."""
    return [note for view in VIEWS if (note := _lacking(study, view.note, only_empty=False))]


def _lacking(study: FinishedStudy, column: str, *, only_empty: bool = True) -> str:
    """The first note of a look that brought nothing anywhere."""
    profiled = study.trials[study.trials["configuration"].isin(_profiled(study))]
    reasons = [str(note) for note in profiled[column] if note]
    return reasons[0] if reasons and (not only_empty or len(reasons) == len(profiled)) else ""


def _profiled(study: FinishedStudy) -> list[str]:
    return list(study.plan.profiled)


def _sides(study: FinishedStudy) -> tuple[str, str] | None:
    """The headline's two, where both were profiled."""
    pair = (study.baseline, study.candidate)
    return pair if set(pair) <= set(_profiled(study)) else None


def _families(study: FinishedStudy) -> Table | None:
    """The shares of both views with their intervals."""
    rows: list[Cells] = []
    for view in VIEWS:
        trials = study.trials[numbers(study.trials, view.samples) > 0]
        if trials.empty:
            continue
        rows.append([(f"{view.name} ", small(view.sees))])
        for key, (name, _) in FAMILIES.items():
            shares = evidence.work_shares(trials, view.prefix, key)
            if (shares > 0).any():
                rows.append([name, *_cells(study, trials, shares, points)])
        if view.prefix == evidence.PYSPY:
            waits = numbers(trials, f"{view.prefix}{evidence.WAIT}")
            rows.append(["waiting, share of all samples", *_cells(study, trials, waits, points)])
        rows.append([f"samples of {view.name}", *_samples(study, view)])
    return _table(study, "share of active samples", rows, "Profile shares")


def _accounts(study: FinishedStudy) -> Table | None:
    """The kernel's accounting and the counts of system calls."""
    trials = study.trials
    figure: list[tuple[str, pd.Series[float], Format]] = [
        ("CPU time per request", numbers(trials, "server_cpu_per_call_s") * _TO_US, _us),
        ("kernel, share of the CPU time", numbers(trials, "server_kernel_share"), points),
        ("gRPC core's I/O threads, share of the CPU time", numbers(trials, "server_event_engine_share"), points),
        ("context switches, voluntary", numbers(trials, "server_voluntary_switches_per_call"), _each),
        ("context switches, involuntary", numbers(trials, "server_involuntary_switches_per_call"), _each),
    ]
    rows: list[Cells] = [
        [
            (
                "/proc ",
                small(
                    "the kernel's own accounting of every thread during the measured window. The accounting disturbs "
                    "nothing, but does not show what the time was spent on"
                ),
            )
        ],
        *([name, *_cells(study, trials, values, text_of)] for name, values, text_of in figure if values.notna().any()),
        *_threads(study),
    ]
    calls = numbers(trials, "syscalls_per_call")
    if calls.notna().any():
        rows.append(
            [
                (
                    "strace ",
                    small(
                        "every system call by name, in a separate pass. Tracing makes the server several times "
                        "slower, and a slower server waits and wakes up more often, so compare the two sides with "
                        "each other, not with counts from another tool"
                    ),
                )
            ]
        )
        rows.append(["system calls per request", *_cells(study, trials, calls, _each)])
        column = "syscalls_per_call_by_name"
        for name in evidence.keys(trials, column)[:MOST_CALLS]:
            rows.append([code(name), *_cells(study, trials, evidence.keyed(trials, column, name), _each)])
    elif note := _lacking(study, "strace_note"):
        rows.append([("strace ", small(note))])
    return _table(study, "per request", rows, "Kernel accounting and system calls")


def _threads(study: FinishedStudy) -> Iterator[Cells]:
    """CPU time by thread name."""
    trials, column = study.trials, "threads_per_call"
    whole = numbers(trials, "server_cpu_per_call_s").max()
    for name in evidence.keys(trials, column, "user_s"):
        used = sum(evidence.keyed(trials, column, name, kind) for kind in ("user_s", "kernel_s"))
        if isinstance(used, pd.Series) and used.max() > LEAST_CPU * whole:
            yield [("threads named ", code(name)), *_cells(study, trials, used * _TO_US, _us)]


def _samples(study: FinishedStudy, view: View) -> list[Cell]:
    """The number of samples of each side, of those at work, and of blocks."""
    cells: list[Cell] = []
    for name in _profiled(study):
        trials = study.rows(name)
        counts = numbers(trials, view.samples)
        work = (counts * (1 - numbers(trials, f"{view.prefix}{evidence.WAIT}"))).sum()
        blocks = qty.count(int((counts > 0).sum()), "block")
        cells.append((f"{counts.sum():,.0f} in {blocks}", BREAK, small(f"{work:,.0f} of them active")))
    return [*cells, *[""] * (_sides(study) is not None)]


def _cells(study: FinishedStudy, trials: pd.DataFrame, values: pd.Series[float], text_of: Format) -> list[Cell]:
    """A level for each profiled configuration, and the change between the headline's two."""
    cells = [level(evidence.level(trials, name, values), text_of) for name in _profiled(study)]
    pair = _sides(study)
    return cells + ([change(evidence.shift(trials, *pair, values), text_of)] if pair else [])


def _table(study: FinishedStudy, of: str, rows: list[Cells], label: str) -> Table | None:
    header = [of, *(study.title(name) for name in _profiled(study))]
    header += ["change"] if _sides(study) else []
    return Table(header=header, rows=rows, label=label, numeric=range(1, len(header))) if rows else None


def _us(value: float) -> str:
    return f"{value:,.0f} µs"


def _each(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"
