"""Studies that nobody measured: trials drawn from effects that are known, stored as ``grpclab study`` stores them.

What reads a study (a report, a script, a check in CI) can so be tried on an effect that is true by construction, and a
design on data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.load.core.recorder import Records
from grpclab.load.core.summary import summarise
from grpclab.load.core.worker_window import Window
from grpclab.load.run import LoadRun
from grpclab.report.stored import StoredStudy, load_study
from grpclab.status import OK
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.group_order import identity_of
from grpclab.study.runner import Study
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.system.procfs import Usage

SPREAD = 0.4
"""The standard deviation of a latency's logarithm."""
SERVER_S, CLIENT_S = 100e-6, 10e-6
"""CPU time of one call, in the server and in the client."""
KERNEL_SHARE = 0.3
MEMORY = 64 * 2**20


def synthetic_study(
    planned: Study,
    effects: Mapping[str, float],
    *,
    throughput_rps: float = 2000.0,
    noise: float = 0.02,
    drift: float = 0.03,
    requests: int = 500,
    seed: int = 1,
) -> StoredStudy:
    """Draw the trials of a planned study, and store and judge it in its folder; the same figures for the same seed.

    ::

        study = Study.described(Path("threads.toml"), root=tmp_path)
        drawn = synthetic_study(study, {"threads-64": 1.2})
        assert drawn.verdict["headline"]["verdict"] == "faster"

    `effects` are true throughputs by the name of the configuration, as multiples of `throughput_rps`; 1 for all others.
    The logarithm of a trial's throughput varies by `noise` from trial to trial, and by `drift` from block to block,
    which all trials of a block share. Each trial holds `requests` calls of a closed loop with lognormal latencies;
    nothing is profiled, and no call fails.

    Raises UsageError for an effect of a configuration that the plan does not have, DesignError if the folder holds
    another study.
    """
    if unknown := sorted(set(effects) - {trial.configuration for trial in planned.trials}):
        raise UsageError(f"invalid effects: the study has no configuration {unknown[0]}")
    begun = planned.begin()
    drawn = _SyntheticStudy(begun.store, begun.manifest, begun.root)
    drawn.truth = {
        trial.configuration: throughput_rps * effects.get(trial.configuration, 1.0) for trial in drawn.trials
    }
    drawn.noise, drawn.drift, drawn.requests, drawn.seed = noise, drift, requests, seed
    drawn.run(lambda _: None)
    drawn.judge()
    return load_study(drawn.store.folder)


class _SyntheticStudy(Study):
    """A study whose trials are drawn where others are measured."""

    truth: Mapping[str, float]
    noise: float
    drift: float
    requests: int
    seed: int

    def measure(self, config: TrialConfig, identity: TrialIdentity, folder: Path) -> str:
        """Draw one trial into `folder`."""
        block = np.random.default_rng([self.seed, identity.block]).normal(0, self.drift)
        place = 1 + identity.order + 1000 * (identity.group or 0)
        random = np.random.default_rng([self.seed, identity.block, place])
        throughput_rps = self.truth[identity.configuration] * np.exp(block + random.normal(0, self.noise))
        concurrency = config.load.concurrency or 1
        window = Window(
            records=_calls(throughput_rps, self.requests, concurrency, random),
            opened_at=0.0,
            requests=self.requests,
            closes_at=None,
        )
        client_s = self.requests * CLIENT_S
        run = LoadRun(
            windows=[window],
            summary=summarise([window]),
            cpu_s=client_s,
            busy_share=client_s / window.closed_at,
            sent=self.requests,
        )
        opened = _usage(0.0, 0.0)
        closed = _usage(window.closed_at, self.requests * SERVER_S * np.exp(random.normal(0, self.noise)))
        result = TrialResult(identity=identity, config=config, started_at=now_text(), valid=True)
        result.note_run(run, opened, closed, [opened, closed])
        result.connections_by_process = [config.client.connections]
        result.metrics |= {"connections": config.client.connections, "server_processes": 1}
        result.write(folder)
        return ""

    def measure_group(self, group: ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:  # noqa: ARG002
        """Draw the trials of a group."""
        for trial in group.trials:
            identity = identity_of(group, trial.configuration, self.manifest)
            self.measure(self.plan.configuration(trial.configuration).config, identity, folders[trial.name])
        return ""


def _calls(throughput_rps: float, requests: int, concurrency: int, random: np.random.Generator) -> Records:
    """The calls of a closed loop: each caller makes one after the other, until all together have begun so many."""
    latency = random.lognormal(0, SPREAD, (concurrency, -(-requests // concurrency)))
    start = np.cumsum(latency, axis=1) - latency
    begun = np.argsort(start, axis=None)[:requests]
    start, latency = start.ravel()[begun], latency.ravel()[begun]
    scale = requests / throughput_rps / (start + latency).max()
    ended = np.argsort(start + latency)
    return Records(
        start_s=scale * start[ended], latency_s=scale * latency[ended], status=np.full(requests, OK, dtype=np.uint8)
    )


def _usage(at_s: float, cpu_s: float) -> Usage:
    kernel_s = KERNEL_SHARE * cpu_s
    return Usage(
        at_s=at_s, cpu_s=cpu_s, user_s=cpu_s - kernel_s, kernel_s=kernel_s, rss_bytes=MEMORY, peak_rss_bytes=MEMORY
    )
