"""The design ``production``: what each feature of a production service costs. Pure.

Each feature is measured twice against the same service without it: added alone to `optimized`, and taken alone from
`production`, where the others are on as well. The engine is `wire`, which leaves the limit to the server. A feature of
the client is measured with engine `grpcio`, and added to the client of `optimized` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from grpclab.analysis.study_plan import PlannedFeature, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.factors.features import FEATURES, Feature
from grpclab.factors.levels import Level
from grpclab.factors.variants import OPTIMIZED, PRODUCTION
from grpclab.study.designs.chatter_scenario import CHATTER, CHATTER_WARMUP_S
from grpclab.study.designs.design import METRIC, PREFERRED_CONCURRENCY, Configurations, comparison, headline
from grpclab.study.designs.grouping import grouped
from grpclab.study.parameters import NO_BULK, Design, StudyParameters
from grpclab.system.optional import is_installed, needs

QUESTION = "What does each feature of a production service cost?"
ENGINE, CLIENT_ENGINE = "wire", "grpcio"
"""The engine by which features of the server are measured, and those of the client."""
OPTIMIZED_NAME, PRODUCTION_NAME, CLIENT_NAME = "optimized", "production", "optimized-grpcio"
"""The configurations to which features are added, from which they are taken, and to which a client's are added."""
WORKS_LATER = ("tracing-all",)
"""Features with which a server works while others are measured, by name."""
LATER = "it sends its spans after its calls have ended"
OF_THE_HEADLINE = ("latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")


Add = Callable[[str, str, TrialConfig], str]
"""Adds a configuration by name and title; returns its name."""


def plan(parameters: StudyParameters, *, missing: Collection[str] = ()) -> StudyPlan:
    """The plan, as :func:`grpclab.study.designs.default_design.plan` gives it.

    A feature whose library is `missing` is left out, which the plan says.
    """
    planned = Configurations()
    load: dict[str, Level] = {
        "load.requests": parameters.requests,
        "load.duration_s": parameters.max_trial_s,
        "load.warmup_s": CHATTER_WARMUP_S,
        "load.concurrency": PREFERRED_CONCURRENCY,
    }

    def add(name: str, title: str, config: TrialConfig) -> str:
        return planned.add(name, title, CHATTER, config.replace(load))

    optimized = add(OPTIMIZED_NAME, "optimized", OPTIMIZED)
    production = add(PRODUCTION_NAME, "production", PRODUCTION)
    again = add(f"{optimized}-again", "optimized again (A/A)", OPTIMIZED)
    whole_title = "production against optimized"
    for metric in OF_THE_HEADLINE:
        planned.compare(whole_title, CHATTER, optimized, production, metric=metric)
    features = [_feature(planned, add, feature) for feature in FEATURES if feature.library not in missing]
    left_out = [feature for feature in FEATURES if feature.library in missing]
    whole = replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline(
            whole_title,
            CHATTER,
            optimized,
            production,
            labels=("optimized", "production"),
            at=f"at concurrency {PREFERRED_CONCURRENCY} with engine {ENGINE}",
        ),
        aa=comparison("optimized against itself (A/A)", CHATTER, optimized, again),
        features=tuple(features),
        left_out=tuple(f"not measured: {needs(one.title, one.library, one.extra)}" for one in left_out),
        profiled=(optimized, production) if parameters.profile else (),
    )
    return grouped(whole, apart={_with(name): LATER for name in WORKS_LATER if _with(name) in whole.names})


def _with(feature: str) -> str:
    """The name of the configuration that has a feature alone."""
    return f"{OPTIMIZED_NAME}-{feature}"


def _feature(planned: Configurations, add: Add, feature: Feature) -> PlannedFeature:
    """Add what a feature is measured by, and compare it."""
    name, title = feature.name, feature.title
    base, plain = OPTIMIZED, OPTIMIZED_NAME
    if feature.of_client:
        base = OPTIMIZED.replace({"load.engine": CLIENT_ENGINE})
        plain = add(CLIENT_NAME, f"optimized with engine {CLIENT_ENGINE}", base)
    alone = plain
    if feature.without:
        plain = add(f"{plain}-without-{name}", f"optimized without {title}", base.replace(feature.without))
    else:
        alone = add(_with(name), f"optimized with {title}", base.replace(feature.on))
    without = whole = ""
    if feature.in_production:
        without = add(f"production-without-{name}", f"production without {title}", _production_without(feature))
        whole = PRODUCTION_NAME
    added = PlannedFeature(
        name=name,
        title=title,
        scenario=CHATTER,
        plain=plain,
        alone=alone,
        without=without,
        whole=whole,
        of_client=feature.of_client,
    )
    for where, (baseline, candidate) in added.pairs.items():
        for metric in (METRIC, added.cpu_metric):
            planned.compare(f"{title}, {where}", CHATTER, baseline, candidate, metric=metric)
    return added


def _production_without(feature: Feature) -> TrialConfig:
    """`production` with the factors of a feature at the levels that they have in `optimized`, or without it there."""
    before = OPTIMIZED.flat()
    return PRODUCTION.replace({factor: before[factor] for factor in feature.on} | feature.without)


def _plan(parameters: StudyParameters, _server_cores: int) -> StudyPlan:
    libraries = {feature.library for feature in FEATURES if feature.library}
    return plan(parameters, missing=[library for library in libraries if not is_installed(library)])


DESIGN = Design(
    question=QUESTION,
    plan=_plan,
    unused=(*NO_BULK, "engine"),
)
