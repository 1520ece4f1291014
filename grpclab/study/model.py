"""What manifest.json, verdict.json and result.json hold, as values.

Each class is one JSON object. A file that an earlier version wrote lacks what is newer, and null stands for anything
that is unknown, so a field has a default unless every version has written it; keys that no field has may hold what
they like. :func:`grpclab.study.stored_values.read` makes them of a file, and ``schemas/`` holds their JSON Schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grpclab.factors.levels import Level

Json = Any
"""Any value of JSON, passed on as it came."""


def _none() -> Any:
    return field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """A configuration of a plan: the factors that are not at their defaults, and which of them cannot act, and why."""

    name: str = ""
    title: str = ""
    scenario: str = ""
    settings: Mapping[str, Level] = _none()
    without_effect: Mapping[str, str] = _none()


@dataclass(frozen=True, kw_only=True)
class PlannedComparison:
    """Two configurations that are compared in a metric; the comparisons of a family are adjusted together."""

    title: str = ""
    scenario: str = ""
    metric: str = ""
    baseline: str = ""
    candidate: str = ""
    family: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedHeadline(PlannedComparison):
    """The comparison that a study turns on, with the words for its sides and for the load."""

    baseline_label: str = ""
    candidate_label: str = ""
    at: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedPart(PlannedComparison):
    """The share of one side in the headline: which side, and the words for it and for what it adds to."""

    side: str = ""
    phrase: str = ""
    already: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedCurve:
    """Series of configurations over a factor, by the name of the series."""

    title: str = ""
    scenario: str = ""
    factor: str = ""
    series: Mapping[str, tuple[str, ...]] = _none()


@dataclass(frozen=True, kw_only=True)
class PlannedPoint:
    """A level of a sweep, and the configuration that has it."""

    label: str = ""
    title: str = ""
    configuration: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedSweep:
    """One factor over its levels, everything else as in the base."""

    title: str = ""
    factor: str = ""
    scenario: str = ""
    base: str = ""
    points: tuple[PlannedPoint, ...] = ()
    bytes_per_request: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedEngineRow:
    """A variant and its configurations by engine."""

    variant: str = ""
    configurations: Mapping[str, str] = _none()


@dataclass(frozen=True, kw_only=True)
class PlannedEngines:
    """Variants that are measured with both engines: the study's own and the other one."""

    scenario: str = ""
    concurrency: float | None = None
    base: str = ""
    other: str = ""
    rows: tuple[PlannedEngineRow, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedRung:
    """A step of the ladder: what it changes on top of its baseline, why, and why it cannot be tested here, if so."""

    name: str = ""
    title: str = ""
    configuration: str = ""
    baseline: str = ""
    kept: bool = True
    why: str = ""
    not_testable: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedOmission:
    """The top of the ladder without one of its rungs."""

    name: str = ""
    title: str = ""
    scenario: str = ""
    without: str = ""
    top: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedWaiting:
    """The servers of the scenario ``waiting``, whose handlers wait."""

    scenario: str = ""
    configurations: tuple[str, ...] = ()
    handler_wait_ms: Json = None
    in_flight: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedIdle:
    """The configurations of the scenario ``idle``: the silence, what the link forgets, and for how long calls go on."""

    configurations: tuple[str, ...] = ()
    pause_s: float | None = None
    idle_timeout_s: float | None = None
    limit_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ArgumentRow:
    """What a setting of tonic is called as a factor and as a channel argument of grpcio."""

    tonic: str = ""
    factor: str = ""
    grpcio: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredTarget:
    """The command that starts a configuration's server, and the call that is made of it.

    `data` is the request as JSON; an earlier version wrote it as an object instead of text.
    """

    command: str = ""
    call: str = ""
    data: Json = None
    metadata: tuple[str, ...] = ()
    proto: str = ""
    proto_path: tuple[str, ...] = ()
    residence: bool = False


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study measures and compares. `metric` is the one that the study turns on, `delta` the smallest effect of
    interest, a share; the configurations in `profiled` are looked into after their windows, in the first
    `profiled_blocks` blocks."""

    blocks: int | None = None
    delta: float | None = None
    metric: str = ""
    configurations: tuple[PlannedConfiguration, ...] | None = None
    headline: PlannedHeadline | None = None
    comparisons: tuple[PlannedComparison, ...] = ()
    parts: tuple[PlannedPart, ...] = ()
    aa: PlannedComparison | None = None
    without_aa: bool = False
    curves: tuple[PlannedCurve, ...] = ()
    engines: PlannedEngines | None = None
    windows: tuple[PlannedSweep, ...] = ()
    ladder: tuple[PlannedRung, ...] = ()
    leave_one_out: tuple[PlannedOmission, ...] = ()
    sweeps: tuple[PlannedSweep, ...] = ()
    waiting: PlannedWaiting | None = None
    idle: PlannedIdle | None = None
    profiled: tuple[str, ...] = ()
    profiled_blocks: int | None = None
    mapping: tuple[ArgumentRow, ...] = ()
    left_out: tuple[str, ...] = ()
    subjects: Mapping[str, StoredTarget] = _none()
    replication: Mapping[str, Json] = _none()


@dataclass(frozen=True, kw_only=True)
class StoredCores:
    """The cores of the server and of the load generator; `shared` where the machine has too few to part them."""

    server: tuple[int, ...] = ()
    generator: tuple[int, ...] = ()
    shared: bool = False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json: the plan and the seed, and where and with what it is measured.

    `again` is the command that measures it once more, `repeats` the study that it repeats, `identity` what has to be
    equal for results to be comparable, `servers` the files behind the commands of the plan, `references` digests of
    what its metadata refers to, and `seal` a digest of what it starts, under a key of this user.
    """

    schema_version: int | None = None
    study: str = ""
    design: str = ""
    question: str = ""
    created_at: str = ""
    again: str = ""
    seed: int | None = None
    parameters: Mapping[str, Json] = _none()
    identity: Mapping[str, Json] = _none()
    machine: Mapping[str, Json] = _none()
    versions: Mapping[str, Json] = _none()
    git: Mapping[str, Json] = _none()
    link_check: Mapping[str, Json] = _none()
    repeats: Mapping[str, Json] = _none()
    cores: StoredCores | None = None
    plan: StudyPlan | None = None
    servers: Mapping[str, Mapping[str, Json]] = _none()
    references: Json = None
    seal: Json = None


@dataclass(frozen=True, kw_only=True)
class StoredNotice:
    """Something that happened around a trial: its kind, how grave it is, a sentence, and what to do about it."""

    kind: str = ""
    severity: str = ""
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredComparison(PlannedComparison):
    """A comparison with its verdict: the ratio candidate / baseline, its 95 % interval, and what it is made of.

    A figure is null where it cannot be computed; `note` says why. `p_adjusted` is adjusted within the family, `verdict`
    one of faster, slower, equivalent and inconclusive.
    """

    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    delta: float | None = None
    blocks: int | None = None
    blocks_needed: Json = None
    verdict: str = ""
    limited_by: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredLimit:
    """What limited a configuration: the resource, and a sentence with its numbers."""

    configuration: str = ""
    resource: str = ""
    evidence: str = ""
    certain: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StoredVerdict:
    """The content of verdict.json: the sentence, the headline and every comparison. `aa` is null without an A/A arm."""

    schema_version: Json = None
    sentence: str = ""
    headline: StoredComparison | None = None
    comparisons: tuple[StoredComparison, ...] = ()
    aa: StoredComparison | None = None
    warnings: tuple[str, ...] = ()
    limits: tuple[StoredLimit, ...] = ()
    notices: tuple[StoredNotice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoredFailure:
    """Calls that failed alike, as :class:`grpclab.load.core.failures.Failure` has them."""

    status: str = ""
    text: str = ""
    calls: int | None = None
    first_s: Json = None
    details: Json = ()
    further: Json = False


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """The content of result.json: a trial's identity, its factors, its metrics, and what was seen beside them."""

    study: str
    trial: str
    scenario: str
    configuration: str
    block: int
    order: int
    started_at: str
    valid: bool
    invalid_reason: str
    limited_by: str
    factors: Mapping[str, Level]
    metrics: Mapping[str, float | None]
    errors_by_status: Mapping[str, int]
    connections_by_process: tuple[int, ...]
    without_effect: Mapping[str, str]
    schema_version: Json = None
    limits: tuple[str, ...] = ()
    notices: tuple[StoredNotice, ...] = ()
    measured_on: Mapping[str, Json] = _none()
    advertised: Mapping[str, Mapping[str, Json]] = _none()
    failures: tuple[StoredFailure, ...] = ()
    goaways: Mapping[str, int] = _none()
    histogram: str = ""
    latency_rows_capped: Json = None
    threads_per_call: Mapping[str, Mapping[str, Json]] = _none()
    syscalls_per_call: Mapping[str, float | None] = _none()
    profile_note: str = ""
    perf_note: str = ""
    strace_note: str = ""
