"""Every gRPC channel of this package is opened here.

grpcio obeys ``grpc_proxy``, ``https_proxy`` and ``http_proxy`` for loopback too, and lets channels with equal arguments
share a connection. A measurement wants neither, so no channel asks a proxy, and each has TCP connections of its own.
It would also look up the target's name whenever it dials: here it is given the addresses that were judged
(:func:`grpclab.system.dialling.loopback_target`), and the name only to say to the server.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from grpclab.system.dialling import loopback_target

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""The channel arguments that every channel has."""

Options = Sequence[tuple[str, int]]


def addresses(target: str) -> str:
    """The judged addresses of a target in gRPC's notation, of one family: beside IPv6, IPv4 is written as IPv6, too.

    Raises UsageError for a target that is not on this machine.
    """
    hosts, port = loopback_target(target)
    if not any(":" in host for host in hosts):
        return "ipv4:" + ",".join(f"{host}:{port}" for host in hosts)
    return "ipv6:" + ",".join(f"[{host if ':' in host else f'::ffff:{host}'}]:{port}" for host in hosts)


def open_channel(target: str, *, root_certificates: bytes | None = None, options: Options = ()) -> grpc.Channel:
    """A channel to ``host:port`` on this machine; with `root_certificates` (PEM) it speaks TLS. Raises UsageError."""
    dialled, whole = addresses(target), _with_ours(target, options)
    if root_certificates is None:
        return grpc.insecure_channel(dialled, options=whole)
    return grpc.secure_channel(dialled, grpc.ssl_channel_credentials(root_certificates), options=whole)


def open_aio_channel(
    target: str, *, dialled: str = "", root_certificates: bytes | None = None, options: Options = ()
) -> grpc.aio.Channel:
    """Open a channel for asyncio; `dialled` are the target's :func:`addresses`, where they are known already."""
    dialled, whole = dialled or addresses(target), _with_ours(target, options)
    if root_certificates is None:
        return grpc.aio.insecure_channel(dialled, options=whole)
    return grpc.aio.secure_channel(dialled, grpc.ssl_channel_credentials(root_certificates), options=whole)


def _with_ours(target: str, options: Options) -> list[tuple[str, int | str]]:
    """The arguments of a channel; the authority is also the name that the server's certificate has to hold."""
    return [*options, *OPTIONS, ("grpc.default_authority", target)]
