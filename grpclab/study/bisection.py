"""``grpclab bisect``: the first commit that is slower than a good one, by comparisons that are stored like any other.

Each step compares a commit with the good one. Where its verdict is inconclusive, its interval may still say on which
side of half the slowdown it lies; else it is measured once more with more blocks, as a comparison of its own, and so is
a commit that is slower by what may be less than half. A commit that cannot be measured is passed over. At the end the
commit is compared with its parent, which says how much of the slowdown is its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis import Comparison, Verdict
from grpclab.errors import DesignError, MeasurementError, StorageError, UsageError, WorkerError
from grpclab.factors.own import REVISION
from grpclab.metrics import metric_words
from grpclab.study import comparing
from grpclab.study.revision_walk import Outcome, RevisionWalk
from grpclab.study.sides import A, B, GivenTarget, PairOptions, Side, pair
from grpclab.system.repository import Commit
from grpclab.text.printable import printable

TRIES = 2
"""The most comparisons of two commits, where the first is inconclusive."""
MORE_BLOCKS = 2
"""The second has so many times the blocks of the first."""
LONGEST_SUBJECT = 60
SHORT = 8
"""Digits of a commit in the name of a study."""
OUTCOMES: dict[Verdict, Outcome] = {
    "slower": "slow",
    "faster": "good",
    "equivalent": "good",
    "inconclusive": "unknown",
}
"""What a verdict says of a commit against the good one."""


@dataclass(frozen=True, kw_only=True)
class BisectStep:
    """A commit against another: the comparison in its headline's metric, and the name of its study.

    `planned` is the number of blocks that were measured, of which some may be invalid; `trouble` is the reason why
    there is no comparison.
    """

    baseline: Commit
    candidate: Commit
    comparison: Comparison = field(default_factory=Comparison)
    study: str = ""
    planned: int = 0
    trouble: str = ""

    @property
    def verdict(self) -> Verdict:
        """On the candidate; inconclusive where there is no comparison."""
        return self.comparison.verdict

    @property
    def figures(self) -> str:
        """``0.86x in throughput (95% interval 0.84 to 0.88), 12 blocks``."""
        one = self.comparison
        low, high = qty.interval_ends(one.ci_low, one.ci_high) if one.has_interval else ("", "")
        between = f" (95% interval {low} to {high})" if low else ""
        return f"{qty.ratio(one.ratio, 'sentence')} in {metric_words(one.metric)}{between}, {one.blocks} blocks"

    def __str__(self) -> str:
        """One line for a terminal."""
        if self.trouble:
            return f"{named(self.candidate)}: could not be measured ({self.trouble})"
        return f"{named(self.candidate)}: {self.verdict}, {self.figures}; results/{self.study}"

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        one = self.comparison.as_dict()
        names = ("metric", "ratio", "ci_low", "ci_high", "blocks")
        return {
            "baseline": self.baseline.id,
            "candidate": self.candidate.id,
            "subject": self.candidate.subject,
            "verdict": None if self.trouble else self.verdict,
            **{name: None if self.trouble else one[name] for name in names},
            "study": self.study or None,
            "trouble": self.trouble or None,
        }


@dataclass(frozen=True, kw_only=True)
class BisectResult:
    """What a bisection found: the `first_slower` commit, or several `suspects`, or neither where nothing is slower."""

    good: Commit
    bad: Commit
    sentence: str
    exit_code: int
    steps: tuple[BisectStep, ...]
    first_slower: Commit | None = None
    suspects: tuple[Commit, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "good": self.good.id,
            "bad": self.bad.id,
            "first_slower": self.first_slower and self.first_slower.id,
            "suspects": [commit.id for commit in self.suspects],
            "sentence": self.sentence,
            "steps": [step.as_dict() for step in self.steps],
        }


Measure = Callable[[Commit, Commit, "BisectStep | None"], BisectStep]
"""Compares a commit with a baseline; after an inconclusive step, which it is given, with more blocks."""


def bisect(good: Commit, commits: Sequence[Commit], measure: Measure, write: Callable[[str], None]) -> BisectResult:
    """Find the first of the `commits` that is slower than the `good` one; they follow it in this order.

    `write` receives a line for each step as soon as it is measured. An error of `measure` is raised for the last
    commit; any other commit that cannot be measured is skipped.
    """
    steps: list[BisectStep] = []

    def judged(baseline: Commit, candidate: Commit, half: float = math.nan) -> BisectStep:
        step: BisectStep | None = None
        for _ in range(TRIES):
            step = measure(baseline, candidate, step)
            told(step)
            if outcome_of(step, half, certain=False) != "unknown":
                break
        assert step is not None
        return step

    def told(step: BisectStep) -> None:
        steps.append(step)
        write(str(step))

    def tried(baseline: Commit, candidate: Commit, half: float = math.nan) -> BisectStep:
        """As `judged`, with a commit that cannot be measured as a step."""
        try:
            return judged(baseline, candidate, half)
        except (UsageError, MeasurementError) as error:
            if isinstance(error, (DesignError, StorageError, WorkerError)):  # which no commit is to blame for
                raise
            step = BisectStep(baseline=baseline, candidate=candidate, trouble=str(error))
            told(step)
            return step

    def ended(sentence: str, exit_code: int, **found: Any) -> BisectResult:
        return BisectResult(
            good=good, bad=commits[-1], sentence=sentence, exit_code=exit_code, steps=tuple(steps), **found
        )

    last = judged(good, commits[-1])
    if last.verdict != "slower":
        return ended(*_nothing_to_find(last))
    half = math.sqrt(last.comparison.ratio)  # as far from 1 as from the last one's ratio
    walk = RevisionWalk(last=len(commits))
    by_number = [good, *commits]
    while (number := walk.next) is not None:
        write(f"{qty.count(len(walk.suspects), 'commit')} left, about {qty.count(walk.steps_left, 'comparison')}")
        walk = walk.with_outcome(number, outcome_of(tried(good, by_number[number], half), half))
    suspects = tuple(by_number[number] for number in walk.suspects)
    if not walk.found:
        return ended(_range_sentence(good, suspects), 4, suspects=suspects)
    first, parent = by_number[walk.slow], by_number[walk.good]
    known = [step for step in steps if step.candidate == first and not step.trouble]
    own = known[-1] if parent == good else tried(parent, first)
    return ended(_found_sentence(good, own), 0, first_slower=first, suspects=suspects)


def outcome_of(step: BisectStep, half: float = math.nan, *, certain: bool = True) -> Outcome:
    """What a step says of its commit: by its verdict, or where that is inconclusive by its interval.

    That decides where it lies on one side of `half` the slowdown, a ratio; NaN where that is not known. A step that is
    not `certain` yet, since it can be measured once more, does not call slower what may be less than half of it: of
    many comparisons some are wrong by chance.
    """
    found, one = OUTCOMES[step.verdict], step.comparison
    below, above = one.ci_high < half, one.ci_low > half
    slow, good = (below, above) if half < 1 else (above, below)
    if found == "slow":
        return "slow" if certain or slow or math.isnan(half) else "unknown"
    if found == "unknown":
        return "slow" if slow else "good" if good else "unknown"
    return found


def _nothing_to_find(last: BisectStep) -> tuple[str, int]:
    """What is said where the last commit is not slower than the good one, and the exit code."""
    bad, good = named(last.candidate), named(last.baseline)
    if last.verdict == "inconclusive":
        return f"it remains unclear whether {bad} is slower than {good}: {last.figures}", 4
    return f"{bad} is not slower than {good}, so there is no commit to find: {last.verdict}, {last.figures}", 1


def _range_sentence(good: Commit, suspects: Sequence[Commit]) -> str:
    return (
        f"the first commit that is slower than {named(good)} is one of {len(suspects)}, {named(suspects[0])} to "
        f"{named(suspects[-1])}; the commits in between were inconclusive or could not be measured"
    )


def _found_sentence(good: Commit, own: BisectStep) -> str:
    """What is said of the first slow commit, by its comparison with its parent."""
    kind = "change" if own.candidate.is_checkout else "commit"
    found = f"{named(own.candidate)} is the first {kind} that is slower than {named(good)}"
    parent = f"its parent {own.baseline.short}"
    if own.baseline == good:
        return f"{found}: {own.figures}"
    if own.trouble:
        return f"{found}; this commit could not be compared with {parent}: {own.trouble}"
    if own.verdict == "slower":
        return f"{found}: {own.figures}, against {parent}"
    if own.verdict == "inconclusive":
        return f"{found}; the comparison with {parent} is inconclusive: {own.figures}"
    return (
        f"{found}, but it is not slower than {parent} ({own.verdict}, {own.figures}): the slowdown comes from several"
        " commits"
    )


def named(commit: Commit) -> str:
    """A commit for a reader: the beginning of its id, and of its message."""
    subject = printable(commit.subject, LONGEST_SUBJECT)
    return f"{commit.short} ({subject})" if subject else commit.short


# ---- a step ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How commits are compared: the target at each of them, with the same call and load.

    `options` are those of both sides; `name` is the beginning of the studies' names, by default made of the two ends
    and of all that is measured. `again` is the command that does it once more. See :func:`.comparing.prepare` for the
    others.
    """

    target: GivenTarget
    options: PairOptions
    blocks: int | None
    delta: float
    seed: int
    again: str = ""
    name: str | None = None
    exclusive: bool = False
    budget_s: float | None = None
    write: Callable[[str], None]
    root: Path | None = None

    def named_after(self, good: Commit, bad: Commit) -> StepOptions:
        """The same with a name for its studies: the same command goes on with them."""
        if self.name is not None:
            return self
        measured = (self.target.target, self.options, self.blocks, self.delta, self.seed, self.exclusive, self.budget_s)
        digits = hashlib.sha256(repr((*measured, bad.id)).encode()).hexdigest()[:6]
        return dataclasses.replace(self, name=f"bisect-{good.id[:SHORT]}-{bad.id[:SHORT]}-{digits}")

    def sides(self, baseline: Commit, candidate: Commit) -> dict[str, Side]:
        """The two sides of a step. Raises UsageError where the target is not there at one of them."""
        own = {A: {REVISION: baseline.id}, B: {REVISION: candidate.id}}
        return pair(self.target, self.target, dataclasses.replace(self.options, own=own))

    def measure(self, good: Commit) -> Measure:
        """What compares two commits, and stores that; a comparison that is stored already is not measured again."""

        def measured(baseline: Commit, candidate: Commit, before: BisectStep | None) -> BisectStep:
            name = f"{self.name}-{candidate.id[:SHORT]}"
            name += "" if baseline == good else "-parent"
            blocks = self.blocks
            if before is not None:
                name, blocks = f"{name}-more", MORE_BLOCKS * before.planned
            running = comparing.prepare(
                self.sides(baseline, candidate),
                blocks=blocks,
                delta=self.delta,
                seed=self.seed,
                study=name,
                write=self.write,
                again=self.again,
                start_timeout_s=self.options.start_timeout_s,
                exclusive=self.exclusive,
                budget_s=self.budget_s if before is None else None,
                root=self.root,
            )
            running.CONTINUES = "the same command"
            self.write(running.heading)
            running.run(self.write)
            comparison = comparing.judge(running).judgement.headline
            planned = running.plan.blocks
            return BisectStep(
                baseline=baseline, candidate=candidate, comparison=comparison, study=name, planned=planned
            )

        return measured
