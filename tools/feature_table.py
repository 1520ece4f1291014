"""What each feature of a production service costs: the tables in the README and in a guide, out of a stored study.

A table stands between the lines ``<!-- features: all -->`` or ``<!-- features: dearest -->`` and
``<!-- /features -->``. ``python -m tools.guides`` writes it anew from ``reports/features.json``. That file is the part
of the JSON of a study's report that the tables need; ``python -m tools.feature_table reports/STUDY.json`` writes it.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grpclab.errors import DesignError, GrpclabError
from grpclab.report import files
from grpclab.report.sections import features
from grpclab.system.paths import project_root
from tools.numbers import estimate

STORED = "reports/features.json"
DEAREST = 3
"""So many features are in the short table."""
NOT_MEASURED = "–"
_TABLE = re.compile(
    r"(?P<open><!-- features: (?P<what>[a-z]+) -->\n)(?P<text>.*?)(?P<close>\n<!-- /features -->)", re.DOTALL
)
Estimate = tuple[float, float, float, str]
"""A ratio, its 95% interval, and what limited one of its sides; "" for nothing."""
_LIMITS = re.compile(r"\(([a-z-]+)\)")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a feature costs, as ratios with the feature to without it; None where that was not measured."""

    feature: str
    of_client: bool
    throughput: Estimate | None
    cpu_per_call: Estimate | None
    latency_p99: Estimate | None
    verdict: str
    implementation: str = ""
    """That of the server, where the study measured a further one; "" for its first."""

    @property
    def judged(self) -> Estimate | None:
        """The ratio on which the verdict is."""
        return self.cpu_per_call if self.of_client else self.throughput


def taken(report: Mapping[str, Any]) -> list[Cost]:
    """The costs in the JSON of a report. Raises DesignError if it has no table of features."""
    try:
        (section,) = [one for one in report["sections"] if one["anchor"] == features.ANCHOR]
        (table,) = [piece for piece in section["content"] if "table" in piece]
    except (KeyError, ValueError):
        raise DesignError(
            "the report has no table of features: give the JSON of a study of the production design"
        ) from None
    at = {name: index for index, name in enumerate(table["header"])}
    places = {heading: where for where, heading in features.HEADINGS.items()}
    costs, where = [], ""
    for row in table["rows"]:
        if len(row) == 1:
            where = places.get(row[0], "")
            continue
        costs.append(
            Cost(
                feature=row[0],
                of_client=where == "in the client",
                throughput=_estimate(row, at.get("throughput")),
                cpu_per_call=_estimate(row, at.get("CPU per call")),
                latency_p99=_estimate(row, at.get(features.LATENCY_HEADER)),
                verdict=row[at["verdict"]],
                implementation=where.partition(", ")[2],
            )
        )
    return costs


def _estimate(row: Sequence[Any], at: int | None) -> Estimate | None:
    cell = {} if at is None else row[at]
    values = cell.get("values", []) if isinstance(cell, dict) else []
    if not values or any(value is None for value in values):
        return None
    ratio, low, high = values
    return ratio, low, high, ", ".join(_LIMITS.findall(cell["text"]))


def stored(path: Path) -> list[Cost]:
    """The costs in a file that :func:`main` wrote. Raises DesignError."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["features"]
        return [_cost(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DesignError(f"{path} holds no costs of features: {error}") from None


def _cost(row: Mapping[str, Any]) -> Cost:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Cost(**values)


def markdown(costs: Sequence[Cost], what: str) -> str:
    """The table: ``all`` features, or the ``dearest`` of the server. Raises DesignError for another word."""
    if what == "all":
        return "\n".join(_all(costs))
    if what == "dearest":
        return "\n".join(_dearest(costs))
    raise DesignError(f"no table of features is called {what!r}: expected all or dearest")


def _all(costs: Iterable[Cost]) -> Iterable[str]:
    yield "| feature | throughput | CPU per call | p99 at half load | verdict |"
    yield "| --- | --- | --- | --- | --- |"
    for cost in costs:
        cells = [_text(one) for one in (cost.throughput, cost.cpu_per_call, cost.latency_p99)]
        place = "client" if cost.of_client else cost.implementation
        where = f" ({place})" if place else ""
        yield f"| {cost.feature}{where} | {' | '.join(cells)} | {cost.verdict} |"


def _dearest(costs: Iterable[Cost]) -> Iterable[str]:
    of_server = [cost for cost in costs if not (cost.of_client or cost.implementation) and cost.throughput is not None]
    yield "| feature | throughput | CPU per call |"
    yield "| --- | --- | --- |"
    for cost in sorted(of_server, key=lambda cost: cost.throughput or (math.inf,))[:DEAREST]:
        yield f"| {cost.feature} | {_text(cost.throughput)} | {_text(cost.cpu_per_call)} |"


def _text(value: Estimate | None) -> str:
    if value is None:
        return NOT_MEASURED
    ratio, low, high, limits = value
    return f"{estimate(ratio, low, high)}{f', {limits}' if limits else ''}"


def with_feature_tables(text: str, costs: Sequence[Cost]) -> str:
    """A page with its tables of features as the costs have them. Raises DesignError."""
    return _TABLE.sub(lambda match: f"{match['open']}{markdown(costs, match['what'])}{match['close']}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the costs of features out of the JSON of a report."""
    parser = argparse.ArgumentParser(prog="python -m tools.feature_table", description=main.__doc__)
    parser.add_argument("report", type=Path, help="the JSON of the report of a study of the production design")
    options = parser.parse_args(arguments)
    try:
        report = json.loads(options.report.read_text(encoding="utf-8"))
        rows = [asdict(cost) for cost in taken(report)]
        about = {name: report.get(name) for name in ("study", "created_at", "identity")}
        text = json.dumps({**about, "features": rows}, indent=1, ensure_ascii=False)
        files.replace(project_root() / STORED, f"{text}\n")
    except GrpclabError as error:
        print(f"grpclab: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, ValueError) as error:
        print(f"grpclab: {options.report} is not the JSON of a report: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
