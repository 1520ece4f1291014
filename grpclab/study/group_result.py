"""The members of a group, and what its measurement brought: group.json and slices.parquet. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.analysis.study_plan import PlannedGroup, StoredProgram
from grpclab.factors.config import TrialConfig
from grpclab.load.core.slices import SliceLengths
from grpclab.study.request_files import Files
from grpclab.study.slice_account import SliceReading
from grpclab.study.target import Subject
from grpclab.study.trial_result import TrialIdentity, TrialResult

GROUP_SCHEMA_VERSION = 1
"""Of group.json. 1: the first."""


@dataclass(frozen=True, kw_only=True)
class GroupMember:
    """One configuration of a group: what is measured, and the folder of its trial, which is there already.

    `profile`: look into it after the measured time. `expected`: the program that has to be behind its server;
    `data_files`: the content that its data file has to have.
    """

    config: TrialConfig
    identity: TrialIdentity
    folder: Path
    profile: bool = False
    subject: Subject = field(default_factory=Subject)
    expected: StoredProgram | None = None
    data_files: Files | None = None

    @property
    def name(self) -> str:
        """The name of its configuration."""
        return self.identity.configuration


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """What the measurement of a group brought."""

    group: PlannedGroup
    members: tuple[GroupMember, ...]
    seed: int
    trials: Mapping[str, TrialResult]
    """By configuration; each has been written into its folder."""
    lengths: SliceLengths | None = None
    """Of every slice; None where nobody was measured in slices."""
    passes: tuple[tuple[str, ...], ...] = ()
    """The members in the order in which they were visited, pass by pass."""
    readings: Sequence[SliceReading] = ()
    alone: Mapping[str, str] = field(default_factory=dict)
    """The members that were measured alone in one window, and why."""
    reasons: tuple[str, ...] = ()
    """What is to be said of the group, each reason once."""
    started_at: float = 0.0
    """On time.perf_counter's clock."""
    seconds: float = 0.0
    """How long all of it took."""

    @property
    def interleaved(self) -> bool:
        """Whether a hub and a candidate at least were measured in slices."""
        return len(set(self.trials) - set(self.alone)) > 1

    def document(self) -> dict[str, Any]:
        """The content of group.json."""
        identity = self.members[0].identity
        return {
            "schema_version": GROUP_SCHEMA_VERSION,
            "study": identity.study,
            "block": identity.block,
            "group": identity.group,
            "hub": self.group.hub,
            "members": [self._member(member) for member in self.members],
            "planned_interleaved": self.group.interleaved,
            "interleaved": self.interleaved,
            "reasons": list(self.reasons),
            "seed": self.seed,
            "lengths": None if self.lengths is None else vars(self.lengths),
            "passes": [list(visited) for visited in self.passes],
            "seconds": self.seconds,
        }

    def _member(self, member: GroupMember) -> dict[str, Any]:
        result = self.trials[member.name]
        return {
            "configuration": member.name,
            "trial": member.identity.trial,
            "valid": result.valid,
            "invalid_reason": result.invalid_reason,
            "alone": self.alone.get(member.name, ""),
            "pass_count": int(result.metrics.get("pass_count", 0)),
        }

    def slices(self) -> pd.DataFrame:
        """One row a slice, in the order in which they were measured; moments in seconds since the group began.

        `server_outside_s` is the CPU time that the server used between its slice before and this one, `hand_over_s` the
        time from the drain of the slice before, another member's as a rule, to the start of this one, `core_speed` the
        speed of the servers' cores, 1 being the median of the group.
        """
        rows = []
        last: dict[str, float] = {}
        for each in self.readings:
            name, part = each.member, each.slice
            before_s = each.before.cpu_s.get(name, math.nan)
            figures = part.stretch
            others = [each.used_s(other) for other in each.after.cpu_s if other != name]
            rows.append(
                {
                    "pass": each.pass_number,
                    "member": name,
                    "started_at": part.started_at - self.started_at,
                    "ramp_s": part.opened_at - part.started_at,
                    "counted_s": part.counted_s,
                    "tail_s": part.tail_ended_at - part.closed_at,
                    "drain_s": part.drained_at - part.tail_ended_at,
                    "calls": part.calls,
                    "counted": part.started,
                    "errors": math.nan if figures is None else figures.errors,
                    "throughput_rps": part.throughput_rps,
                    "latency_p50_s": math.nan if figures is None else figures.latency_p50_s,
                    "latency_p99_s": math.nan if figures is None else figures.latency_p99_s,
                    "server_cpu_s": each.used_s(name),
                    "server_waited_s": each.waited_s,
                    "server_outside_s": before_s - last.get(name, math.nan),
                    "others_cpu_s": math.fsum(used for used in others if not math.isnan(used)),
                    "client_cpu_s": part.client_cpu_s,
                    "client_busy_share": part.client_busy_s / part.counted_s if part.counted_s > 0 else math.nan,
                    "client_waited_s": part.client_waited_s,
                    "late_s": part.late_s,
                    "hand_over_s": each.hand_over_s,
                    "core_speed": each.core_speed,
                    "valid": each.counts and figures is not None,
                    "reason": each.left_out or part.invalid or ("" if figures else self.trials[name].invalid_reason),
                }
            )
            last[name] = each.after.cpu_s.get(name, math.nan)
        return pd.DataFrame(rows, columns=SLICE_COLUMNS)

    def write_slices(self, folder: Path) -> None:
        """Write slices.parquet."""
        self.slices().to_parquet(folder / "slices.parquet", index=False)


SLICE_COLUMNS = [
    *("pass", "member", "started_at", "ramp_s", "counted_s", "tail_s", "drain_s", "calls", "counted", "errors"),
    *("throughput_rps", "latency_p50_s", "latency_p99_s", "server_cpu_s", "server_waited_s", "server_outside_s"),
    *("others_cpu_s", "client_cpu_s", "client_busy_share", "client_waited_s", "late_s", "hand_over_s"),
    *("core_speed", "valid", "reason"),
]
"""The columns of slices.parquet."""
