"""Connections, pings and GOAWAYs as the client sees them: the counting, C-core's log, and real connections."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.core.traffic import (
    Traffic,
    channelz_attempts,
    channelz_connections,
    channelz_pings,
    channelz_subchannels,
    read_core_log,
)
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.servers.process.launcher import launch

LOG = """\
I1124 13:49:02.898480   19666 chttp2_transport.cc:1403] ipv4:127.0.0.1:54205: Got goaway [11] err=UNAVAILABLE:GOAWAY \
received; Error code: 11; Debug Text: too_many_pings {http2_error:11}
E1124 13:49:02.898855   19666 chttp2_transport.cc:1435] ipv4:127.0.0.1:54205: Received a GOAWAY with error code \
ENHANCE_YOUR_CALM and debug data equal to "too_many_pings". Current keepalive time (before throttling): 1000ms
Traceback (most recent call last):
W1124 13:49:02.9   1 x.cc:1] ipv4:127.0.0.1:1: Got goaway [2] err=UNAVAILABLE:GOAWAY received; Error code: 2
""".splitlines()


def test_traffic_adds_up_and_its_json_is_null_where_a_count_is_unknown() -> None:
    one = Traffic(connections_opened=2, client_pings=3, server_pings=1, goaways={"11 too_many_pings": 1}, attempts=5)
    other = Traffic(connections_opened=1, attempts=2, goaways={"11 too_many_pings": 1, "0": 1})
    both = one + other
    assert both == Traffic(
        connections_opened=3, client_pings=3, server_pings=1, goaways={"11 too_many_pings": 2, "0": 1}, attempts=7
    )
    assert both.to_json()["server_pings"] == 1
    silent = Traffic(server_pings=math.nan)
    assert silent.to_json()["server_pings"] is None
    assert math.isnan((silent + one).server_pings), "what one of them does not tell, the sum does not know"
    assert both.as_row() == {"connections_opened": 3, "client_pings": 3, "server_pings": 1, "goaways": 3, "attempts": 7}


def test_the_log_of_c_core_tells_its_goaways_and_nothing_else_is_swallowed() -> None:
    assert read_core_log(LOG) == ({"11 too_many_pings": 1, "2": 1}, ["Traceback (most recent call last):"])
    assert read_core_log([]) == ({}, [])


def test_channelz_is_read_page_by_page_and_a_socket_without_pings_counts_none() -> None:
    def channel(number: int, *subchannels: int) -> Mapping[str, Any]:
        refs = [{"subchannelId": str(one)} for one in subchannels]
        return {"ref": {"channelId": str(number)}, "subchannelRef": refs}

    pages = {0: {"channel": [channel(1, 10), channel(2)], "end": False}, 3: {"channel": [channel(3, 11)], "end": True}}
    sockets = {10: [20, 21], 11: [22], 20: {"keepAlivesSent": "3"}, 21: {}, 22: {"keepAlivesSent": "4"}}

    def told(value: object) -> bytes:
        return json.dumps(value).encode()

    pings = channelz_pings(
        lambda start: told(pages[start]),
        lambda at: told({"subchannel": {"socketRef": [{"socketId": str(one)} for one in sockets[at]]}}),
        lambda at: told({"socket": {"data": sockets[at]}}),
    )
    assert pings == 7


def test_attempts_are_those_of_each_subchannel_that_is_there() -> None:
    channel = {"subchannelRef": [{"subchannelId": "10"}, {"subchannelId": "11"}, {"subchannelId": "12"}]}
    started = {10: {"callsStarted": "3"}, 11: {}}

    def told(number: int) -> bytes:
        if number not in started:
            raise ValueError(number)
        return json.dumps({"subchannel": {"data": started[number]}}).encode()

    there = channelz_subchannels([channel], told)
    assert {number: channelz_attempts(one) for number, one in there.items()} == {10: 3, 11: 0}
    assert channelz_subchannels([{}], told) == {}


@pytest.mark.parametrize("change", ["Channel state change to ", "Subchannel connectivity state changed to "])
def test_connections_are_the_times_that_a_channel_or_a_subchannel_became_ready(change: str) -> None:
    states = ("IDLE", "CONNECTING", "READY", "READY", "IDLE", "TRANSIENT_FAILURE: refused\nREADY", "READY")
    events = [{"description": f"{change}{state}"} for state in states] + [{"description": "Handshake connection"}, {}]
    assert channelz_connections({"data": {"trace": {"events": events}}}) == (2, 1)
    assert channelz_connections({}) == (0, 0)


def test_what_closes_while_channelz_is_read_has_no_pings() -> None:
    page = {"channel": [{"ref": {"channelId": "1"}, "subchannelRef": [{"subchannelId": "10"}]}], "end": True}

    def gone(number: int) -> bytes:
        raise ValueError(f"Failed to get the subchannel, please ensure your subchannel_id=={number} is valid")

    def told(_number: int) -> bytes:
        return json.dumps({"subchannel": {"socketRef": [{"socketId": "20"}]}}).encode()

    assert channelz_pings(lambda _: json.dumps(page).encode(), gone, gone) == 0
    assert channelz_pings(lambda _: json.dumps(page).encode(), told, gone) == 0


def test_many_connections_for_a_call_each_end_the_window_well() -> None:
    for _ in range(2):
        load: dict[str, Level] = {"load.requests": 400, "load.concurrency": 32, "load.warmup_s": 0.0}
        config = TrialConfig().replace(load | {"load.engine": "grpcio", "client.pooling": "per_call"})
        with launch(ServerConfig()) as running, Generator(config, running.target) as generator:
            assert generator.measure().traffic.connections_opened == 401


def silent(engine: str, server: ServerConfig, **levels: Level) -> LoadRun:
    """Three calls, 0.4 s apart: the connection is silent in between."""
    load: dict[str, Level] = {"load.engine": engine, "load.rate_rps": 2.5, "load.requests": 3, "load.warmup_s": 0.0}
    config = TrialConfig(server=server).replace(load | levels)
    with launch(config.server) as running, Generator(config, running.target) as generator:
        return generator.measure()


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_pings_of_the_client_and_its_connections_are_counted(engine: str) -> None:
    server = ServerConfig(keepalive_s=0.1, keepalive_without_calls=True)
    pool: dict[str, Level] = {"client.pooling": "pool", "client.connections": 2}
    traffic = silent(engine, server, **{"client.keepalive_s": 0.1}, **pool).traffic
    assert traffic.connections_opened == 2
    assert traffic.client_pings >= 1
    assert traffic.goaways == {}
    if engine == "wire":
        assert traffic.server_pings > 2
    else:
        assert math.isnan(traffic.server_pings)


@pytest.mark.parametrize(
    ("engine", "silence_s"), [("wire", 1.0), ("grpcio", 4.5)]
)  # C-core pings once a second at most
def test_a_goaway_for_too_many_pings_is_counted_with_its_reason(
    engine: str, silence_s: float, capfd: pytest.CaptureFixture[str]
) -> None:
    pinging: dict[str, Level] = {"client.keepalive_s": 0.05, "client.max_pings_without_data": 0}
    pinging |= {"load.rate_rps": 1 / silence_s, "load.requests": 2}
    traffic = silent(engine, ServerConfig(), **pinging).traffic
    assert traffic.goaways.get("11 too_many_pings", 0) >= 1
    assert traffic.connections_opened >= 2, "the server closed the first one"
    assert "GOAWAY" not in capfd.readouterr().err


def test_a_connection_for_each_call_is_counted() -> None:
    for engine in ("wire", "grpcio"):
        fresh: dict[str, Level] = {"client.pooling": "per_call", "load.rate_rps": 20.0}
        traffic = silent(engine, ServerConfig(), **fresh).traffic
        assert traffic.connections_opened == 4, "three calls, and one to ask whether someone is there"
