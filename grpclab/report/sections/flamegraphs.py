"""Flamegraphs of the compared configurations, and the functions whose shares differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from grpclab import quantities as qty
from grpclab.analysis.inference import functions
from grpclab.profiling import flamegraph
from grpclab.profiling.stacks import at_work, readable
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import profile
from grpclab.report.tables import code, table
from grpclab.report.words import esc

TITLE, ANCHOR = "Flamegraphs", "flamegraphs"

LOOKS = {
    "stacks": ("py-spy", "Python's threads, by py-spy"),
    "perf": ("perf", "every thread while it runs, by perf, a thread's name at the root"),
}
"""The files of stacks that a trial holds: the tool, and what it looks at."""


def section(study: FinishedStudy) -> str:
    """The section; "" where there are no stacks."""
    drawn = "".join(_look(study, key, looked) for key in LOOKS if (looked := _at_work(study.profiles.get(key, {}))))
    return f"<style>{flamegraph.STYLE}</style>{drawn}<script>{flamegraph.SCRIPT}</script>" if drawn else ""


def _at_work(by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]) -> dict[str, dict[int, dict[str, int]]]:
    """The stacks at work: without those that wait, and without configurations of which none is left."""
    kept = {
        name: {block: working for block, stacks in blocks.items() if (working := at_work(stacks))}
        for name, blocks in by_configuration.items()
    }
    return {name: blocks for name, blocks in kept.items() if blocks}


def _readable(blocks: Mapping[int, Mapping[str, int]]) -> dict[int, dict[str, int]]:
    return {block: readable(stacks) for block, stacks in blocks.items()}


def _look(study: FinishedStudy, key: str, by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]) -> str:
    tool, title = LOOKS[key]
    parts = [f"<h3>{esc(words.sentence_case(title))}</h3>"]
    for name, blocks in by_configuration.items():
        whole: Counter[str] = Counter()
        for stacks in blocks.values():
            whole.update(stacks)
        samples = qty.count(sum(whole.values()), "sample")
        heading = f"{study.title(name)}: {samples} at work in {qty.count(len(blocks), 'block')}"
        opened = " open" if tool == "py-spy" else ""
        parts.append(f"<details{opened}><summary>{esc(heading)}</summary>{flamegraph.fragment(whole)}</details>")
    return "".join(parts) + _differences(study, tool, by_configuration)


def _differences(
    study: FinishedStudy, tool: str, by_configuration: Mapping[str, Mapping[int, Mapping[str, int]]]
) -> str:
    if not {study.baseline, study.candidate} <= set(by_configuration):
        return ""
    largest = functions.largest(*(_readable(by_configuration[side]) for side in (study.baseline, study.candidate)))
    rows = [
        [
            code(one.function),
            profile.level(one.shares.baseline, profile.points),
            profile.level(one.shares.candidate, profile.points),
            profile.change(one.shares, profile.points),
        ]
        for one in largest
    ]
    if not rows:
        return ""
    header = ["on the stack", study.title(study.baseline), study.title(study.candidate), "change"]
    label = f"Functions whose share of the samples changed most, by {tool}"
    return f"<p>{esc(label)}:</p>{table(header, rows, label=label, numeric={1, 2, 3})}"
