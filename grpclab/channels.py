"""Every gRPC channel of this package is opened here.

grpcio obeys ``grpc_proxy``, ``https_proxy`` and ``http_proxy`` for loopback too, and lets channels with equal arguments
share a connection. A measurement wants neither, so no channel asks a proxy, and each has TCP connections of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""The channel arguments that every channel has."""

Options = Sequence[tuple[str, int]]


def open_channel(target: str, *, root_certificates: bytes | None = None, options: Options = ()) -> grpc.Channel:
    """A channel to ``host:port``; with `root_certificates` (PEM) it speaks TLS."""
    whole = [*options, *OPTIONS]
    if root_certificates is None:
        return grpc.insecure_channel(target, options=whole)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(root_certificates), options=whole)


def open_aio_channel(target: str, *, root_certificates: bytes | None = None, options: Options = ()) -> grpc.aio.Channel:
    """The same for asyncio."""
    whole = [*options, *OPTIONS]
    if root_certificates is None:
        return grpc.aio.insecure_channel(target, options=whole)
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(root_certificates), options=whole)
