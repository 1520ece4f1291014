"""A throw-away certificate authority for the factor ``server.tls``; lives as long as the server."""

from __future__ import annotations

from pathlib import Path

import grpc

from grpclab.system.optional import needs


def issue(folder: Path) -> None:
    """Write ``ca.pem``, ``server.pem`` and ``server.key`` for localhost, 127.0.0.1 and ::1 into `folder`.

    Raises MissingDependencyError without trustme.
    """
    try:
        import trustme
    except ImportError:
        raise needs("server.tls=true", "trustme", "tls") from None
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1", "::1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Credentials out of what :func:`issue` wrote."""
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    return grpc.ssl_server_credentials([pair])
