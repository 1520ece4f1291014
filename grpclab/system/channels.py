"""Every gRPC channel of this package is opened here.

grpcio obeys ``grpc_proxy``, ``https_proxy`` and ``http_proxy`` for loopback too, and lets channels with equal arguments
share a connection. A measurement wants neither, so no channel asks a proxy, and each has TCP connections of its own.
It would also look up the target's name whenever it dials: here it is given the addresses that were judged
(:func:`grpclab.system.dialling.loopback_target`), and the name only to say to the server.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc

from grpclab.system.addresses import UNIX
from grpclab.system.dialling import loopback_target, presented
from grpclab.system.transport import PLAINTEXT, Security, host_of

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""The channel arguments that every channel has."""

Options = Sequence[tuple[str, int | str]]


def addresses(target: str, remote: Sequence[str] = ()) -> str:
    """The judged addresses of a target in gRPC's notation, of one family: beside IPv6, IPv4 is written as IPv6, too.

    Raises UsageError for a target that is neither on this machine nor among the addresses of `remote`.
    """
    hosts, port = loopback_target(target, remote)
    if hosts[0].startswith(UNIX):
        return UNIX + quote(hosts[0].removeprefix(UNIX))  # a URI, for grpcio
    if not any(":" in host for host in hosts):
        return "ipv4:" + ",".join(f"{host}:{port}" for host in hosts)
    return "ipv6:" + ",".join(f"[{host if ':' in host else f'::ffff:{host}'}]:{port}" for host in hosts)


@dataclass(frozen=True, kw_only=True)
class ChannelRoute:
    """The way to a target: the judged addresses, the credentials of TLS or none, and the arguments they need."""

    dialled: str
    credentials: grpc.ChannelCredentials | None
    options: Sequence[tuple[str, int | str]]

    @classmethod
    def to(cls, target: str, security: Security = PLAINTEXT) -> ChannelRoute:
        """The way to ``host:port``. Raises UsageError.

        Where the server is not verified, it is asked for its certificate, which is then the one that is trusted:
        grpcio has no way to trust any. Raises TargetError where that cannot work.
        """
        dialled = addresses(target, security.remote)
        authority = security.authority_at(target)
        if not security.tls:
            return cls(dialled=dialled, credentials=None, options=[("grpc.default_authority", authority)])
        roots, name = security.roots or _system_roots(), security.server_name_at(target)
        if not security.verify:
            roots, name = presented(target, security)
        options: list[tuple[str, str]] = []
        if name != host_of(authority):
            # C-core lets a call through whose authority the certificate does not hold only where it has no port.
            authority, options = host_of(authority), [("grpc.ssl_target_name_override", name)]
        credentials = grpc.ssl_channel_credentials(roots, security.key, security.certificate)
        return cls(dialled=dialled, credentials=credentials, options=[("grpc.default_authority", authority), *options])


def open_channel(target: str, *, security: Security = PLAINTEXT, options: Options = ()) -> grpc.Channel:
    """A channel to ``host:port``. Raises UsageError, and TargetError as :meth:`ChannelRoute.to` does."""
    route = ChannelRoute.to(target, security)
    whole = [*options, *OPTIONS, *route.options]
    if route.credentials is None:
        return grpc.insecure_channel(route.dialled, options=whole)
    return grpc.secure_channel(route.dialled, route.credentials, options=whole)


def open_aio_channel(
    target: str,
    *,
    route: ChannelRoute | None = None,
    options: Options = (),
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    """Open a channel for asyncio; `route` is the way to the target, where it is known already."""
    route = route or ChannelRoute.to(target)
    whole = [*options, *OPTIONS, *route.options]
    if route.credentials is None:
        return grpc.aio.insecure_channel(route.dialled, options=whole, interceptors=interceptors)
    return grpc.aio.secure_channel(route.dialled, route.credentials, options=whole, interceptors=interceptors)


def _system_roots() -> bytes | None:
    """The roots that this machine trusts, so that both engines trust the same; None leaves grpcio to its own."""
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, known)).encode() or None
