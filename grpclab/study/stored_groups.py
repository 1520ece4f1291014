"""The groups of a study as they are stored: what group.json says of each, and the slices of their members.

What a study holds may be anyone's: what cannot be read, or is not of its type, is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grpclab.analysis.inference.interleaving import slices_spread
from grpclab.analysis.study_plan import PlannedComparison
from grpclab.study.documents import read_json
from grpclab.study.stored_values import read
from grpclab.system.parquet import MOST_BYTES, from_parquet
from grpclab.system.untrusted import read_bytes

MOST_GROUPS = 10_000
NUMBERS = ("pass", "started_at", "ramp_s", "counted_s", "tail_s", "drain_s", "throughput_rps")
"""Columns that every row of slices has, beside its member and whether it counts."""


@dataclass(frozen=True, kw_only=True)
class MeasuredMember:
    """A member of a group: whether its trial is valid, and why it was measured alone in one window, if it was."""

    configuration: str = ""
    valid: bool = False
    alone: str = ""
    pass_count: int = 0


@dataclass(frozen=True, kw_only=True)
class MeasuredLengths:
    """The lengths of the slices of a group, fixed after its warm-up, in seconds."""

    ramp_s: float = 0.0
    counted_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MeasuredGroup:
    """A group of one block as it was measured.

    `reasons` say what is to be said of it, each once; without `lengths` nobody was measured in slices.
    """

    block: int
    group: int
    hub: str = ""
    members: tuple[MeasuredMember, ...] = ()
    interleaved: bool = False
    reasons: tuple[str, ...] = ()
    lengths: MeasuredLengths | None = None
    passes: tuple[tuple[str, ...], ...] = ()
    seconds: float | None = None

    @property
    def names(self) -> list[str]:
        """The configurations of its members."""
        return [member.configuration for member in self.members]


@dataclass(frozen=True, kw_only=True)
class StoredGroup:
    """A group, and the folder in which it lies."""

    folder: Path
    measured: MeasuredGroup


def stored_groups(study: Path) -> list[StoredGroup]:
    """The groups below the folder of a study, by block and number; empty for a study without any."""
    found = []
    for path in sorted((study / "groups").glob("[!.]*/group.json"))[:MOST_GROUPS]:
        try:
            found.append(StoredGroup(folder=path.parent, measured=read(MeasuredGroup, read_json(path, inside=study))))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda one: (one.measured.block, one.measured.group))


def slices_of(groups: Iterable[StoredGroup], study: Path, sides: Iterable[str]) -> pd.DataFrame:
    """The slices of all groups that hold all `sides`, one row each, with the columns `block` and `group`."""
    wanted = set(sides)
    frames = []
    for group in groups:
        if not wanted or not wanted <= set(group.measured.names):
            continue
        try:
            frame = from_parquet(read_bytes(group.folder / "slices.parquet", MOST_BYTES, inside=study))
        except (OSError, ValueError):
            continue
        if _is_whole(frame) and len(frame):
            frames.append(frame.assign(block=group.measured.block, group=group.measured.group))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def noise_of_slices(study: Path, headline: PlannedComparison | None) -> float:
    """The sd of a block's ln ratio that comes from within it, by the slices of the headline's sides; NaN if not known.

    See :func:`grpclab.analysis.inference.interleaving.slices_spread`.
    """
    if headline is None:
        return math.nan
    sides = headline.baseline, headline.candidate
    frame = slices_of(stored_groups(study), study, sides)
    return slices_spread(frame, *sides, headline.metric) if headline.metric in frame else math.nan


def _is_whole(frame: pd.DataFrame) -> bool:
    numbers = all(name in frame and pd.api.types.is_numeric_dtype(frame[name]) for name in NUMBERS)
    return numbers and "member" in frame and "valid" in frame and pd.api.types.is_bool_dtype(frame["valid"])
