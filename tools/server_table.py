"""Other servers under a service, as ratios to grpcio's sync server: the table in a guide, out of a stored study.

The table is between the lines ``<!-- servers -->`` and ``<!-- /servers -->``, and the throughput of one server between
``<!-- server: NAME -->`` and ``<!-- /server -->``; ``python -m tools.guides`` writes both anew from
``reports/server-ratios.json``. ``python -m tools.server_table results/STUDY`` writes that file from a study of
``tools/other_servers.toml``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grpclab.analysis import log_t_interval
from grpclab.errors import DesignError, GrpclabError
from grpclab.factors.implementations import FACTOR, IMPLEMENTATIONS
from grpclab.report import files
from grpclab.report.stored import StoredStudy, load_study
from grpclab.system.paths import project_root
from tools.numbers import estimate

STORED = "reports/server-ratios.json"
CPU = "server_cpu_per_call_s"
_ONE = re.compile(r"(?P<open><!-- server: (?P<name>[\w-]+) -->).*?(?P<close><!-- /server -->)", re.DOTALL)
_TABLE = re.compile(r"(?P<open><!-- servers -->\n)(?P<text>.*?)(?P<close>\n<!-- /servers -->)", re.DOTALL)
Ratio = tuple[float, float, float]
"""A ratio, and its 95% interval."""


@dataclass(frozen=True, kw_only=True)
class ServerRatios:
    """A server against the baseline of its study, with what limited one of the two; "" for nothing."""

    implementation: str
    throughput: Ratio
    cpu_per_call: Ratio
    verdict: str
    limited_by: str = ""


def taken(study: StoredStudy) -> list[ServerRatios]:
    """The ratios in a study. Raises DesignError if it compares no servers."""
    found: dict[str, ServerRatios] = {}
    for _, row in study.comparisons.iterrows():
        baseline, candidate = (_level(study, str(row[side])) for side in ("baseline", "candidate"))
        if row["metric"] == "throughput_rps" and baseline != candidate:
            found[candidate] = ServerRatios(
                implementation=candidate,
                throughput=(float(row["ratio"]), float(row["ci_low"]), float(row["ci_high"])),
                cpu_per_call=_cpu(study.trials, str(row["baseline"]), str(row["candidate"])),
                verdict=str(row["verdict"]),
                limited_by=", ".join(row["limited_by"] or ()),
            )
    if not found:
        raise DesignError(f"study {study.name} compares no servers: give a study of tools/other_servers.toml")
    return [found[name] for name in IMPLEMENTATIONS if name in found]


def _level(study: StoredStudy, configuration: str) -> str:
    (level,) = study.trials.loc[study.trials["configuration"].eq(configuration), FACTOR].unique()
    return str(level)


def _cpu(trials: pd.DataFrame, baseline: str, candidate: str) -> Ratio:
    """The ratio of the CPU time per call, paired within blocks."""
    valid = trials[trials["valid"].eq(True)]
    by_block = valid.pivot_table(index="block", columns="configuration", values=CPU)
    interval = log_t_interval(np.asarray(by_block[candidate] / by_block[baseline], dtype=float))
    return interval.mean, interval.low, interval.high


def stored(path: Path) -> list[ServerRatios]:
    """The ratios in a file that :func:`main` wrote. Raises DesignError."""
    try:
        return [_ratios(row) for row in json.loads(path.read_text(encoding="utf-8"))["servers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DesignError(f"{path} holds no ratios of servers: {error}") from None


def _ratios(row: Mapping[str, Any]) -> ServerRatios:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return ServerRatios(**values)


def markdown(servers: Sequence[ServerRatios]) -> str:
    """The table."""
    lines = ["| server | throughput | CPU per call | verdict |", "| --- | --- | --- | --- |"]
    for one in servers:
        limited = f", {one.limited_by}" if one.limited_by else ""
        name = f"{IMPLEMENTATIONS[one.implementation].title} (`{one.implementation}`)"
        ratios = f"{estimate(*one.throughput)}{limited} | {estimate(*one.cpu_per_call)}"
        lines.append(f"| {name} | {ratios} | {one.verdict} |")
    return "\n".join(lines)


def with_server_table(text: str, servers: Sequence[ServerRatios]) -> str:
    """A page with its table and its single throughputs as the ratios have them; without any, the page as it is."""
    if not servers:
        return text
    throughputs = {one.implementation: estimate(*one.throughput) for one in servers}
    text = _ONE.sub(lambda match: f"{match['open']}{throughputs[match['name']]}{match['close']}", text)
    return _TABLE.sub(lambda match: f"{match['open']}{markdown(servers)}{match['close']}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the ratios of servers out of a study."""
    parser = argparse.ArgumentParser(prog="python -m tools.server_table", description=main.__doc__)
    parser.add_argument("study", type=Path, help="the folder of a study of tools/other_servers.toml, or its report")
    options = parser.parse_args(arguments)
    try:
        study = load_study(options.study)
        rows = [asdict(one) for one in taken(study)]
        text = json.dumps({"study": study.name, "servers": rows}, indent=1, ensure_ascii=False)
        files.replace(project_root() / STORED, f"{text}\n")
    except GrpclabError as error:
        print(f"grpclab: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
