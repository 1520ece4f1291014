"""One trial: a fresh server process, warm-up, the measured window, then a profile in a window of its own.

:func:`run_trial` is what ``notebooks/trial.ipynb`` calls. It writes ``result.json``, ``latency.parquet``,
``timeline.parquet``, ``stacks.folded``, ``perf.folded`` and ``server.log`` into the trial's folder. What goes wrong
with the measurement makes an invalid trial with its reason, never an exception: the study goes on.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil

from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import MeasurementError, WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.link.emulation import RunningLink, running_link
from grpclab.load.calls.method import CallSpec
from grpclab.load.core import failures
from grpclab.load.engines.engine import client_settings
from grpclab.load.generator import DRAIN_S, Generator
from grpclab.load.peer_probe import server_settings
from grpclab.servers.process.launcher import RunningServer
from grpclab.study import profile_window, window
from grpclab.study.request_files import Files, change_during_study
from grpclab.study.server_programs import change_of, program_of
from grpclab.study.target import Subject
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.system import procfs
from grpclab.system.environment import CorePlan
from grpclab.system.interference import LINK, SERVER
from grpclab.system.listeners import connections_of
from grpclab.system.temporary import TemporaryFolder
from grpclab.text import redaction

T = TypeVar("T")

SAMPLE_EVERY_S = 0.25
LOOK_EVERY_S = 0.05
LEAVE_S = 0.3
"""So long after a failure a server that has just ended may take to be gone."""


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
) -> TrialResult:
    """Measure one configuration and write the trial into `folder`.

    With another program behind its server than `expected`, or another content of its data file than in `data_files`,
    the trial is invalid. Raises UsageError if `subject` has no
    such call.
    """
    result = TrialResult(identity=identity, config=config, started_at=now_text(), subject=subject)
    try:
        with _bench_set_up(result, folder, cores, data_files) as (server, generator, link):
            result.prepare_s = server.prepare_s
            if not subject.target.own:
                result.program = program_of(server, subject)
                if change := change_of(expected, result.program):
                    raise MeasurementError(change)
            _compare_settings(result, server)
            _measure(result, server, generator, profile=profile)
            if link is not None:
                _note_passed(result, link)
            if profile:
                result.evidence = profile_window.observe(server, generator, cpus=cores.generator)
                result.metrics |= result.evidence.metrics
                result.looks |= result.evidence.others
        result.cleanup_s = server.cleanup_s
        result.notices += server.notices
        result.valid = not result.invalid_reason
    except MeasurementError as error:
        result.invalid_reason = str(error)
    result.write(folder)
    return result


@contextlib.contextmanager
def _bench_set_up(
    result: TrialResult, folder: Path, cores: CorePlan, data_files: Files | None
) -> Iterator[tuple[RunningServer, Generator, RunningLink | None]]:
    """Server, generator and link, if there is one, up and connected. All trials of a block have the same
    arrivals, and the same waits in their handlers."""
    config, identity, subject = result.config, result.identity, result.subject
    env = identity.environment
    link = None
    with contextlib.ExitStack() as stack:
        # The workers load what they need while the server starts, on other cores.
        generator = Generator(
            config, "", cpus=cores.generator, env=env, seed=identity.block, residence=subject.residence
        )
        stack.callback(generator.close)
        generator.spawn()
        log_path = stack.enter_context(_private_log(folder / "server.log"))
        server = stack.enter_context(
            subject.launch(config, seed=identity.block, cpus=cores.server, log_path=log_path, env=env)
        )
        target = server.target
        if config.link.emulated:
            link = stack.enter_context(running_link(config.link, target, env=env))
            target = link.target
        generator.beside = {SERVER: server.pids, LINK: [link.pid] if link is not None else []}
        with _last_words_of(server):
            call = _while_alive(server, lambda: _call(subject, server, config, data_files))
            security = server.security.pinned(server.target) if link is not None else server.security
            ledger = subject.target.ledger
            allowance = None if ledger is None else ledger.left(time.perf_counter())
            generator.aim(target, security=security, call=call, allowance=allowance)
            generator.start(server.require_alive)
            try:
                yield server, generator, link
            finally:
                if ledger is not None:
                    ledger.spend(generator.spent)
        if link is not None and not link.alive():
            raise WorkerError("the emulated link died during the trial")


def _call(subject: Subject, server: RunningServer, config: TrialConfig, data_files: Files | None) -> CallSpec:
    """What is called at the server. Raises UsageError or TargetError, MeasurementError for a changed data file."""
    try:
        return subject.call_at(server.target, config, server.security, server.descriptors)
    finally:
        if change := change_during_study(data_files, subject.stored()):
            raise MeasurementError(change)


@contextlib.contextmanager
def _private_log(path: Path) -> Iterator[Path]:
    """Where a server writes its log; `path` gets it without secrets when the server has ended.

    So a run that is killed leaves no secret among the results: until then the log lies where only its user may read.
    """
    with TemporaryFolder() as folder:
        private = folder / path.name
        try:
            yield private
        finally:
            if private.exists():
                with private.open(errors="replace") as log, path.open("w") as clean:
                    clean.writelines(map(redaction.mask_foreign, log))


@contextlib.contextmanager
def _last_words_of(server: RunningServer) -> Iterator[None]:
    """What a server that has ended said last, instead of what others made of its silence."""
    try:
        yield
    except MeasurementError:
        server.await_end(LEAVE_S)
        server.require_alive()
        raise


def _while_alive(server: RunningServer, ask: Callable[[], T]) -> T:
    """What `ask` gives, which may wait for a server's answer; ServerError as soon as the server has ended."""
    answer: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="ask the server", daemon=True).start()
    while not concurrent.futures.wait([answer], timeout=LOOK_EVERY_S).done:
        server.require_alive()
    return answer.result()


def _compare_settings(result: TrialResult, server: RunningServer) -> None:
    """Before any load: what both sides advertise on a connection of its own, and what of the factors that shows.

    The server is asked itself, not through the emulated link.
    """
    said = server_settings(server.target, server.security)
    result.note_effects(said, client_settings(result.config), threaded=bool(server.threaded))


def _note_passed(result: TrialResult, link: RunningLink) -> None:
    """Note the connections, pings and GOAWAYs that passed over the link until the window was over."""
    traffic = link.traffic()
    result.goaways = dict(traffic.goaways)
    result.metrics |= {
        "link_connections": traffic.connections,
        "link_client_pings": traffic.client_pings,
        "link_server_pings": traffic.server_pings,
        "link_goaways": sum(traffic.goaways.values()),
    }


def _measure(result: TrialResult, server: RunningServer, generator: Generator, *, profile: bool) -> None:
    """The measured window, with nothing attached to the server."""
    samples: list[procfs.Usage] = []
    opened: list[procfs.Usage] = []
    look = profile_window.begin(server, profile=profile)

    def sample() -> None:
        server.require_alive()
        with contextlib.suppress(psutil.Error):  # it died in between: the next tick says so
            samples.append(server.usage())

    run = generator.measure(
        tick=sample,
        every_s=SAMPLE_EVERY_S,
        on_open=lambda: opened.append(server.usage()),
        drain_s=max(DRAIN_S, result.config.client.deadline_s or 0.0),  # a trial waits for each call to its deadline
    )
    server.require_alive()
    closed = server.usage()
    looks = look(window.all_calls(run))
    result.note_connections(_connections(server, generator))
    result.threads_per_call = looks["proc"].threads
    result.looks = {name: look for name, look in looks.items() if name not in profile_window.WITH_COLUMNS}
    result.note_run(run, opened[0] if opened else samples[0], closed, samples)
    result.note_answers(run.answers, generator.call)
    result.metrics |= looks["proc"].metrics
    result.metrics["connections"] = sum(result.connections_by_process)
    result.metrics["server_processes"] = len(server.pids)
    result.invalid_reason = (
        run.stopped_because if run.ran_out or run.ceiling else _why_invalid(result, generator.workers)
    )


def _connections(server: RunningServer, generator: Generator) -> list[int]:
    """The connections to the server, by its processes; of one that runs by itself, which others may use, ours."""
    if server.process is not None:
        return server.connections(excluding=[os.getpid()])
    return [connections_of([*generator.pids, *generator.beside[LINK]], server.target, server.security.remote)]


def _why_invalid(result: TrialResult, workers: int) -> str:
    """The reason why what was measured cannot be used, or nothing."""
    metrics, client = result.metrics, result.config.client
    if not metrics["requests"]:
        return "no call started in the measured window: make max_trial_s longer"
    if result.config.link.idle_timeout_s is not None:
        return ""  # that calls fail, and that connections are given up, is what is measured
    if metrics["errors"] == metrics["requests"]:
        return f"every call failed: {failures.sentence(result.failures)}"
    wanted = client.connections if client.pooling == "pool" else workers
    if client.pooling != "per_call" and metrics["connections"] != wanted:
        return f"{wanted} TCP connections were asked for, {metrics['connections']:g} were seen"
    return ""
