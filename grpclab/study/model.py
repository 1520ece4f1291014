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
    """The study that another one repeats: its name, when it was started, and its machine and versions."""

    study: str = always("")
    created_at: str | None = always(None)
    identity: Mapping[str, Level] = always({})


@dataclass(frozen=True, kw_only=True)
class StoredPilot:
    """The first blocks of a study, which count. Their noise and costs determine the number of blocks, never their
    effect.

    If `fixed`, the number is known, and `reason` says why. With `budget_s`, the study is adjusted to that many seconds,
    and `counted_s` is the adjusted counted time, if it was changed. If `blocks_given`, the plan's number of blocks
    stays.
    """

    blocks: int = 4
    budget_s: float | None = None
    blocks_given: bool = False
    fixed: bool = False
    reason: str = ""
    counted_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class StoredMachine:
    """A machine of a cluster that measures blocks of a study: a host, or a part of its cores.

    `identity` are the facts that must be equal for its trials to be comparable.
    """

    name: str = always("")
    cores: StoredCores = always(StoredCores)
    identity: Mapping[str, Level] = always({})
    machine: Machine = always(Machine)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json: the plan, the seed, the machine and the versions.

    `again` is the command that measures the study again, `repeats` the study that it repeats, and `identity` the facts
    that must be equal for results to be comparable. `servers` are the files behind the plan's commands, `references`
    digests of the values to which its metadata refers, and `data_files` the files with its requests. `seal` is a
    digest, under a key of this user, of everything that the study starts. With a `pilot`, the first blocks determine
    the plan's number of blocks. If the plan is `on_machines`, `machines` are those that have measured it so far, and
    `identity` holds the versions alone, which are the same on all of them.
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
    machines: tuple[StoredMachine, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoredFailure:
    """Calls that failed in the same way; see :class:`grpclab.load.core.failures.Failure`."""

    status: str = ""
    text: str = ""
    calls: int | None = None
    first_s: Json = None
    details: Json = ()
    further: Json = False


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """The content of result.json: a trial's identity, its factors, its metrics, and what was observed besides."""

    schema_version: Json = None
    study: str
    trial: str
    scenario: str
    configuration: str
    block: int
    order: int
    group: int | None = None
    """The number of the group in which the trial was measured; None, which is not written, without groups."""
    machine: str | None = None
    """The machine of a cluster that measured it; None, which is not written, for a study without one."""
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
    """The figures of each call of a mix, by its name; not written if there is only one call."""
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
    """What the server ran, if the target is a command or an application; otherwise not written."""
    prepare_s: float | None = None
    """The time that the target's `prepare` took before the server started; None, which is not written, without one."""
    cleanup_s: float | None = None
    """The same for its `cleanup`, after the server stopped."""
