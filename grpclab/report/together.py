"""Which configurations were measured together, in which slices, and what was measured alone and why, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.study_notices import as_one, wordings
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.study.stored_groups import MeasuredGroup

TOGETHER, IN_TURN, ALONE = "interleaved", "one after the other", "alone"


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """A group of the plan with what became of it over the blocks.

    `hub` and `others` are configurations; `slices` and `passes` are ranges in words, "" where nobody was measured in
    slices; `reasons` say why it, or a member of it, was measured in another way than in slices.
    """

    hub: str
    others: tuple[str, ...]
    how: str
    slices: str = ""
    passes: str = ""
    seconds: str = ""
    reasons: tuple[str, ...] = ()


def groups(study: FinishedStudy) -> list[GroupFacts]:
    """The groups of the plan, in its order; empty for a study of the first edition."""
    planned = study.plan.groups
    measured: dict[int, list[MeasuredGroup]] = {}
    for one in study.groups:
        measured.setdefault(one.group % max(len(planned), 1), []).append(one)
    return [_facts(study, group, measured.get(at, [])) for at, group in enumerate(planned)]


def _facts(study: FinishedStudy, planned: PlannedGroup, measured: Sequence[MeasuredGroup]) -> GroupFacts:
    lengths = [one.lengths for one in measured if one.lengths is not None]
    passes = [len(one.passes) for one in measured if one.passes]
    seconds = [one.seconds for one in measured if one.seconds is not None]
    return GroupFacts(
        hub=planned.hub,
        others=tuple(name for name in planned.members if name != planned.hub),
        how=_how(planned, measured),
        slices=_span([one.counted_s for one in lengths], _duration),
        passes=_span(passes, _whole),
        seconds=_span(seconds, _duration),
        reasons=tuple(_reasons(study, planned, measured)),
    )


def _how(planned: PlannedGroup, measured: Sequence[MeasuredGroup]) -> str:
    if len(planned.members) == 1:
        return ALONE
    if not planned.interleaved:
        return IN_TURN
    apart = sum(not one.interleaved for one in measured)
    if not apart:
        return TOGETHER
    return IN_TURN if apart == len(measured) else f"{TOGETHER}, {IN_TURN} in {apart} of {len(measured)} blocks"


def _reasons(study: FinishedStudy, planned: PlannedGroup, measured: Sequence[MeasuredGroup]) -> Iterator[str]:
    """Each reason once, with the range of its figures, its member, and the number of blocks unless it is all."""
    known = words.plain(planned.reason)
    if known:
        yield known
    found: list[str] = []
    for one in measured:
        alone: dict[str, list[str]] = {}
        for each in one.members if planned.interleaved else ():
            if each.alone and each.alone not in one.reasons:
                alone.setdefault(each.alone, []).append(each.configuration)
        said = {f"{name} was measured alone: {why}" for why, names in alone.items() for name in names}
        of_members = [
            f"{words.listing(map(study.title, names))} {'was' if len(names) == 1 else 'were'} measured alone: {why}"
            for why, names in alone.items()
        ]
        in_block = [*(reason for reason in one.reasons if reason not in said), *of_members]
        found += [as_one(alike) for alike in wordings(dict.fromkeys(map(words.plain, in_block)))]
    for alike in wordings(reason for reason in found if reason != known):
        reason, count = as_one(alike), len(alike)
        yield reason if count == len(measured) else f"{reason} (in {count} of {qty.count(len(measured), 'block')})"


def _span(values: Sequence[float], text: Callable[[float], str]) -> str:
    """The least and the most of some values in words; one where they read alike, "" without any."""
    if not values:
        return ""
    ends = dict.fromkeys((text(min(values)), text(max(values))))
    return " to ".join(ends)


def line(study: FinishedStudy) -> str:
    """What was measured together and what was not, in a sentence or two; "" for a study of the first edition."""
    found = groups(study)
    if not found:
        return ""
    sliced = [one for one in found if one.how.startswith(TOGETHER)]
    counted = [one.lengths.counted_s for one in study.groups if one.lengths is not None]
    passes = [len(one.passes) for one in study.groups if one.passes]
    parts = [f"{_span(counted, _duration)} counted per slice"] if counted else []
    parts += [f"{_span(passes, _whole)} passes"] if passes else []
    were = "was" if len(sliced) == 1 else "were"
    text = f"{len(sliced)} of {qty.count(len(found), 'group')} {were} measured in slices"
    text += f", with {words.listing(parts)}" if parts else ""
    if study.narrowing and study.narrowing.low > 1:
        text += f" (which made the headline's interval {study.narrowing.times:.1f} times narrower)"
    others = [one for one in found if not one.how.startswith(TOGETHER)]
    if not others:
        return text
    why = "; ".join(as_one(alike) for alike in wordings(reason for one in others for reason in one.reasons))
    how = f"in sequence or alone ({why})" if why else "in sequence or alone"
    if len(found) == 1:
        return f"the only group was not measured in slices but {how}"
    if not sliced:
        return f"all {qty.count(len(found), 'group')} were measured {how}"
    return f"{text}; the {'other group was' if len(others) == 1 else 'others were'} measured {how}"


def _duration(seconds: float) -> str:
    return qty.duration(seconds)


def _whole(count: float) -> str:
    return f"{count:,.0f}"
