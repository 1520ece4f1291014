"""The sections of a report, in the order in which they are read."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol, cast

import grpclab.report.sections as room
from grpclab.report.blocks import Section
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Contents

VERDICT = ("answer", "warnings", "sides", "claims", "certainty")
"""The sections, by their anchors, that a reader of a short form sees in full; the others fold or are left out."""


class Part(Protocol):
    """A module of `sections/`: see there. Its `section` returns None if the study has nothing to show."""

    TITLE: str
    ANCHOR: str
    PLACE: int
    FOLDED: bool

    def section(self, study: FinishedStudy) -> Contents: ...


def _found() -> tuple[Part, ...]:
    """Every module of the room, by its place."""
    modules = (
        importlib.import_module(f"{room.__name__}.{found.name}") for found in pkgutil.iter_modules(room.__path__)
    )
    return tuple(sorted((cast("Part", module) for module in modules), key=lambda part: part.PLACE))


ORDER: tuple[Part, ...] = _found()


def sections(study: FinishedStudy) -> list[Section]:
    """The report of a study, section by section.

    What is missing is said in a line where it would have stood; sections that have nothing to be about (no warning, no
    invalid trial, no stacks, no ladder in the plan) are left out. In a notebook each section displays itself.
    """
    made = [(part, part.section(study)) for part in ORDER]
    return [
        Section(title=part.TITLE, anchor=part.ANCHOR, data=data, folded=part.FOLDED)
        for part, data in made
        if data is not None
    ]
