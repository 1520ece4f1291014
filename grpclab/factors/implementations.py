"""The servers that can be under a service: grpcio's own two, and those of other libraries.

The factor ``server.implementation`` names one. A server that does not honour a factor refuses every level of it but the
default; docs/other-servers.md says what each one lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grpclab.errors import FactorError, invalid
from grpclab.factors.levels import Level, format_level

FACTOR = "server.implementation"


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """A server. `lacks` has a reason for each factor that it does not honour."""

    title: str
    threaded: bool = False
    """Whether handlers run in threads, rather than on an event loop."""
    hosts_applications: bool = True
    """Whether it takes servicers that were written for grpcio."""
    module: str = "grpc"
    package: str = "grpcio"
    extra: str = ""
    """The extra that installs the package; "" for the core."""
    lacks: Mapping[str, str] = field(default_factory=dict)


def _lacking(reason: str, *factors: str) -> dict[str, str]:
    return {factor if "." in factor else f"server.{factor}": reason for factor in factors}


_PYGRPC = {
    **_lacking("it has no TLS", "tls", "mutual_tls", "tls_reload"),
    **_lacking("it cannot change HTTP/2 windows", "window_kib", "adaptive_window", "max_frame_kib"),
    **_lacking("it does not compress answers", "compression"),
    **_lacking("it has no limit on concurrent calls", "max_concurrent_rpcs"),
    **_lacking("it has no limit on waiting calls", "admission"),
    **_lacking("it cannot send grpc-retry-pushback-ms, and the call would hang", "rate_limit_rps", "quota_rps"),
    **_lacking("it has no channelz", "channelz"),
}
_INTERCEPTED = ("access_log_share", "tracing_share", "rate_limit_rps", "quota_rps", "interceptors", "metrics", "desk")
_GRPCLIB = {
    **_lacking("it cannot reload certificates", "tls_reload"),
    **_lacking("it has no such limit", "max_concurrent_streams", "max_concurrent_rpcs", "admission"),
    **_lacking("grpclab does not set its windows", "window_kib", "adaptive_window", "max_frame_kib"),
    **_lacking(
        "its interface does not include keepalive", "keepalive_s", "keepalive_timeout_s", "keepalive_without_calls"
    ),
    **_lacking("it does not compress", "compression", "client.compression"),
    **_lacking("it does not accept grpcio's interceptors", *_INTERCEPTED),
    **_lacking("its channelz differs from grpcio's", "channelz"),
}
_CONNECT = {
    **_lacking("grpclab does not reload its certificates", "tls_reload"),
    **_lacking("pyvoy has no such limit", "max_concurrent_streams", "max_concurrent_rpcs", "admission"),
    **_lacking("pyvoy cannot change HTTP/2 windows", "window_kib", "adaptive_window", "max_frame_kib"),
    **_lacking("pyvoy cannot change keepalive", "keepalive_s", "keepalive_timeout_s", "keepalive_without_calls"),
    **_lacking("it does not accept grpcio's interceptors", *_INTERCEPTED),
    **_lacking("it does not compress answers to grpcio's clients", "compression"),
    **_lacking("it has no channelz", "channelz"),
}

IMPLEMENTATIONS: dict[str, Implementation] = {
    "sync": Implementation(title="grpcio, sync", threaded=True),
    "asyncio": Implementation(title="grpcio, asyncio"),
    "pygrpc": Implementation(
        title="pygrpc-native, sync",
        threaded=True,
        module="pygrpc_native",
        package="pygrpc-native",
        extra="pygrpc",
        lacks=_PYGRPC,
    ),
    "pygrpc-asyncio": Implementation(
        title="pygrpc-native, asyncio",
        module="pygrpc_native",
        package="pygrpc-native",
        extra="pygrpc",
        lacks=_PYGRPC,
    ),
    "grpclib": Implementation(
        title="grpclib",
        hosts_applications=False,
        module="grpclib",
        package="grpclib",
        extra="grpclib",
        lacks=_GRPCLIB,
    ),
    "betterproto2": Implementation(
        title="betterproto2 on grpclib",
        hosts_applications=False,
        module="betterproto2",
        package="betterproto2",
        extra="betterproto2",
        lacks=_GRPCLIB,
    ),
    "connectrpc": Implementation(
        title="connectrpc on pyvoy",
        hosts_applications=False,
        module="pyvoy",
        package="pyvoy",
        extra="connectrpc",
        lacks=_CONNECT,
    ),
}
"""By the levels of the factor."""


def threaded(implementation: str) -> bool:
    """Whether the handlers of a server run in threads, rather than on an event loop; False for an unknown one."""
    found = IMPLEMENTATIONS.get(implementation)
    return found is not None and found.threaded


def check_lacking(levels: Mapping[str, Level], defaults: Mapping[str, Level]) -> None:
    """Raise FactorError, one line, for levels of factors that the server they name does not honour.

    Both mappings are by the factors' dotted names.
    """
    name = str(levels[FACTOR])
    lacks = IMPLEMENTATIONS[name].lacks
    lacking = [factor for factor in lacks if factor in levels and levels[factor] != defaults[factor]]
    if not lacking:
        return
    factor, *others = lacking
    expected = f"{format_level(defaults[factor])} for {FACTOR}={name}, since {lacks[factor]}"
    if others:
        expected += f"; it also needs {', '.join(f'{other}={format_level(defaults[other])}' for other in others)}"
    raise FactorError(invalid(factor, format_level(levels[factor]), expected))


def check_hosting(name: str) -> None:
    """Raise FactorError, one line, for a server that takes no servicers that were written for grpcio."""
    if not IMPLEMENTATIONS[name].hosts_applications:
        *first, last = [other for other, one in IMPLEMENTATIONS.items() if one.hosts_applications]
        expected = f"{', '.join(first)} or {last} for an application, since its servicers are written for grpcio"
        raise FactorError(invalid(FACTOR, name, expected))
