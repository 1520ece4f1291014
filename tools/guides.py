"""The numbers in the guides and the README: each stands between two comments that name where it comes from.

In ``README.md`` and ``docs/*.md`` a number of the published example study is written
``<!-- example: WHAT -->3.7x (2.8 to 4.9)<!-- /example -->``. Markdown shows the number alone;
``python -m tools.guides`` (``make guides``) writes all of them anew from the study inside ``reports/example.html``,
and a test checks that they agree. ``<!-- example, if measured: WHAT -->`` keeps what stands there while the study does
not hold it, as for a scenario that is newer than the study. WHAT is one of

- the title of a comparison: its ratio with the 95% interval, throughput's where several metrics were compared;
- ``METRIC of`` such a title: the ratio of another metric;
- ``verdict of`` such a title: one word;
- ``COLUMN of CONFIGURATION``, a column of trials.parquet: its mean over blocks with the 95% interval.

A table of a calibration stands between the lines ``<!-- calibration: EXPERIMENT -->`` and ``<!-- /calibration -->``. It
is made of ``docs/EXPERIMENT.jsonl``, the experiment's frame, which is taken from ``results/calibration/`` where that
holds a newer one. A table of the costs of features is that of :mod:`tools.feature_table`, one of
servers that of :mod:`tools.server_table`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grpclab.analysis import Interval, levels, t_interval
from grpclab.calibration import disturbances
from grpclab.calibration.plan import PUBLISHED
from grpclab.errors import DesignError, GrpclabError
from grpclab.metrics import is_latency, metric_named
from grpclab.report import files
from grpclab.report.stored import StoredStudy, load_study
from grpclab.system.parquet import read_own
from grpclab.system.paths import project_root
from tools import feature_table, server_table
from tools.numbers import estimate

EXAMPLE = "reports/example.html"
_MARK = re.compile(
    r"(?P<open><!-- example(?P<later>, if measured)?: (?P<what>[^\n]+?) -->)"
    r"(?P<text>[^\n]*?)(?P<close><!-- /example -->)"
)
TABLES: dict[str, Callable[[pd.DataFrame], str]] = {"disturbances": disturbances.markdown}
"""The experiments of the calibration whose tables stand in a guide, and what makes one of a frame."""
_TABLE = re.compile(
    r"(?P<open><!-- calibration: (?P<what>[a-z]+) -->\n)(?P<text>.*?)(?P<close>\n<!-- /calibration -->)", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A number in a guide: what it is of, what the guide says, and the line it stands on (from 1).

    A number that stands there `if_measured` is kept as it is while the study does not hold it.
    """

    what: str
    text: str
    line: int
    if_measured: bool = False


def marks(text: str) -> Iterator[Mark]:
    """The marked numbers of a guide, in order."""
    for match in _MARK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Mark(what=match["what"], text=match["text"], line=line, if_measured=match["later"] is not None)


def refreshed(text: str, study: StoredStudy) -> str:
    """The guide with every marked number as the study has it. Raises DesignError for what the study does not hold."""

    def fresh(match: re.Match[str]) -> str:
        try:
            text = current_text(match["what"], study)
        except DesignError:
            if not match["later"]:
                raise
            text = match["text"]
        return f"{match['open']}{text}{match['close']}"

    return _MARK.sub(fresh, text)


def with_tables(text: str, folder: Path) -> str:
    """The guide with every table of a calibration as the frames in `folder` have it. Raises DesignError."""

    def fresh(match: re.Match[str]) -> str:
        return f"{match['open']}{table(match['what'], folder)}{match['close']}"

    return _TABLE.sub(fresh, text)


def table(what: str, folder: Path) -> str:
    """The table of an experiment of the calibration, out of its stored frame. Raises DesignError without one."""
    path = folder / f"{what}.jsonl"
    if what not in TABLES:
        raise DesignError(f"no table of a calibration is called {what!r}: expected {', '.join(TABLES)}")
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return TABLES[what](pd.DataFrame(rows))
    except (OSError, ValueError, KeyError) as error:
        raise DesignError(f"{path} holds no results of the calibration: {error}") from None


def _take_newer(results: Path, folder: Path) -> None:
    """Store the frame of each table whose experiment was made anew beside the guides."""
    for what in TABLES:
        measured, kept = results / f"{what}.parquet", folder / f"{what}.jsonl"
        if measured.exists() and (not kept.exists() or measured.stat().st_mtime > kept.stat().st_mtime):
            rows = read_own(measured).to_json(orient="records", lines=True, double_precision=6)
            files.replace(kept, rows)


def current_text(what: str, study: StoredStudy) -> str:
    """The text of a mark as the study has it. Raises DesignError, which names the mark."""
    comparisons = study.comparisons
    by_title = comparisons[comparisons["title"].eq(what)]
    if not by_title.empty:
        return _ratio(by_title.iloc[0])  # the headline's own metric stands before the others of that title
    name, _, rest = what.partition(" of ")
    of_rest = comparisons[comparisons["title"].eq(rest)]
    if name == "verdict" and not of_rest.empty:
        return str(of_rest.iloc[0]["verdict"])
    if not (of_metric := of_rest[of_rest["metric"].eq(name)]).empty:
        return _ratio(of_metric.iloc[0])
    if rest and name in study.trials.columns and study.trials["configuration"].eq(rest).any():
        return _level(study, name, rest)
    raise DesignError(f"study {study.name} has no {what!r}: no comparison of that title, no such column of trials")


def _ratio(row: pd.Series) -> str:
    return estimate(float(row["ratio"]), float(row["ci_low"]), float(row["ci_high"]))


def _level(study: StoredStudy, column: str, configuration: str) -> str:
    """A mean over blocks: geometric where it is a rate or a latency, as in the report's figures; else the mean."""
    if metric_named(column).quantity == "rate" or is_latency(column):
        row = levels(study.trials, [configuration], column).iloc[0]
        interval = Interval(mean=row["mean"], low=row["ci_low"], high=row["ci_high"], blocks=int(row["blocks"]))
    else:
        valid = study.trials[study.trials["configuration"].eq(configuration) & study.trials["valid"].eq(True)]
        interval = t_interval(valid.groupby("block")[column].mean())
    if not math.isfinite(interval.low):
        raise DesignError(f"study {study.name}: {column} of {configuration} was measured in fewer than 2 blocks")
    return amount(column, interval)


def amount(column: str, interval: Interval) -> str:
    """An interval with the unit of its column: ``535 µs (485 to 586)``, ``44% (40 to 48)``."""
    scale, unit = 1.0, ""
    quantity = metric_named(column).quantity
    if quantity == "rate":
        unit = " requests/s"
    elif quantity == "share":
        scale, unit = 100.0, "%"
    elif quantity == "time":
        scale, unit = (1e6, " µs") if interval.mean < 1e-3 else (1e3, " ms") if interval.mean < 1 else (1.0, " s")
    mean, low, high = (value * scale for value in (interval.mean, interval.low, interval.high))
    digits = 0 if abs(mean) >= (10 if unit == "%" else 20) else 1
    return f"{mean:,.{digits}f}{unit} ({low:,.{digits}f} to {high:,.{digits}f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the marked numbers of all guides anew."""
    parser = argparse.ArgumentParser(prog="python -m tools.guides", description=main.__doc__)
    parser.add_argument("--study", default=EXAMPLE, help="the study that the numbers are of (default: %(default)s)")
    parser.add_argument("--calibration", default=PUBLISHED, help="its tables, below results/ (default: %(default)s)")
    parser.add_argument("guides", nargs="*", type=Path, help="default: README.md and docs/*.md")
    options = parser.parse_args(arguments)
    root = project_root()
    try:
        study = load_study(root / options.study)
        _take_newer(root / "results" / options.calibration, root / "docs")
        stored = root / feature_table.STORED
        costs = feature_table.stored(stored) if stored.exists() else []
        measured = root / server_table.STORED
        servers = server_table.stored(measured) if measured.exists() else []
        for path in options.guides or [*root.glob("README.md"), *sorted((root / "docs").glob("*.md"))]:
            text = path.read_text(encoding="utf-8")
            fresh = feature_table.with_feature_tables(with_tables(refreshed(text, study), root / "docs"), costs)
            fresh = server_table.with_server_table(fresh, servers)
            before, after = list(marks(text)), list(marks(fresh))
            for old, new in zip(before, after, strict=True):
                if old.text != new.text:
                    print(f"{path.name}:{old.line}: {old.what}: {old.text} -> {new.text}")
            if fresh != text:
                files.replace(path, fresh)
    except GrpclabError as error:
        print(f"grpclab: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
