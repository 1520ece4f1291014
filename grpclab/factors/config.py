"""The factors: every knob of the server, the client, the load and the link, in one table.

Four frozen dataclasses hold the levels, :class:`TrialConfig` holds one of each. Everything else that names a
factor is derived from :data:`FACTORS`: ``--set server.window_kib=1024``, the environment variables, the
notebooks' ``settings`` parameter, the columns of ``trials.parquet`` (``server.window_kib``), the tables of the
report and of the README. What a factor becomes in grpcio stands in :mod:`grpclab.factors.channel_args`.

Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_us`` microseconds, ``_kib`` 1024 bytes,
``_bytes`` bytes, ``_mbps`` 10^6 bits per second, ``_rps`` calls per second, ``_share`` from 0 to 1.
"""

import dataclasses
import shlex
import types
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, Union, cast, get_args, get_origin

from grpclab.errors import FactorError, UsageError, invalid
from grpclab.factors import implementations
from grpclab.factors.implementations import check_lacking
from grpclab.factors.levels import Factor, Level, format_level
from grpclab.factors.own import OwnLevels, has_own_section, is_own, own_factor
from grpclab.factors.registries import ARRIVALS, ENGINES
from grpclab.system.inputs import plain
from grpclab.system.registry import Registry

MAX_KEEPALIVE_S = 2_147_483
"""grpcio counts milliseconds in a C int."""
SCRAPING = "server.scrape_s"


def _factor(
    default: Level,
    meaning: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    tonic: str | None = None,
    env: str | None = None,
    distribution: bool = False,
    naming: str | None = None,
    statuses: bool = False,
    registry: Registry[Any] | None = None,
) -> Any:
    metadata = {"meaning": meaning, "minimum": minimum, "maximum": maximum, "tonic": tonic, "env": env}
    words = {"distribution": distribution, "naming": naming, "statuses": statuses, "registry": registry}
    return field(default=default, metadata=metadata | words)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The server under test. Every default is grpcio's own."""

    implementation: Literal["sync", "asyncio", "pygrpc", "pygrpc-asyncio", "grpclib", "betterproto2", "connectrpc"] = (
        _factor("sync", "grpc.server with threads, grpc.aio, or a server from another library")
    )
    event_loop: Literal["asyncio", "uvloop"] = _factor("asyncio", "event loop of an asyncio server")
    processes: int = _factor(
        1,
        "number of server processes on one port (SO_REUSEPORT); 0 means one per core available to the server",
        minimum=0,
        maximum=256,
    )
    threads: int = _factor(10, "number of handler threads in a sync server", minimum=1, maximum=20_000)
    spare_threads: int = _factor(
        0, "number of additional handler threads, used only while all others are blocked", minimum=0, maximum=20_000
    )
    max_concurrent_streams: int | None = _factor(
        None,
        "maximum concurrent calls on one connection; clients queue the rest",
        minimum=1,
        maximum=2**31 - 1,
        tonic="max_concurrent_streams",
    )
    max_concurrent_rpcs: int | None = _factor(
        None,
        "maximum concurrent calls in one server process; the rest fail with RESOURCE_EXHAUSTED",
        minimum=1,
        maximum=2**31 - 1,
        tonic="concurrency_limit_per_connection",
        env="GRPC_CONCURRENCY_LIMIT",
    )
    admission: int | None = _factor(
        None,
        "maximum number of calls waiting for a thread or, per method, for the event loop; further calls fail at once",
        minimum=1,
        maximum=1_000_000,
    )
    window_kib: int | None = _factor(
        None,
        "HTTP/2 window for what the server receives (uploads); needs adaptive_window off",
        minimum=1,
        maximum=2**21 - 1,
        tonic="initial_stream_window_size, initial_connection_window_size",
    )
    adaptive_window: bool = _factor(
        True, "adapt windows to the bandwidth-delay product (BDP probing)", tonic="http2_adaptive_window"
    )
    max_frame_kib: int | None = _factor(
        None,
        "largest HTTP/2 frame that the server accepts; needs adaptive_window off",
        minimum=16,
        maximum=16_383,
        tonic="max_frame_size",
    )
    keepalive_s: float | None = _factor(
        None,
        "idle time after which the server pings a connection",
        minimum=0.01,
        maximum=MAX_KEEPALIVE_S,
        tonic="http2_keepalive_interval",
    )
    keepalive_timeout_s: float | None = _factor(
        None,
        "how long to wait for the reply to a ping before closing the connection",
        minimum=0.01,
        maximum=MAX_KEEPALIVE_S,
        tonic="http2_keepalive_timeout",
        env="GRPC_KEEPALIVE_TIMEOUT",
    )
    keepalive_without_calls: bool = _factor(False, "send and accept pings while no call is in progress")
    tls: bool = _factor(False, "TLS with a temporary certificate")
    mutual_tls: bool = _factor(False, "require a certificate from clients as well; needs tls")
    tls_reload: bool = _factor(False, "reload the certificate when its files change; needs tls")
    compression: Literal["none", "gzip"] = _factor(
        "none", "compression of answers; gzip skips answers that it would not shorten"
    )
    metrics: bool = _factor(False, "count calls for Prometheus, in an interceptor")
    access_log_share: float = _factor(
        0.0, "share of calls to log to standard error, as one line of JSON per call", minimum=0, maximum=1
    )
    tracing_share: float | None = _factor(
        None, "share of calls to trace with OpenTelemetry; none means no tracing", minimum=0, maximum=1
    )
    rate_limit_rps: float | None = _factor(
        None,
        "calls per second that a server process accepts; the rest fail with RESOURCE_EXHAUSTED",
        minimum=0.01,
        maximum=10_000_000,
    )
    rate_limit_burst: int = _factor(
        100, "number of calls accepted in a burst after a pause; needs rate_limit_rps", minimum=1, maximum=10_000_000
    )
    quota_rps: float | None = _factor(
        None,
        "calls per second that a server process accepts from each client; the rest fail with RESOURCE_EXHAUSTED",
        minimum=0.01,
        maximum=10_000_000,
    )
    quota_burst: int = _factor(
        100,
        "number of calls accepted from a client in a burst after a pause; needs quota_rps",
        minimum=1,
        maximum=10_000_000,
    )
    quota_key: str = _factor(
        "authorization", "metadata key whose value identifies a client; needs quota_rps", naming="metadata key"
    )
    interceptors: int = _factor(
        0, "number of interceptors that do nothing, to measure the cost of one", minimum=0, maximum=100
    )
    channelz: bool = _factor(False, "offer the channelz service, which lets clients inspect the server's connections")
    reflection: bool = _factor(True, "offer the reflection service, which tells clients the server's methods")
    desk: bool = _factor(False, "run a diagnostics server next to the server; its page /metrics also needs metrics")
    scrape_s: float | None = _factor(
        None,
        "time between two reads of the page /metrics by a stand-in for Prometheus; needs metrics and desk",
        minimum=0.05,
        maximum=3600,
    )
    handler_work_us: float = _factor(0.0, "CPU time used in the handler", minimum=0, maximum=60e6)
    handler_wait_ms: str = _factor(
        "0",
        "time the handler waits without using the CPU, e.g. for a database",
        minimum=0,
        maximum=60_000,
        distribution=True,
    )
    response_bytes: int = _factor(0, "length of the reply text; 0 means a greeting", minimum=0, maximum=2**26)
    stream_messages: int = _factor(5, "number of messages in SayHelloStream", minimum=0, maximum=1_000_000)
    stream_interval_ms: float = _factor(100.0, "pause between two messages", minimum=0, maximum=60_000)

    @property
    def threaded(self) -> bool:
        """Whether handlers run in threads, rather than on an event loop."""
        return implementations.threaded(self.implementation)


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """The client's channels, inside the load generator."""

    pooling: Literal["per_call", "shared", "pool"] = _factor(
        "shared", "one channel per call, one channel for all calls, or a pool of `connections` channels"
    )
    connections: int = _factor(4, "number of channels (TCP connections) in a pool", minimum=1, maximum=10_000)
    window_kib: int | None = _factor(
        None,
        "HTTP/2 window for what the client receives (downloads); needs adaptive_window off",
        minimum=1,
        maximum=2**21 - 1,
    )
    adaptive_window: bool = _factor(True, "adapt windows to the bandwidth-delay product (BDP probing)")
    keepalive_s: float | None = _factor(
        None, "idle time after which the client pings a connection", minimum=0.01, maximum=MAX_KEEPALIVE_S
    )
    keepalive_timeout_s: float | None = _factor(
        None,
        "how long to wait for the reply to a ping before closing the connection",
        minimum=0.01,
        maximum=MAX_KEEPALIVE_S,
    )
    max_pings_without_data: int | None = _factor(
        None,
        "number of pings sent without data in between; none means no limit (grpcio's own default is 2)",
        minimum=0,
        maximum=1_000_000,
    )
    max_message_mib: int | None = _factor(
        None,
        "largest answer message that the client accepts; none means no limit (grpcio's own default is 4)",
        minimum=1,
        maximum=2047,
    )
    compression: Literal["none", "gzip"] = _factor(
        "none", "compression of requests; gzip skips requests that it would not shorten"
    )
    deadline_s: float | None = _factor(20.0, "deadline for each call", minimum=0.001, tonic="timeout")
    resend: bool = _factor(False, "retry calls that the server certainly did not process (GOAWAY, REFUSED_STREAM)")
    retries: int = _factor(
        0, "maximum retries of a call that fails with one of retry_statuses; needs engine grpcio", minimum=0, maximum=4
    )
    retry_statuses: str = _factor("UNAVAILABLE", "statuses on which calls are retried; needs retries", statuses=True)
    load_balancing: Literal["pick_first", "round_robin"] = _factor(
        "pick_first", "whether the calls of a channel go to the first server that answers, or to all servers in turn"
    )
    health_checks: bool = _factor(
        False, "skip servers whose health service reports NOT_SERVING; needs load_balancing=round_robin"
    )
    circuit_breaker: int | None = _factor(
        None,
        "number of failures in a row after which calls are refused for breaker_open_s; needs engine grpcio",
        minimum=1,
        maximum=1_000_000,
    )
    breaker_open_s: float = _factor(
        1.0,
        "how long calls are refused before single calls try the server again; needs circuit_breaker",
        minimum=0.001,
        maximum=3600,
    )
    breaker_statuses: str = _factor(
        "UNAVAILABLE", "statuses that the circuit breaker counts as failures; needs circuit_breaker", statuses=True
    )
    tracing_share: float | None = _factor(
        None,
        "share of calls that the client traces with OpenTelemetry; none means no tracing; needs engine grpcio",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """The load. A window ends after `requests` or `duration_s`, whichever comes first.

    In a closed loop, each of the `concurrency` callers waits for an answer before it calls again. With `rate_rps`, the
    loop is open: calls are sent when they are due, whether or not earlier ones have finished.
    """

    engine: str = _factor(
        "wire",
        "wire sends pre-encoded HTTP/2 frames and uses little CPU; grpcio uses grpc.aio, like a real Python client",
        registry=ENGINES,
    )
    requests: int | None = _factor(500, "number of calls in the measured window", minimum=1, maximum=100_000_000)
    duration_s: float | None = _factor(None, "maximum length of the measured window", minimum=0.01, maximum=86_400)
    warmup_s: float = _factor(
        0.5, "how long to send load before the window, without counting it", minimum=0, maximum=3600
    )
    pause_s: float = _factor(
        0.0, "idle time between the warm-up and the window, with connections open", minimum=0, maximum=3600
    )
    concurrency: int = _factor(50, "calls in flight (closed loop)", minimum=1, maximum=100_000)
    rate_rps: float | None = _factor(
        None, "calls sent per second (open loop); none means a closed loop", minimum=0.01, maximum=10_000_000
    )
    arrival: str = _factor("constant", "spacing of calls in an open loop", registry=ARRIVALS)
    pacing: Literal["auto", "spin", "timer"] = _factor(
        "auto",
        "how an open loop waits for the next send: spin keeps a core busy; auto spins if there are two or more cores",
    )
    max_in_flight: int = _factor(
        10_000,
        "maximum calls in flight in an open loop; further calls wait and are counted",
        minimum=1,
        maximum=1_000_000,
    )
    workers: int = _factor(
        1, "number of generator processes; 0 means one per core available to the generator", minimum=0, maximum=256
    )
    request_bytes: int = _factor(0, "length of the request text; 0 means a name", minimum=0, maximum=2**26)
    method: Literal["SayHello", "SayHelloStream"] = _factor("SayHello", "the method that is called")
    stream_messages: int | None = _factor(
        None,
        "number of messages after which the client ends a stream; none means all in the data, or all that the server "
        "sends",
        minimum=1,
        maximum=10_000_000,
    )
    stream_interval_s: float = _factor(
        0.0, "time between two messages that the client streams", minimum=0, maximum=3600
    )
    stream_duration_s: float | None = _factor(
        None, "time after which the client ends a stream", minimum=0.001, maximum=86_400
    )
    stream_end: Literal["close", "wait", "cancel"] = _factor(
        "close",
        "what a streaming client does after its last message: close its side, close it at stream_duration_s, or "
        "cancel the call at that time",
    )
    stream_ping_pong: bool = _factor(False, "wait for an answer to each message before sending the next one")
    stream_dynamic: bool = _factor(False, "fill in templates again for each message that the client streams")


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """The emulated network path. By default, there is no relay, only loopback."""

    rtt_ms: float = _factor(0.0, "added round-trip time", minimum=0, maximum=10_000)
    bandwidth_mbps: float | None = _factor(None, "rate of each direction", minimum=0.01)
    idle_timeout_s: float | None = _factor(
        None, "idle time after which the link silently drops a connection, as a middlebox would", minimum=0.01
    )

    @property
    def emulated(self) -> bool:
        """Whether this path needs a relay."""
        return self != LinkConfig()


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One level for every factor; `own` contains those of the user's own factors (:mod:`.own`)."""

    server: ServerConfig = ServerConfig()
    client: ClientConfig = ClientConfig()
    load: LoadConfig = LoadConfig()
    link: LinkConfig = LinkConfig()
    own: Mapping[str, str] = OwnLevels()

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", OwnLevels(self.own))
        levels = self.flat()
        for name, level in levels.items():
            if level is not DEFAULTS.get(name):  # most are, and each default is a level of its factor
                lookup(name).check(level)
        check_lacking(levels, DEFAULTS)
        _check_scraping(self.server)
        if self.load.requests is None and self.load.duration_s is None:
            raise FactorError("load.requests and load.duration_s are both unset: set at least one of them")

    def flat(self) -> dict[str, Level]:
        """Every factor by its dotted name, in the order of the table; the user's own factors come last."""
        return {name: getattr(getattr(self, f.section), f.name) for name, f in FACTORS.items()} | dict(self.own)

    def replace(self, settings: Mapping[str, Level]) -> Self:
        """A copy with other levels for some factors, named with a dot. None removes one of the user's own factors.

        Raises FactorError for an unknown name or an invalid level.
        """
        parts: dict[str, dict[str, Level]] = {}
        own: dict[str, Level] = dict(self.own)
        for name, level in settings.items():
            factor = lookup(name)
            normal = factor.normal(plain(level))
            if is_own(name):
                own[name] = normal
            else:
                parts.setdefault(factor.section, {})[factor.name] = normal
        changed: dict[str, Any] = {
            section: dataclasses.replace(getattr(self, section), **levels) for section, levels in parts.items()
        }
        given = {name: str(level) for name, level in own.items() if level is not None}
        return dataclasses.replace(self, own=given, **changed)

    def differences(self, base: Self) -> dict[str, Level]:
        """The factors whose levels differ from those of `base`, with this configuration's levels.

        A factor of the user's own that only `base` has is None.
        """
        theirs = base.flat()
        ours = self.flat() | {name: None for name in base.own if name not in self.own}
        return {name: level for name, level in ours.items() if name not in theirs or level != theirs[name]}

    def settings(self) -> str:
        """This configuration as ``name=level`` words, without the defaults; :func:`settings_of` reads them."""
        return " ".join(setting_word(n, v) for n, v in self.differences(TrialConfig()).items())


SECTIONS: dict[str, type] = {
    "server": ServerConfig,
    "client": ClientConfig,
    "load": LoadConfig,
    "link": LinkConfig,
}


def _check_scraping(server: ServerConfig) -> None:
    """Raise FactorError, one line, where the metrics of a server are to be read and it has no page of them."""
    if server.scrape_s is not None and not (server.metrics and server.desk):
        expected = "none, or server.metrics=true and server.desk=true with it, which provide the page /metrics"
        raise FactorError(invalid(SCRAPING, format_level(server.scrape_s), expected))


def refuse_scraping(levels: Mapping[str, Level]) -> None:
    """Raise UsageError, one line, for the factor by which metrics are read, where nothing would read them."""
    if (level := levels.get(SCRAPING)) is not None:
        expected = "none, since only studies and comparisons read the metrics of a server at intervals"
        raise UsageError(invalid(SCRAPING, format_level(level), expected))


def _table() -> dict[str, Factor]:
    table = {}
    for section, cls in SECTIONS.items():
        for f in dataclasses.fields(cls):
            hint: Any = f.type  # the type itself: this module's annotations are evaluated
            members = [m for m in get_args(hint) if m is not types.NoneType]
            optional = get_origin(hint) in (Union, types.UnionType)
            registry: Registry[Any] | None = f.metadata["registry"]
            choices = tuple(members) if get_origin(hint) is Literal else registry.without_argument if registry else ()
            kind = str if choices else (members[0] if optional else hint)
            factor = Factor(
                section=section,
                name=f.name,
                kind=kind,
                optional=optional,
                choices=choices,
                default=cast("Level", f.default),
                **f.metadata,
            )
            table[factor.dotted] = factor
    return table


FACTORS: dict[str, Factor] = _table()
"""Every factor by its dotted name."""
DEFAULTS: dict[str, Level] = {name: factor.default for name, factor in FACTORS.items()}


def table() -> list[dict[str, Any]]:
    """A row of plain values for each factor: name, meaning, range, default, choices, minimum, maximum, variable."""
    return [
        {
            "name": name,
            "meaning": factor.meaning,
            "levels": factor.range_text,
            "default": factor.default,
            "type": factor.kind.__name__,
            "optional": factor.optional,
            "choices": list(factor.choices),
            "minimum": factor.minimum,
            "maximum": factor.maximum,
            "environment_variable": factor.env,
        }
        for name, factor in FACTORS.items()
    ]


def lookup(name: str) -> Factor:
    """The factor of that dotted name. Raises FactorError, with the nearest names, if there is none."""
    try:
        return own_factor(name) if has_own_section(name) else FACTORS[name]
    except KeyError:
        import difflib  # here: only a mistake needs it

        near = difflib.get_close_matches(str(name), FACTORS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`grpclab factors` lists them all"
        raise FactorError(f"unknown factor {name!r}: {hint}") from None


def parse_settings(words: Iterable[str]) -> dict[str, Level]:
    """The levels that ``section.name=level`` words give, in order; a later word beats an earlier one."""
    settings: dict[str, Level] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise FactorError(f"{word!r} is not a setting: write section.name=level, e.g. server.window_kib=1024")
        settings[name.strip()] = lookup(name.strip()).parse(text)
    return settings


def setting_word(name: str, level: Level) -> str:
    """``name=level`` as one word of a settings text; a level with blanks or quotes is quoted as a shell does."""
    word = format_level(level)
    return f"{name}={shlex.quote(word) if is_own(name) and word else word}"


def setting_words(text: str, called: str = "settings") -> list[str]:
    """The ``name=level`` words of a text, quoted as in a shell. Raises FactorError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise FactorError(invalid(called, text, f"name=level words, quoted as in a shell: {error}")) from None


def settings_of(text: str) -> dict[str, Level]:
    """The levels that a text of ``name=level`` words gives, quoted as in a shell. Raises FactorError."""
    return parse_settings(setting_words(text))


def refuse_twice(levels: Collection[str], settings: Mapping[str, Level]) -> None:
    """Raise UsageError for a factor that two options set: an option that is short for it, and --set."""
    both = sorted(set(levels) & set(settings))
    if both:
        name = both[0]
        raise UsageError(
            f"invalid {name}={format_level(settings[name])}: another option already sets {name}; use only one of them"
        )


def pool_settings(connections: int) -> dict[str, Level]:
    """The factors of a client with this many connections. Raises UsageError."""
    if connections < 1:
        raise UsageError(invalid("--connections", connections, "1 or more"))
    if connections == 1:
        return {"client.pooling": "shared"}
    return {"client.pooling": "pool", "client.connections": connections}


def from_environment(environ: Mapping[str, str]) -> dict[str, Level]:
    """The levels that environment variables give. Raises FactorError naming the variable."""
    settings: dict[str, Level] = {}
    for name, factor in FACTORS.items():
        if factor.env and environ.get(factor.env, "").strip():  # an empty variable is an unset one
            try:
                settings[name] = factor.parse(environ[factor.env])
            except FactorError as error:
                raise FactorError(f"environment variable {factor.env}: {error}") from None
    return settings
