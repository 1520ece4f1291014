"""What `bench` measures and concludes: the plan of a load, grades, the knee of a schedule, frames, real runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psutil
import pytest

import grpclab
from grpclab.errors import FactorError, MissingDependencyError, TargetError, UsageError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.bench import run_bench
from grpclab.load.bench_result import PartialLoadError
from grpclab.load.core.arrivals import parse_rates
from grpclab.load.plan import CallRequest, LoadPlan, choose_call, load_plan, planned
from grpclab.load.plan_rules import no_effect
from grpclab.load.result import link_text
from grpclab.load.run import KEPT_SHARE, LoadProgress, LoadRun
from grpclab.load.slo import parse_slo
from grpclab.load.steps import RateStep, find_knee, merged
from grpclab.servers.process.launcher import RunningServer, launch
from tests.support.bench_results import OK, UNAVAILABLE, ghz_json, open_loop, rate_run, result, schedule, thousand
from tests.support.command import unused_port

# ---- the plan ------------------------------------------------------------------------------------------------


def test_a_closed_loop_makes_500_calls_unless_told_otherwise() -> None:
    config, notes = load_plan({})
    assert (config.load.requests, config.load.duration_s, notes) == (500, None, ())
    config, _ = load_plan({"load.duration_s": 3.0})
    assert (config.load.requests, config.load.duration_s) == (None, 3.0)
    config, _ = load_plan({"load.duration_s": 3.0, "load.requests": 7})
    assert (config.load.requests, config.load.duration_s) == (7, 3.0)


def test_an_open_loop_runs_for_10_s_and_says_so() -> None:
    for config, notes in (load_plan({}, parse_rates("200")), load_plan({"load.rate_rps": 200.0})):
        assert (config.load.rate_rps, config.load.requests, config.load.duration_s) == (200.0, None, 10.0)
        assert notes == ("an open loop runs for 10 s, since neither --requests nor --duration is given",)
    assert load_plan({"load.requests": 50}, parse_rates("200"))[1] == ()


@pytest.mark.parametrize("rate", ["1e7", "1:1e7:9999999"])
def test_a_window_of_more_calls_than_can_be_planned_is_refused(rate: str) -> None:
    with pytest.raises(
        UsageError, match=r"invalid load\.duration_s=101: expected at most 1,000,000,000 calls .* 100 s"
    ):
        load_plan({"load.duration_s": 101.0}, parse_rates(rate))
    assert load_plan({"load.duration_s": 100.0}, parse_rates(rate))[0].load.duration_s == 100.0


def test_a_schedule_holds_each_rate_for_as_long_as_it_says() -> None:
    config, notes = load_plan({}, parse_rates("100:300:100@2s"))
    assert (config.load.rate_rps, config.load.requests, config.load.duration_s, notes) == (100.0, None, 2.0, ())
    config, notes = load_plan({"load.duration_s": 4.0}, parse_rates("100:300:100"))
    assert (config.load.duration_s, notes) == (4.0, ())
    config, notes = load_plan({}, parse_rates("100:300:100"))
    assert config.load.duration_s == 10.0
    assert notes[0].startswith("each rate runs for 10 s")
    with pytest.raises(UsageError, match=r"--duration and the @2s of --rate both set how long a rate is held"):
        load_plan({"load.duration_s": 4.0}, parse_rates("100:300:100@2s"))


def test_what_has_no_part_in_the_loop_is_told_or_refused() -> None:
    levels: dict[str, Level] = {"load.concurrency": 9}
    assert list(no_effect(load_plan(levels, parse_rates("5@1s"))[0], levels)) == ["load.concurrency"]
    alones: list[dict[str, Level]] = [{"load.arrival": "poisson"}, {"load.pacing": "spin"}, {"load.max_in_flight": 5}]
    for alone in alones:
        with pytest.raises(UsageError, match="add --rate"):
            load_plan(alone)
    with pytest.raises(FactorError, match="set at least one of them"):
        load_plan({"load.requests": None})


def test_the_greeter_is_called_unless_a_call_is_named() -> None:
    config = TrialConfig().replace({"load.request_bytes": 9})
    call = choose_call("localhost:1", config, CallRequest(metadata=["tenant=a"]))
    assert call.path == "/greet.GreeterService/SayHello"
    assert b"xxxxxxxxx" in call.payload
    assert call.metadata == (("tenant", "a"),)


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ({"data": "{}"}, {}, r"--data applies only to your own calls: add --call package\.Service/Method"),
        ({"proto": "a.proto"}, {}, r"--proto applies only to your own calls"),
        (
            {"name": "a.B/C"},
            {"load.request_bytes": 9},
            r"load\.request_bytes applies only to grpclab's own greeter: remove it",
        ),
        ({"name": "a.B/C"}, {"load.method": "SayHelloStream"}, r"load\.method applies only to grpclab's own greeter"),
    ],
)
def test_options_of_one_call_do_not_go_with_another(
    given: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose_call("localhost:1", TrialConfig().replace(settings), CallRequest(**given))


# ---- the grade -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "tail", "letter"),
    [
        (0, 2.0, "A"),
        (0, 2.01, "B"),
        (2, 1.0, "B"),
        (3, 1.0, "C"),
        (0, 8.0, "C"),
        (20, 8.0, "C"),
        (0, 8.1, "D"),
        (100, 16.0, "D"),
        (101, 1.0, "F"),
        (0, 16.1, "F"),
    ],
)
def test_the_grade_is_the_best_whose_two_limits_hold(failed: int, tail: float, letter: str) -> None:
    latency = [0.01] * 1900 + [0.01 * tail] * 100
    status = [UNAVAILABLE] * failed + [OK] * (2000 - failed)
    assert result(latency, status).grade[0] == letter


def test_the_grade_says_what_it_rests_on() -> None:
    letter, reason = result([0.01] * 150 + [0.04] * 50, [UNAVAILABLE] * 1 + [OK] * 199).grade
    assert letter == "C"
    assert reason == "0.5% errors, p95 is 4.0× the median"


def test_too_few_calls_have_no_grade() -> None:
    assert result([0.01] * 99).grade == ("-", "too few calls to judge")
    assert result([0.01] * 100).grade[0] == "A"


# ---- the knee ------------------------------------------------------------------------------------------------


def steps(*rates: float, latency_s: Sequence[float] | float = 0.001, **limits: Any) -> list[LoadRun]:
    return [rate_run(rate, np.broadcast_to(latency_s, 2000).tolist(), **limits) for rate in rates]


def overloaded(rate_rps: float, served_rps: float) -> LoadRun:
    """A queue that grows: calls are answered at the rate of the server, one after the other."""
    due = np.arange(2000) / rate_rps
    return rate_run(rate_rps, (np.arange(1, 2001) / served_rps - due).clip(0.001).tolist())


def test_the_knee_is_the_highest_rate_that_was_kept_up_with() -> None:
    case = schedule(*steps(100.0, 200.0), overloaded(300.0, 250.0), overloaded(400.0, 250.0))
    knee = case.knee
    assert knee is not None
    assert knee.rate_rps == 200.0
    assert knee.sentence == "knee: the server kept up with 200/s; at 300/s, only 249.9/s were answered"
    assert [step.keeps_up for step in case.steps] == [True, True, False, False]


def test_a_tail_ten_times_that_of_the_first_step_is_a_knee_too() -> None:
    grown = steps(300.0, latency_s=[0.001] * 1900 + [0.011] * 100)
    knee = schedule(*steps(100.0, 200.0), *grown).knee
    assert knee is not None
    assert (knee.rate_rps, knee.sentence) == (
        200.0,
        "knee: the server kept up with 200/s; at 300/s, p99 was 11× that at the lowest rate",
    )
    within = steps(300.0, latency_s=[0.001] * 1900 + [0.0099] * 100)
    assert find_knee(schedule(*steps(100.0), *within).steps).rate_rps == 300.0


def test_where_every_rate_was_kept_up_with_there_is_no_knee_to_name() -> None:
    knee = schedule(*steps(100.0, 200.0)).knee
    assert knee is not None
    assert knee.rate_rps == 200.0
    assert knee.sentence == "no knee: the server kept up with every rate up to 200/s"


def test_where_not_even_the_lowest_was_no_rate_is_named() -> None:
    knee = schedule(overloaded(300.0, 250.0), overloaded(400.0, 250.0)).knee
    assert knee is not None
    assert knee.rate_rps is None
    assert knee.sentence.startswith("no knee: the server did not keep up even with the lowest rate, 300/s, since only")


def test_a_step_that_the_generator_limited_is_never_the_servers_limit() -> None:
    bound = steps(300.0, limits=("busy",))
    knee = schedule(*steps(100.0, 200.0), *bound, *steps(400.0)).knee
    assert knee is not None
    assert knee.rate_rps == 200.0
    assert knee.sentence == (
        "knee: the server kept up with 200/s; at 300/s, the generator was the limit, so the server may be able "
        "to do more"
    )
    first = schedule(*bound, *steps(400.0)).knee
    assert first is not None
    assert first.rate_rps is None
    assert first.sentence == "no knee: the generator was the limit even at the lowest rate, 300/s"


def test_steps_are_taken_by_rate_whatever_order_they_were_measured_in() -> None:
    down = schedule(overloaded(400.0, 250.0), *steps(200.0, 100.0)).knee
    assert down is not None
    assert down.rate_rps == 200.0


def test_it_is_the_drawn_calls_that_are_to_be_kept_up_with() -> None:
    drawn = rate_run(100.0, [0.001] * 2000)
    assert RateStep(rate_rps=110.0, run=drawn, limited_by="").keeps_up  # a Poisson schedule drew fewer
    lost = int(2000 * (1 - KEPT_SHARE))
    for missing, kept in ((lost, True), (lost + 3, False)):
        run = rate_run(100.0, [0.001] * (2000 - missing) + [1000.0] * missing)
        assert RateStep(rate_rps=100.0, run=run, limited_by="").keeps_up is kept


def test_windows_one_after_the_other_add_up() -> None:
    first = rate_run(100.0, [0.001] * 1000, 0.1, spin_s=1.0, held=1, connections_lost=1, limits=("a", "b"))
    second = rate_run(200.0, [0.003] * 1000, 0.3, opened_at=200.0, spin_s=2.0, held=2, outage_s=0.5, limits=("b", "c"))
    both = merged([first, second])
    assert (both.planned, both.sent, both.spin_s, both.held) == (2000, 2000, 3.0, 3)
    assert (both.connections_lost, both.outage_s, both.limits) == (1, 0.5, ("a", "b", "c"))
    assert both.summary.requests == 2000
    assert both.summary.window_s == pytest.approx(15)
    assert both.summary.throughput_rps == pytest.approx(2000 / 15)
    assert both.offered_rps == pytest.approx(2000 / 15)
    assert both.lateness["max"] == pytest.approx(0.3)
    assert merged([first]) is first


def test_a_single_run_has_no_knee() -> None:
    assert thousand().knee is None
    assert open_loop(100.0, [0.001] * 200).knee is None


# ---- frames --------------------------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_call() -> None:
    frame = result([0.25, 0.125], [UNAVAILABLE, OK]).to_frame()
    assert list(frame.columns) == ["start_s", "late_s", "latency_s", "status"]
    assert frame["latency_s"].tolist() == [0.125, 0.25]
    assert frame["status"].tolist() == ["OK", "UNAVAILABLE"]
    assert len(result([]).to_frame()) == 0
    assert len(result([]).steps_frame()) == 0


def test_the_frames_of_a_schedule_know_the_rates() -> None:
    case = schedule(*steps(100.0, 200.0))
    assert case.to_frame().groupby("rate_rps").size().to_dict() == {100.0: 2000, 200.0: 2000}
    frame = case.steps_frame()
    assert frame["rate_rps"].tolist() == [100.0, 200.0]
    assert frame["latency_p99_s"].tolist() == [0.001, 0.001]
    assert frame["keeps_up"].all()


def test_without_pandas_a_frame_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"needs pandas.*pip install .*\[study\]"):
        thousand().to_frame()


# ---- real runs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with launch(ServerConfig(implementation="asyncio", event_loop="uvloop")) as running:
        yield running


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_closed_loop_is_measured(server: RunningServer, engine: str) -> None:
    measured = asyncio.run(
        grpclab.bench(server.target, requests=300, concurrency=8, connections=2, engine=engine, metadata={"a": "b"})
    )
    assert (measured.run.summary.requests, measured.run.summary.errors) == (300, 0)
    assert measured.connections == 2
    assert measured.config.load.engine == engine
    assert len(measured.to_frame()) == 300
    assert measured.call.metadata == (("a", "b"),)
    assert (measured.steps, measured.notes, measured.missed) == ((), (), "")


def test_an_open_loop_is_measured(server: RunningServer) -> None:
    measured = asyncio.run(
        grpclab.bench(
            server.target, rate_rps=200, duration_s=1.0, arrival="poisson", settings={"load.warmup_s": 0.1}, seed=7
        )
    )
    assert measured.run.offered_rps == 200
    assert measured.run.sent == measured.run.planned == len(measured.to_frame())
    assert (measured.to_frame()["late_s"] >= 0).all()
    assert "200/s, poisson" in str(measured)


def test_a_schedule_is_measured_step_by_step_on_the_same_connections(server: RunningServer) -> None:
    settings = {"load.warmup_s": 0.1}
    measured = asyncio.run(grpclab.bench(server.target, rate_rps="100:300:100@0.5s", connections=2, settings=settings))
    assert [step.rate_rps for step in measured.steps] == [100, 200, 300]
    assert [step.run.planned for step in measured.steps] == [50, 100, 150]
    assert measured.run.summary.requests == 300
    assert measured.connections == 2
    assert measured.knee is not None
    opened = measured.to_frame().groupby("rate_rps")["start_s"].min()
    assert opened.is_monotonic_increasing
    assert opened.iloc[0] == pytest.approx(0, abs=0.011)


def test_another_service_is_called_by_name(server: RunningServer) -> None:
    measured = asyncio.run(
        grpclab.bench(
            server.target, call="grpc.health.v1.Health/Check", data={"service": ""}, requests=50, concurrency=2
        )
    )
    assert (measured.run.summary.requests, measured.run.summary.errors) == (50, 0)
    assert measured.call.path == "/grpc.health.v1.Health/Check"


def test_a_broken_threshold_ends_the_run_early(server: RunningServer) -> None:
    config = TrialConfig().replace({"load.requests": None, "load.duration_s": 60.0, "load.warmup_s": 0.0})
    reports: list[LoadProgress] = []
    measured = run_bench(
        server.target,
        LoadPlan(config=config, objectives=parse_slo("rps=10000000")),
        abort=True,
        watcher=lambda label, progress: reports.append(progress),
    )
    assert measured.run.summary.window_s < 30
    assert measured.run.stopped_because.startswith("rps was ")
    assert measured.missed.startswith("stopped early: rps was ")
    assert reports[-1].calls >= reports[0].calls > 0


def test_a_link_in_front_of_the_target_acts_and_says_what_it_does(server: RunningServer) -> None:
    plan = planned({"link.rtt_ms": 30.0, "load.requests": 20, "load.concurrency": 1, "load.warmup_s": 0.05})
    measured = run_bench(server.target, plan)
    assert measured.link is not None
    assert measured.run.summary.latency_min_s >= 0.030
    assert (measured.target, measured.connections, measured.run.summary.errors) == (server.target, 1, 0)
    assert "emulated link: 30 ms requested" in str(measured)
    assert "emulated link: 30\xa0ms requested" in measured._repr_html_()
    assert ghz_json(measured)["grpclab"]["link"]["rtt_ms_asked"] == 30
    assert "link.rtt_ms=30" in ghz_json(measured)["grpclab"]["settings"]
    assert "the emulation missed the requested delay" in link_text({**measured.link, "rtt_ms_p50": 36.0})


def test_the_rates_before_a_lost_worker_are_kept(server: RunningServer) -> None:
    def kill(label: str, _: LoadProgress) -> None:
        if label.startswith("2 of 3"):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "grpclab.load.worker" in child.cmdline():
                        child.kill()

    with pytest.raises(PartialLoadError, match="killed by SIGKILL") as lost:
        run_bench(server.target, planned({}, "100:300:100@0.5s"), watcher=kill)
    assert [step.rate_rps for step in lost.value.partial.steps] == [100.0]
    assert lost.value.partial.run.summary.requests == 50


def test_a_link_to_nobody_is_told_by_the_targets_own_name() -> None:
    target = f"127.0.0.1:{unused_port()}"
    with pytest.raises(TargetError, match=rf"no server responded at {target} \(connection refused\)"):
        run_bench(target, planned({"link.rtt_ms": 30.0}))
