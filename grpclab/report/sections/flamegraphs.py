"""Flamegraphs of the compared configurations, and the functions whose shares differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from grpclab import quantities as qty
from grpclab.analysis.inference import functions
from grpclab.profiling import flamegraph
from grpclab.profiling.stacks import at_work, readable
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.shifts import change, level, points
from grpclab.report.tables import Cells, Composed, Contents, Heading, ItemList, Paragraph, Table, code

TITLE, ANCHOR, PLACE, FOLDED = "Flamegraphs", "flamegraphs", 170, True

LOOKS = {
    "stacks": ("py-spy", "Python threads, sampled by py-spy"),
    "perf": ("perf", "every thread while on the CPU, sampled by perf, with the thread's name at the root"),
}
"""The files of stacks that a trial holds: the tool, and what it looks at."""


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """The flamegraph of a configuration: its heading, and its stacks as the page's script takes them."""

    heading: str
    packed: str


@dataclass(frozen=True, kw_only=True)
class LookAtStacks:
    """What a tool saw: a flamegraph for each configuration, and the functions whose shares differ most."""

    title: str
    opened: bool
    graphs: tuple[Stacks, ...]
    differences: Table | None


@dataclass(frozen=True, kw_only=True)
class Flamegraphs(Composed):
    """What each tool saw; a page draws the stacks by a script of its own."""

    looks: tuple[LookAtStacks, ...]

    TEMPLATE = "sections/flamegraphs.html.j2"

    @property
    def pieces(self) -> Contents:
        """Of each tool its samples, and the functions whose shares differ most."""
        return [
            (
                Heading(text=look.title),
                ItemList(items=[one.heading for one in look.graphs]),
                (Paragraph(text=f"{look.differences.label}:"), look.differences) if look.differences else None,
            )
            for look in self.looks
        ]


def section(study: FinishedStudy) -> Flamegraphs | None:
    """What each tool saw; None where there are no stacks."""
    looks = [_look(study, key, looked) for key in LOOKS if (looked := _at_work(study.profiles.get(key, {})))]
    return Flamegraphs(looks=tuple(looks)) if looks else None


def _at_work(by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]) -> dict[str, dict[int, dict[str, int]]]:
    """The stacks at work: without those that wait, and without configurations of which none is left."""
    kept = {
        name: {block: working for block, stacks in blocks.items() if (working := at_work(stacks))}
        for name, blocks in by_configuration.items()
    }
    return {name: blocks for name, blocks in kept.items() if blocks}


def _readable(blocks: Mapping[int, Mapping[str, int]]) -> dict[int, dict[str, int]]:
    return {block: readable(stacks) for block, stacks in blocks.items()}


def _look(
    study: FinishedStudy, key: str, by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]
) -> LookAtStacks:
    tool, title = LOOKS[key]
    graphs = []
    for name, blocks in by_configuration.items():
        whole: Counter[str] = Counter()
        for stacks in blocks.values():
            whole.update(stacks)
        samples = qty.count(sum(whole.values()), "active sample")
        heading = f"{study.title(name)}: {samples} in {qty.count(len(blocks), 'block')}"
        graphs.append(Stacks(heading=heading, packed=Markup(flamegraph.pack(whole))))
    return LookAtStacks(
        title=words.sentence_case(title),
        opened=tool == "py-spy",
        graphs=tuple(graphs),
        differences=_differences(study, tool, by_configuration),
    )


def _differences(
    study: FinishedStudy, tool: str, by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]
) -> Table | None:
    if not {study.baseline, study.candidate} <= set(by_configuration):
        return None
    largest = functions.largest(*(_readable(by_configuration[side]) for side in (study.baseline, study.candidate)))
    rows: list[Cells] = [
        [
            code(one.function),
            level(one.shares.baseline, points),
            level(one.shares.candidate, points),
            change(one.shares, points),
        ]
        for one in largest
    ]
    if not rows:
        return None
    header = ["on the stack", study.title(study.baseline), study.title(study.candidate), "change"]
    label = f"Functions whose share of the {tool} samples changed most"
    return Table(header=header, rows=rows, label=label, numeric={1, 2, 3})
