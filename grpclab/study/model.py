"""What manifest.json and result.json hold, as values; verdict.json holds a :class:`.Judgement`.

Each class is one JSON object. A file that an earlier version wrote lacks what is newer, and null stands for anything
that is unknown, so a field has a default unless every version has written it; keys that no field has may hold what
they like. :func:`grpclab.study.stored_values.read` makes them of a file, and ``schemas/`` holds their JSON Schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grpclab.analysis.study_plan import StoredCores, StoredFile, StoredProgram, StudyPlan
from grpclab.factors.levels import Level
from grpclab.system.environment import GitState, Machine
from grpclab.system.json_fields import Json, always, nothing
from grpclab.system.notices import Notice


@dataclass(frozen=True, kw_only=True)
class StoredOriginal:
    """The study that another one repeats: its name, when it was begun, and where and with what it was measured."""

    study: str = always("")
    created_at: str | None = always(None)
    identity: Mapping[str, Level] = always({})


@dataclass(frozen=True, kw_only=True)
class StoredPilot:
    """The first blocks of a study, which count: their noise and costs fix how many blocks there are, never an effect.

    `fixed`: the number is known, for the `reason`. With `budget_s` the study fits into so many seconds, and
    `counted_s` is the counted time that was fitted, if it was; `blocks_given`: the plan's number of blocks stays.
    """

    blocks: int = 4
    budget_s: float | None = None
    blocks_given: bool = False
    fixed: bool = False
    reason: str = ""
    counted_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json: the plan and the seed, and where and with what it is measured.

    `again` is the command that measures it once more, `repeats` the study that it repeats, `identity` what has to be
    equal for results to be comparable, `servers` the files behind the commands of the plan, `references` digests of
    what its metadata refers to, `data_files` the files that hold its requests, and `seal` a digest of what it starts,
    under a key of this user. With a `pilot` the plan's number of blocks is fixed by the first of them.
    """

    study: str = always("")
    design: str = always("")
    question: str = always("")
    parameters: Mapping[str, Json] = always({})
    seed: int | None = always(None)
    schema_version: int | None = always(None)
    created_at: str = always("")
    identity: Mapping[str, Level] = always({})
    machine: Machine = always(Machine)
    versions: Mapping[str, Json] = always({})
    git: GitState = always(GitState)
    cores: StoredCores | None = always(None)
    link_check: Mapping[str, Json] = always({})
    plan: StudyPlan = always(StudyPlan)
    again: str | None = None
    repeats: StoredOriginal | None = None
    servers: Mapping[str, StoredProgram] | None = None
    references: Mapping[str, str] | None = None
    data_files: tuple[StoredFile, ...] | None = None
    seal: Json = None
    pilot: StoredPilot | None = None


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

    schema_version: Json = None
    study: str
    trial: str
    scenario: str
    configuration: str
    block: int
    order: int
    group: int | None = None
    """The number of the group in which it was measured; None, which is not written, where there are no groups."""
    started_at: str
    valid: bool
    invalid_reason: str
    limited_by: str
    limits: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    factors: Mapping[str, Level]
    measured_on: Mapping[str, Level] = nothing()
    without_effect: Mapping[str, str]
    advertised: Mapping[str, Mapping[str, Json]] = nothing()
    metrics: Mapping[str, float | None]
    errors_by_status: Mapping[str, int]
    failures: tuple[StoredFailure, ...] = ()
    connections_by_process: tuple[int, ...]
    goaways: Mapping[str, int] = nothing()
    calls: Mapping[str, Mapping[str, float | None]] = nothing()
    """The figures of each call of a mix, by its name; not written where one call is made always."""
    answers: Mapping[str, Mapping[str, int]] = nothing()
    answer_fields: Mapping[str, Mapping[str, str]] = nothing()
    histogram: str = ""
    latency_rows_capped: Json = None
    threads_per_call: Mapping[str, Mapping[str, Json]] = nothing()
    syscalls_per_call: Mapping[str, float | None] = nothing()
    profile_note: str = ""
    perf_note: str = ""
    strace_note: str = ""
    program: StoredProgram | None = None
    """What the server ran, where a command or an application is the target; not written elsewhere."""
    prepare_s: float | None = None
    """So long the target's `prepare` took before the server's start; None, which is not written, without one."""
    cleanup_s: float | None = None
    """The same of its `cleanup` after the stop."""
