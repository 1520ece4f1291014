"""What the cells of ``explore.ipynb`` call: which studies, what is in a frame, and two studies side by side."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import log_t_interval
from grpclab.errors import DesignError, invalid
from grpclab.factors.config import FACTORS
from grpclab.metrics import MEASURED, metric_words
from grpclab.report import theme, words
from grpclab.report.stored import StoredStudy, finished_studies, load_study
from grpclab.study import values
from grpclab.system.paths import project_root

NAMES = ("study", "other")
PUBLISHED = ("example.html", "replication.html")
"""The reports of this project that stand in where nothing was measured yet: for `study`, for `other`."""
RATIO = ("ratio", "ci_low", "ci_high", "verdict")


def studies(namespace: Mapping[str, Any], root: Path | None = None) -> tuple[StoredStudy, StoredStudy]:
    """The two studies that a notebook's variables `study` and `other` name; see :func:`sources`.

    Raises DesignError, shown in one line; for a misspelt parameter, too, of which papermill only warns. Other variables
    are the explorer's own.
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
    """The folders or reports of two studies, relative names taken from `root`.

    An empty `study` is the newest finished one in ``results/``, else the published example. An empty `other` is the
    newest of the rest, else the published replication, else the same study once more.
    """
    newest = finished_studies(root / "results")
    example, replication = (root / "reports" / name for name in PUBLISHED)
    if not study and not newest and not example.exists():
        raise DesignError(
            f"there is no finished study in {root / 'results'}, and no {example}: run `grpclab study --design quick`"
            " first, or name a study or a report"
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
    """What is in a frame of trials: a row for each column, by kind.

    Columns: kind (identity, factor, metric or note), what (a factor's meaning), levels (how many different values),
    missing (share of the rows without one), example.
    """
    rows = []
    for name in trials.columns:
        values = trials[name].dropna()
        rows.append(
            {
                "column": name,
                "kind": kind_of(name, trials[name]),
                "what": FACTORS[name].meaning if name in FACTORS else "",
                "levels": values.astype(str).nunique(),
                "missing": 1 - len(values) / max(len(trials), 1),
                "example": words.short(values.iloc[0], 40) if len(values) else "",
            }
        )
    order = {kind: at for at, kind in enumerate(("identity", "factor", "metric", "note"))}
    found = pd.DataFrame(rows).set_index("column")
    return found.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable")


def kind_of(name: str, values: pd.Series) -> str:
    """Whether a column of trials.parquet is a factor, a metric, a note in words, or says which trial this is."""
    if name in FACTORS:
        return "factor"
    measured = name in MEASURED or (pd.api.types.is_float_dtype(values) and name not in ("block", "order"))
    if measured:
        return "metric"
    identity = ("study", "trial", "scenario", "configuration", "block", "order", "started_at", "valid")
    return "identity" if name in identity else "note"


def varied(trials: pd.DataFrame) -> pd.Series:
    """The factors that have more than one level in these trials: their levels, in words."""
    found = {
        name: words.listing(sorted(set(map(_text, trials[name])), key=_by_size))
        for name in FACTORS
        if name in trials.columns and trials[name].astype(str).nunique() > 1
    }
    return pd.Series(found, name="levels", dtype=object)


def rank_correlations(trials: pd.DataFrame, metrics: Iterable[str], *, target: str = "throughput_rps") -> pd.DataFrame:
    """Spearman's rank correlation of each metric with `target`, over the configurations inside each block.

    One row a block, one column a metric; -1 or 1 where one orders the configurations exactly as the other does. Blocks
    are kept apart, so a machine that changes from block to block explains nothing. NaN where fewer than 3
    configurations have both.
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
    """One sentence on :func:`rank_correlations`: which metric goes with the target, in how many blocks it leads."""
    known = correlations.dropna(axis="columns", how="all").dropna(how="all")
    unknown = [str(name) for name in correlations.columns if name not in known.columns]
    if known.empty:
        return "Nothing can be told: in no block were three configurations measured."
    middle = known.median().abs().sort_values(ascending=False)
    first = str(middle.index[0])
    leads = int(known.abs().idxmax(axis="columns").eq(first).sum())
    low, high = known[first].min(), known[first].max()
    text = (
        f"Throughput goes most closely with {metric_words(first)}: rank correlation {known[first].median():+.2f} in the"
        f" median block ({low:+.2f} to {high:+.2f} over {qty.count(len(known), 'block')}), ahead of the others in"
        f" {leads}."
    )
    if len(middle) > 1:
        second = str(middle.index[1])
        text += f" Next is {metric_words(second)} with {known[second].median():+.2f}."
    if unknown:
        text += f" Not measured with enough calls: {words.listing(map(metric_words, unknown))}."
    return text


def mean_ratio(ratios: pd.Series) -> float:
    """The geometric mean of ratios, one a block: an `estimator` for seaborn."""
    return log_t_interval(ratios).mean


def ratio_ends(ratios: pd.Series) -> tuple[float, float]:
    """The ends of their 95 % t interval on the logarithms: an `errorbar` for seaborn, whose own is a bootstrap."""
    interval = log_t_interval(ratios)
    return interval.low, interval.high


def ratio_axes(figure: Any, which: str = "x") -> None:
    """Make axes of ratios logarithmic, with ticks like 0.5× and 2×: of seaborn's grid, or of one plot."""
    for ax in np.ravel(np.asarray(figure.axes, dtype=object)):
        for axis in which:
            getattr(ax, f"set_{axis}scale")("log")
            low, high = getattr(ax, f"get_{axis}lim")()
            theme.plain_ticks(ax, axis, theme.ratio_ticks(low, high, most=5), qty.ratio_tick)


def ratios_told(ratios: pd.DataFrame, *, baseline: str, candidate: str) -> str:
    """One sentence on a frame with a row a block and a column `ratio` for each `metric`."""
    told = []
    for metric, of_metric in ratios.groupby("metric", sort=False):
        interval = log_t_interval(of_metric["ratio"])
        between = qty.interval(interval.low, interval.high)
        certain = f", {between}" if between != qty.MISSING else ": no interval"
        blocks = qty.count(interval.blocks, "block")
        told.append(f"{metric_words(str(metric))} {qty.ratio(interval.mean)} ({blocks}{certain})")
    return f"{candidate} against {baseline}: {words.listing(told)}." if told else "There is no block with both."


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Two studies side by side.

    `differences` names what sets them apart: machine, versions (columns: what and the two studies). `trials` has the
    valid trials of the configurations that both hold with equal factors, under an index level `study`. `left_out` says
    why the others are not in it.
    """

    names: tuple[str, str]
    differences: pd.DataFrame
    trials: pd.DataFrame
    comparisons: pd.DataFrame
    left_out: pd.Series

    @property
    def comparable(self) -> bool:
        """Whether absolute numbers may be compared: the machine and the versions are the same."""
        return self.differences.empty

    @property
    def sentence(self) -> str:
        """What may be compared, in a sentence."""
        shared = self.trials["configuration"].nunique()
        what = f"{qty.count(shared, 'configuration')} in common"
        if self.comparable:
            return f"The same machine and versions, {what}: absolute numbers may be compared, too."
        apart = words.listing([str(name) for name in self.differences.index])
        return (
            f"Not the same {apart}; {what}. Absolute numbers of the two are not compared:"
            " only ratios, each taken inside its own study."
        )

    def levels(self, metric: str) -> pd.DataFrame:
        """The metric of each shared configuration in both studies, geometric means; empty unless comparable.

        Columns: one for each study, and ratio, the second over the first. It has no interval: the two were not
        interleaved, so their machine may have changed in between.
        """
        if not self.comparable or self.trials.empty:
            return pd.DataFrame(columns=[*self.names, "ratio"])
        logs = np.log(self.trials[metric].where(self.trials[metric] > 0))
        means = np.exp(logs.groupby([self.trials["configuration"], self.trials.index.get_level_values("study")]).mean())
        table: pd.DataFrame = means.unstack("study")[list(self.names)]
        return table.assign(ratio=table[self.names[1]] / table[self.names[0]])

    def agreement(self) -> str:
        """One sentence on whether the comparisons of the two studies agree."""
        both = self.comparisons.dropna(subset=[f"{column}_{side}" for column in RATIO[:3] for side in (1, 2)])
        if both.empty:
            return "No comparison has an interval in both studies."
        overlap = (both["ci_low_1"] <= both["ci_high_2"]) & (both["ci_low_2"] <= both["ci_high_1"])
        same = both["verdict_1"].eq(both["verdict_2"])
        opposite = {"faster": "slower", "slower": "faster"}
        against = both["verdict_1"].map(opposite).eq(both["verdict_2"])
        return (
            f"Of {qty.count(len(both), 'comparison')} in both, {int(overlap.sum())} have intervals that overlap,"
            f" {int(same.sum())} the same verdict, {int(against.sum())} opposite ones."
        )


def join(first: StoredStudy, second: StoredStudy) -> Joined:
    """Put two studies side by side, and only what of them is alike."""
    names = (first.name, second.name if second.name != first.name else f"{second.name} (2)")
    ours, theirs = first.identity, second.identity
    apart = [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]
    differences = pd.DataFrame(
        {name: [str(of.get(key)) for key in apart] for name, of in zip(names, (ours, theirs), strict=True)},
        index=pd.Index(apart, name="what"),
    )
    left_out = _left_out(first, second)
    kept = [study.valid[~study.valid["configuration"].isin(left_out.index)] for study in (first, second)]
    trials = pd.concat(kept, keys=names, names=["study", None])
    trials = trials.drop(columns="study")  # each name is in the index, where two of the same name are told apart
    comparisons = _in_both(first, second)
    return Joined(names=names, differences=differences, trials=trials, comparisons=comparisons, left_out=left_out)


def _in_both(first: StoredStudy, second: StoredStudy) -> pd.DataFrame:
    """The comparisons of the same title and metric whose sides have equal factors, whatever they are called."""
    key, sides = ["title", "metric"], ["baseline", "candidate"]
    both = [study.comparisons.reindex(columns=[*key, *sides, *RATIO]).drop_duplicates(key) for study in (first, second)]
    found = both[0].merge(both[1], on=key, suffixes=("_1", "_2"))
    ours, theirs = _factors(first), _factors(second)
    alike = [
        all(ours.get(row[f"{side}_1"]) == theirs.get(row[f"{side}_2"]) for side in sides)
        for row in found.to_dict("records")
    ]
    return found[alike].drop(columns=[f"{side}_{at}" for side in sides for at in (1, 2)]).set_index(key)


def _left_out(first: StoredStudy, second: StoredStudy) -> pd.Series:
    """The configurations that are not in both studies with equal factors, each with the reason."""
    sides = [_factors(first), _factors(second)]
    reasons = {}
    for name in sorted({*sides[0], *sides[1]}):
        if name not in sides[1]:
            reasons[name] = f"only in {first.name}"
        elif name not in sides[0]:
            reasons[name] = f"only in {second.name}"
        else:
            ours, theirs = sides[0][name], sides[1][name]
            unlike = [factor for factor in ours if ours[factor] != theirs.get(factor, ours[factor])]
            if unlike:
                reasons[name] = f"not the same {words.listing(unlike)}"
    return pd.Series(reasons, name="why", dtype=object).rename_axis("configuration")


def _factors(study: StoredStudy) -> dict[str, dict[str, str]]:
    """The factors of each configuration, as text: so 4 is 4.0's equal where a column holds gaps."""
    found = study.trials.drop_duplicates("configuration").set_index("configuration")
    known = [name for name in FACTORS if name in found.columns]
    return {str(name): {factor: _text(row[factor]) for factor in known} for name, row in found.iterrows()}


def _text(level: object) -> str:
    if level is None or (isinstance(level, float) and np.isnan(level)):
        return "none"
    number = qty.number(level) if not isinstance(level, (bool, np.bool_)) else np.nan
    return f"{number:g}" if np.isfinite(number) else str(level)


def _by_size(level: str) -> tuple[float, str]:
    """Numbers in their order, after words."""
    number = qty.number(level)
    return (number if np.isfinite(number) else -np.inf), level


def scratch() -> Path:
    """A folder for what an exploration saves: ``results/scratch/explore``."""
    folder = project_root() / "results" / "scratch" / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
