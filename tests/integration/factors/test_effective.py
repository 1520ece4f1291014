"""What both sides advertise, read from real connections, and which factors it shows to be without effect."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import TargetError
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.effective import COLUMNS, as_row, effects, idle_processes, unreached_processes
from grpclab.factors.levels import Level
from grpclab.factors.variants import OPTIMIZED, VARIANTS
from grpclab.http2 import frames
from grpclab.http2.frames import ErrorCode, Setting
from grpclab.http2.peer_settings import PeerSettings, PeerSettingsReader
from grpclab.load import peer_probe
from grpclab.load.engines.connection_settings import OWN_WINDOW_BYTES
from grpclab.load.engines.engine import client_settings
from grpclab.load.peer_probe import server_settings
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system.channels import open_channel

MIB = 1024 * 1024


def configured(**levels: Level) -> TrialConfig:
    """The defaults, but for these; ``server__window_kib=64``."""
    return TrialConfig().replace({name.replace("__", "."): level for name, level in levels.items()})


# ---- listening, without a socket -------------------------------------------------------------------------------

legal = st.fixed_dictionaries(
    {},
    optional={
        Setting.HEADER_TABLE_SIZE: st.integers(0, 2**32 - 1),
        Setting.ENABLE_PUSH: st.integers(0, 1),
        Setting.MAX_CONCURRENT_STREAMS: st.integers(0, 2**32 - 1),
        Setting.INITIAL_WINDOW_SIZE: st.integers(0, frames.MAX_WINDOW),
        Setting.MAX_FRAME_SIZE: st.integers(frames.DEFAULT_MAX_FRAME, 2**24 - 1),
        Setting.MAX_HEADER_LIST_SIZE: st.integers(0, 2**32 - 1),
        0xFE03: st.integers(0, 2**32 - 1),
    },
)


@given(legal, legal, st.integers(1, frames.MAX_WINDOW - frames.DEFAULT_WINDOW), st.binary(max_size=40), st.data())
def test_bytes_cut_anywhere_say_the_same(
    first: dict[int, int], later: dict[int, int], increment: int, reason: bytes, data: st.DataObject
) -> None:
    said = (
        frames.settings(first)
        + frames.window_update(0, increment)
        + frames.ping(b"bdpprobe")
        + frames.settings(later)
        + frames.goaway(0, ErrorCode.ENHANCE_YOUR_CALM, reason)
        + frames.ping(b"grpclab!", ack=True)
    )
    reader, at = PeerSettingsReader(), 0
    for cut in [*sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=6))), len(said)]:
        assert not reader.complete
        reader.receive(said[at:cut])
        at = cut
        if at == len(said):
            break
    heard = reader.peer_settings()
    assert reader.complete
    assert reader.closed is None
    assert {s: getattr(heard, s.name.lower()) for s in Setting} == {s: first.get(s) for s in Setting}
    assert heard.others == {f"{key:#x}": value for key, value in first.items() if key == 0xFE03}
    assert heard.connection_window_bytes == frames.DEFAULT_WINDOW + increment
    assert heard.goaway == f"ENHANCE_YOUR_CALM {reason.decode('utf-8', 'replace')}".rstrip()


@given(st.binary(max_size=400))
def test_a_listener_survives_whatever_a_peer_sends(noise: bytes) -> None:
    reader = PeerSettingsReader()
    assert reader.receive(frames.settings({}) + noise) == []
    assert reader.ready


def test_frames_of_streams_do_not_disturb_a_listener() -> None:
    reader = PeerSettingsReader()
    reader.receive(
        frames.settings({Setting.INITIAL_WINDOW_SIZE: 7})
        + frames.headers(1, b"x" * 20, end=True, max_frame=8)
        + frames.data(1, b"data", end=True)
        + frames.rst_stream(1, 0)
        + frames.window_update(1, 5)
        + frames.ping(b"grpclab!", ack=True)
    )
    assert reader.complete
    assert reader.peer_settings() == PeerSettings(initial_window_size=7)


# ---- real servers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kib", [1, 64, 16_384])
def test_with_adaptation_off_the_advertised_window_equals_the_one_asked_for(kib: int) -> None:
    config = configured(server__window_kib=kib, server__adaptive_window=False, server__max_concurrent_streams=7)
    with launch(config.server) as server:
        seen = server_settings(server.target)
    assert seen.initial_window_size == kib * 1024
    assert seen.connection_window_bytes == max(kib * 1024, frames.DEFAULT_WINDOW)
    assert seen.max_concurrent_streams == 7
    assert seen.goaway is None
    assert effects(config, seen, client_settings(config)) == {}


def test_with_adaptation_on_a_window_and_a_frame_size_are_marked_as_ignored() -> None:
    config = configured(server__window_kib=16_384, server__max_frame_kib=64)
    with launch(config.server) as server:
        seen = server_settings(server.target)
    told = effects(config, seen, client_settings(config))
    assert set(told) == {"server.window_kib", "server.max_frame_kib"}
    assert told["server.window_kib"] == (
        f"16,777,216 bytes requested, {seen.initial_window_size:,} advertised;"
        " BDP probing overrides it; set adaptive_window=false"
    )
    assert told["server.max_frame_kib"].startswith(f"65,536 bytes requested, {seen.max_frame_size:,} advertised")


def test_with_adaptation_off_the_frame_size_is_as_asked_over_tls_too() -> None:
    config = configured(server__max_frame_kib=64, server__adaptive_window=False, server__tls=True)
    with launch(config.server) as server:
        seen = server_settings(server.target, server.security)
        with pytest.raises(TargetError, match="does not advertise its settings"):
            server_settings(server.target, timeout_s=0.5)
    assert seen.max_frame_size == 64 * 1024
    assert effects(config, seen, client_settings(config)) == {}


def test_a_plain_server_has_no_tls_to_be_asked_over(quick_server: RunningServer) -> None:
    with launch(ServerConfig(tls=True)) as other:
        security = other.security
    with pytest.raises(TargetError, match=f"cannot open a TLS connection to the server at {quick_server.target}"):
        server_settings(quick_server.target, security)


def test_asking_leaves_no_connection_and_no_call_behind(quick_server: RunningServer) -> None:
    before = quick_server.connections()
    assert server_settings(quick_server.target) == server_settings(quick_server.target)
    assert quick_server.connections() == before


def test_the_reference_server_is_read_as_well() -> None:
    with launch_reference(ReferenceSpec()) as server:
        seen = server_settings(server.target)
    assert seen.goaway is None
    assert seen.window_bytes > 0


# ---- servers that are none -------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A socket that lets one client in and does this with it, once its first bytes are there; the target."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            connection, _ = door.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                act(connection)
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{door.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive(), "the connection was not closed"


@pytest.mark.parametrize(
    ("act", "timeout_s", "why"),
    [
        (lambda _: None, 0.2, "it sent no SETTINGS within 0.2 s"),
        (lambda c: c.shutdown(socket.SHUT_WR), 20, "it closed the connection before sending SETTINGS"),
        (lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 20, "the peer speaks HTTP/1, not HTTP/2"),
        (lambda c: c.sendall(b"220 mail.example ESMTP\r\n"), 20, "the peer's first frame is not SETTINGS"),
        (lambda c: c.sendall(frames.settings({})[:5]), 0.2, "it sent no SETTINGS within 0.2 s"),
    ],
    ids=["silent", "closes", "http1", "other", "half"],
)
def test_a_server_that_says_nothing_of_use_is_one_clear_line(
    act: Callable[[socket.socket], None], timeout_s: float, why: str
) -> None:
    with answering(act) as target, pytest.raises(TargetError) as raised:
        server_settings(target, timeout_s=timeout_s)
    assert str(raised.value).startswith(f"the server at {target} does not advertise its settings: ")
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nobody_there_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        target = f"127.0.0.1:{door.getsockname()[1]}"
    with pytest.raises(TargetError, match=f"^no server responded at {target}: Connection refused$"):
        server_settings(target)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_server_that_answers_no_ping_counts_with_what_it_said(leaves: bool) -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(
            frames.settings({Setting.MAX_CONCURRENT_STREAMS: 3})
            + frames.window_update(0, 10)
            + frames.goaway(0, ErrorCode.NO_ERROR, b"bye")
        )
        if leaves:
            connection.shutdown(socket.SHUT_WR)

    with answering(act) as target:
        seen = server_settings(target, timeout_s=1)
    assert seen == PeerSettings(max_concurrent_streams=3, connection_window_bytes=65_545, goaway="NO_ERROR bye")


# ---- clients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
@pytest.mark.parametrize("pooling", ["pool", "per_call"])
def test_a_client_advertises_the_window_it_was_asked_for(engine: str, pooling: str) -> None:
    config = configured(
        load__engine=engine, client__pooling=pooling, client__window_kib=128, client__adaptive_window=False
    )
    seen = client_settings(config)
    assert (seen.initial_window_size, seen.connection_window_bytes) == (128 * 1024, 128 * 1024)
    assert seen.enable_push == 0
    assert effects(config, PeerSettings(), seen) == {}


@pytest.mark.parametrize(("engine", "word"), [("wire", "the wire engine"), ("grpcio", "BDP probing")])
def test_a_clients_window_is_marked_as_ignored_with_adaptation_on(engine: str, word: str) -> None:
    config = configured(load__engine=engine, client__window_kib=64)
    seen = client_settings(config)
    told = effects(config, PeerSettings(), seen)
    assert set(told) == {"client.window_kib"}
    assert told["client.window_kib"].startswith(f"65,536 bytes requested, {seen.window_bytes:,} advertised; {word}")


def test_adaptation_off_with_no_window_acts_in_grpcio_and_not_in_engine_wire() -> None:
    wire = configured(client__adaptive_window=False)
    grpcio = configured(load__engine="grpcio", client__adaptive_window=False)
    assert client_settings(grpcio).window_bytes == frames.DEFAULT_WINDOW
    assert effects(grpcio, PeerSettings(), client_settings(grpcio)) == {}
    assert client_settings(wire).window_bytes == OWN_WINDOW_BYTES
    assert set(effects(wire, PeerSettings(), client_settings(wire))) == {"client.adaptive_window"}


def test_a_client_can_be_asked_inside_a_running_event_loop_and_leaves_no_thread() -> None:
    config = configured(load__engine="grpcio")
    before = set(threading.enumerate())

    async def asked() -> PeerSettings:
        return client_settings(config)

    assert asyncio.run(asked()) == client_settings(config)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


# ---- effects and columns ---------------------------------------------------------------------------------------


def as_asked(config: TrialConfig) -> tuple[PeerSettings, PeerSettings]:
    """What both sides would advertise if all took effect."""

    def side(window_kib: int | None, streams: int | None, frame_kib: int | None) -> PeerSettings:
        window = None if window_kib is None else window_kib * 1024
        return PeerSettings(
            initial_window_size=window,
            connection_window_bytes=max(window or 0, frames.DEFAULT_WINDOW),
            max_concurrent_streams=streams,
            max_frame_size=None if frame_kib is None else frame_kib * 1024,
        )

    server, client = config.server, config.client
    return (
        side(server.window_kib, server.max_concurrent_streams, server.max_frame_kib),
        side(client.window_kib, None, None),
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_advertised_as_asked_has_its_effect(name: str) -> None:
    assert effects(VARIANTS[name], *as_asked(VARIANTS[name])) == {}


@given(
    kib=st.integers(1, 2**21 - 1),
    seen=st.integers(0, frames.MAX_WINDOW),
    streams=st.integers(1, 2**31 - 1),
    limit=st.none() | st.integers(0, 2**32 - 1),
)
def test_a_difference_is_told_with_both_numbers(kib: int, seen: int, streams: int, limit: int | None) -> None:
    config = configured(
        server__window_kib=kib,
        server__adaptive_window=False,
        server__max_concurrent_streams=streams,
        server__max_frame_kib=16,
    )
    server = PeerSettings(
        initial_window_size=seen, connection_window_bytes=frames.MAX_WINDOW, max_concurrent_streams=limit
    )
    told = effects(config, server, client_settings(config))
    assert ("server.window_kib" in told) == (seen != kib * 1024)
    assert ("server.max_concurrent_streams" in told) == (limit != streams)
    assert "server.max_frame_kib" not in told  # 16 KiB is what holds where nothing is sent
    if "server.window_kib" in told:
        assert told["server.window_kib"] == f"{kib * 1024:,} bytes requested, {seen:,} advertised"
    if "server.max_concurrent_streams" in told:
        got = "no limit" if limit is None else f"{limit:,}"
        assert told["server.max_concurrent_streams"] == f"{streams:,} streams requested, {got} advertised"


def test_a_connection_window_that_does_not_follow_is_told() -> None:
    config = configured(server__window_kib=1024, server__adaptive_window=False)
    told = effects(config, PeerSettings(initial_window_size=MIB), client_settings(config))
    assert told == {"server.window_kib": "1,048,576 bytes expected for the connection, 65,535 advertised"}


def test_the_static_reasons_are_kept() -> None:
    config = configured(server__keepalive_timeout_s=5.0, client__connections=9, server__event_loop="uvloop")
    static = without_effect(config)
    assert len(static) == 3
    assert effects(config, PeerSettings(), client_settings(config)) == static


@pytest.mark.parametrize(
    ("levels", "seen", "told"),
    [
        ({"server__processes": 2}, (), "a single connection reaches only one process; "),
        ({"server__processes": 2}, (1, 0), "one of 2 processes has the only connection, so the others get no calls; "),
        ({"server__processes": 0}, (0, 1, 0), "one of 3 processes has the only connection"),
        ({"server__processes": 2, "client__pooling": "pool"}, (0, 4), "one of 2 processes has all 4 connections"),
        ({"server__processes": 2, "client__pooling": "pool", "client__connections": 1}, (), "a single connection"),
        ({"server__processes": 2, "client__pooling": "pool"}, (), ""),
        ({"server__processes": 3, "client__pooling": "pool"}, (3, 0, 1), ""),
        ({"server__processes": 2, "load__workers": 2}, (), ""),
        ({"server__processes": 2, "client__pooling": "per_call"}, (1, 0), ""),
        ({"server__processes": 1}, (1,), ""),
        ({"server__processes": 0}, (1,), ""),
    ],
)
def test_processes_that_get_no_call_are_told(levels: dict[str, Any], seen: tuple[int, ...], told: str) -> None:
    reasons = idle_processes(configured(**levels), seen)
    assert set(reasons) == ({"server.processes"} if told else set())
    assert reasons.get("server.processes", "").startswith(told)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        (
            {"server__processes": 2},
            "server.processes=2 cannot take effect, since a single connection reaches only one process; ",
        ),
        ({"server__processes": 0}, ""),  # a process for each core, and there may be one
        (
            {"server__processes": 4, "load__workers": 2},
            "server.processes=4 is too many: 2 connections reach at most 2 processes",
        ),
        (
            {"server__processes": 4, "client__pooling": "pool", "client__connections": 3},
            "server.processes=4 is too many: 3 conn",
        ),
        ({"server__processes": 4, "client__pooling": "pool", "client__connections": 4}, ""),
        ({"server__processes": 0, "client__pooling": "pool", "client__connections": 2}, ""),
        ({"server__processes": 4, "load__workers": 0}, ""),
        ({"server__processes": 4, "client__pooling": "per_call"}, ""),
        ({"server__processes": 1}, ""),
    ],
)
def test_fewer_connections_than_processes_are_known_beforehand(levels: dict[str, Any], told: str) -> None:
    found = unreached_processes(configured(**levels))
    assert found.startswith(told)
    assert bool(found) == bool(told)


def test_the_columns_hold_numbers_and_nan_where_nothing_was_sent() -> None:
    row = as_row(*as_asked(OPTIMIZED))
    assert tuple(row) == COLUMNS
    assert row["server_advertised_window_bytes"] == row["server_advertised_connection_window_bytes"] == 16 * MIB
    assert row["server_advertised_max_streams"] == 10_000
    bare = as_row(PeerSettings(), PeerSettings())
    assert {name for name, value in bare.items() if not math.isnan(value)} == {
        "server_advertised_connection_window_bytes",
        "client_advertised_connection_window_bytes",
    }
    assert set(json.loads(json.dumps(dataclasses.asdict(PeerSettings())))) >= {
        "initial_window_size",
        "goaway",
        "others",
    }


class Watched:
    """A channel that notes, when it is closed, whether its calls had ended by then."""

    closed: list[list[bool]] = []  # noqa: RUF012  # of all of them, in order

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.method: Any = None
        self.calls: list[Any] = []

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed.append([call.done() for call in self.calls])
        self.channel.close()

    def unary_unary(self, method: str) -> Watched:
        self.method = self.channel.unary_unary(method)
        return self

    def future(self, request: bytes, timeout: float) -> Any:
        self.calls.append(self.method.future(request, timeout=timeout))
        return self.calls[-1]


def test_a_channel_is_closed_only_when_its_call_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """grpcio may wait without end for a call that it cancels while the channel closes: once in some thousand dials."""
    monkeypatch.setattr(Watched, "closed", [])
    monkeypatch.setattr(
        peer_probe, "open_channel", lambda target, options: Watched(open_channel(target, options=options))
    )
    for _ in range(20):
        client_settings(configured(load__engine="grpcio"))
    assert Watched.closed == [[True]] * 20
