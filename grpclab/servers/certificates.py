"""A server's certificate, read from its files: once, or again whenever they have changed.

This module needs nothing but grpcio: the interpreter of an application, which may lack grpclab, imports it by its path.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Stamps = tuple[tuple[int, int, int], ...]
    """Of each file what differs once it has been replaced or written to."""

CERTIFICATE, KEY, AUTHORITY = "server.pem", "server.key", "ca.pem"
"""The files in a folder; the authority is that of the clients' certificates."""


def credentials(folder: str, *, mutual: bool, reload: bool) -> grpc.ServerCredentials:
    """Credentials from the files in a folder; `mutual` ones accept only clients with a certificate of the authority.

    With `reload`, connections made after the files have changed get the new certificate. Raises OSError for a file that
    cannot be read, ssl.SSLError for one that is no certificate, or a key of another certificate.
    """
    files = CertificateFiles(folder, mutual=mutual)
    if reload:
        return grpc.dynamic_ssl_server_credentials(
            grpc.ssl_server_certificate_configuration(*files.read()), files.changed, mutual
        )
    return grpc.ssl_server_credentials(*files.read(), mutual)


class CertificateFiles:
    """The files of a server's certificate in a folder."""

    def __init__(self, folder: str, *, mutual: bool, tell: Callable[[str], object] | None = None) -> None:
        names = (CERTIFICATE, KEY, AUTHORITY) if mutual else (CERTIFICATE, KEY)
        self._folder, self._paths = folder, [os.path.join(folder, name) for name in names]
        self._tell = tell or _to_standard_error
        self._seen: Stamps | None = None
        self._told = ""

    def read(self) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """The key with its certificate, and the authority; see :func:`credentials` for errors."""
        self._seen = self._stamps()
        return self._checked()

    def changed(self) -> Any:
        """A certificate configuration if the files have changed, else None; gRPC asks at each TLS handshake.

        Files that are not complete yet are left for a later handshake.
        """
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return None
            content = self._checked()
            if self._stamps() != stamps:  # somebody is writing them
                return None
        except (OSError, ssl.SSLError) as error:
            self._tell_once(f"the certificate in {self._folder} was not reloaded: {explained(error)}")
            return None
        self._seen, self._told = stamps, ""
        return grpc.ssl_server_certificate_configuration(*content)

    def _stamps(self) -> Stamps:
        found = [os.stat(path) for path in self._paths]
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)

    def _checked(self) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key, *authority = self._paths
        context.load_cert_chain(certificate, key, password=_no_passphrase)
        for path in authority:
            context.load_verify_locations(path)
        certificate_pem, key_pem, *roots = [_content(path) for path in self._paths]
        return [(key_pem, certificate_pem)], roots[0] if roots else None

    def _tell_once(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._tell(line)


def explained(error: OSError) -> str:
    """Why the files of a certificate cannot be used, as a clause."""
    if isinstance(error, ssl.SSLError):
        if "MISMATCH" in (error.reason or ""):
            return f"{KEY} is not the private key for {CERTIFICATE}"
        return "OpenSSL cannot read it"
    return f"{os.path.basename(error.filename or '')}: {error.strerror}"


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _to_standard_error(line: str) -> None:
    print(f"grpclab: {line}", file=sys.stderr, flush=True)


def _no_passphrase() -> str:
    """Answer OpenSSL, which would ask on the terminal."""
    return ""
