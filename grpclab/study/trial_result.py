"""What a trial brings, and the files that it leaves in its folder: result.json, frames, stacks."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from grpclab.analysis.study_plan import StoredProgram
from grpclab.factors import effective
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.http2.peer_settings import PeerSettings
from grpclab.load import compression
from grpclab.load.calls.method import CallSpec
from grpclab.load.core import failures
from grpclab.load.core.kept_answers import AnswerSample
from grpclab.load.run import LoadRun
from grpclab.metrics import completed
from grpclab.profiling import speedscope
from grpclab.profiling.profiler import Look
from grpclab.profiling.threads import ThreadUse
from grpclab.study import profile_window, window
from grpclab.study.documents import SCHEMA_VERSION, write_json
from grpclab.study.model import StoredFailure, StoredResult
from grpclab.study.target import Subject
from grpclab.system import environment, procfs
from grpclab.system.notices import Notice
from grpclab.system.subprocesses import STUDY_VARIABLE, TRIAL_VARIABLE

T = TypeVar("T")

REQUESTS = "requests"
"""Stands among the numbers of requests for all of them, as they were sent."""
MOST_ANSWER_FIELDS = 500
"""So many different answers are kept with the hashes of their fields."""
UNWRITTEN = ("answer_fields", "answers", "calls", "cleanup_s", "group", "machine", "prepare_s", "program")
"""Fields of result.json that are there only where they say something: earlier versions have none."""


@dataclass(frozen=True, kw_only=True)
class TrialIdentity:
    """Which trial of which study this is; `group` is None if the study has no groups, `machine` without a cluster."""

    study: str = "scratch"
    trial: str = "trial"
    scenario: str = ""
    configuration: str = ""
    block: int = 0
    order: int = 0
    group: int | None = None
    machine: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the trial carries in its environment."""
        return {STUDY_VARIABLE: self.study, TRIAL_VARIABLE: self.trial}


@dataclass(kw_only=True)
class TrialResult:
    """What a trial brought: as in result.json, and the frames of its two parquet files."""

    identity: TrialIdentity
    config: TrialConfig
    started_at: str
    subject: Subject = field(default_factory=Subject)
    valid: bool = False
    invalid_reason: str = ""
    limited_by: str = ""
    limits: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    calls: dict[str, dict[str, float]] = field(default_factory=dict)
    """The figures of each call of a mix, by its name."""
    errors_by_status: dict[str, int] = field(default_factory=dict)
    failures: tuple[failures.Failure, ...] = ()
    connections_by_process: list[int] = field(default_factory=list)
    histogram: str = ""
    goaways: dict[str, int] = field(default_factory=dict)
    """GOAWAYs by code and reason: what the emulated link saw, or the client where there is none."""
    advertised: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each side said first: `server` and `client`, as in :class:`grpclab.http2.peer_settings.PeerSettings`."""
    without_effect: dict[str, str] = field(init=False)
    """The factors that did not act, each with the reason; before anything was seen by the static rules alone."""
    threads_per_call: dict[str, ThreadUse] = field(default_factory=dict)
    """What the server's threads used for one call, warm-up included, by name."""
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    """By the number of a request: the hashes of the answers that were kept, and how often each came."""
    answer_fields: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the hash of an answer: the hashes of its fields."""
    looks: dict[str, Look] = field(default_factory=dict)
    """What the profilers of other packages saw, by name."""
    evidence: profile_window.Evidence = field(default_factory=profile_window.Evidence)
    latency: pd.DataFrame = field(default_factory=pd.DataFrame)
    latency_rows_capped: bool = False
    timeline: pd.DataFrame = field(default_factory=pd.DataFrame)
    program: StoredProgram | None = None
    """What the server ran; None for our own greeter."""
    prepare_s: float | None = None
    """So long the command took that prepared the server's start; None without one."""
    cleanup_s: float | None = None
    """So long the one took that cleaned up after its stop."""

    def __post_init__(self) -> None:
        self.without_effect = self._known(without_effect(self.config, hosted=bool(self.subject.app)))

    def _known(self, by_factor: Mapping[str, T]) -> dict[str, T]:
        """Without the factors that do not describe this server, or this call."""
        unknown = effective.unknown_factors(self.subject, self.config.differences(TrialConfig()))
        return {factor: value for factor, value in by_factor.items() if factor not in unknown}

    def note_effects(self, server: PeerSettings, client: PeerSettings, *, threaded: bool = False) -> None:
        """Which factors did not take effect, by what both sides advertised.

        `threaded`: an application has handlers that run in threads, whatever its server is.
        """
        self.advertised = {"server": asdict(server), "client": asdict(client)}
        self.without_effect = self._known(effective.effects(self.config, server, client, hosted=threaded))
        self.metrics |= effective.as_row(server, client)

    def note_compression(self, run: LoadRun, call: CallSpec) -> None:
        """Whether compression took effect, by what the load sent and by the answers that came."""
        self.without_effect |= self._known(compression.without_effect(self.config, run, call))

    def note_connections(self, by_process: Sequence[int]) -> None:
        """The connections of each process of the server, and whether they leave ``server.processes`` without effect."""
        self.connections_by_process = list(by_process)
        self.without_effect |= self._known(effective.idle_processes(self.config, self.connections_by_process))

    def note_run(
        self, run: LoadRun, opened: procfs.Usage, closed: procfs.Usage, samples: Sequence[procfs.Usage]
    ) -> None:
        """What the load saw in the window, and what the server used between its opening and its end."""
        self.limited_by = run.limited_by(self.config.client.pooling)
        self.limits = [*run.limits, *([run.held_back] if run.held_back else [])]
        self.histogram = run.summary.histogram
        self.errors_by_status = run.summary.errors_by_status
        self.failures = run.failures
        self.goaways = dict(run.traffic.goaways)
        self.notices = list(run.notices)
        self.metrics |= window.metrics(run, opened, closed)
        if self.config.load.pause_s:
            self.metrics |= window.first_success(run)
        self.latency, self.latency_rows_capped = window.latency_frame(run)
        self.timeline = window.timeline_frame(run, samples)

    def note_mix(self, run: LoadRun, call: CallSpec) -> None:
        """The figures of each call of a mix; nothing where one call is made always."""
        names = () if call.mix is None else call.mix.names
        self.calls = {name: window.call_metrics(summary) for name, summary in zip(names, run.by_call, strict=True)}

    def note_answers(self, samples: Sequence[AnswerSample], call: CallSpec) -> None:
        """The hashes of the answers that were kept, without the fields that vary by nature."""
        if not samples or all(one.answer is None for one in call.members):
            return
        from grpclab.load.calls.checks import AnswerReader

        first = call.members[0]
        if first.request is not None:
            read = AnswerReader(first.request).read([first.payload])
            digest = call.requests_digest() or read.digest
            self.answers[REQUESTS] = {digest: 1}
            self.answer_fields[digest] = read.fields
        readers = [
            None if one.answer is None else AnswerReader(one.answer, self.subject.ignored_of(number))
            for number, one in enumerate(call.members)
        ]
        for sample in samples:
            reader = readers[0 if call.mix is None else call.mix.call_of(sample.number)]
            if reader is None:
                continue
            answer = reader.read(sample.messages)
            counts = self.answers.setdefault(str(sample.number), {})
            counts[answer.digest] = counts.get(answer.digest, 0) + sample.count
            if len(self.answer_fields) < MOST_ANSWER_FIELDS:
                self.answer_fields.setdefault(answer.digest, answer.fields)

    def stored(self) -> StoredResult:
        """What result.json holds of it."""
        return StoredResult(
            schema_version=SCHEMA_VERSION,
            **vars(self.identity),
            started_at=self.started_at,
            valid=self.valid,
            invalid_reason=self.invalid_reason,
            limited_by=self.limited_by,
            limits=tuple(self.limits),
            notices=tuple(self.notices),
            factors=self._known(self.config.flat()),
            measured_on=measured_on(),
            without_effect=self.without_effect,
            advertised=self.advertised,
            metrics=completed(self.metrics),
            calls=self.calls,
            errors_by_status=self.errors_by_status,
            failures=tuple(StoredFailure(**vars(failure)) for failure in self.failures),
            connections_by_process=tuple(self.connections_by_process),
            goaways=self.goaways,
            answers=self.answers,
            answer_fields=self.answer_fields,
            histogram=self.histogram,
            latency_rows_capped=self.latency_rows_capped,
            threads_per_call={name: asdict(use) for name, use in self.threads_per_call.items()},
            syscalls_per_call=self.evidence.syscalls_per_call,
            profile_note=self.evidence.profile_note,
            perf_note=self.evidence.perf_note,
            strace_note=self.evidence.strace_note,
            program=self.program,
            prepare_s=self.prepare_s,
            cleanup_s=self.cleanup_s,
        )

    def write(self, folder: Path) -> None:
        """Write everything but the server's log, which is there already; result.json last."""
        self.latency.to_parquet(folder / "latency.parquet", index=False)
        self.timeline.to_parquet(folder / "timeline.parquet", index=False)
        for name, stacks in (("stacks", self.evidence.stacks), ("perf", self.evidence.perf_stacks)):
            lines = [f"{stack} {count}\n" for stack, count in sorted(stacks.items())]
            (folder / f"{name}.folded").write_text("".join(lines))
            if stacks:
                profile = speedscope.convert(stacks, name=f"{self.identity.trial}, {name}")
                write_json(folder / f"{name}.speedscope.json", profile)
        for name, look in self.looks.items():
            write_json(folder / f"profiler-{name}.json", asdict(look))
        document = asdict(self.stored())
        write_json(
            folder / "result.json", {k: v for k, v in document.items() if v not in (None, {}) or k not in UNWRITTEN}
        )


@functools.cache
def measured_on() -> Mapping[str, Level]:
    """What makes results comparable: see :func:`grpclab.system.environment.identity`."""
    return environment.identity(environment.machine(), environment.versions())


def now_text() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
