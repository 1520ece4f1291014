"""The design of a study whose processes are killed: three configurations together, one with a link, one profiled."""

from __future__ import annotations

from dataclasses import replace

from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.study.designs.design import Configurations, headline
from grpclab.study.parameters import Design, StudyParameters

LEVELS: dict[str, dict[str, Level]] = {
    "few": {"server.threads": 2},
    "many": {"server.threads": 8},
    "linked": {"link.rtt_ms": 5.0},
}


def _plan(parameters: StudyParameters, _: int) -> StudyPlan:
    planned = Configurations()
    load: dict[str, Level] = {
        "load.requests": parameters.requests,
        "load.duration_s": parameters.max_trial_s,
        "load.warmup_s": 0.1,
    }
    for name, levels in LEVELS.items():
        planned.add(name, name, "chatter", TrialConfig().replace(load | levels))
    planned.compare("a link against none", "chatter", "few", "linked")
    return replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline("many threads against few", "chatter", "few", "many", labels=("few", "many")),
        profiled=("many",) if parameters.profile else (),
        without_aa=True,
    )


DESIGN = Design(question="What is left of a study whose processes are killed?", plan=_plan)
