"""Handlers that wait: what each servicer waits and how often, what limits such a server, what its study says."""

from __future__ import annotations

import asyncio
import html
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from grpclab.analysis.limits.resources import limiting_resources
from grpclab.analysis.limits.rules import Limit
from grpclab.analysis.study_plan import StoredCores
from grpclab.factors.config import TrialConfig
from grpclab.report import figures, sections
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.terminal import table
from grpclab.report.sections import waiting
from grpclab.servers.greeter import AsyncGreeter, CallCount, SyncGreeter
from tests.support import plans, synthetic
from tests.support.greeting import hello

CALLS = 20


class Alive:
    """A context whose call goes on."""

    def is_active(self) -> bool:
        return True


def servicer(kind: str, seed: int = 1, **levels: Any) -> Any:
    config = TrialConfig().replace({f"server.{name}": level for name, level in levels.items()}).server
    return (SyncGreeter if kind == "sync" else AsyncGreeter)(config, CallCount(), seed=seed)


def waits(
    monkeypatch: pytest.MonkeyPatch, kind: str, *, method: str = "SayHello", seed: int = 1, **levels: Any
) -> list[float]:
    """What the handlers of CALLS calls sleep, in seconds, in order."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("grpclab.servers.greeter.time.sleep", slept.append)
    monkeypatch.setattr("grpclab.servers.greeter.asyncio.sleep", sleep)
    made = servicer(kind, seed, **levels)

    async def call() -> None:
        handler = getattr(made, method)(hello(), Alive())
        if method == "SayHelloStream":
            async for _ in handler:
                pass
        else:
            await handler

    for _ in range(CALLS):
        if kind == "asyncio":
            asyncio.run(call())
        else:
            answer = getattr(made, method)(hello(), Alive())
            list(answer) if method == "SayHelloStream" else answer
    return slept


each = pytest.mark.parametrize("kind", ["sync", "asyncio"])


@each
def test_a_handler_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    assert waits(monkeypatch, kind, handler_wait_ms=5) == [0.005] * CALLS
    assert waits(monkeypatch, kind) == []


@each
def test_a_stream_waits_once_before_its_first_message(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    found = waits(
        monkeypatch, kind, method="SayHelloStream", handler_wait_ms=5, stream_messages=3, stream_interval_ms=1
    )
    assert found == [0.005, 0.001, 0.001] * CALLS


@each
def test_drawn_waits_are_those_of_the_seed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    first, again, other = (waits(monkeypatch, kind, seed=seed, handler_wait_ms="exponential:5") for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == CALLS
    assert first == waits(monkeypatch, "sync", handler_wait_ms="exponential:5")


def test_no_drawn_wait_is_lost_or_given_twice_among_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = waits(monkeypatch, "sync", handler_wait_ms="uniform:1,9")
    slept: list[float] = []
    monkeypatch.setattr("grpclab.servers.greeter.time.sleep", slept.append)
    made, gate = servicer("sync", handler_wait_ms="uniform:1,9"), threading.Barrier(CALLS)

    def call(_: int) -> None:
        gate.wait()
        made.SayHello(hello(), Alive())

    with ThreadPoolExecutor(CALLS) as pool:
        list(pool.map(call, range(CALLS)))
    assert sorted(slept) == sorted(alone)


def test_waiting_takes_time_and_no_cpu() -> None:
    made = servicer("sync", handler_wait_ms=100)
    wall, cpu = time.perf_counter(), time.thread_time()
    made.SayHello(hello(), Alive())
    assert time.perf_counter() - wall >= 0.1
    assert time.thread_time() - cpu < 0.05


# ---- the scenario in a study -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.waiting_study()


def study_of(made: synthetic.MadeStudy) -> FinishedStudy:
    return made.finished()


def test_the_few_threads_are_named_as_the_limit_and_the_many_are_not(made: synthetic.MadeStudy) -> None:
    found: dict[str, Limit] = {
        limit.configuration: limit
        for limit in limiting_resources(made.trials, plans.value(made.manifest["plan"]), StoredCores(server=(0,)))
    }
    assert found["waiting-threads-10"].resource == "threads"
    assert found["waiting-threads-64"].resource == "server-cpu"


def test_the_section_says_when_threads_help_and_by_how_much(made: synthetic.MadeStudy) -> None:
    study = study_of(made)
    told = waiting.lead(study)
    assert told.startswith("Threads help handlers that wait, not handlers that compute.")
    headline = study.headline
    assert headline.verdict == "faster"
    assert f"{headline.ratio:.2f}×" in told
    (section,) = [section for section in sections(study) if section.anchor == "waiting"]
    assert told in html.unescape(section.html).replace("\xa0", " ")
    assert "handlers that wait: asyncio against 64 threads" in table(study)


def test_the_figure_tells_what_the_threads_allow(made: synthetic.MadeStudy) -> None:
    block = figures.waiting(study_of(made))
    assert block is not None
    assert "at most 2,000 with its threads" in block.alt
    assert "asyncio" in block.alt.rpartition("with its threads")[2]


def test_a_study_of_before_has_no_such_section() -> None:
    made = synthetic.small_study()
    assert "waiting" not in {section.anchor for section in sections(made.finished())}
