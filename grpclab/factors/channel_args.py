"""The one table from factor to grpcio's channel argument.

A row says which side's factor it reads, which arguments it sets, and what people should know. The servers and
the engine build their argument lists from it (:func:`server_args`, :func:`client_args`); the report and
docs/from-tonic.md print it (:mod:`grpclab.factors.tonic`). Facts about the arguments: grpc/grpc,
``include/grpc/impl/channel_arg_names.h`` and ``doc/keepalive.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grpclab.factors.client_features import idle_features, service_config
from grpclab.factors.config import FACTORS, ClientConfig, ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ARRIVALS
from grpclab.http2.frames import MAX_LIST_BYTES

ChannelArgs = list[tuple[str, int]]

MAX_INT = 2**31 - 1
"""The largest value of a channel argument, a C int."""
GZIP = 2
"""gRPC's number of the algorithm (``grpc/impl/compression_types.h``)."""
MAX_PENDING_REQUESTS = 20_000
"""Accepted but not yet started calls before C-core rejects new ones; its own default is about 1000."""
RECONNECT_MS = (100, 1000)
"""Pause after the first failed attempt to connect, and the longest one; C-core's own are 1 s and 120 s."""
TRACE_BYTES = 1024 * 1024
"""Memory for what a channel did, of which losses of its connection are counted: for some thousands of them."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The channel argument for one level of one factor."""

    factor: str
    arguments: tuple[str, ...]
    build: Callable[[Level], ChannelArgs]
    note: str


def _one(argument: str, scale: float = 1) -> Callable[[Level], ChannelArgs]:
    def build(level: Level) -> ChannelArgs:
        assert isinstance(level, (int, float))
        return [(argument, round(level * scale))]

    return build


def _rule(factor: str, argument: str, scale: float, note: str) -> Rule:
    return Rule(factor=factor, arguments=(argument,), build=_one(argument, scale), note=note)


def _fixed(factor: str, arguments: ChannelArgs, note: str) -> Rule:
    """A rule for a switch: these arguments where the level is true, else nothing."""
    return Rule(
        factor=factor,
        arguments=tuple(name for name, _ in arguments),
        build=lambda level: list(arguments) if level else [],
        note=note,
    )


PENDING = ("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit")
"""How many calls of a method may wait until Python takes them in: some of the others are refused, or all."""


def _streams(level: Level) -> ChannelArgs:
    assert isinstance(level, int)
    pending = max(MAX_PENDING_REQUESTS, 2 * level)
    return [
        ("grpc.max_concurrent_streams", level),
        (PENDING[0], min(pending, MAX_INT)),
        (PENDING[1], min(2 * pending, MAX_INT)),
        # At its default of 1 the server resets streams beyond the limit, since a client counts a stream as
        # closed a moment earlier than the server does: calls then fail UNAVAILABLE instead of waiting.
        ("grpc.http.overload_protection", 0),
    ]


def _server_keepalive(level: Level) -> ChannelArgs:
    assert isinstance(level, (int, float))
    # A client that pings as often as this server does must not be taken for an attacker: allow twice as often.
    return [
        ("grpc.keepalive_time_ms", round(level * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(level * 500)),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _client_keepalive(level: Level) -> ChannelArgs:
    assert isinstance(level, (int, float))
    return [
        ("grpc.keepalive_time_ms", round(level * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _timeout(level: Level) -> ChannelArgs:
    assert isinstance(level, (int, float))
    milliseconds = round(level * 1000)
    return [("grpc.keepalive_timeout_ms", milliseconds), ("grpc.http2.ping_timeout_ms", milliseconds)]


def _timeout_rule(factor: str) -> Rule:
    return Rule(
        factor=factor,
        arguments=("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"),
        build=_timeout,
        note="default 20 s; both are set, since the shorter ping timeout alone does not close a dead connection",
    )


def _compression_rule(factor: str, note: str) -> Rule:
    algorithm = "grpc.default_compression_algorithm"
    return Rule(
        factor=factor,
        arguments=(algorithm,),
        build=lambda level: [(algorithm, GZIP)] if level == "gzip" else [],
        note=note,
    )


def _bdp(level: Level) -> ChannelArgs:
    return [] if level else [("grpc.http2.bdp_probe", 0)]


def _window_rules(section: str, receives: str) -> tuple[Rule, Rule]:
    return (
        _rule(
            f"{section}.window_kib",
            "grpc.http2.lookahead_bytes",
            1024,
            f"governs {receives}; the connection window follows; no effect while adaptive_window is on",
        ),
        Rule(
            factor=f"{section}.adaptive_window",
            arguments=("grpc.http2.bdp_probe",),
            build=_bdp,
            note="on by default; overrides window_kib. In tonic it resets both windows to 65,535",
        ),
    )


RULES: tuple[Rule, ...] = (
    Rule(
        factor="server.max_concurrent_streams",
        arguments=("grpc.max_concurrent_streams", *PENDING, "grpc.http.overload_protection"),
        build=_streams,
        note="unlimited by default; clients queue the excess silently, so it shows as latency; with overload"
        " protection left on, calls at the limit fail UNAVAILABLE",
    ),
    *_window_rules("server", "uploads"),
    _rule(
        "server.max_frame_kib",
        "grpc.http2.max_frame_size",
        1024,
        "default 16 KiB; no effect while adaptive_window is on, which uses 4 MiB",
    ),
    Rule(
        factor="server.keepalive_s",
        arguments=(
            "grpc.keepalive_time_ms",
            "grpc.http2.min_ping_interval_without_data_ms",
            "grpc.http2.max_pings_without_data",
        ),
        build=_server_keepalive,
        note="default 2 h; also relaxes ping policing, so that clients with the same interval do not get "
        "too_many_pings",
    ),
    _timeout_rule("server.keepalive_timeout_s"),
    _fixed(
        "server.keepalive_without_calls",
        [("grpc.keepalive_permit_without_calls", 1)],
        "off by default; the server then disconnects a client that pings without calls",
    ),
    _compression_rule("server.compression", "off by default: a client that compresses is answered without compression"),
    *_window_rules("client", "downloads"),
    Rule(
        factor="client.keepalive_s",
        arguments=(
            "grpc.keepalive_time_ms",
            "grpc.keepalive_permit_without_calls",
            "grpc.http2.max_pings_without_data",
        ),
        build=_client_keepalive,
        note="off by default; the server must permit it (server.keepalive_s, keepalive_without_calls)",
    ),
    _rule(
        "client.max_pings_without_data",
        "grpc.http2.max_pings_without_data",
        1,
        "keepalive_s sets no limit; with grpcio's own default of 2, pings stop after two and an idle connection is "
        "lost",
    ),
    _timeout_rule("client.keepalive_timeout_s"),
    _rule(
        "client.max_message_mib",
        "grpc.max_receive_message_length",
        2**20,
        "default 4 MiB in grpcio; no limit here, since large answers would fail",
    ),
    _compression_rule("client.compression", "off by default; it does not affect answers"),
    Rule(
        factor="client.resend",
        arguments=("grpc.enable_retries",),
        build=lambda level: [("grpc.enable_retries", int(bool(level)))],
        note="on in grpcio; off here, since it would hide errors",
    ),
)


def _args(section: str, config: ServerConfig | ClientConfig) -> ChannelArgs:
    args: dict[str, int] = {}
    for rule in RULES:
        if rule.factor.startswith(f"{section}."):
            level = getattr(config, FACTORS[rule.factor].name)
            if level is not None:
                args.update(rule.build(level))
    return list(args.items())


def server_args(config: ServerConfig) -> ChannelArgs:
    """Channel arguments of a server; empty where every factor is at its default, but for two.

    ``grpc.so_reuseport`` is 0 for a single process: a taken port is then refused by the kernel, where grpcio's
    default would share it silently. It acts on the listening socket only. Requests may have any length
    (``load.request_bytes``), where grpcio's default refuses those above 4 MiB.
    """
    reuse = [] if config.processes != 1 else [("grpc.so_reuseport", 0)]
    args = dict(_args("server", config))
    if config.admission is not None and not config.threaded:
        args |= dict.fromkeys(PENDING, config.admission - 1)  # refused are calls that find more than these
    return [*args.items(), *reuse, ("grpc.max_receive_message_length", -1)]


def client_args(config: ClientConfig) -> list[tuple[str, int | str]]:
    """Channel arguments of each of the client's channels.

    Those that every channel has are in :mod:`grpclab.system.channels`. The limits are those of engine `wire`: for
    metadata one, where grpcio refuses a random share between 8 and 16 KiB; for the pauses between attempts to connect
    (:mod:`grpclab.load.engines.backoff`).
    """
    fixed = {
        "grpc.max_receive_message_length": -1,
        "grpc.max_metadata_size": MAX_LIST_BYTES,
        "grpc.absolute_max_metadata_size": MAX_LIST_BYTES,
        "grpc.initial_reconnect_backoff_ms": RECONNECT_MS[0],
        "grpc.max_reconnect_backoff_ms": RECONNECT_MS[1],
        "grpc.max_channel_trace_event_memory_per_node": TRACE_BYTES,
    }
    retries = {"grpc.enable_retries": 1} if config.retries else {}
    args: dict[str, int | str] = {**fixed, **dict(_args("client", config)), **retries}
    if text := service_config(config):
        args["grpc.service_config"] = text
    return list(args.items())


POOL = ("server.threads", "server.spare_threads")
"""The factors of the threads in which handlers run."""


def cannot_act(config: TrialConfig, *, hosted: bool = False) -> dict[str, str]:
    """The factors that cannot act in this configuration, whatever their level, each with the reason (static rules).

    `hosted`: the server is an application, whose handlers may run in threads although it is an asyncio server.
    """
    reasons = {**_idle_on_server(config), **_idle_in_client(config), **_idle_in_load(config)}
    return {name: reason for name, reason in reasons.items() if not (hosted and name in POOL)}


def without_effect(config: TrialConfig, *, hosted: bool = False) -> dict[str, str]:
    """Those of :func:`cannot_act` that are set: not at their defaults."""
    levels = config.flat()
    idle = cannot_act(config, hosted=hosted)
    return {name: reason for name, reason in idle.items() if levels[name] != FACTORS[name].default}


def _idle_windows(section: str, side: ServerConfig | ClientConfig) -> dict[str, str]:
    reasons = {}
    if side.adaptive_window:
        reasons[f"{section}.window_kib"] = "BDP probing overrides it; set adaptive_window=false"
    if side.keepalive_s is None:
        reasons[f"{section}.keepalive_timeout_s"] = "no pings are sent; set keepalive_s"
    return reasons


def _idle_on_server(config: TrialConfig) -> dict[str, str]:
    server, reasons = config.server, _idle_windows("server", config.server)
    if server.adaptive_window:
        reasons["server.max_frame_kib"] = "BDP probing overrides it; set adaptive_window=false"
    if not server.tls:
        reasons |= dict.fromkeys(("server.mutual_tls", "server.tls_reload"), "TLS is off; set tls=true")
    if server.rate_limit_rps is None:
        reasons["server.rate_limit_burst"] = "no rate limit is set; set rate_limit_rps"
    if server.quota_rps is None:
        reasons |= dict.fromkeys(("server.quota_burst", "server.quota_key"), "no quota is set; set quota_rps")
    if server.threaded:
        reasons["server.event_loop"] = "a sync server has no event loop; set implementation=asyncio"
    else:
        reasons |= dict.fromkeys(POOL, "an asyncio server runs handlers on its loop, not in threads")
    if config.load.method != "SayHelloStream":
        for name in ("stream_messages", "stream_interval_ms"):
            reasons[f"server.{name}"] = f"{config.load.method} has no stream; set load.method=SayHelloStream"
    elif server.stream_messages < 2:
        reasons["server.stream_interval_ms"] = "a stream with a single message has no pause; raise stream_messages"
    return reasons


def _idle_in_client(config: TrialConfig) -> dict[str, str]:
    client, reasons = config.client, _idle_windows("client", config.client) | idle_features(config)
    if client.keepalive_s is None:
        reasons["client.max_pings_without_data"] = "no pings are sent; set keepalive_s"
    elif config.load.engine == "wire":
        reasons["client.max_pings_without_data"] = "the wire engine does not limit its pings; set engine=grpcio"
    if config.load.engine == "wire" and client.window_kib is None:
        reasons["client.adaptive_window"] = "the wire engine does no BDP probing; set window_kib"
    if client.pooling != "pool":
        reasons["client.connections"] = f"pooling={client.pooling} ignores this factor; set pooling=pool"
    return reasons


def _idle_in_load(config: TrialConfig) -> dict[str, str]:
    if config.load.rate_rps is not None:
        return {
            "load.concurrency": "an open loop calls at its own rate; use load.max_in_flight to limit the calls "
            "in flight"
        }
    names = ["load.pacing", "load.max_in_flight"]
    arrival = config.load.arrival
    if arrival == "constant" or ARRIVALS.resolve(arrival).callers is None:  # else the calls in flight follow it
        names.append("load.arrival")
    return dict.fromkeys(names, "a closed loop has no schedule; set a rate")
