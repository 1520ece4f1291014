"""The coordinator of the workers: spawn, connect, start at one moment, collect.

::

    with Generator(config, target, cpus={1}) as generator:
        run = generator.measure(tick=sample)      # a LoadRun
        with generator.background():              # the same load again, not recorded, for a profile
            ...
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from grpclab.children import Child, receive_all
from grpclab.config import TrialConfig
from grpclab.errors import FactorError, TargetError, WorkerError
from grpclab.load.gate import share
from grpclab.load.recorder import Records
from grpclab.load.summary import Summary, Window, summarise

START_TIMEOUT_S = 30.0
START_DELAY_S = 0.02
"""The common start lies this far ahead, so that every worker has heard of it."""
OPENING_GRID_S = 0.01
"""How exactly the coordinator, which sleeps meanwhile, meets the window's opening."""
BUSY_LIMIT = 0.90
"""A worker busier than this share of a core may be the limit, not the server."""


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """One measured window."""

    windows: list[Window]
    summary: Summary
    cpu_s: float
    """CPU time of all workers in the window."""
    busy_share: float
    """The busiest worker's CPU time over the window's length, 0 to 1 (a little above where threads overlap)."""
    interrupted: bool = False
    """Ctrl-C ended the window; what had been measured by then is here."""

    def limited_by(self, pooling: str) -> str:
        """``generator-bound``, or ``client-cpu`` where the client is the factor under test, or nothing."""
        if self.busy_share <= BUSY_LIMIT:
            return ""
        return "client-cpu" if pooling == "per_call" else "generator-bound"


def split(config: TrialConfig) -> list[TrialConfig]:
    """The configuration of each worker: concurrency, requests and connections divided exactly.

    Raises FactorError where there is less to divide than there are workers.
    """
    workers = config.load.workers
    divided = {"load.concurrency": config.load.concurrency}
    if config.load.requests is not None:
        divided["load.requests"] = config.load.requests
    if config.client.pooling == "pool":
        divided["client.connections"] = config.client.connections
    for name, total in divided.items():
        if total < workers:
            raise FactorError(f"{name}={total} cannot be divided over load.workers={workers}: use fewer workers")
    parts = {name: share(total, workers) for name, total in divided.items()}
    return [config.replace({name: part[index] for name, part in parts.items()}) for index in range(workers)]


class Generator:
    """The load of one configuration on one target; its connections stay open over several windows."""

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        *,
        cpus: Collection[int] | None = None,
        env: Mapping[str, str] | None = None,
        root_certificates: bytes | None = None,
    ) -> None:
        self.config = config
        self.target = target
        self._parts = split(config)
        self._roots = root_certificates.decode() if root_certificates else None
        self._spawn = {"cpus": cpus, "env": env}
        self._stack = contextlib.ExitStack()
        self._workers: list[Child] = []

    def __enter__(self) -> Generator:
        try:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="grpclab-")))
            self.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._workers]

    def start(self) -> None:
        """Spawn the workers and connect them. Raises TargetError or WorkerError."""
        for index in range(len(self._parts)):
            name = f"load worker {index + 1} of {len(self._parts)}"
            worker = Child("grpclab.load.worker", name=name, **self._spawn)  # type: ignore[arg-type]
            self._workers.append(self._stack.enter_context(worker))
        for worker, part in zip(self._workers, self._parts, strict=True):
            settings = part.differences(TrialConfig())
            worker.send(settings=settings, target=self.target, roots=self._roots)
        for answer in receive_all(self._workers, START_TIMEOUT_S):
            if "error" in answer:
                raise TargetError(answer["error"])

    def measure(
        self,
        *,
        tick: Callable[[], None] | None = None,
        every_s: float = 0.1,
        on_open: Callable[[], None] | None = None,
        keep_on_interrupt: bool = False,
    ) -> LoadRun:
        """Warm up, then measure one window; `on_open` is called when it opens, `tick` now and then.

        With `keep_on_interrupt`, Ctrl-C ends the window early instead of raising KeyboardInterrupt. Raises
        WorkerError if a worker dies or does not come to an end.
        """
        load = self.config.load
        starts_at = time.perf_counter() + START_DELAY_S
        opens_at = starts_at + load.warmup_s
        closes_at = None if load.duration_s is None else opens_at + load.duration_s
        files = [self._folder / f"records-{index}.npz" for index in range(len(self._workers))]
        for worker, part, file in zip(self._workers, self._parts, files, strict=True):
            requests = part.load.requests
            worker.send(
                starts_at=starts_at,
                opens_at=opens_at,
                closes_at=closes_at,
                requests=requests,
                record=str(file),
            )
        opened, next_tick = False, 0.0

        def step() -> None:
            nonlocal opened, next_tick
            now = time.perf_counter()
            if not opened and now >= opens_at:
                opened = True
                if on_open is not None:
                    on_open()
            if tick is not None and now >= next_tick:
                next_tick = now + every_s
                tick()

        interrupted = False
        try:
            answers = receive_all(self._workers, self._patience_s(), every_s=OPENING_GRID_S, tick=step)
        except KeyboardInterrupt:
            if not keep_on_interrupt:
                raise
            interrupted = True
            answers = self._close_window(self._patience_s())
        windows = [
            Window(
                records=Records.load(file),
                opened_at=opens_at,
                requests=part.load.requests,
                closes_at=closes_at,
            )
            for file, part in zip(files, self._parts, strict=True)
        ]
        return LoadRun(
            windows=windows,
            summary=summarise(windows),
            cpu_s=sum(answer["cpu_s"] for answer in answers),
            busy_share=max(answer["cpu_s"] / max(answer["busy_s"], 1e-9) for answer in answers),
            interrupted=interrupted,
        )

    def _close_window(self, timeout_s: float) -> list[dict[str, Any]]:
        for worker in self._workers:
            worker.send(close=True)
        return receive_all(self._workers, timeout_s)

    def _patience_s(self) -> float:
        """Longest time a window may take before its workers count as lost."""
        load = self.config.load
        deadline = self.config.client.deadline_s or 60.0
        if load.duration_s is not None:
            return load.warmup_s + load.duration_s + 2 * deadline + 10
        assert load.requests is not None
        return load.warmup_s + deadline * (2 + load.requests / load.concurrency) + 10

    @contextlib.contextmanager
    def background(self, limit_s: float = 60.0) -> Iterator[None]:
        """The same load, unrecorded, while the block runs; it ends by itself after `limit_s`."""
        now = time.perf_counter()
        for worker in self._workers:
            worker.send(starts_at=now, opens_at=now, closes_at=now + limit_s, requests=None, record=None)
        try:
            yield
        finally:
            with contextlib.suppress(WorkerError):
                self._close_window(limit_s + (self.config.client.deadline_s or 60.0))
