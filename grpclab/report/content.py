"""The sections of a report, in the order in which they are read."""

from __future__ import annotations

from typing import Protocol

from grpclab.report.blocks import Section
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import (
    again,
    answer,
    claims,
    comparisons,
    configurations,
    engines,
    flamegraphs,
    idle,
    interleaving,
    invalid,
    ladder,
    latency,
    limits,
    machine,
    mapping,
    method,
    offered,
    profile,
    question,
    sides,
    sweeps,
    throughput,
    timeline,
    waiting,
    warnings,
    windows,
)


class Part(Protocol):
    """A module of `sections/`. Its `section` is "" where the study has nothing that it is about."""

    TITLE: str
    ANCHOR: str

    def section(self, study: FinishedStudy) -> str: ...


ORDER: tuple[Part, ...] = (
    *(question, answer, warnings, sides, claims, engines, throughput, latency, offered, idle, waiting, ladder),
    *(windows, sweeps, profile, flamegraphs, comparisons, configurations, limits, mapping, interleaving),
    *(timeline, invalid, method, machine, again),
)


def sections(study: FinishedStudy) -> list[Section]:
    """The report of a study, section by section.

    What is missing is said in a line where it would have stood; sections that have nothing to be about (no warning, no
    invalid trial, no stacks, no ladder in the plan) are left out. In a notebook each section displays itself.
    """
    made = [(part, part.section(study)) for part in ORDER]
    return [Section(title=part.TITLE, anchor=part.ANCHOR, html=html) for part, html in made if html]
