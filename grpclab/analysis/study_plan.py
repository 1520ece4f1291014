"""The plan of a study as values: its configurations, and what is compared with what. Pure.

Each class is one JSON object of a manifest's plan. A plan that an earlier version wrote lacks what is newer, and null
stands for anything that is unknown, so a field has a default unless every version has written it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from grpclab.errors import DesignError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.calls.call_options import is_recorded
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.system.json_fields import Json, always, nothing
from grpclab.system.transport import SecurityOptions


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """A configuration of a plan: the factors not at their defaults, and those that cannot have an effect, with the
    reason."""

    name: str = ""
    title: str = ""
    scenario: str = ""
    settings: Mapping[str, Level] = always({})
    without_effect: Mapping[str, str] = always({})

    @functools.cached_property
    def config(self) -> TrialConfig:
        """Every factor at its level. Raises FactorError for unknown settings."""
        return TrialConfig().replace(self.settings)


@dataclass(frozen=True, kw_only=True)
class PlannedComparison:
    """Two configurations that are compared in a metric. The comparisons of a family are adjusted together."""

    title: str = ""
    scenario: str = ""
    metric: str = ""
    baseline: str = ""
    candidate: str = ""
    family: str = ""

    @property
    def key(self) -> tuple[str, str, frozenset[str]]:
        """What identifies a comparison: its two sides, in either direction."""
        return self.scenario, self.metric, frozenset((self.baseline, self.candidate))

    @property
    def directed(self) -> tuple[str, str, str, str]:
        """The same with its direction: scenario, metric, baseline, candidate."""
        return self.scenario, self.metric, self.baseline, self.candidate

    @property
    def testable(self) -> bool:
        """Whether both sides exist; a plan leaves a side empty if this machine cannot test it."""
        return bool(self.baseline and self.candidate)


Planned = TypeVar("Planned", bound=PlannedComparison)


@dataclass(frozen=True, kw_only=True)
class PlannedHeadline(PlannedComparison):
    """The comparison that answers the study's question, with the words for its sides and for the load."""

    baseline_label: str = ""
    candidate_label: str = ""
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedPart(PlannedComparison):
    """The contribution of one side to the headline: which side, and the words for it and for the result."""

    side: str = ""
    phrase: str = ""
    already: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedCurve:
    """Series of configurations over the levels of a factor, by the name of the series."""

    title: str = ""
    scenario: str = ""
    factor: str = ""
    series: Mapping[str, tuple[str, ...]] = nothing()


@dataclass(frozen=True, kw_only=True)
class PlannedPoint:
    """A level of a sweep, and the configuration that has it."""

    label: str = ""
    title: str = ""
    configuration: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedSweep:
    """The levels of one factor; all other factors are as in the base."""

    title: str = ""
    factor: str = ""
    scenario: str = ""
    base: str = ""
    points: tuple[PlannedPoint, ...] = ()
    bytes_per_request: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedEngineRow:
    """A variant, and its configurations by engine."""

    variant: str = ""
    configurations: Mapping[str, str] = nothing()


@dataclass(frozen=True, kw_only=True)
class PlannedEngines:
    """The variants that are measured with both engines: the study's own and the other one."""

    scenario: str = ""
    concurrency: float | None = None
    base: str = ""
    other: str = ""
    rows: tuple[PlannedEngineRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedRung:
    """A rung of the ladder: what it changes, relative to its baseline, and why; and why it cannot be tested here, if
    so."""

    name: str = ""
    title: str = ""
    configuration: str = always("")
    baseline: str = always("")
    kept: bool = always(True)
    why: str = always("")
    not_testable: str = always("")


@dataclass(frozen=True, kw_only=True)
class PlannedOmission:
    """The top of the ladder without one of its rungs."""

    name: str = ""
    title: str = ""
    scenario: str = ""
    without: str = ""
    top: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedFeature:
    """A feature of a service: `alone` has it and `plain` does not, with nothing else between them.

    `whole` has it with all other features, and `without` has all but it; both are "" where it is none of these.
    """

    name: str = ""
    title: str = ""
    scenario: str = ""
    plain: str = ""
    alone: str = ""
    without: str = ""
    whole: str = ""
    of_client: bool = False

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """What it is measured by, the baseline first: alone, and where it is one of them, with all other features."""
        together = {"in production": (self.without, self.whole)} if self.without and self.whole else {}
        return {"in the client" if self.of_client else "alone": (self.plain, self.alone), **together}

    @property
    def cpu_metric(self) -> str:
        """The CPU time per call of the side that it belongs to."""
        return f"{'client' if self.of_client else 'server'}_cpu_per_call_s"


@dataclass(frozen=True, kw_only=True)
class PlannedWaiting:
    """The servers of the scenario ``waiting``, whose handlers wait."""

    scenario: str = ""
    configurations: tuple[str, ...] = ()
    handler_wait_ms: Json = None
    in_flight: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedIdle:
    """The configurations of the scenario ``idle``: the idle period, the link's idle timeout, and how long calls
    continue."""

    configurations: tuple[str, ...] = ()
    pause_s: float | None = None
    idle_timeout_s: float | None = None
    limit_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedPair:
    """Two configurations that a claim compares, and the words for their setting if there are several."""

    place: str = ""
    scenario: str = ""
    metric: str = ""
    baseline: str = ""
    candidate: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedArm:
    """The variants with one of the engines."""

    engine: str = ""
    basic: str = ""
    optimized: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedThroughput:
    """The claim on throughput: both variants by engine, and the server alone with the same client."""

    scenario: str = ""
    arms: tuple[PlannedArm, ...] = ()
    server_only: PlannedPair = field(default_factory=PlannedPair)


@dataclass(frozen=True, kw_only=True)
class PlannedStreams:
    """The claim on calls in flight: with the optimized server, with grpcio's own limits, and with few calls for
    comparison."""

    scenario: str = ""
    in_flight: int = 0
    optimized: str = ""
    own_limits: str = ""
    few: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedLoads:
    """The configurations in which no call may fail, and the words for their setting."""

    place: str = ""
    configurations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedHandshakes:
    """The claim on keepalive: off against on in each setting, and one channel per call against channels that are kept
    open."""

    places: tuple[PlannedPair, ...] = ()
    reuse: PlannedPair = field(default_factory=PlannedPair)


@dataclass(frozen=True, kw_only=True)
class PlannedNetwork:
    """A network on which windows are compared: fixed windows from the smallest to the largest, and the adaptive
    window."""

    place: str = ""
    scenario: str = ""
    fixed: Mapping[str, str] = nothing()
    adaptive: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedReplication:
    """The claims that a study tests: the configurations and settings by which each claim is judged."""

    throughput: PlannedThroughput = field(default_factory=PlannedThroughput)
    syscalls: PlannedPair = field(default_factory=PlannedPair)
    streams: PlannedStreams = field(default_factory=PlannedStreams)
    errors: tuple[PlannedLoads, ...] = ()
    handshakes: PlannedHandshakes = field(default_factory=PlannedHandshakes)
    windows: tuple[PlannedNetwork, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ArgumentRow:
    """A setting of tonic, with the factor and the channel argument of grpcio that correspond to it."""

    tonic: str = always("")
    factor: str = always("")
    grpcio: str = always("")
    note: str = always("")


@dataclass(frozen=True, kw_only=True)
class StoredTarget:
    """The target of a configuration, and the call that is made.

    At most one of `command`, `app` and `address` is set: see :class:`grpclab.servers.target.Target`. `data` is the
    request as JSON, or ``@FILE`` for a file with many requests; an earlier version stored an object instead of a
    string. A `mix` contains several calls that take turns.
    """

    command: str = always("")
    call: str = always("")
    data: Json = always(None)
    metadata: tuple[str, ...] = always(())
    proto: str | None = always(None)
    proto_path: tuple[str, ...] = always(())
    residence: bool = always(False)
    data_format: str = ""
    data_order: str = ""
    data_repeat: bool = False
    answer_check: str = ""
    ignore_fields: tuple[str, ...] = ()
    mix: tuple[MixedCall, ...] = ()
    app: str = ""
    address: str = ""
    app_dir: str = ""
    python: str = ""
    cwd: str = ""
    ready: str = ""
    prepare: str = ""
    cleanup: str = ""
    security: SecurityOptions = field(default_factory=SecurityOptions)

    @property
    def has_call(self) -> bool:
        """Whether the target has its own call; otherwise the call is that of the built-in greeter."""
        return bool(self.call or self.mix or is_recorded(self.data, self.data_format))

    @property
    def kind(self) -> str:
        """``app``, ``command``, ``address`` or ``greeter``, the built-in service."""
        return next((name for name in ("app", "command", "address") if getattr(self, name)), "greeter")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file that a command runs; `version` is empty if the file does not report one."""

    name: str = always("")
    bytes: int = always(0)
    sha256: str = always("")
    version: str = always("")


@dataclass(frozen=True, kw_only=True)
class StoredProgram:
    """The command, application or address of a server, and the files behind it.

    `versions` are those of an application's interpreter; `commit` and `dirty` are the state of git in the folder of a
    command.
    """

    command: str = always("")
    files: tuple[StoredFile, ...] = always(())
    app: str = ""
    address: str = ""
    versions: Mapping[str, str] = nothing()
    commit: str = ""
    dirty: bool | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedGroup:
    """Configurations that are measured together in a block: a hub and its candidates, with the hub first in `members`.

    If `interleaved`, their servers run at the same time and their slices interleave. Otherwise, the members are
    measured one after the other in random order, each alone in one window; `reason` says why. A group of one is
    measured alone in one window. Each member is measured for `counted_s` seconds, and in slices no longer if a budget
    has `shortened` them. `pass_s` is the expected length of a pass, `memory_bytes` the expected memory. If `blocks` is
    set, it is measured in so many.
    """

    hub: str = ""
    members: tuple[str, ...] = ()
    interleaved: bool = True
    reason: str = ""
    counted_s: float = 1.0
    shortened: bool = False
    pass_s: float | None = None
    memory_bytes: int | None = None
    blocks: int | None = None

    def is_in(self, block: int) -> bool:
        """Whether the group is measured in a block."""
        return self.blocks is None or block < self.blocks


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study measures and compares.

    `metric` is that of the headline, and `delta` the smallest effect of interest, as a share. Those in
    `profiled` are profiled after their windows, in the first `profiled_blocks` blocks. Without `groups`, trials
    run one after the other (first edition). `on_machines`: on a cluster.
    """

    blocks: int = always(0)
    delta: float | None = None
    metric: str = ""
    configurations: tuple[PlannedConfiguration, ...] = always(())
    headline: PlannedHeadline | None = None
    comparisons: tuple[PlannedComparison, ...] = always(())
    parts: tuple[PlannedPart, ...] = always(())
    aa: PlannedComparison | None = None
    without_aa: bool = False
    curves: tuple[PlannedCurve, ...] = always(())
    engines: PlannedEngines | None = None
    windows: tuple[PlannedSweep, ...] = always(())
    ladder: tuple[PlannedRung, ...] = always(())
    leave_one_out: tuple[PlannedOmission, ...] = always(())
    sweeps: tuple[PlannedSweep, ...] = always(())
    waiting: PlannedWaiting | None = None
    idle: PlannedIdle | None = None
    profiled: tuple[str, ...] = always(())
    profiled_blocks: int | None = None
    mapping: tuple[ArgumentRow, ...] = always(())
    left_out: tuple[str, ...] | None = None
    subjects: Mapping[str, StoredTarget] = nothing()
    replication: PlannedReplication = field(default_factory=PlannedReplication)
    groups: tuple[PlannedGroup, ...] = ()
    features: tuple[PlannedFeature, ...] = ()
    on_machines: bool = False

    @property
    def tests_claims(self) -> bool:
        """Whether the study is a replication, which tests claims."""
        return self.replication != PlannedReplication()

    @property
    def smallest_effect(self) -> float:
        """The smallest effect of interest, as a share; 0.05 if the plan does not set it."""
        return 0.05 if self.delta is None else self.delta

    @property
    def aa_arm(self) -> PlannedComparison | None:
        """The A/A comparison; None if the plan has none, or an empty one."""
        return None if self.aa is None or self.aa == PlannedComparison() else self.completed(self.aa)

    def completed(self, comparison: Planned) -> Planned:
        """A comparison of this plan; its scenario and metric default to those of the headline."""
        headline = self.headline or PlannedHeadline()
        return replace(
            comparison,
            scenario=comparison.scenario or headline.scenario,
            metric=comparison.metric or headline.metric or self.metric or "throughput_rps",
        )

    @property
    def names(self) -> list[str]:
        """The names of the configurations."""
        return [configuration.name for configuration in self.configurations]

    def configuration(self, name: str) -> PlannedConfiguration:
        """The configuration with that name. Raises DesignError if there is none."""
        for configuration in self.configurations:
            if configuration.name == name:
                return configuration
        raise DesignError(f"the plan has no configuration {name!r}")


@dataclass(frozen=True, kw_only=True)
class StoredCores:
    """The cores of the server and of the load generator; `shared` if the machine has too few to separate them."""

    server: tuple[int, ...] = always(())
    generator: tuple[int, ...] = always(())
    shared: bool = always(False)
