"""The resource that limited a configuration, named by rules out of the numbers of its trials."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis.limits.resources import RESOURCES, limit_of, limiting_resources
from grpclab.analysis.study_plan import PlannedConfiguration, StoredCores, StudyPlan
from grpclab.factors.config import FACTORS
from tests.support import plans
from tests.support.limits import BACKLOG, FOUR, IDLE, LINK, NOISE, ONE, ROUND_TRIP, STREAM, WAITING, judged, rows
from tests.support.synthetic import small_study


@pytest.mark.parametrize(
    ("changes", "cores", "resource", "certain", "told"),
    [
        ({"limited_by": "generator-bound", "client_busy_share": 0.97}, ONE, "generator-bound", True, "busy for 97 %"),
        ({"limited_by": ["generator-bound", "generator-bound", ""]}, ONE, "generator-bound", False, "2 of 3 trials"),
        ({"client_busy_share": 0.95}, ONE, "generator-bound", False, "limit 90 %"),
        ({"limited_by": "generator-bound", "server_cores": 0.97}, ONE, "generator-bound", False, "0.97 of 1 core"),
        (
            {"limited_by": "generator-bound", "load.rate_rps": 20_000.0, "offered_rps": 20_000.0},
            ONE,
            "generator-bound",
            True,
            "the load generator fell behind the open-loop schedule; 1,000 of 20,000 offered requests/s",
        ),
        ({"limited_by": "client-cpu", "client.pooling": "per_call"}, ONE, "client-cpu", True, "600 µs of CPU"),
        ({"client_busy_share": 0.95, "client.pooling": "per_call"}, ONE, "client-cpu", False, "busy for 95 %"),
        (
            {"server_cores": 0.97},
            ONE,
            "server-cpu",
            True,
            "0.97 of the 1 core available; each call costs 700 µs",
        ),
        ({"server_cores": 0.49, "requests": 2000.0, "errors": 1000.0}, ONE, "server-cpu", True, "0.98 of the 1 core"),
        ({"server_cores": 2.5}, ONE, "server-cpu", True, "1.00 of the 1 core"),  # a backlog after the window
        ({"server_cores": 0.97}, FOUR, "server-cpu", False, "of the 4 cores available, because Python"),
        ({"server_cores": 0.97}, None, "server-cpu", False, "GIL"),
        (
            {"server_cores": 3.75, "server.processes": 0, "connections_by_process": "[1, 2, 1, 1]"},
            FOUR,
            "server-cpu",
            True,
            "3.75 of the 4 cores",
        ),
        (
            {"server_cores": 1.9, "server.processes": 4, "connections_by_process": "[2, 0, 2, 0]"},
            FOUR,
            "server-cpu",
            False,
            "2 server processes used 1.9 cores",
        ),
        ({**LINK, "throughput_rps": 19.0}, ONE, "link", True, "responses took 1.9 of the 2 MB/s (95 %)"),
        (
            {"load.request_bytes": 50_000, "link.bandwidth_mbps": 8.0, "throughput_rps": 19.5},
            ONE,
            "link",
            True,
            "requests took 0.975 of the 1 MB/s (98 %) that 1 connection can carry at 8 Mbit/s",
        ),
        (
            {**LINK, "client.pooling": "per_call", "load.concurrency": 2, "throughput_rps": 19.0, "connections": 0.0},
            ONE,
            "link",
            True,
            "2 connections",
        ),
        (
            {**IDLE, **BACKLOG},
            ONE,
            "threads",
            True,
            "occupying a thread for 100 ms, keep 1.9 threads busy",
        ),
        (
            {**IDLE, **STREAM, "server.threads": 2, "server.spare_threads": 6, "throughput_rps": 76.0},
            ONE,
            "threads",
            True,
            "50 calls were in flight on 8 handler threads",
        ),
        (
            {**WAITING, "throughput_rps": 1900.0},
            ONE,
            "threads",
            True,
            "occupying a thread for 5 ms, keep 9.5 threads busy",
        ),
        ({**WAITING, "server.handler_wait_ms": "exponential:5", "throughput_rps": 1900.0}, ONE, "threads", True, "9.5"),
        ({**WAITING, "throughput_rps": 1900.0, "server_cores": 0.75}, ONE, "threads", False, "0.75 of 1 core"),
        ({**WAITING, "throughput_rps": 1900.0, "server_cores": 0.95}, ONE, "server-cpu", True, "0.95 of the 1 core"),
        ({**WAITING, "throughput_rps": 1900.0, "server.spare_threads": 10_000}, ONE, "threads", True, "10 permanent"),
        (
            {**WAITING, "server.implementation": "asyncio", "load.concurrency": 8, "latency_p50_s": 0.0055},
            ONE,
            "concurrency",
            True,
            "spends at least 5 ms waiting (handler's waits)",
        ),
        (
            ROUND_TRIP,
            ONE,
            "concurrency",
            True,
            "of 22 ms latency, a call spends at least 20 ms waiting (round trip)",
        ),
        (
            {**ROUND_TRIP, "client.pooling": "per_call", "latency_p50_s": 0.065},
            ONE,
            "concurrency",
            True,
            "spends at least 60 ms waiting",
        ),
        (
            {**ROUND_TRIP, "client.pooling": "per_call", "server.tls": True, "latency_p50_s": 0.085},
            ONE,
            "concurrency",
            True,
            "spends at least 80 ms waiting",
        ),
        (
            {**IDLE, **STREAM, "load.concurrency": 8, "latency_p50_s": 0.11},
            ONE,
            "concurrency",
            True,
            "handler's waits",
        ),
        ({**ROUND_TRIP, "latency_p50_s": math.nan, "latency_mean_s": 0.021}, ONE, "concurrency", True, "21 ms"),
    ],
)
def test_each_rule_names_its_resource_with_the_numbers(
    changes: dict[str, Any], cores: StoredCores | None, resource: str, certain: bool, told: str
) -> None:
    found = judged(rows(**changes), cores=cores)
    assert (found.resource, found.certain) == (resource, certain), found.evidence
    assert told in found.evidence
    assert found.evidence.endswith("; all figures are medians of 3 trials")


def test_what_the_generator_limited_now_and_then_is_said_beside_the_limit_which_is_then_not_certain() -> None:
    sure, unsure = (
        judged(rows(**{**WAITING, "throughput_rps": 1900.0, "limited_by": marks}))
        for marks in (["", "", ""], ["generator-bound", "", ""])
    )
    assert (sure.resource, sure.certain) == (unsure.resource, True) == ("threads", True)
    assert not unsure.certain
    assert unsure.evidence == f"{sure.evidence}; in 1 of 3 trials, the load generator was at its limit as well"


def test_nothing_limits_calls_after_a_silence() -> None:
    found = judged(rows(**{**IDLE, "link.idle_timeout_s": 2.0, "load.rate_rps": 20.0, "offered_rps": 20.0}))
    assert (found.resource, found.certain) == ("unknown", False)
    assert "on purpose" in found.evidence


@pytest.mark.parametrize(
    ("changes", "cores"),
    [
        ({"limited_by": ["generator-bound", "", ""]}, ONE),  # one bad window is not the configuration
        ({"limited_by": ["generator-bound", ""] * 2, "blocks": 4}, ONE),
        ({"server_cores": 0.80}, ONE),
        ({"server_cpu_s": 0.9, "requests": 100.0, "throughput_rps": 100.0}, ONE),  # a third of it after the window
        ({"server_cores": 0.97, "server.processes": 4, "connections_by_process": "[1, 1, 1, 1]"}, FOUR),
        ({**LINK, "throughput_rps": 15.0}, ONE),
        ({**LINK, "throughput_rps": 19.0, "connections": 4.0}, ONE),  # each connection has the bandwidth
        ({**IDLE, **BACKLOG, "throughput_rps": 10.0}, ONE),  # half of them are in use
        ({**IDLE, **BACKLOG, "server.implementation": "asyncio"}, ONE),
        ({**WAITING, "throughput_rps": 900.0}, ONE),  # half of them are in use
        ({**IDLE, **STREAM, "latency_p50_s": 0.05}, ONE),  # less than the handler's pauses: they are not understood
        ({**ROUND_TRIP, "latency_p50_s": 0.04}, ONE),  # half of it is a queue
        ({**ROUND_TRIP, "client_busy_share": 0.7}, ONE),
        ({**ROUND_TRIP, "server_cores": 0.6}, ONE),
        ({**ROUND_TRIP, "load.rate_rps": 300.0}, ONE),
    ],
)
def test_no_rule_names_what_the_numbers_do_not_show(changes: dict[str, Any], cores: StoredCores | None) -> None:
    found = judged(rows(**changes), cores=cores)
    assert (found.resource, found.certain) == ("unknown", False), found.evidence


def test_on_one_core_for_both_no_cpu_is_named() -> None:
    shared = StoredCores(server=(0,), generator=(0,), shared=True)
    found = judged(rows(client_cpu_s=1.215), cores=shared)
    assert (found.resource, found.certain) == ("unknown", False)
    assert found.evidence.startswith("the server (0.70) and the load generator (0.30) together saturate the one core")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "the same configuration with a higher load.concurrency would show the limit"),
        ({"held": 40.0}, "40 calls waited for a stream; the same configuration with a higher server.max"),
        ({"server.threads": 60}, "a higher load.concurrency"),
        (
            {"load.concurrency": 60, "load.method": "SayHelloStream", "server.threads": 20},
            "more calls are in flight than the server's 20 threads can handle",
        ),
        ({"load.rate_rps": 1000.0, "offered_rps": 1000.0}, "1,000 of 1,000 offered requests/s were answered"),
        ({"valid": False}, "there is no valid trial"),
        ({"server_cores": math.nan, "client_busy_share": math.nan}, "the CPU time of neither side was measured"),
    ],
)
def test_what_is_unknown_says_what_would_tell(changes: dict[str, Any], told: str) -> None:
    found = judged(rows(**{"server.threads": 50, **changes}))
    assert (found.resource, found.certain) == ("unknown", False)
    assert told in found.evidence


def test_only_valid_trials_count() -> None:
    found = judged(rows(server_cores=[0.97, 0.97, 0.02], valid=[True, True, False]))
    assert found.resource == "server-cpu"
    assert found.evidence.endswith("medians of 2 trials")


def test_factors_that_no_column_holds_are_those_of_the_plan() -> None:
    frame = pd.DataFrame(rows(**ROUND_TRIP)).drop(columns=list(FACTORS))
    it = PlannedConfiguration(name="it", settings={"link.rtt_ms": 20.0, "load.concurrency": 8})
    plan = StudyPlan(configurations=(it,))
    assert limit_of("it", frame, plan, ONE).resource == "concurrency"
    assert limit_of("it", frame, StudyPlan(), ONE).resource == "unknown"


def test_a_study_has_one_answer_for_each_configuration_in_the_order_of_the_plan() -> None:
    study = small_study(blocks=3)
    plan = plans.value(study.manifest["plan"])
    found = limiting_resources(study.trials, plan, ONE)
    assert [limit.configuration for limit in found] == plan.names
    assert all(limit == limit_of(limit.configuration, study.trials, plan, ONE) for limit in found[::2])
    assert json.loads(json.dumps([limit.as_dict() for limit in found], allow_nan=False))[0].keys() == {
        "configuration",
        "resource",
        "evidence",
        "certain",
    }


def test_a_configuration_without_trials_and_one_that_nobody_knows_are_unknown() -> None:
    plan = StudyPlan(configurations=(PlannedConfiguration(name="planned", scenario="chatter"),))
    frame = pd.DataFrame(rows())
    assert [limit.configuration for limit in limiting_resources(frame, plan, ONE)] == ["planned", "it"]
    assert limit_of("planned", frame, plan, ONE).evidence == "there is no valid trial"
    assert limit_of("other", frame, plan, ONE).resource == "unknown"
    assert limiting_resources(pd.DataFrame(), StudyPlan(), None) == []


NUMBERS = [math.nan, math.inf, -1.0, 0.0, 0.5, 1.0, 3.9, 64.0, 1e9]

ODD = [math.nan, None, "", "odd", -1.0, True]

LEVELS: dict[str, list[Any]] = {
    "server.max_concurrent_streams": [None, 2, 64],
    "client.window_kib": [None, 64, 1024],
    "client.adaptive_window": [True, False],
    "client.pooling": ["per_call", "shared", "pool"],
    "load.concurrency": [1, 64],
    "server.processes": [0, 1, 4],
    "server.threads": [1, 10],
    "link.rtt_ms": [0.0, 20.0],
    "link.bandwidth_mbps": [None, 8.0],
    "load.method": ["SayHello", "SayHelloStream"],
}

MEASURES = [key for key, value in rows()[0].items() if isinstance(value, float) and key not in FACTORS]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Trials with columns missing, cells empty or absurd, and a few factors that differ."""
    found: list[dict[str, Any]] = []
    for name in ("a", "b", "c"):
        levels = {key: draw(st.sampled_from(options)) for key, options in LEVELS.items() if draw(st.booleans())}
        rps = draw(st.sampled_from([500.0, 1000.0, 4000.0]))
        found += rows(name, blocks=len(NOISE), **levels, throughput_rps=[rps * noise for noise in NOISE])
    frame = pd.DataFrame(found).astype(object)
    for key in draw(st.lists(st.sampled_from(MEASURES), max_size=6)):
        frame[key] = draw(st.lists(st.sampled_from(NUMBERS), min_size=len(frame), max_size=len(frame)))
    columns = st.lists(st.sampled_from(list(frame.columns)), max_size=4, unique=True)
    for key in draw(columns):
        frame[key] = draw(st.lists(st.sampled_from(ODD), min_size=len(frame), max_size=len(frame)))
    return frame.drop(columns=draw(columns))


@settings(max_examples=40)
@given(frame=frames(), cores=st.sampled_from([ONE, FOUR, None, StoredCores(shared=True)]))
def test_no_frame_raises_and_no_window_or_stream_limit_is_named_without_a_faster_pair(
    frame: pd.DataFrame, cores: StoredCores | None
) -> None:
    factors = {"window": ("client.window_kib", "server.window_kib"), "stream-limit": ("server.max_concurrent_streams",)}
    for limit in limiting_resources(frame, StudyPlan(), cores):
        assert limit.resource in RESOURCES
        assert limit.evidence
        if limit.resource in factors:
            mine = frame[frame["configuration"].eq(limit.configuration)]
            others = [rows_ for name, rows_ in frame.groupby("configuration") if name != limit.configuration]
            assert any(
                any(other[factor].iloc[0] != mine[factor].iloc[0] for factor in factors[limit.resource])
                and pd.to_numeric(other["throughput_rps"]).median() > pd.to_numeric(mine["throughput_rps"]).median()
                for other in others
            )
