"""One trial alone: a fresh server process, warm-up, the measured window, then a profile in a window of its own.

:func:`run_trial` is what ``notebooks/trial.ipynb`` calls for one configuration, and what measures a member of a group
(:mod:`grpclab.study.group`) that cannot be measured beside the others. It writes ``result.json``, ``latency.parquet``,
``timeline.parquet``, ``stacks.folded``, ``perf.folded`` and ``server.log`` into the trial's folder. What goes wrong
with the measurement makes an invalid trial with its reason, never an exception: the study goes on.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import psutil

from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import MeasurementError, ServerError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.load.core.shapes import has_own_length
from grpclab.load.core.slices import WarmUp
from grpclab.load.generator import DRAIN_S
from grpclab.study import profile_window, window
from grpclab.study.request_files import Files
from grpclab.study.set_up import LEAVE_S, SetUp, set_up
from grpclab.study.target import Subject
from grpclab.study.trial_notes import note_calls, note_end, note_evidence, note_load, note_start
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.system import procfs
from grpclab.system.environment import CorePlan
from grpclab.system.notices import Notice

SAMPLE_EVERY_S = 0.25
LEAD_S = 0.1
"""The load begins so long before a window that opens on an idle server."""
LONGEST_S = 60.0
"""A window of a load without a longest duration lasts so long at most."""
IDLE_LOOK_S, IDLE_SHARE, IDLE_PATIENCE_S = 0.05, 0.02, 3.0
"""A server is idle again when it has used, for the first, no more than this share of a core more than before any
load; it is waited for at most for the last."""
LATER_S = 1.2
"""Work that was put off may begin so long after the last call: servers send spans once a second."""


def run_trial(
    config: TrialConfig,
    folder: Path,
    *,
    cores: CorePlan,
    identity: TrialIdentity,
    profile: bool = False,
    subject: Subject = Subject(),  # noqa: B008
    expected: StoredProgram | None = None,
    data_files: Files | None = None,
    counted_s: float | None = None,
    until_idle: bool = False,
    notices: tuple[Notice, ...] = (),
) -> TrialResult:
    """Measure one configuration and write the trial into `folder`.

    With another program behind its server than `expected`, or another content of its data file than in `data_files`,
    the trial is invalid. With `counted_s` the window lasts so long at least, and until it has the calls that the load
    asks for; otherwise it has just these. With `until_idle`, for a server that works when its calls have ended, the CPU
    for a call is all that is used from one idle moment to the next. `notices` are known already. Raises UsageError if
    `subject` has no such call.
    """
    result = TrialResult(identity=identity, config=config, started_at=now_text(), subject=subject)
    try:
        with set_up(config, folder, cores=cores, identity=identity, subject=subject, data_files=data_files) as up:
            note_start(result, up, expected)
            _measure(result, up, profile=profile, counted_s=counted_s, until_idle=until_idle)
            if profile:
                note_evidence(result, profile_window.observe(up.server, up.generator, cpus=cores.generator))
            note_calls(result, up)
        note_end(result, up)
    except MeasurementError as error:
        result.invalid_reason = str(error)
    result.notices[:0] = notices
    result.write(folder)
    return result


def _measure(result: TrialResult, up: SetUp, *, profile: bool, counted_s: float | None, until_idle: bool) -> None:
    """The measured window, with nothing attached to the server."""
    server, generator = up.server, up.generator
    samples: list[procfs.Usage] = []
    opened: list[procfs.Usage] = []
    look = profile_window.begin(server, profile=profile)

    def sample() -> None:
        server.require_alive()
        with contextlib.suppress(psutil.Error):  # it died in between: the next tick says so
            samples.append(server.usage())

    idle = _Idle(up) if until_idle else None
    warmup_s = window_s = None
    # The first call of a recording is the first of the window: nothing is sent before it.
    if counted_s is not None and not has_own_length(result.config.load):
        window_s = _length_s(result.config.load, counted_s, generator.warm_up())
        warmup_s = LEAD_S
    if idle is not None:
        idle.begin()
    with up.stand_ins.loading():
        run = generator.measure(
            tick=sample,
            every_s=SAMPLE_EVERY_S,
            on_open=lambda: opened.append(server.usage()),
            warmup_s=warmup_s,
            window_s=window_s,
            drain_s=max(DRAIN_S, result.config.client.deadline_s or 0.0),  # a trial waits for each call to its deadline
        )
    server.require_alive()
    closed = server.usage()
    per_call_s = None if idle is None else idle.used_s(LATER_S) / max(1, window.all_calls(run))
    note_load(
        result,
        up,
        run,
        look(run.calls_made),
        opened=opened[0] if opened else samples[0],
        closed=closed,
        samples=samples,
    )
    result.metrics["pass_count"] = 0
    if per_call_s is not None:
        result.metrics["server_cpu_per_call_s"] = per_call_s


def _length_s(load: LoadConfig, counted_s: float, warm: WarmUp) -> float:
    """The length of a window that has `counted_s` and the calls that the load asks for, within its duration."""
    longest_s = math.inf if load.duration_s is None else load.duration_s
    if load.requests is None:
        return longest_s
    rate_rps = warm.throughput_rps if load.rate_rps is None else load.rate_rps
    needed_s = load.requests / rate_rps if rate_rps > 0 else math.inf
    return min(max(counted_s, needed_s), longest_s if longest_s < math.inf else LONGEST_S)


class _Idle:
    """The moments at which a server has no call, and no work left of those that it had."""

    def __init__(self, up: SetUp) -> None:
        self._up = up
        self._base_s = self._used(IDLE_LOOK_S)
        self._before_s = math.nan

    def begin(self) -> None:
        """Wait for an idle moment; CPU time counts from it on."""
        self._before_s = self._wait()

    def used_s(self, at_least_s: float) -> float:
        """The server's CPU time from then to its next idle moment, in so many seconds at the earliest."""
        time.sleep(at_least_s)
        return self._wait() - self._before_s

    def _used(self, seconds: float) -> float:
        before = self._spent_s()
        time.sleep(seconds)
        return self._spent_s() - before

    def _spent_s(self) -> float:
        """Its CPU time so far. Raises MeasurementError where it has died."""
        self._up.require_alive()
        try:
            return self._up.server.usage().cpu_s
        except psutil.Error:
            self._up.server.await_end(LEAVE_S)
            self._up.require_alive()
            raise ServerError("a server process has exited") from None

    def _wait(self) -> float:
        """Wait until the server is idle; its CPU time so far."""
        end = time.monotonic() + IDLE_PATIENCE_S
        while self._used(IDLE_LOOK_S) - self._base_s > IDLE_SHARE * IDLE_LOOK_S and time.monotonic() < end:
            pass
        return self._spent_s()
