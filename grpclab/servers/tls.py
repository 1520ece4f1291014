"""Certificates for trying TLS: temporary ones for the factor ``server.tls``, and those that ``grpclab certs`` makes."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from grpclab.errors import StorageError, UsageError, invalid
from grpclab.servers import certificates
from grpclab.servers.certificates import AUTHORITY
from grpclab.system.optional import needs
from grpclab.system.transport import Security

AUTHORITY_KEY = "ca.key"
SERVER, CLIENT = "server", "client"
RENEWED = tuple(f"{side}.{ending}" for side in (SERVER, CLIENT) for ending in ("pem", "key"))
"""What :func:`renew` writes."""
FILES = (AUTHORITY, AUTHORITY_KEY, *RENEWED)
"""What :func:`create` writes."""
HOSTS = ("localhost", "127.0.0.1", "::1")
CLIENT_NAME = "grpclab"


def issue(folder: Path, *, mutual: bool = False) -> Security:
    """Write ``ca.pem``, ``server.pem`` and ``server.key`` for localhost, 127.0.0.1 and ::1 into `folder`.

    With `mutual` also ``client.pem`` and ``client.key``. Returns the security of connections to that server. Raises
    MissingDependencyError without trustme.
    """
    authority = _trustme("server.tls=true").CA()
    _write(folder / AUTHORITY, authority.cert_pem.bytes())
    _write_pair(authority, folder, SERVER, HOSTS)
    if mutual:
        _write_pair(authority, folder, CLIENT, [CLIENT_NAME])
    return Security(
        tls=True,
        roots=(folder / AUTHORITY).read_bytes(),
        certificate=(folder / f"{CLIENT}.pem").read_bytes() if mutual else None,
        key=(folder / f"{CLIENT}.key").read_bytes() if mutual else None,
    )


def create(folder: Path, hosts: Sequence[str], *, days: int, force: bool = False) -> None:
    """Write a new authority, and certificates of it for a server with these names and for a client, into a folder.

    The certificates are valid for so many days. Raises UsageError for files that are there already, unless `force`, and
    for what is no host name; StorageError where the folder cannot be written to; MissingDependencyError.
    """
    trustme = _trustme("grpclab certs")
    present = [name for name in FILES if (folder / name).exists()]
    if present and not force:
        raise UsageError(
            f"{folder} already has {', '.join(present)}: keep these files, renew the certificates with --renew, or "
            "replace everything with --force"
        )
    authority = trustme.CA(organization_name="grpclab certs")
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_pair(authority, folder, SERVER, hosts, days)
        _write_pair(authority, folder, CLIENT, [CLIENT_NAME], days)
        _write(folder / AUTHORITY_KEY, authority.private_key_pem.bytes(), private=True)
        _write(folder / AUTHORITY, authority.cert_pem.bytes())


def renew(folder: Path, hosts: Sequence[str], *, days: int) -> Sequence[str]:
    """Replace both certificates in a folder by new ones of the same authority, by default for the same names.

    Returns the server's names. Raises UsageError where the folder lacks the authority, StorageError, and
    MissingDependencyError.
    """
    trustme = _trustme("grpclab certs")
    try:
        authority = trustme.CA.from_pem(*((folder / name).read_bytes() for name in (AUTHORITY, AUTHORITY_KEY)))
        hosts = hosts or _names((folder / f"{SERVER}.pem").read_bytes())
    except (OSError, ValueError, TypeError) as error:
        why = f"{Path(error.filename).name} cannot be read" if isinstance(error, OSError) else "a file is damaged"
        raise UsageError(invalid("DIR", folder, f"a folder that `grpclab certs` has written: {why}")) from None
    with _writing(folder):
        _write_pair(authority, folder, SERVER, hosts, days)
        _write_pair(authority, folder, CLIENT, [CLIENT_NAME], days)
    return hosts


def server_credentials(folder: Path, *, mutual: bool = False, reload: bool = False) -> grpc.ServerCredentials:
    """Credentials from the files of a folder; see :func:`grpclab.servers.certificates.credentials`."""
    return certificates.credentials(str(folder), mutual=mutual, reload=reload)


def ssl_context(folder: Path, *, mutual: bool = False) -> ssl.SSLContext:
    """The same for a server on Python's own TLS, with HTTP/2 (ALPN ``h2``)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(folder / certificates.CERTIFICATE, folder / certificates.KEY)
    if mutual:
        context.load_verify_locations(folder / AUTHORITY)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def check_files(folder: Path, option: str, *, mutual: bool) -> None:
    """Raise UsageError unless a folder, which an option names, has a server's certificate with its key.

    With `mutual` it must have the authority of the clients' certificates as well.
    """
    expected = "server.pem and server.key" if not mutual else "server.pem, server.key and ca.pem"
    try:
        certificates.CertificateFiles(str(folder), mutual=mutual).read()
    except (OSError, ssl.SSLError) as error:
        expected = f"a folder with {expected}, as written by `grpclab certs` ({certificates.explained(error)})"
        raise UsageError(invalid(option, folder, expected)) from None


def files_text(folder: Path | str, *, mutual: bool) -> str:
    """The files of a folder that a client needs, in words; the user's own may lie elsewhere."""
    needed = [AUTHORITY, *((f"{CLIENT}.pem", f"{CLIENT}.key") if mutual else ())]
    *first, last = [f"{folder}/{name}" for name in needed if (Path(folder) / name).exists()] or [""]
    return f"TLS{' with ' if last else ''}{', '.join(first)}{' and ' if first else ''}{last}"


def _trustme(what: str) -> Any:
    try:
        import trustme
    except ImportError:
        raise needs(what, "trustme", "tls") from None
    return trustme


def _names(certificate: bytes) -> list[str]:
    """The names that a certificate is for. Raises ValueError."""
    from cryptography import x509  # which trustme needs as well

    try:
        extensions = x509.load_pem_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("a certificate without names") from None
    return [str(name.value) for name in names]


def _write_pair(authority: Any, folder: Path, side: str, names: Sequence[str], days: int | None = None) -> None:
    """Write a new key and its certificate for some names. Raises UsageError for what is no name."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days) if days is not None else None
    try:
        leaf = authority.issue_cert(*names, not_after=until)
    except ValueError as error:  # of idna
        raise UsageError(invalid("--host", ", ".join(names), f"host names or IP addresses ({error})")) from None
    _write(folder / f"{side}.key", leaf.private_key_pem.bytes(), private=True)
    _write(folder / f"{side}.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


def _write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all; only its owner can read a `private` one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # which its owner alone can read
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if not private:
            os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write certificates to {folder}: {error.strerror or error}") from None
