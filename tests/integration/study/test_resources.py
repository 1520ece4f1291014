"""Real trials that are made to hit a limit are told by it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from grpclab.analysis.limits.resources import Limit, limit_of
from grpclab.analysis.study_plan import StoredCores, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan, machine, split_cores
from tests.support.stored_studies import row_of

TRIES = 3
"""Windows that a real limit may take to show: on a busy machine another program has the core now and then."""


@pytest.fixture(scope="module")
def cores() -> CorePlan:
    found = split_cores(machine().affinity)
    if found.shared:
        pytest.skip("one core for server and generator: no limit of either can be told; give the tests two")
    return found


def real_trial(folder: Path, cores: CorePlan, name: str, block: int, levels: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a trial that was really run."""
    folder.mkdir(parents=True)
    window: dict[str, Any] = {"load.requests": None, "load.duration_s": 0.6, "load.warmup_s": 0.3}
    identity = TrialIdentity(scenario="made", configuration=name, block=block)
    result = run_trial(TrialConfig().replace(window | dict(levels)), folder, cores=cores, identity=identity)
    assert result.valid, result.invalid_reason
    return row_of(json.loads((folder / "result.json").read_text()))


def share_of(core: int) -> float:
    """The share of a core that a thread gets which wants all of it."""
    found: list[float] = []

    def spin() -> None:
        os.sched_setaffinity(0, {core})  # of this thread alone
        began, used = time.perf_counter(), time.thread_time()
        while time.perf_counter() < began + 0.1:
            pass
        found.append((time.thread_time() - used) / (time.perf_counter() - began))

    thread = threading.Thread(target=spin)
    thread.start()
    thread.join()
    return found[0]


def recorded(cores: CorePlan) -> StoredCores:
    return StoredCores(server=tuple(cores.server), generator=tuple(cores.generator), shared=cores.shared)


def fail_where_the_cores_are_free(found: list[Limit], cores: CorePlan) -> NoReturn:
    """No try has told the limit: the product's fault, unless other programs run on the trials' cores."""
    if hasattr(os, "sched_setaffinity"):
        taken = [core for core in (*cores.server, *cores.generator) if share_of(core) < 0.9]
        if taken:
            pytest.skip(f"other programs run on cores {taken}: no CPU of this trial could be full; stop them")
    pytest.fail("; ".join(f"{limit.resource}: {limit.evidence}" for limit in found))


@pytest.mark.parametrize(
    ("resource", "levels"),
    [
        (
            "server-cpu",
            {
                "server.handler_work_us": 2000.0,
                "server.processes": 3,
                "server.threads": 2,
                "client.pooling": "pool",
                "client.connections": 24,
                "load.concurrency": 24,
            },
        ),
        pytest.param(
            "client-cpu",
            {"client.pooling": "per_call", "load.engine": "grpcio", "load.concurrency": 16},
            marks=pytest.mark.long,
        ),
        pytest.param(
            "generator-bound",  # one that cannot send so fast, whatever the server does
            {"load.engine": "grpcio", "load.rate_rps": 20_000.0, "load.duration_s": 0.2},
            marks=pytest.mark.long,
        ),
        pytest.param(
            "link",
            {"link.bandwidth_mbps": 4.0, "server.response_bytes": 4096, "load.concurrency": 8},
            marks=pytest.mark.long,
        ),
        ("concurrency", {"link.rtt_ms": 50.0, "load.concurrency": 4}),
        (
            "threads",
            {
                "load.method": "SayHelloStream",
                "server.stream_messages": 2,
                "server.stream_interval_ms": 50.0,
                "server.threads": 2,
                "load.concurrency": 20,
            },
        ),
    ],
)
def test_a_trial_made_to_hit_a_limit_is_told_by_it(
    tmp_path: Path, cores: CorePlan, resource: str, levels: dict[str, Any]
) -> None:
    found = []
    for number in range(TRIES):
        row = real_trial(tmp_path / str(number), cores, "made", number, levels)
        found.append(limit_of("made", pd.DataFrame([row]), StudyPlan(), recorded(cores)))
        if found[-1].resource == resource:
            return
    fail_where_the_cores_are_free(found, cores)


@pytest.mark.parametrize(
    ("resource", "levels", "more"),
    [
        (
            "stream-limit",
            {"server.max_concurrent_streams": 2, "link.rtt_ms": 40.0, "load.concurrency": 32},
            {"server.max_concurrent_streams": 64},
        ),
        (
            "window",
            {
                "client.window_kib": 16,
                "client.adaptive_window": False,
                "server.response_bytes": 128 * 1024,
                "link.rtt_ms": 20.0,
                "load.concurrency": 4,
            },
            {"client.window_kib": 16_384},
        ),
    ],
)
def test_a_pair_of_real_trials_tells_what_held_the_slower_one_back(
    tmp_path: Path, cores: CorePlan, resource: str, levels: dict[str, Any], more: dict[str, Any]
) -> None:
    sides, told = {"less": levels, "more": levels | more}, []
    for number in range(TRIES):
        rows = [real_trial(tmp_path / str(number) / name, cores, name, 0, side) for name, side in sides.items()]
        # What is real are the trials; a verdict takes six blocks, which the one stands for.
        frame = pd.concat([pd.DataFrame(rows).assign(block=block) for block in range(6)], ignore_index=True)
        told.append(limit_of("less", frame, StudyPlan(), recorded(cores)))
        if (told[-1].resource, told[-1].certain) == (resource, True):
            break
    else:
        fail_where_the_cores_are_free(told, cores)
    assert limit_of("more", frame, StudyPlan(), recorded(cores)).resource != resource
    alone = frame[frame["configuration"] == "less"]
    assert limit_of("less", alone, StudyPlan(), recorded(cores)).resource != resource, "without its pair nothing tells"
