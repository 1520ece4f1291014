"""What each factor becomes in grpcio."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpclab.factors.channel_args import (
    RULES,
    client_args,
    server_args,
    without_effect,
)
from grpclab.factors.config import FACTORS, ClientConfig, ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.tonic import NO_COUNTERPART, NOT_CHANNEL_ARGUMENTS, mapping_rows
from grpclab.factors.variants import BASIC, OPTIMIZED, VARIANTS
from grpclab.http2.frames import MAX_LIST_BYTES
from grpclab.load.engines.backoff import BACKOFF_S
from grpclab.system.channels import OPTIONS

SEED_SETTINGS = {
    "tcp_keepalive",
    "tcp_nodelay",
    "timeout",
    "concurrency_limit_per_connection",
    "initial_stream_window_size",
    "initial_connection_window_size",
    "max_concurrent_streams",
    "http2_keepalive_interval",
    "http2_keepalive_timeout",
    "http2_adaptive_window",
}
"""The settings of the tonic study that this project began with."""


def of_server(**levels: Any) -> dict[str, int]:
    return dict(server_args(ServerConfig(**levels)))


def of_client(**levels: Any) -> dict[str, Any]:
    return dict(client_args(ClientConfig(**levels)))


def without(config: dict[str, Level]) -> dict[str, str]:
    return without_effect(TrialConfig().replace(config))


def bounds(factor: str) -> list[Level]:
    """The lowest and highest level of a factor."""
    found = FACTORS[factor]
    if found.kind is bool:
        return [False, True]
    if found.choices:
        return list(found.choices)
    assert found.minimum is not None
    assert found.maximum is not None
    return [found.kind(found.minimum), found.kind(found.maximum)]


def test_a_default_server_refuses_to_share_its_port_and_takes_any_request() -> None:
    assert of_server() == {"grpc.so_reuseport": 0, "grpc.max_receive_message_length": -1}


@pytest.mark.parametrize("processes", [0, 2])
def test_several_server_processes_share_their_port(processes: int) -> None:
    assert "grpc.so_reuseport" not in of_server(processes=processes)


def test_a_client_counts_every_error() -> None:
    assert of_client()["grpc.enable_retries"] == 0
    assert of_client(resend=True)["grpc.enable_retries"] == of_client(retries=1)["grpc.enable_retries"] == 1
    assert "grpc.service_config" not in of_client(resend=True)


def test_a_client_has_the_limits_of_engine_wire() -> None:
    args = of_client()
    assert args["grpc.max_metadata_size"] == args["grpc.absolute_max_metadata_size"] == MAX_LIST_BYTES
    assert (args["grpc.initial_reconnect_backoff_ms"], args["grpc.max_reconnect_backoff_ms"]) == tuple(
        1000 * seconds for seconds in BACKOFF_S
    )
    assert args["grpc.max_receive_message_length"] == -1
    assert of_client(max_message_mib=4)["grpc.max_receive_message_length"] == 4 * 2**20


@pytest.mark.parametrize("section", ["server", "client"])
def test_a_fixed_window_is_the_lookahead_without_bdp_probing(section: str) -> None:
    build: Any = {"server": of_server, "client": of_client}[section]
    args = build(window_kib=64, adaptive_window=False)
    assert args["grpc.http2.lookahead_bytes"] == 65_536
    assert args["grpc.http2.bdp_probe"] == 0
    assert "grpc.http2.bdp_probe" not in build(window_kib=64)


def test_the_largest_frame_is_said_in_bytes() -> None:
    assert of_server(max_frame_kib=16)["grpc.http2.max_frame_size"] == 16_384


@pytest.mark.parametrize("seconds", [0.05, 1.0, 60.0])
def test_a_client_may_ping_as_often_as_a_server_with_the_same_keepalive(seconds: float) -> None:
    server, client = of_server(keepalive_s=seconds), of_client(keepalive_s=seconds)
    assert client["grpc.keepalive_time_ms"] == server["grpc.keepalive_time_ms"] == round(seconds * 1000)
    assert server["grpc.http2.min_ping_interval_without_data_ms"] < client["grpc.keepalive_time_ms"]
    assert server["grpc.http2.max_pings_without_data"] == client["grpc.http2.max_pings_without_data"] == 0


@pytest.mark.parametrize("build", [of_server, of_client])
def test_both_ping_timeouts_are_set_together(build: Any) -> None:
    args = build(keepalive_timeout_s=0.5)
    assert args["grpc.keepalive_timeout_ms"] == args["grpc.http2.ping_timeout_ms"] == 500


def test_pings_without_calls_are_a_switch() -> None:
    assert of_server(keepalive_without_calls=True)["grpc.keepalive_permit_without_calls"] == 1
    assert "grpc.keepalive_permit_without_calls" not in of_server(keepalive_without_calls=False)


@pytest.mark.parametrize("streams", [1, 8, 10_000, 1_000_000])
def test_a_stream_limit_queues_calls_instead_of_rejecting_them(streams: int) -> None:
    args = of_server(max_concurrent_streams=streams)
    assert args["grpc.max_concurrent_streams"] == streams
    assert args["grpc.http.overload_protection"] == 0
    assert args["grpc.server.max_pending_requests"] >= 2 * streams
    assert args["grpc.server.max_pending_requests_hard_limit"] >= args["grpc.server.max_pending_requests"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.factor)
def test_every_level_of_a_factor_fits_the_c_int_that_grpcio_takes(rule: Any) -> None:
    for level in bounds(rule.factor):
        for name, value in rule.build(level):
            assert type(value) is int, name
            assert 0 <= value < 2**31, name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.factor)
def test_a_rule_sets_the_arguments_it_names_and_no_others(rule: Any) -> None:
    named = {name for level in bounds(rule.factor) for name, _ in rule.build(level)}
    assert named == set(rule.arguments)


def test_each_factor_has_one_rule() -> None:
    factors = [rule.factor for rule in RULES]
    assert len(set(factors)) == len(factors)
    assert set(factors) <= set(FACTORS)


def test_the_installed_grpcio_knows_every_argument_by_name() -> None:
    file = importlib.import_module("grpc._cython.cygrpc").__file__
    assert file is not None
    library = Path(file).read_bytes()
    names = {name for rule in RULES for name in rule.arguments}
    names |= {name for name, _ in (*client_args(ClientConfig(retries=1)), *server_args(ServerConfig()), *OPTIONS)}
    assert [name for name in sorted(names) if name.encode() + b"\0" not in library] == []
    assert b"grpc.tcp_user_timeout_ms\0" not in library


@pytest.mark.parametrize("name", VARIANTS)
def test_no_argument_is_given_twice(name: str) -> None:
    for args in (server_args(VARIANTS[name].server), client_args(VARIANTS[name].client)):
        assert len(dict(args)) == len(args)


def test_grpcio_takes_the_arguments_of_both_variants() -> None:
    for config in (BASIC, OPTIMIZED):
        grpc.insecure_channel("localhost:1", options=client_args(config.client)).close()


@pytest.mark.parametrize(
    ("config", "factor", "remedy"),
    [
        ({"server.window_kib": 64}, "server.window_kib", "set adaptive_window=false"),
        ({"client.window_kib": 64}, "client.window_kib", "set adaptive_window=false"),
        ({"server.keepalive_timeout_s": 1}, "server.keepalive_timeout_s", "set keepalive_s"),
        ({"client.keepalive_timeout_s": 1}, "client.keepalive_timeout_s", "set keepalive_s"),
        ({"server.event_loop": "uvloop"}, "server.event_loop", "set implementation=asyncio"),
        (
            {"server.implementation": "asyncio", "server.threads": 20},
            "server.threads",
            "runs handlers on its loop",
        ),
        ({"client.connections": 8}, "client.connections", "set pooling=pool"),
        ({"client.pooling": "per_call", "client.connections": 8}, "client.connections", "pooling=per_call"),
    ],
)
def test_a_factor_that_cannot_act_is_named_with_the_reason(config: dict[str, Level], factor: str, remedy: str) -> None:
    found = without(config)
    assert list(found) == [factor]
    assert remedy in found[factor]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"server.window_kib": 64, "server.adaptive_window": False},
        {"client.keepalive_timeout_s": 1.0, "client.keepalive_s": 1.0},
        {"server.event_loop": "uvloop", "server.implementation": "asyncio"},
        {"server.threads": 20},
        {"client.pooling": "pool", "client.connections": 8},
    ],
)
def test_a_factor_that_acts_is_not_named(config: dict[str, Level]) -> None:
    assert without(config) == {}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_setting_of_a_variant_acts(name: str) -> None:
    assert without_effect(VARIANTS[name]) == {}


def test_the_table_from_tonic_tells_where_every_setting_of_the_seed_study_went() -> None:
    told = {name for row in mapping_rows() for name in row["tonic"].split(", ") if name}
    assert told >= SEED_SETTINGS
    assert told >= {name for factor in FACTORS.values() if factor.tonic for name in factor.tonic.split(", ")}


def test_the_table_is_text_and_says_none_where_there_is_nothing() -> None:
    rows = mapping_rows()
    assert len(rows) == len(RULES) + len(NOT_CHANNEL_ARGUMENTS) + len(NO_COUNTERPART)
    for row in rows:
        assert list(row) == ["tonic", "factor", "grpcio", "note"]
        assert all(isinstance(text, str) for text in row.values())
        assert row["grpcio"]
        assert row["note"]
        assert row["factor"] in FACTORS or (row["factor"] == "" and row["grpcio"] == "none")


def test_the_table_has_every_setting_of_the_variant_production() -> None:
    set_there = set(VARIANTS["production"].differences(VARIANTS["optimized"]))
    assert set_there <= {row["factor"] for row in mapping_rows()}


def test_rows_with_a_tonic_name_come_first() -> None:
    has_none = [row["tonic"] == "" for row in mapping_rows()]
    assert has_none == sorted(has_none)
