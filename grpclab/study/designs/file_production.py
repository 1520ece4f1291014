"""The design ``production`` on a user's application, which the ``[target]`` of a study's TOML file names.

Its services are the variants `optimized` and `production`, with what ``[set]`` changes in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from grpclab.analysis import fewest_blocks
from grpclab.analysis.study_plan import StudyPlan
from grpclab.errors import DesignError
from grpclab.factors.config import TrialConfig
from grpclab.factors.features import FEATURES
from grpclab.factors.own import PYTHON
from grpclab.servers.hosting.application import lacking
from grpclab.servers.target import Target
from grpclab.study.designs import production_design
from grpclab.study.designs.file_targets import subject_of
from grpclab.study.designs.grouping import EXCLUSIVE, grouped
from grpclab.study.designs.production_design import Hosted
from grpclab.study.designs.study_file import PRODUCTION, StudyFile
from grpclab.study.parameters import SYNC, StudyParameters
from grpclab.study.target import Subject
from grpclab.system.optional import is_installed

SCENARIO = "custom"
IMPLEMENTATION = "server.implementation"
OURS = ("trustme",)
"""The libraries of features that grpclab uses itself: the application's interpreter need not have them."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The plan for an application, its parameters, and what is measured in all configurations."""

    plan: StudyPlan
    parameters: StudyParameters
    subject: Subject


def planned(file: StudyFile, target: Target, folder: Path, *, exclusive: bool, budget: str) -> Planned:
    """The plan that a file with this design asks for, for a `budget` as a parameter has it. Raises UsageError."""
    _refuse_own_levels(file)
    levels = dict(file.set)
    parameters = StudyParameters(
        design=PRODUCTION,
        blocks=fewest_blocks() if file.blocks is None else file.blocks,
        seed=file.seed,
        profile=file.profile,
        implementation=str(levels.pop(IMPLEMENTATION, SYNC)),
        rate=file.rate,
        budget=budget,
    )
    subject = subject_of(target, file.call, folder, file.set, TrialConfig().replace(file.set))
    assert subject is not None  # it has an application
    python = str(levels.get(PYTHON, target.python))
    libraries = {feature.library for feature in FEATURES if feature.library}
    missing = {library for library in libraries if not is_installed(library)}
    if python:
        missing |= lacking(python, libraries - {*OURS})
    plan = production_design.plan(
        parameters, missing=missing, application=Hosted(scenario=SCENARIO, levels=levels, python=python)
    )
    if exclusive or (file.target and file.target.exclusive):
        plan = grouped(plan, apart=dict.fromkeys(plan.names, EXCLUSIVE))
    return Planned(
        plan=replace(plan, subjects=dict.fromkeys(plan.names, subject.stored())),
        parameters=parameters,
        subject=subject,
    )


def _refuse_own_levels(file: StudyFile) -> None:
    """Raise DesignError for a factor in ``[set]`` that the design sets itself."""
    of_features = {name for feature in FEATURES for name in (*feature.base, *feature.on, *feature.without)}
    for name in file.set:
        if name.startswith("load.") or name in of_features:
            raise DesignError(f"set: {name} cannot be combined with design = {PRODUCTION!r}, which sets it")
