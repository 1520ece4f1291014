"""Certificates of an authority of the tests, and servers that present them: good, expired, for another name."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

NAME = "shop.example.org"
PAST = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @property
    def blobs(self) -> tuple[bytes, bytes]:
        """The key and the certificate, as grpcio takes them."""
        return self.key.read_bytes(), self.cert.read_bytes()


class Authority:
    """An authority, its root in `ca.pem` of a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, file: str, *names: str, not_after: datetime.datetime | None = None) -> Pair:
        """A certificate for some names, as `file`.pem and `file`.key."""
        leaf = self._authority.issue_cert(*names, not_before=PAST if not_after else None, not_after=not_after)
        pair = Pair(cert=self.folder / f"{file}.pem", key=self.folder / f"{file}.key")
        leaf.private_key_pem.write_to_path(str(pair.key))
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return pair


@contextlib.contextmanager
def health_server(address: str, pair: Pair | None = None, *, clients: Path | None = None) -> Iterator[str]:
    """A grpcio server with health and reflection at an address (port 0 is any); `clients` must have signed who calls.

    Returns the target.
    """
    server = grpc.server(futures.ThreadPoolExecutor(4))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    if pair is None:
        port = server.add_insecure_port(address)
    else:
        roots = clients.read_bytes() if clients else None
        port = server.add_secure_port(
            address, grpc.ssl_server_credentials([pair.blobs], roots, require_client_auth=clients is not None)
        )
    server.start()
    try:
        yield address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def handshaking(pair: Pair, *protocols: str) -> Iterator[str]:
    """A server that agrees on these protocols at most (ALPN), in handshakes, and says nothing more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    with contextlib.suppress(OSError):
                        kept.append(context.wrap_socket(connection, server_side=True))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"localhost:{door.getsockname()[1]}"
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()
