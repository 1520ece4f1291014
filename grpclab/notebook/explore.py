"""The code behind the cells of ``explore.ipynb``: the studies, the columns of a frame, two studies side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import log_t_interval
from grpclab.errors import DesignError, invalid
from grpclab.factors.config import FACTORS, lookup
from grpclab.factors.own import is_own
from grpclab.metrics import MEASURED, metric_words
from grpclab.notebook.side_by_side import Joined, join, level_text
from grpclab.report import theme, words
from grpclab.report.stored import StoredStudy, finished_studies, load_study
from grpclab.study import values
from grpclab.system.paths import project_root

__all__ = [
    "Joined",
    "columns",
    "join",
    "kind_of",
    "mean_ratio",
    "rank_correlations",
    "ratio_axes",
    "ratio_ends",
    "ratios_sentence",
    "ratios_told",
    "scratch",
    "sources",
    "strongest",
    "studies",
    "varied",
]

NAMES = ("study", "other")
PUBLISHED = ("example.html", "replication.html")
"""The reports of this project that stand in where nothing was measured yet: for `study`, for `other`."""


def studies(namespace: Mapping[str, Any], root: Path | None = None) -> tuple[StoredStudy, StoredStudy]:
    """The two studies that the notebook's variables `study` and `other` name; see :func:`sources`.

    Raises DesignError, shown in one line, also for a misspelt parameter, about which papermill only warns. Other
    variables are up to the user.
    """
    for name, value in namespace.items():
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75)
        if near and name not in NAMES and isinstance(value, str):
            raise DesignError(f"unknown parameter {name!r}: did you mean {near[0]}?")
    root = root or project_root()
    given = {name: _written(name, namespace.get(name, ""), root) for name in NAMES}
    first, second = sources(given["study"], given["other"], root)
    return load_study(first), load_study(second)


def _written(name: str, value: Any, root: Path) -> str:
    """The name of a study as it was written: of a number that of the one study which papermill reads as that.

    Raises DesignError.
    """
    try:
        word = values.text(value)
    except ValueError:
        raise DesignError(invalid(name, value, "the name of a study, or a path")) from None
    if isinstance(value, str) or (root / "results" / word).exists():
        return word
    known = sorted(path.name for path in root.glob("results/*/") if values.as_papermill_reads(path.name) == value)
    return known[0] if len(known) == 1 else word


def sources(study: str, other: str, root: Path) -> tuple[Path, Path]:
    """The folders or reports of two studies; relative names start at `root`.

    An empty `study` is the newest finished study in ``results/``, or else the published example. An empty `other` is
    the next newest one, or else the published replication, or else the same study.
    """
    newest = finished_studies(root / "results")
    example, replication = (root / "reports" / name for name in PUBLISHED)
    if not study and not newest and not example.exists():
        raise DesignError(
            f"there is no finished study in {root / 'results'} and no {example}: run `grpclab study --design quick` "
            "first, or name a study or a report"
        )
    first = _named(study, root) if study else newest[0] if newest else example
    rest = [folder for folder in newest if folder.resolve() != first.resolve()]
    if other:
        return first, _named(other, root)
    if rest:
        return first, rest[0]
    return first, replication if replication.exists() and replication.resolve() != first.resolve() else first


def _named(source: str, root: Path) -> Path:
    """A path as it was given, or the name of a study in results/."""
    asked = (source, root / source, root / "results" / source)
    return next((Path(path) for path in asked if Path(path).exists()), root / source)


def columns(trials: pd.DataFrame) -> pd.DataFrame:
    """The columns of a frame of trials: one row per column, ordered by kind.

    Columns: kind (identity, factor, metric or note), what (a factor's meaning), levels (number of different values),
    missing (share of rows without a value), example.
    """
    rows = []
    for name in trials.columns:
        values = trials[name].dropna()
        rows.append(
            {
                "column": name,
                "kind": kind_of(name, trials[name]),
                "what": lookup(name).meaning if name in FACTORS or is_own(name) else "",
                "levels": values.astype(str).nunique(),
                "missing": 1 - len(values) / max(len(trials), 1),
                "example": words.short(values.iloc[0], 40) if len(values) else "",
            }
        )
    order = {kind: at for at, kind in enumerate(("identity", "factor", "metric", "note"))}
    table = pd.DataFrame(rows).set_index("column")
    return table.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable")


def kind_of(name: str, values: pd.Series) -> str:
    """Whether a column of trials.parquet is a factor, a metric, a note, or part of the trial's identity."""
    if name in FACTORS or is_own(name):
        return "factor"
    measured = name in MEASURED or (pd.api.types.is_float_dtype(values) and name not in ("block", "order", "group"))
    if measured:
        return "metric"
    identity = ("study", "trial", "scenario", "configuration", "block", "order", "group", "started_at", "valid")
    return "identity" if name in identity else "note"


def varied(trials: pd.DataFrame) -> pd.Series:
    """The factors that have more than one level in these trials, with their levels as text."""
    levels = {
        name: words.listing(sorted(set(map(level_text, trials[name])), key=_by_size))
        for name in [*FACTORS, *filter(is_own, trials.columns)]
        if name in trials.columns and trials[name].astype(str).nunique() > 1
    }
    return pd.Series(levels, name="levels", dtype=object)


def rank_correlations(trials: pd.DataFrame, metrics: Iterable[str], *, target: str = "throughput_rps") -> pd.DataFrame:
    """Spearman's rank correlation of each metric with `target`, over the configurations in each block.

    One row per block, one column per metric; 1 or -1 if the metric puts the configurations in exactly the same or the
    opposite order. Blocks are kept apart, so changes of the machine from block to block have no influence. NaN if fewer
    than 3 configurations have both values.
    """
    names = list(metrics)
    rows = {}
    for block, of_block in trials.groupby("block"):
        row = {}
        for name in names:
            both = of_block[[name, target]].dropna()
            enough = len(both) >= 3 and bool(both.nunique().gt(1).all())
            row[name] = float(both[name].corr(both[target], method="spearman")) if enough else np.nan
        rows[block] = row
    return pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("block")


def strongest(correlations: pd.DataFrame) -> str:
    """One sentence on :func:`rank_correlations`: the metric most closely related to the target, and in how many
    blocks."""
    known = correlations.dropna(axis="columns", how="all").dropna(how="all")
    unknown = [str(name) for name in correlations.columns if name not in known.columns]
    if known.empty:
        return "No conclusion is possible, because no block has results for at least three configurations."
    middle = known.median().abs().sort_values(ascending=False)
    first = str(middle.index[0])
    leads = int(known.abs().idxmax(axis="columns").eq(first).sum())
    low, high = known[first].min(), known[first].max()
    text = (
        f"Throughput correlates most strongly with {metric_words(first)}: rank correlation "
        f"{known[first].median():+.2f} in the median block ({low:+.2f} to {high:+.2f} over "
        f"{qty.count(len(known), 'block')}), the strongest in {leads}."
    )
    if len(middle) > 1:
        second = str(middle.index[1])
        text += f" Next is {metric_words(second)} with {known[second].median():+.2f}."
    if unknown:
        text += f" There were too few calls to measure {words.listing(map(metric_words, unknown))}."
    return text


def mean_ratio(ratios: pd.Series) -> float:
    """The geometric mean of ratios, one per block: an `estimator` for seaborn."""
    return log_t_interval(ratios).mean


def ratio_ends(ratios: pd.Series) -> tuple[float, float]:
    """The ends of the 95 % t interval on the logarithms: an `errorbar` for seaborn, whose default is a bootstrap."""
    interval = log_t_interval(ratios)
    return interval.low, interval.high


def ratio_axes(figure: Any, which: str = "x") -> None:
    """Make the axes of ratios logarithmic, with ticks such as 0.5× and 2×, for a seaborn grid or a single plot."""
    for ax in np.ravel(np.asarray(figure.axes, dtype=object)):
        for axis in which:
            getattr(ax, f"set_{axis}scale")("log")
            low, high = getattr(ax, f"get_{axis}lim")()
            theme.plain_ticks(ax, axis, theme.ratio_ticks(low, high, most=5), qty.ratio_tick)


def ratios_sentence(ratios: pd.DataFrame, *, baseline: str, candidate: str) -> str:
    """One sentence on a frame with one row per block and a column `ratio` for each `metric`."""
    sentences = []
    for metric, of_metric in ratios.groupby("metric", sort=False):
        interval = log_t_interval(of_metric["ratio"])
        between = qty.interval(interval.low, interval.high)
        certain = f", {between}" if between != qty.MISSING else ": no interval"
        blocks = qty.count(interval.blocks, "block")
        sentences.append(f"{metric_words(str(metric))} {qty.ratio(interval.mean)} ({blocks}{certain})")
    return (
        f"{candidate} against {baseline}: {words.listing(sentences)}."
        if sentences
        else ("No block has results for both sides.")
    )


ratios_told = ratios_sentence
"""The name of the first edition, until 1.0."""


def _by_size(level: str) -> tuple[float, str]:
    """Numbers in their order, after words."""
    number = qty.number(level)
    return (number if np.isfinite(number) else -np.inf), level


def scratch() -> Path:
    """The folder for what an exploration saves: ``results/scratch/explore``."""
    folder = project_root() / "results" / "scratch" / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
