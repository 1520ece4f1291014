"""The design ``desk``: what counting calls and a profiling desk beside the server cost it. Pure."""

from __future__ import annotations

from dataclasses import replace

from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.levels import Level
from grpclab.factors.variants import OPTIMIZED
from grpclab.study.designs.chatter_scenario import CHATTER, CHATTER_WARMUP_S
from grpclab.study.designs.design import (
    PREFERRED_CONCURRENCY,
    Configurations,
    comparison,
    headline,
)
from grpclab.study.parameters import NO_BULK, OF_FEATURES, Design, StudyParameters

QUESTION = "How much do the diagnostics server and the metrics cost the server while nobody uses them?"
SETTINGS: dict[str, tuple[str, dict[str, Level]]] = {
    "neither": ("optimized, neither", {}),
    "metrics": ("optimized, counting calls", {"server.metrics": True}),
    "desk": ("optimized, with a diagnostics server", {"server.desk": True}),
    "both": ("optimized, as `grpclab serve` runs it", {"server.metrics": True, "server.desk": True}),
}


def plan(parameters: StudyParameters) -> StudyPlan:
    """The plan, as :func:`grpclab.study.designs.default_design.plan` gives it.

    The load is that of the engine in the parameters.
    """
    planned = Configurations()
    load: dict[str, Level] = {
        "load.engine": parameters.engine,
        "load.requests": parameters.requests,
        "load.duration_s": parameters.max_trial_s,
        "load.warmup_s": CHATTER_WARMUP_S,
        "load.concurrency": PREFERRED_CONCURRENCY,
    }
    names = {
        key: planned.add(key, title, CHATTER, OPTIMIZED.replace(load | settings))
        for key, (title, settings) in SETTINGS.items()
    }
    again = planned.add("neither-again", "neither again (A/A)", CHATTER, OPTIMIZED.replace(load))
    for key in ("metrics", "desk"):
        planned.compare(f"{SETTINGS[key][0]}, against neither", CHATTER, names["neither"], names[key])
    return replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline(
            "diagnostics server and metrics against neither",
            CHATTER,
            names["neither"],
            names["both"],
            labels=("optimized without them", "optimized with diagnostics server and metrics"),
            at=f"at concurrency {PREFERRED_CONCURRENCY} with engine {parameters.engine}",
        ),
        aa=comparison("neither against itself (A/A)", CHATTER, names["neither"], again),
        profiled=(names["neither"], names["both"]) if parameters.profile else (),
    )


DESIGN = Design(
    question=QUESTION, plan=lambda parameters, _server_cores: plan(parameters), unused=(*NO_BULK, *OF_FEATURES)
)
