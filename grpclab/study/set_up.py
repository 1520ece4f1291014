"""The server, the generator and the link of one configuration, up and connected: of a trial alone, or beside others."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.factors.own import OwnLevels
from grpclab.link.emulation import RunningLink, running_link
from grpclab.load.calls.method import CallSpec
from grpclab.load.generator import Generator
from grpclab.servers.process.collector import ENDPOINT, running_collector
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.process.scraper import running_scraper
from grpclab.study.request_files import Files, change_during_study
from grpclab.study.stand_ins import COLLECTOR, StandIns
from grpclab.study.target import Subject
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan
from grpclab.system.interference import LINK, SERVER, STAND_INS
from grpclab.system.listeners import connections_of
from grpclab.system.temporary import TemporaryFolder
from grpclab.text import redaction

T = TypeVar("T")

LOOK_EVERY_S = 0.05
LEAVE_S = 0.3
"""So long after a failure a server that has just ended may take to be gone."""


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """What one configuration is measured with; `link` is None where none is emulated."""

    server: RunningServer
    generator: Generator
    link: RunningLink | None = None
    stand_ins: StandIns = field(default_factory=StandIns)

    def require_alive(self) -> None:
        """Raise ServerError or WorkerError where the server or the link has died."""
        self.server.require_alive()
        if self.link is not None:
            self.link.require_alive()

    def connections(self) -> list[int]:
        """The connections to the server now, by its processes.

        Of a server that runs by itself, which others may use, they are ours.
        """
        if self.server.process is not None:
            return self.server.connections(excluding=[os.getpid()])
        pids = [*self.generator.pids, *self.generator.beside[LINK]]
        return [connections_of(pids, self.server.target, self.server.security.remote)]


@contextlib.contextmanager
def set_up(
    config: TrialConfig,
    folder: Path,
    *,
    cores: CorePlan,
    identity: TrialIdentity,
    subject: Subject,
    data_files: Files | None = None,
    share: tuple[int, int] = (0, 1),
) -> Iterator[SetUp]:
    """Have them up and connected until the block is left; the server's log goes into `folder`.

    `share`: the number of this one, and of how many that are up together: what may be sent to another machine is
    divided over them. All trials of a block have the same arrivals, and the same waits in their handlers. Raises
    MeasurementError, for another content of its data file than in `data_files` too, or UsageError if `subject` has no
    such call.
    """
    link = None
    with contextlib.ExitStack() as stack:
        env, beside = dict(identity.environment), {}
        if endpoint := OwnLevels(config.own).section("env").get(ENDPOINT):
            env[ENDPOINT] = endpoint
        elif config.client.tracing_share is not None or config.server.tracing_share is not None:
            collector = stack.enter_context(running_collector(cores.server, env))
            env[ENDPOINT], beside[COLLECTOR] = collector.endpoint, collector.pid
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
        scraper = None
        if (every_s := config.server.scrape_s) is not None:
            scraper = stack.enter_context(
                running_scraper(
                    server.desk, every_s, seed=identity.block, cpus=cores.generator, env=identity.environment
                )
            )
        stand_ins = StandIns(beside, scraper)
        generator.beside = {
            SERVER: [*server.pids, *server.helpers],
            LINK: [link.pid] if link is not None else [],
            STAND_INS: stand_ins.pids,
        }
        up = SetUp(server=server, generator=generator, link=link, stand_ins=stand_ins)
        with last_words_of(server):
            call = _while_alive(server, lambda: _call(subject, server, config, data_files))
            security = server.security.pinned(server.target) if link is not None else server.security
            ledger = subject.target.ledger
            allowance = None if ledger is None else ledger.left(time.perf_counter()).of_worker(*share)
            generator.aim(target, security=security, call=call, allowance=allowance)
            generator.start(server.require_alive)
            try:
                yield up
            finally:
                if ledger is not None:
                    ledger.spend(generator.spent)
        if link is not None:
            link.require_alive()


def _call(subject: Subject, server: RunningServer, config: TrialConfig, data_files: Files | None) -> CallSpec:
    """What is called at the server. Raises UsageError or TargetError, MeasurementError for a changed data file."""
    try:
        return subject.call_at(server.target, config, server.security, server.descriptors)
    finally:
        if change := change_during_study(data_files, subject.stored(), config.load.arrival):
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
def last_words_of(server: RunningServer) -> Iterator[None]:
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
