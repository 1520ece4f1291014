"""A throw-away certificate authority for the factors ``server.tls`` and ``server.mutual_tls``; lives as long as the
server."""

from __future__ import annotations

from pathlib import Path

import grpc

from grpclab.system.optional import needs
from grpclab.system.transport import Security


def issue(folder: Path, *, mutual: bool = False) -> Security:
    """Write ``ca.pem``, ``server.pem`` and ``server.key`` for localhost, 127.0.0.1 and ::1 into `folder`.

    With `mutual` also ``client.pem`` and ``client.key``. Returns the security of connections to that server. Raises
    MissingDependencyError without trustme.
    """
    try:
        import trustme
    except ImportError:
        raise needs("server.tls=true", "trustme", "tls") from None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    names = {"server": ("localhost", "127.0.0.1", "::1")} | ({"client": ("grpclab",)} if mutual else {})
    for side, identities in names.items():
        certificate = authority.issue_cert(*identities)
        certificate.private_key_pem.write_to_path(str(folder / f"{side}.key"))
        (folder / f"{side}.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return Security(
        tls=True,
        roots=(folder / "ca.pem").read_bytes(),
        certificate=(folder / "client.pem").read_bytes() if mutual else None,
        key=(folder / "client.key").read_bytes() if mutual else None,
    )


def server_credentials(folder: Path, *, mutual: bool = False) -> grpc.ServerCredentials:
    """Credentials out of what :func:`issue` wrote; `mutual` ones take only clients with a certificate of it."""
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    roots = (folder / "ca.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=mutual)


def files_text(folder: Path | str, *, mutual: bool) -> str:
    """The files that a client needs, in words."""
    pair = f", {folder}/client.pem and {folder}/client.key" if mutual else ""
    return f"TLS with {folder}/ca.pem{pair}"
