"""What a report shows of single trials, out of the folder of a study: stacks, latencies, settings announced, logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.profiling.families import parse_folded
from grpclab.study.model import StoredResult
from grpclab.system.untrusted import MIB, read_bytes, read_tail

LOG_LINES, LOG_CHARACTERS = 20, 2000
"""So much of the end of a server's log goes into the report."""
PROFILE_BYTES = 16 * MIB
"""A profile of a trial has some hundred kilobytes."""

Stacks = dict[str, int]


def profiles(folder: Path, names: Sequence[str], trials: pd.DataFrame) -> dict[str, dict[str, dict[int, Stacks]]]:
    """The stacks of the valid trials of these configurations: by file, configuration (in this order) and block."""
    found: dict[str, dict[str, dict[int, Stacks]]] = {}
    for row in _valid(trials, names).itertuples():
        for key in ("stacks", "perf"):
            if stacks := _stacks(folder / str(row.trial) / f"{key}.folded", folder.parent):
                found.setdefault(key, {}).setdefault(str(row.configuration), {})[int(str(row.block))] = stacks
    order = {name: at for at, name in enumerate(names)}
    return {key: dict(sorted(of.items(), key=lambda item: order[item[0]])) for key, of in found.items()}


def _stacks(path: Path, study: Path) -> Stacks:
    """The stacks in a file of a study; none where it cannot be read."""
    try:
        return parse_folded(read_bytes(path, PROFILE_BYTES, inside=study).decode("utf-8", "replace").splitlines())
    except (OSError, ValueError):
        return {}


def histograms(
    results: Mapping[str, StoredResult], names: Sequence[str], trials: pd.DataFrame
) -> dict[str, dict[int, str]]:
    """The latencies of the valid trials of these configurations, as encoded HdrHistograms by configuration and block.

    `results` are those of the trials, by name.
    """
    found: dict[str, dict[int, str]] = {}
    for row in _valid(trials, names).itertuples():
        result = results.get(str(row.trial))
        if result and result.histogram:
            found.setdefault(str(row.configuration), {})[int(str(row.block))] = result.histogram
    return found


def details(folder: Path, results: Mapping[str, StoredResult]) -> dict[str, dict[str, Any]]:
    """Of each trial what no row of a frame holds: see :class:`grpclab.report.data.Packed`."""
    found: dict[str, dict[str, Any]] = {}
    for name, result in results.items():
        mine = {
            "advertised": result.advertised,
            "log": log_tail(folder / name / "server.log", folder.parent),
        }
        found[name] = {key: value for key, value in mine.items() if value}
    return found


def log_tail(path: Path, study: Path) -> str:
    """The last lines of a log in the folder of a study; "" where there is none."""
    try:
        text = read_tail(path, LOG_CHARACTERS, inside=study).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


def _valid(trials: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return trials[trials["valid"].eq(True) & trials["configuration"].isin(list(names))]
