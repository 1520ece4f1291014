"""The features of a production service, each with the levels of the factors that it takes.

The `production` variant is `optimized` with those of them that are in it. The design ``production`` measures what each
one costs; docs/production.md says what they are for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from grpclab.factors.levels import Level


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature. `on` are the levels with it, where `optimized` lacks it or has it otherwise.

    What `optimized` has already has `without`, the levels without it.
    """

    name: str
    title: str
    base: dict[str, Level] = field(default_factory=dict)
    """What a service needs to have the feature at all: both sides have it. `base_title` says so."""
    base_title: str = ""
    on: dict[str, Level] = field(default_factory=dict)
    without: dict[str, Level] = field(default_factory=dict)
    of_client: bool = False
    """Whether it is the client's. It is then tried with engine `grpcio`, and what it costs is the client's CPU time."""
    in_production: bool = True
    """Whether the `production` variant has it."""
    each_call: bool = True
    """Whether it acts on each call, rather than on connections or by itself."""
    later: bool = False
    """Whether it puts work off, so that a server is still busy when its calls have ended."""
    spare: bool = False
    """Whether it is measured only if there is time for it."""
    library: str = ""
    """The module that it needs, and that only the `extra` installs; "" for none."""
    extra: str = ""


OPENTELEMETRY = "opentelemetry.instrumentation.grpc"

FEATURES: tuple[Feature, ...] = (
    Feature(
        name="metrics",
        title="calls counted for Prometheus",
        on={"server.metrics": True},
        library="prometheus_client",
        extra="desk",
    ),
    Feature(name="access-log", title="access log of 1% of the calls", on={"server.access_log_share": 0.01}),
    Feature(
        name="rate-limit",
        title="rate limit that is never reached",
        on={"server.rate_limit_rps": 50_000.0, "server.rate_limit_burst": 10_000},
    ),
    Feature(name="call-limit", title="limit of 5,000 calls at once", on={"server.max_concurrent_rpcs": 5_000}),
    Feature(
        name="http2",
        title="8 MiB windows and 5,000 streams",
        each_call=False,
        on={
            "server.max_concurrent_streams": 5_000,
            "server.window_kib": 8_192,
            "server.keepalive_s": 600.0,
            "client.window_kib": 8_192,
            "client.keepalive_s": 600.0,
        },
    ),
    Feature(
        name="deadline",
        title="deadline on each call",
        on={"client.deadline_s": 60.0},
        without={"client.deadline_s": None},
    ),
    Feature(name="reflection", title="reflection service", without={"server.reflection": False}, each_call=False),
    Feature(
        name="quota",
        title="quota per client that is never reached",
        on={"server.quota_rps": 50_000.0, "server.quota_burst": 10_000},
        in_production=False,
    ),
    Feature(
        name="admission",
        title="admission of 1,000 waiting calls",
        on={"server.admission": 1_000},
        in_production=False,
    ),
    Feature(
        name="access-log-all",
        title="access log of every call",
        on={"server.access_log_share": 1.0},
        in_production=False,
    ),
    Feature(
        name="channelz",
        title="channelz service",
        on={"server.channelz": True},
        each_call=False,
        in_production=False,
        library="grpc_channelz",
        extra="desk",
    ),
    Feature(name="interceptors", title="5 empty interceptors", on={"server.interceptors": 5}, in_production=False),
    Feature(
        name="scraping",
        title="scraping of the metrics once a second",
        base={"server.metrics": True, "server.desk": True},
        base_title="metrics that nobody scrapes",
        on={"server.scrape_s": 1.0},
        in_production=False,
        each_call=False,
        spare=True,
        library="prometheus_client",
        extra="desk",
    ),
    Feature(
        name="interceptor",
        title="1 empty interceptor",
        on={"server.interceptors": 1},
        in_production=False,
        spare=True,
    ),
    Feature(
        name="tracing-none",
        title="tracing of no calls",
        on={"server.tracing_share": 0.0},
        in_production=False,
        spare=True,
        library=OPENTELEMETRY,
        extra="tracing",
    ),
    Feature(
        name="tracing",
        title="tracing of 1% of the calls",
        on={"server.tracing_share": 0.01},
        later=True,
        in_production=False,
        library=OPENTELEMETRY,
        extra="tracing",
    ),
    Feature(
        name="tracing-all",
        title="tracing of every call",
        on={"server.tracing_share": 1.0},
        later=True,
        in_production=False,
        library=OPENTELEMETRY,
        extra="tracing",
    ),
    Feature(name="tls", title="TLS", on={"server.tls": True}, in_production=False, library="trustme", extra="tls"),
    Feature(
        name="mutual-tls",
        title="TLS with client certificates",
        on={"server.tls": True, "server.mutual_tls": True},
        each_call=False,
        in_production=False,
        library="trustme",
        extra="tls",
    ),
    Feature(
        name="retries",
        title="retry policy that is never needed",
        on={"client.retries": 2},
        of_client=True,
        in_production=False,
    ),
    Feature(
        name="load-balancing",
        title="round robin with a single server",
        on={"client.load_balancing": "round_robin"},
        of_client=True,
        in_production=False,
    ),
    Feature(
        name="circuit-breaker",
        title="circuit breaker that stays closed",
        on={"client.circuit_breaker": 5},
        of_client=True,
        in_production=False,
    ),
    *(
        Feature(
            name=f"client-{name}",
            title=title,
            on={"client.tracing_share": share},
            of_client=True,
            later=True,
            in_production=False,
            spare=True,
            library=OPENTELEMETRY,
            extra="tracing",
        )
        for name, title, share in (
            ("tracing-none", "client tracing of no calls", 0.0),
            ("tracing", "client tracing of 1% of the calls", 0.01),
            ("tracing-all", "client tracing of every call", 1.0),
        )
    ),
)
"""Those of `production` first."""
