"""What was measured together, slice by slice: whether the noise is shared, the groups, and what was measured alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from grpclab import quantities as qty
from grpclab.report import figures, tables, together, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.together import GroupFacts
from grpclab.report.words import esc

TITLE, ANCHOR = "Measured together", "groups"


def section(study: FinishedStudy) -> str:
    """The figure and the table of groups; "" for a study of the first edition."""
    found = together.groups(study)
    if not found:
        return ""
    block = figures.slices(study)
    picture = block.html() if block else tables.none("The sides of the headline were not measured in slices.")
    header = ["hub", "measured with it", "how", "counted in a slice", "passes", "a block takes"]
    body = tables.table(header, _rows(study, found), label="Groups", numeric={3, 4, 5}, widest=1)
    return f"{picture}<h3>Groups</h3><p>{esc(_lead(study))}</p>{body}"


def _lead(study: FinishedStudy) -> str:
    return (
        "In each block the configurations of a group are started fresh at the same time, and the load generator visits "
        "them in random order, slice by slice, until each has its measured time. A configuration in several groups is "
        f"measured once in each, and a comparison pairs within a group. {words.sentence_case(together.line(study))}."
    )


def _rows(study: FinishedStudy, found: list[GroupFacts]) -> Iterator[list[str]]:
    alone: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        if one.how == together.ALONE:
            alone.setdefault(one.reasons, []).append(one.hub)
            continue
        numbers = [text or qty.MISSING for text in (one.slices, one.passes, one.seconds)]
        yield [esc(study.title(one.hub)), _titles(study, one.others), _way(one.how, one.reasons), *numbers]
    for reasons, names in alone.items():
        yield [_titles(study, names), qty.MISSING, _way(together.ALONE, reasons), *[qty.MISSING] * 3]


def _titles(study: FinishedStudy, names: Iterable[str]) -> str:
    return "; ".join(esc(study.title(name)) for name in names)


def _way(how: str, reasons: Iterable[str]) -> str:
    """How a group was measured, and why so where not in slices."""
    return esc(how) + "".join(f"<br><small>{esc(reason)}</small>" for reason in reasons)
