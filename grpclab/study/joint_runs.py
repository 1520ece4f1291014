"""A joint verdict over the runs of one plan: a study and its repeats, of one machine or of several.

What is joined is the headline. Runs in which another comparison was planned, or whose servers are other programs, are
not joined, and the reason is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpclab.analysis.inference.edition import FIRST_EDITION, TODAY
from grpclab.analysis.inference.joint import FEWEST_RUNS, JointVerdict, joined
from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram, StoredTarget
from grpclab.errors import DesignError
from grpclab.study.model import Manifest
from grpclab.study.repeat import Original, estimate_words
from grpclab.study.stored_values import written
from grpclab.system.json_fields import Json
from grpclab.text.printable import printable

_OWN_VERSIONS = ("grpclab", "grpcio", "protobuf", "uvloop", "python")
"""What a server of ours is made of."""


@dataclass(frozen=True, kw_only=True)
class JointRuns:
    """The verdict, the runs behind it in order of time, and the studies that were left out with the reason of each."""

    verdict: JointVerdict
    runs: tuple[Original, ...]
    left_out: tuple[tuple[str, str], ...]

    def lines(self) -> list[str]:
        """The runs, a line each, then what they say together."""
        names = [f"{run.name} ({_place(run.manifest)})" for run in self.runs]
        width = max(map(len, names), default=0)
        lines = [
            f"{name:<{width}}  {estimate_words(run.verdict.headline)}"
            for name, run in zip(names, self.runs, strict=True)
        ]
        lines.append(self._together())
        lines += [f"not joined: {name}: {why}" for name, why in self.left_out]
        return [printable(line) for line in lines]

    def _together(self) -> str:
        one, pooled = self.verdict, self.verdict.pooled
        count = len(self.runs)
        if not count:
            return "no run has a ratio with an interval, so there is nothing to join"
        spread = f"ratios from {one.low:.3g}× to {one.high:.3g}×"
        if pooled is None:
            runs = "1 run" if count == 1 else f"{count} runs"
            return f"{runs}, {spread}: a joint interval needs at least {FEWEST_RUNS} runs"
        limit = " (the load generator was the limit in at least one run)" if one.bound else ""
        return (
            f"{count} runs together: {one.ratio:.3g}×, 95% interval {one.interval[0]:.3g} to {one.interval[1]:.3g} "
            f"(Hartung-Knapp, {pooled.runs - 1} degrees of freedom; {spread}, "
            f"{100 * pooled.tau:.2g}% between runs), {one.blocks} blocks: {one.verdict}{limit}"
        )

    def as_json(self) -> dict[str, Json]:
        """The same for a machine; None for what there is not."""
        one, pooled = self.verdict, self.verdict.pooled
        return {
            "schema_version": 1,
            "runs": [
                {"study": run.name, "created_at": run.manifest.created_at, "headline": run.verdict.headline.as_dict()}
                for run in self.runs
            ],
            "left_out": dict(self.left_out),
            "ratio": one.ratio if self.runs else None,
            "lowest": one.low if self.runs else None,
            "highest": one.high if self.runs else None,
            "ci_low": one.interval[0] if pooled else None,
            "ci_high": one.interval[1] if pooled else None,
            "p_value": pooled.p_value if pooled else None,
            "between_runs": pooled.tau if pooled else None,
            "degrees": pooled.runs - 1 if pooled else None,
            "blocks": one.blocks,
            "verdict": one.verdict,
        }


def join_runs(studies: Sequence[Original]) -> JointRuns:
    """The runs of the plan of the first of these studies together.

    By the rules of the first edition where one of them is of it. Raises DesignError without a study.
    """
    if not studies:
        raise DesignError("no study given: a joint verdict needs at least two runs of the same plan")
    first = studies[0]
    reasons = {at: _why_not(first, study) for at, study in enumerate(studies)}
    ordered = sorted(reasons, key=lambda at: (studies[at].manifest.created_at or "", at))
    runs = tuple(studies[at] for at in ordered if not reasons[at])
    left_out = tuple((studies[at].name, why) for at, why in reasons.items() if why)
    rules = TODAY if all(run.manifest.plan.groups for run in runs) else FIRST_EDITION
    delta = first.manifest.plan.smallest_effect
    verdict = joined([run.verdict.headline for run in runs], delta=delta, rules=rules)
    return JointRuns(verdict=verdict, runs=runs, left_out=left_out)


def _why_not(first: Original, other: Original) -> str:
    """Why a study is not joined with the first; "" where it is."""
    headline = other.verdict.headline
    if not (headline.computed and headline.has_interval and headline.ci_high > headline.ci_low):
        return "it has no ratio with an interval"
    if other is first:
        return ""
    planned, wanted = (one.manifest.plan.headline or PlannedHeadline() for one in (other, first))
    if planned.directed != wanted.directed:
        return "it compares something else"
    for side in (wanted.baseline, wanted.candidate):
        ours, theirs = (_level_of(one.manifest, side) for one in (first, other))
        if ours != theirs:
            return f"its {side} is a different configuration"
        if _target(first.manifest, side) != _target(other.manifest, side):
            return f"its {side} is a different program: {_difference(first.manifest, other.manifest, side)}"
    return ""


def _level_of(manifest: Manifest, side: str) -> str:
    """A configuration's settings and its call, as text."""
    found = next((one for one in manifest.plan.configurations if one.name == side), None)
    target = manifest.plan.subjects.get(side, StoredTarget())
    called = [target.call, written(target.data), *([written(target.mix)] if target.mix else [])]
    return json.dumps([found and dict(found.settings), *called], sort_keys=True, default=str)


def _target(manifest: Manifest, side: str) -> Mapping[str, str]:
    """What the server of a side is, by what distinguishes it from another: its files, or our versions."""
    if side not in manifest.plan.subjects or manifest.plan.subjects[side].kind == "greeter":
        return {name: str(manifest.versions.get(name)) for name in _OWN_VERSIONS}
    program = (manifest.servers or {}).get(side, StoredProgram())
    files = {file.name: file.sha256 for file in program.files}
    return {"address": program.address, **files, **{name: str(version) for name, version in program.versions.items()}}


def _difference(first: Manifest, other: Manifest, side: str) -> str:
    ours, theirs = _target(first, side), _target(other, side)
    name = next(name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name))
    values = [(one.get(name) or "none")[:12] for one in (theirs, ours)]
    return f"{name} {values[0]}, in the first {values[1]}"


def _place(manifest: Manifest) -> str:
    host = str(manifest.identity.get("host") or vars(manifest.machine).get("host") or "")
    host = host or ", ".join(one.name for one in manifest.machines)
    return ", ".join(part for part in ((manifest.created_at or "")[:10], host) if part) or "at an unknown time"
