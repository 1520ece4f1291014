"""Every factor acts in every command, is refused with where it belongs, or is told to be without effect.

:data:`LEVELS` holds a level of each factor and what it takes to act. It has to name all of FACTORS, so a new factor
without a row fails; one of the server, for example, acts in `serve`, `compare` and `study` and is refused by `bench`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import grpclab
from grpclab.errors import GrpclabError, UsageError
from grpclab.factors.channel_args import RULES, cannot_act, client_args, server_args
from grpclab.factors.config import FACTORS, SECTIONS, TrialConfig, parse_settings
from grpclab.factors.levels import format_level
from grpclab.load import plan as plan_module
from grpclab.load.calls.method import greeting
from grpclab.load.core.bounds import plan_bounds, split
from grpclab.servers.target import Command
from grpclab.study.designs import file_design
from grpclab.study.sides import Side
from grpclab.study.target import Subject
from tests.support.option_rows import COMMANDS
from tests.support.plans import document
from tests.support.stored_studies import trial_config
from tests.support.watched import Observed, Watched


@pytest.fixture(scope="module")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        yield Watched(patch, tmp_path_factory.mktemp("options"))


LEVELS: dict[str, tuple[str, str]] = {
    "server.implementation": ("asyncio", ""),
    "server.event_loop": ("uvloop", "server.implementation=asyncio"),
    "server.processes": ("2", ""),
    "server.threads": ("4", ""),
    "server.spare_threads": ("4", ""),
    "server.max_concurrent_streams": ("4", ""),
    "server.max_concurrent_rpcs": ("4", ""),
    "server.admission": ("4", ""),
    "server.window_kib": ("4", "server.adaptive_window=false"),
    "server.adaptive_window": ("false", ""),
    "server.max_frame_kib": ("32", "server.adaptive_window=false"),
    "server.keepalive_s": ("4", ""),
    "server.keepalive_timeout_s": ("4", "server.keepalive_s=5"),
    "server.keepalive_without_calls": ("true", ""),
    "server.tls": ("true", ""),
    "server.mutual_tls": ("true", "server.tls=true"),
    "server.tls_reload": ("true", "server.tls=true"),
    "server.compression": ("gzip", ""),
    "server.access_log_share": ("0.5", ""),
    "server.tracing_share": ("0.5", ""),
    "server.rate_limit_rps": ("4", ""),
    "server.rate_limit_burst": ("4", "server.rate_limit_rps=5"),
    "server.quota_rps": ("4", ""),
    "server.quota_burst": ("4", "server.quota_rps=5"),
    "server.quota_key": ("tenant", "server.quota_rps=5"),
    "server.interceptors": ("4", ""),
    "server.channelz": ("true", ""),
    "server.reflection": ("false", ""),
    "server.metrics": ("true", ""),
    "server.desk": ("true", ""),
    "server.scrape_s": ("4", "server.metrics=true server.desk=true"),
    "server.handler_work_us": ("4", ""),
    "server.handler_wait_ms": ("4", ""),
    "server.response_bytes": ("4", ""),
    "server.stream_messages": ("4", "load.method=SayHelloStream"),
    "server.stream_interval_ms": ("4", "load.method=SayHelloStream"),
    "client.pooling": ("pool", ""),
    "client.connections": ("7", "client.pooling=pool"),
    "client.window_kib": ("4", "client.adaptive_window=false"),
    "client.adaptive_window": ("false", "load.engine=grpcio"),
    "client.keepalive_s": ("4", ""),
    "client.keepalive_timeout_s": ("4", "client.keepalive_s=5"),
    "client.max_pings_without_data": ("4", "client.keepalive_s=5 load.engine=grpcio"),
    "client.compression": ("gzip", ""),
    "client.deadline_s": ("4", ""),
    "client.max_message_mib": ("8", ""),
    "client.resend": ("true", ""),
    "client.retries": ("2", "load.engine=grpcio"),
    "client.circuit_breaker": ("4", "load.engine=grpcio"),
    "client.tracing_share": ("0.5", "load.engine=grpcio"),
    "client.breaker_open_s": ("4", "client.circuit_breaker=5 load.engine=grpcio"),
    "client.breaker_statuses": ("ABORTED", "client.circuit_breaker=5 load.engine=grpcio"),
    "client.health_checks": ("true", "client.load_balancing=round_robin load.engine=grpcio"),
    "client.load_balancing": ("round_robin", "load.engine=grpcio"),
    "client.retry_statuses": ("ABORTED", "client.retries=2 load.engine=grpcio"),
    "load.engine": ("grpcio", ""),
    "load.requests": ("4", ""),
    "load.duration_s": ("4", ""),
    "load.warmup_s": ("4", ""),
    "load.pause_s": ("4", ""),
    "load.concurrency": ("4", ""),
    "load.rate_rps": ("4", ""),
    "load.arrival": ("poisson", "load.rate_rps=100"),
    "load.pacing": ("timer", "load.rate_rps=100"),
    "load.max_in_flight": ("4", "load.rate_rps=100"),
    "load.workers": ("2", ""),
    "load.request_bytes": ("4", ""),
    "load.method": ("SayHelloStream", ""),
    "load.stream_messages": ("4", ""),
    "load.stream_interval_s": ("0.5", ""),
    "load.stream_duration_s": ("4", ""),
    "load.stream_end": ("wait", ""),
    "load.stream_ping_pong": ("true", ""),
    "load.stream_dynamic": ("true", ""),
    "link.rtt_ms": ("4", ""),
    "link.bandwidth_mbps": ("4", ""),
    "link.idle_timeout_s": ("4", ""),
}
"""A level that differs from the default, and what else it takes for the factor to act."""
SCRAPING = "server.scrape_s"
"""The one factor that is refused without what it takes, and wherever nothing would read a server's metrics."""
NO_PAGE = "invalid server.scrape_s=4: expected none, or server.metrics=true and server.desk=true"
NO_SCRAPER = "invalid server.scrape_s=4: expected none, since only studies and comparisons read the metrics"


def set_words(factor: str, *, flag: str = "--set", with_context: bool = True) -> str:
    level, context = LEVELS[factor]
    words = [*(context.split() if with_context else []), f"{factor}={level}"]
    return " ".join(f"{flag} {word}" for word in words)


def configured(factor: str) -> tuple[TrialConfig, TrialConfig]:
    """Without the factor and with it, both with what it takes."""
    level, context = LEVELS[factor]
    base = TrialConfig().replace(parse_settings(context.split()))
    return base, base.replace({factor: FACTORS[factor].parse(level)})


def told(seen: Observed) -> str:
    return str(seen["stderr"]) + str(seen["stdout"])


def test_every_factor_has_a_level_that_acts() -> None:
    assert list(LEVELS) == [name for name in LEVELS if name in FACTORS]
    assert set(LEVELS) == set(FACTORS)
    assert {name.partition(".")[0] for name in LEVELS} == set(SECTIONS)


@pytest.mark.parametrize("factor", LEVELS)
def test_a_factor_changes_what_it_is_made_into(factor: str) -> None:
    base, changed = configured(factor)
    assert factor not in cannot_act(changed)
    if factor in {rule.factor for rule in RULES}:
        assert (server_args(base.server), client_args(base.client)) != (
            server_args(changed.server),
            client_args(changed.client),
        )
    elif factor in ("load.request_bytes", "load.method"):
        assert greeting(base.load) != greeting(changed.load)
    elif factor in ("load.duration_s", "load.warmup_s", "load.rate_rps"):
        assert plan_bounds(base.load, 0.0, 1) != plan_bounds(changed.load, 0.0, 1)
    elif factor in ("load.requests", "load.concurrency", "load.workers"):
        assert [part.load for part in split(base)] != [part.load for part in split(changed)]
    elif factor.startswith("link."):
        assert not base.link.emulated
        assert changed.link.emulated
    else:  # a level that arrives where the server, or the engine, is built from
        assert base.flat()[factor] != changed.flat()[factor]


@pytest.mark.parametrize("factor", [name for name, (_, context) in LEVELS.items() if context and name != SCRAPING])
def test_a_factor_without_what_it_takes_cannot_act(factor: str) -> None:
    assert factor in cannot_act(TrialConfig().replace({factor: FACTORS[factor].parse(LEVELS[factor][0])}))


@pytest.mark.parametrize("factor", LEVELS)
def test_serve_takes_the_servers_factors_and_says_where_others_belong(observe: Watched, factor: str) -> None:
    context = [word for word in LEVELS[factor][1].split() if word.startswith("server.")]
    words = " ".join(f"--set {word}" for word in (*context, f"{factor}={LEVELS[factor][0]}"))
    seen = observe("serve", f"basic {words}")
    if factor == SCRAPING:
        assert (seen["code"], NO_SCRAPER in seen["stderr"]) == (2, True)
        return
    if not factor.startswith("server."):
        assert seen["code"] == 2
        assert "expected a server factor; set this one with `grpclab bench" in seen["stderr"]
        return
    assert seen["code"] == 0
    assert seen[f"settings.{factor}"] == FACTORS[factor].parse(LEVELS[factor][0])
    assert "no effect" not in told(seen)
    if context:
        alone = observe("serve", f"basic {set_words(factor, with_context=False)}")
        assert f"{factor} has no effect: " in alone["stderr"]


def bench_file(words: str) -> str:
    """The same as a file in the working folder."""
    pairs = [word.partition("=") for word in words.replace("--set ", "").split()]
    lines = [f'"{name}" = {json.dumps(level)}' for name, _, level in pairs]
    Path("set.toml").write_text("\n".join(["[set]", *lines]))
    return "--config set.toml"


def bench_api(observe: Watched, words: str) -> Observed:
    """The same as ``grpclab.bench(settings=...)``."""
    observe.seen = {"code": 0, "stdout": "", "stderr": ""}
    try:
        found = asyncio.run(grpclab.bench(settings=parse_settings(words.replace("--set ", "").split())))
        observe.seen["stdout"] = str(found)
    except GrpclabError as error:
        observe.seen |= {"code": error.exit_code, "stderr": str(error)}
    return observe.seen


@pytest.mark.parametrize("way", ["--set", "--config", "API"])
@pytest.mark.parametrize("factor", LEVELS)
def test_bench_takes_every_factor_but_the_servers(observe: Watched, factor: str, way: str) -> None:
    def bench(words: str) -> Observed:
        if way == "API":
            return bench_api(observe, words)
        return observe("bench", bench_file(words) if way == "--config" else words)

    if factor.startswith("server."):
        seen = bench(set_words(factor, with_context=False))
        assert seen["code"] == 2
        remedies = {"server.tls": "grpclab compare basic basic --b-set", SCRAPING: NO_SCRAPER}
        assert remedies.get(factor, "grpclab serve") in seen["stderr"]
        return
    seen = bench(set_words(factor))
    assert seen["code"] == 0, seen["stderr"]
    assert seen[f"config.{factor}"] == FACTORS[factor].parse(LEVELS[factor][0])
    assert "no effect" not in told(seen)
    if LEVELS[factor][1]:
        alone = bench(set_words(factor, with_context=False))
        if factor in plan_module.OF_A_RATE:
            assert (alone["code"], "add --rate" in alone["stderr"]) == (2, True)
        else:
            assert f"{factor} has no effect: " in told(alone)


@pytest.mark.parametrize("factor", LEVELS)
def test_compare_takes_every_factor_on_either_side_and_no_servers_factor_of_a_command(
    observe: Watched, factor: str
) -> None:
    level, standard = FACTORS[factor].parse(LEVELS[factor][0]), f"{factor}={format_level(FACTORS[factor].default)}"
    pooling = "pool" if factor == "server.processes" else "shared"
    seen = observe("compare", f"basic basic --set client.pooling={pooling} {set_words(factor)}")
    assert (seen[f"a.config.{factor}"], seen[f"b.config.{factor}"]) == (level, level)
    assert "no effect" not in told(seen)
    both = " ".join(f"--set {word}" for word in LEVELS[factor][1].split())
    seen = observe("compare", f"basic basic {both} --set {standard} --b-set {factor}={LEVELS[factor][0]}")
    if factor == "load.rate_rps":
        assert seen["code"] == 2
        assert "a rate on both sides or on neither" in seen["stderr"]
    else:
        assert (seen[f"a.config.{factor}"], seen[f"b.config.{factor}"]) == (FACTORS[factor].default, level)
    if LEVELS[factor][1]:
        alone = observe("compare", f"basic basic {set_words(factor, with_context=False)}")
        assert (NO_PAGE if factor == SCRAPING else f"{factor} has no effect on A and B: ") in alone["stderr"]
        assert alone["code"] == 2 or factor != SCRAPING
    if factor in ("load.method", "load.request_bytes"):
        return  # of the greeter's call, which a command's server needs not have
    words = f"{COMMANDS} --set {factor}={LEVELS[factor][0]}"
    seen = observe("compare", words)
    if factor.startswith("server."):
        assert seen["code"] == 2
        assert (NO_PAGE if factor == SCRAPING else "but a command starts") in seen["stderr"]
    else:
        assert seen[f"b.config.{factor}"] == level


def test_compare_says_that_one_connection_reaches_one_of_several_processes(observe: Watched) -> None:
    words = "basic basic --set client.pooling=shared --a-set server.processes=1 --b-set server.processes=2"
    assert "B: server.processes=2 cannot take effect, since a single connection reaches only one process; " in told(
        observe("compare", words)
    )
    assert "no effect" not in told(observe("compare", f"{words} --set client.pooling=pool"))


@pytest.mark.parametrize("factor", LEVELS)
def test_a_study_file_takes_every_factor_and_refuses_one_that_cannot_act(factor: str) -> None:
    level, context = LEVELS[factor]
    settings = {name: word for name, _, word in (one.partition("=") for one in context.split())}
    held, held_level = ("server.tls", "true") if factor == "load.pause_s" else ("load.pause_s", "1")

    def swept(settings: Mapping[str, str]) -> dict[str, Any]:
        return {"headline": f"{factor}={level}", "set": settings, "factors": {factor: [level]}}

    def fixed(settings: Mapping[str, str]) -> dict[str, Any]:
        return {
            "headline": f"{held}={held_level}",
            "set": {**settings, factor: level},
            "factors": {held: [held_level]},
        }

    for written, role in ((swept, "candidate"), (fixed, "baseline")):
        plan = document(file_design.design(written(settings)).plan)
        assert trial_config(plan, plan["headline"][role]).flat()[factor] == FACTORS[factor].parse(level)
        if context:
            refused = NO_PAGE if factor == SCRAPING else f"{factor} has no effect"
            with pytest.raises(UsageError, match=re.escape(refused)):
                file_design.design(written({}))


@pytest.mark.parametrize("variable", [factor.env for factor in FACTORS.values() if factor.env])
def test_a_variable_of_a_server_is_told_where_no_server_reads_it(
    observe: Watched, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "7")
    for command, words in (("bench", ""), ("compare", "basic basic"), ("study", ""), ("serve", "reference")):
        seen = observe(command, words)
        assert seen["code"] in (0, 4)
        assert f"{variable} is ignored" in seen["stderr"]
        assert 7 not in [level for name, level in seen.items() if "config" in name]
        assert variable not in observe(command, f"{words} -q")["stderr"]
    assert variable not in observe("serve", "basic")["stderr"]


def test_a_variable_that_cannot_act_on_this_server_is_told(observe: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_KEEPALIVE_TIMEOUT", "7")
    assert "server.keepalive_timeout_s has no effect" in observe("serve", "basic")["stderr"]
    assert "no effect" not in observe("serve", "optimized")["stderr"]


# ---- grpclab.compare ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("observe")
def test_a_side_that_brings_its_server_takes_no_factor_of_it() -> None:
    side = Side(
        label="own", config=TrialConfig().replace({"server.threads": 4}), subject=Subject(target=Command("true {port}"))
    )
    with pytest.raises(UsageError, match=r"^invalid server\.threads=4: "):
        grpclab.compare(side, "basic")


def test_compare_says_in_python_too_what_has_no_effect(observe: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(observe.folder)
    told: list[str] = []
    idle = TrialConfig().replace({"client.connections": 9})
    grpclab.compare(TrialConfig(), idle, write=told.append)
    assert [line.partition(": ")[0] for line in told] == ["client.connections has no effect on B"]
