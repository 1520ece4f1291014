"""The design ``production``: what each feature of a production service costs. Pure.

Each feature is added to `optimized`, and compared with the same service without it: throughput and CPU time per call in
a closed loop, and the p99 latency in an open loop at half the throughput of `optimized`, for the features that act on
each call. The engine is `wire`, which leaves the limit to the server. A feature of the client is measured with engine
`grpcio`, in a closed loop. A feature that puts work off is measured in long windows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import TODAY
from grpclab.analysis.planned_feature import PlannedFeature
from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.factors.features import FEATURES, Feature
from grpclab.factors.levels import Level
from grpclab.factors.variants import OPTIMIZED, PRODUCTION
from grpclab.metrics import metric_named
from grpclab.study.designs.chatter_scenario import CHATTER, CHATTER_WARMUP_S
from grpclab.study.designs.design import METRIC, PREFERRED_CONCURRENCY, Configurations, comparison, headline
from grpclab.study.designs.grouping import LATER, grouped
from grpclab.study.parameters import ASYNCIO, BOTH, NO_BULK, SYNC, Design, StudyParameters
from grpclab.system.optional import is_installed, needs

QUESTION = "What does each feature of a production service cost?"
ENGINE, CLIENT_ENGINE = "wire", "grpcio"
"""The engine by which features of the server are measured, and those of the client."""
OPTIMIZED_NAME, PRODUCTION_NAME, CLIENT_NAME = "optimized", "production", "optimized-grpcio"
"""The configuration to which features are added, the one that has many, and the one to which a client's are added."""
LONG_NAME, STEADY_NAME = "optimized-long", "optimized-half"
"""`optimized` in long windows, and in an open loop."""
LONG_S = 10.0
"""The windows of features that put work off, and of what they are compared with."""
LATENCY = "latency_p99_s"
STEADY_SHARE = 0.5
"""The rate of the open loops, as a share of the throughput of `optimized`."""
MOST_IN_FLIGHT = 1_000
"""In the open loops, in which few calls are in flight unless a server stalls."""
PROFILED_BLOCKS = 1
SPARE_BUDGET_S = 900.0
"""The least budget for each implementation with which the features that can be spared are measured."""
OF_THE_HEADLINE = ("latency_p50_s", LATENCY, "server_cpu_per_call_s")
ON_A_LOOP: dict[str, Level] = {
    "server.implementation": ASYNCIO,
    "server.event_loop": "uvloop",
    "server.threads": TrialConfig().server.threads,
    "server.spare_threads": TrialConfig().server.spare_threads,
}
"""What an asyncio server has instead of threads."""


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """An application whose features are measured; `scenario` names its calls. All of its services have the `levels`."""

    scenario: str
    levels: Mapping[str, Level]
    python: str = ""
    """The interpreter that hosts it, if that is not ours."""


def plan(parameters: StudyParameters, *, missing: Collection[str] = (), application: Hosted | None = None) -> StudyPlan:
    """The plan, as :func:`grpclab.study.designs.default_design.plan` gives it, for our greeter or an `application`.

    A feature whose library is `missing` is left out, which the plan says. Latencies are compared if
    `parameters.rates_rps` are known.
    """
    planned = Configurations()
    scenario = application.scenario if application else CHATTER
    left_out = [feature for feature in FEATURES if feature.library in missing]
    lacked = {name: OPTIMIZED.flat()[name] for one in left_out if one.in_production for name in one.on}
    services, *others = (
        _Services(planned=planned, parameters=parameters, implementation=name, application=application, lacked=lacked)
        for name in parameters.implementations
    )
    optimized, production = services.whole()
    again = services.closed(f"{optimized}-again", "optimized again (A/A)", OPTIMIZED)
    whole_title = "production against optimized"
    for metric in OF_THE_HEADLINE:
        planned.compare(whole_title, scenario, optimized, production, metric=metric)
    for other in others:
        sides = other.whole()
        for metric in OF_THE_HEADLINE:
            planned.compare(f"{whole_title}, {other.implementation}", scenario, *sides, metric=metric)
        planned.compare(f"{whole_title}, {other.implementation}", scenario, *sides)
    spared = [
        feature for feature in FEATURES if feature.spare and feature not in left_out and not _has_time(parameters)
    ]
    at_hand = [feature for feature in FEATURES if feature not in left_out and feature not in spared]
    measured = [(feature, services.with_and_without(feature)) for feature in at_hand]
    for other in others:
        measured += [(feature, other.with_and_without(feature)) for feature in at_hand if not feature.of_client]
    whole = replace(
        planned.plan(blocks=parameters.blocks),
        headline=headline(
            whole_title,
            scenario,
            optimized,
            production,
            labels=("optimized", "production"),
            at=f"at concurrency {PREFERRED_CONCURRENCY} with engine {ENGINE}",
        ),
        aa=comparison("optimized against itself (A/A)", scenario, optimized, again),
        features=tuple(one for _, one in measured),
        left_out=(
            *(f"not measured: {_lack(one, application)}" for one in left_out),
            *([f"not measured: {_too_long(spared, parameters)}"] if spared else []),
        ),
        profiled=(optimized, production) if parameters.profile else (),
        profiled_blocks=PROFILED_BLOCKS,
    )
    later = {name for feature, one in measured if feature.later for name in (one.alone, one.steady_alone)}
    in_groups = grouped(whole, apart=dict.fromkeys(filter(None, later), LATER))
    steady = {name for _, one in measured for name in one.steady_pair or ()}
    return replace(in_groups, groups=tuple(_in_few_blocks(group, steady) for group in in_groups.groups))


def _lack(feature: Feature, application: Hosted | None) -> str:
    """The reason why a feature is left out."""
    if application is not None and application.python:
        return f"{feature.title} needs {feature.library}, which {application.python} does not have"
    return str(needs(feature.title, feature.library, feature.extra))


def _has_time(parameters: StudyParameters) -> bool:
    """Whether there is time for the features that can be spared."""
    budget_s = parameters.budget_s
    return budget_s is None or budget_s >= SPARE_BUDGET_S * len(parameters.implementations)


def _too_long(spared: Iterable[Feature], parameters: StudyParameters) -> str:
    """The reason why features are spared."""
    needed = qty.rough_duration(SPARE_BUDGET_S * len(parameters.implementations))
    return f"{_listed(one.title for one in spared)}, which need --budget {needed.replace(' min', 'm')}"


def _listed(titles: Iterable[str]) -> str:
    *first, last = titles
    return f"{', '.join(first)} and {last}" if first else last


def _in_few_blocks(group: PlannedGroup, steady: set[str]) -> PlannedGroup:
    """The group in as few blocks as give a verdict, if it takes long: its members have open loops, or its servers are
    still busy when their calls have ended. Where those are compared in CPU time, their windows are long."""
    if group.reason != LATER and not steady & set(group.members):
        return group
    some = replace(group, blocks=TODAY.fewest_for_t)
    long = group.reason == LATER and not steady & set(group.members)
    return replace(some, counted_s=LONG_S, until_idle=True) if long else some


@dataclass(frozen=True, kw_only=True)
class _Services:
    """The configurations of the plan with one implementation of the server, which are added to it once.

    Where both are measured, the names of those on asyncio say so.
    """

    planned: Configurations
    parameters: StudyParameters
    implementation: str = SYNC
    application: Hosted | None = None
    lacked: Mapping[str, Level] = field(default_factory=dict)
    """The levels of `optimized` for what `production` cannot have here."""

    @property
    def _scenario(self) -> str:
        return self.application.scenario if self.application else CHATTER

    @property
    def _further(self) -> bool:
        """Whether it is measured beside another implementation, which comes first."""
        return self.parameters.implementation == BOTH and self.implementation != SYNC

    @property
    def _rate_rps(self) -> float | None:
        return self.parameters.rate_of(self.implementation)

    def whole(self) -> tuple[str, str]:
        """`optimized` and `production`, in a closed loop."""
        return (
            self.closed(OPTIMIZED_NAME, "optimized", OPTIMIZED),
            self.closed(PRODUCTION_NAME, "production", PRODUCTION.replace(self.lacked)),
        )

    def closed(self, name: str, title: str, config: TrialConfig) -> str:
        """A service in a closed loop; returns its name."""
        load: dict[str, Level] = {
            "load.requests": self.parameters.requests,
            "load.duration_s": self.parameters.max_trial_s,
            "load.concurrency": PREFERRED_CONCURRENCY,
        }
        return self._add(name, title, config, load)

    def long(self, name: str, title: str, config: TrialConfig) -> str:
        """A service in a closed loop, for as long as a window of LONG_S."""
        load: dict[str, Level] = {"load.duration_s": LONG_S, "load.concurrency": PREFERRED_CONCURRENCY}
        return self._add(name, title, config, load)

    def steady(self, name: str, title: str, config: TrialConfig) -> str:
        """A service in an open loop, with enough calls for the latency that is compared."""
        load: dict[str, Level] = {
            "load.requests": metric_named(LATENCY).fewest_calls,
            "load.duration_s": self.parameters.max_trial_s,
            "load.rate_rps": self._rate_rps,
            "load.max_in_flight": MOST_IN_FLIGHT,
        }
        return self._add(name, title, config, load)

    def _add(self, name: str, title: str, config: TrialConfig, load: Mapping[str, Level]) -> str:
        engine = CLIENT_ENGINE if name.startswith(CLIENT_NAME) else ENGINE
        loop = ON_A_LOOP if self.implementation == ASYNCIO else {}
        own = self.application.levels if self.application else {}
        whole = config.replace({**loop, **own, **load, "load.engine": engine, "load.warmup_s": CHATTER_WARMUP_S})
        if self._further:
            name, title = f"{self.implementation}-{name}", f"{title}, {self.implementation}"
        return self.planned.add(name, title, self._scenario, whole, hosted=self.application is not None)

    def with_and_without(self, feature: Feature) -> PlannedFeature:
        """The services with and without a feature, compared in throughput, CPU time and latency."""
        if feature.of_client and feature.later:
            title = f"optimized, engine {CLIENT_ENGINE}, windows of {qty.rough_duration(LONG_S)}"
            plain, alone = _pair(feature, self.long, f"{CLIENT_NAME}-long", title)
        elif feature.of_client:
            plain, alone = _pair(feature, self.closed, CLIENT_NAME, f"optimized, engine {CLIENT_ENGINE}")
        elif feature.later:
            plain, alone = _pair(feature, self.long, LONG_NAME, f"optimized, windows of {qty.rough_duration(LONG_S)}")
        else:
            plain, alone = _pair(feature, self.closed, OPTIMIZED_NAME, "optimized")
        steady_plain = steady_alone = ""
        if (rate_rps := self._rate_rps) is not None and feature.each_call and not feature.of_client:
            title = f"optimized, {qty.amount(rate_rps)} calls/s"
            steady_plain, steady_alone = _pair(feature, self.steady, STEADY_NAME, title)
        planned = PlannedFeature(
            name=feature.name,
            title=feature.title,
            scenario=self._scenario,
            plain=plain,
            alone=alone,
            of_client=feature.of_client,
            steady_plain=steady_plain,
            steady_alone=steady_alone,
            implementation=self.implementation if self._further else "",
        )
        place = f", {self.implementation}" if self._further else ""
        for where, pair in planned.pairs.items():
            for metric in (METRIC, planned.cpu_metric):
                self.planned.compare(f"{feature.title}, {where}", self._scenario, *pair, metric=metric)
        if planned.steady_pair:
            title = f"{feature.title}, at half load{place}"
            self.planned.compare(title, self._scenario, *planned.steady_pair, metric=LATENCY)
        return planned


Add = Callable[[str, str, TrialConfig], str]
"""Adds a configuration by name and title; returns its name."""


def _pair(feature: Feature, add: Add, plain: str, title: str) -> tuple[str, str]:
    """Add the service without a feature, and with it: `plain` is the one that is `optimized` otherwise."""
    if feature.base:
        base = OPTIMIZED.replace(feature.base)
        name = add(f"{plain}-without-{feature.name}", f"{title}, with {feature.base_title}", base)
        return name, add(f"{plain}-{feature.name}", f"{title}, with {feature.title}", base.replace(feature.on))
    name = add(plain, title, OPTIMIZED)
    if feature.without:
        without = f"{title}, without {feature.title}"
        return add(f"{plain}-without-{feature.name}", without, OPTIMIZED.replace(feature.without)), name
    return name, add(f"{plain}-{feature.name}", f"{title}, with {feature.title}", OPTIMIZED.replace(feature.on))


def _plan(parameters: StudyParameters, _server_cores: int) -> StudyPlan:
    libraries = {feature.library for feature in FEATURES if feature.library}
    return plan(parameters, missing=[library for library in libraries if not is_installed(library)])


def closed_loops(parameters: StudyParameters) -> list[TrialConfig]:
    """`optimized` in a closed loop, with each implementation: the rate of its open loops is a share of its
    throughput."""
    planned = Configurations()
    for name in parameters.implementations:
        services = _Services(planned=planned, parameters=parameters, implementation=name)
        services.closed(OPTIMIZED_NAME, "optimized", OPTIMIZED)
    return [one.config for one in planned.configurations.values()]


DESIGN = Design(
    question=QUESTION,
    plan=_plan,
    unused=(*NO_BULK, "engine"),
    rates_of=closed_loops,
    rate_share=STEADY_SHARE,
)
