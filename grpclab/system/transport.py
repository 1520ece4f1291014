"""The security of connections to a target: TLS, whom it trusts, who it says it is, and the names it goes by.

:class:`Security` holds the certificates themselves, so that processes which dial need no files; a key is never part of
its text. :class:`SecurityOptions` is what a user says, files by their paths: that may be stored. :func:`security_of`
makes the one of the other.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.errors import UsageError, invalid
from grpclab.system.addresses import UNIX, first_of
from grpclab.system.inputs import unreadable

if TYPE_CHECKING:
    import ssl

UNVERIFIED = "the server's certificate is not checked (--insecure-skip-verify), so it could be any server"
"""The notice on connections whose server is not checked."""
LOCAL_NAME = "localhost"
"""The authority and the server's name where the target is a Unix socket, as gRPC has it."""
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, kw_only=True)
class SecurityOptions:
    """The security of connections as options, with absolute paths of files and without secrets."""

    tls: bool = False
    cacert: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    authority: str = ""
    insecure_skip_verify: bool = False


@dataclass(frozen=True, kw_only=True)
class Security:
    """The security of connections to a target; by default, plain text."""

    tls: bool = False
    roots: bytes | None = None
    """The certificates that the server's has to be signed by, in PEM; None is what this machine trusts."""
    certificate: bytes | None = None
    """The client's own certificate, with its chain, in PEM; None is none."""
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""
    """The name that the server's certificate has to hold, where it is not that of the authority or the target."""
    authority: str = ""
    """The pseudo-header ``:authority`` of calls, where it is not the server's name or the target."""
    verify: bool = True
    """Whether the server's certificate is checked at all."""
    remote: tuple[str, ...] = ()
    """The addresses off this machine that may be dialled, as numbers: those for which --allow-remote was given."""
    options: SecurityOptions = SecurityOptions()
    """What the user said, for what is stored."""

    def authority_at(self, target: str) -> str:
        """The ``:authority`` of calls to a target."""
        return self.authority or self.server_name or (LOCAL_NAME if target.startswith(UNIX) else first_of(target))

    def server_name_at(self, target: str) -> str:
        """The name or the address that the certificate of the server at a target must contain."""
        return self.server_name or host_of(self.authority_at(target))

    def pinned(self, target: str) -> Security:
        """The same security for another route to the server at `target`; the names remain those of the target."""
        if not self.tls:
            return self
        return replace(self, authority=self.authority_at(target), server_name=self.server_name_at(target))

    @classmethod
    def unread(cls, options: SecurityOptions) -> Security:
        """The security that a stored study describes, before :meth:`reread`; no file is opened."""
        return cls(
            tls=bool(options.tls or options.cacert or options.cert or options.insecure_skip_verify),
            server_name=options.server_name,
            authority=options.authority,
            verify=not options.insecure_skip_verify,
            options=options,
        )

    def reread(self) -> Security:
        """The same security, with the user's files read again. Raises UsageError."""
        if self.options == SecurityOptions():
            return self
        return replace(security_of(**vars(self.options)), remote=self.remote)

    def context(self) -> ssl.SSLContext:
        """A TLS context for a client, with ALPN ``h2``."""
        import ssl

        context = ssl.create_default_context(cadata=self.roots.decode("ascii") if self.roots is not None else None)
        context.set_alpn_protocols(["h2"])
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate is not None and self.key is not None:
            with _files(self.certificate, self.key) as (certificate, key):
                context.load_cert_chain(certificate, key, password=_no_passphrase)
        return context


PLAINTEXT = Security()


def host_of(authority: str) -> str:
    """The host of ``HOST:PORT``, ``HOST`` or ``[::1]:PORT``, without brackets."""
    host, colon, port = authority.rpartition(":")
    bare = host if colon and port.isdigit() and (":" not in host or host.startswith("[")) else authority
    return bare.strip("[]")


def security_of(
    *,
    tls: bool = False,
    cacert: str | Path = "",
    cert: str | Path = "",
    key: str | Path = "",
    server_name: str = "",
    authority: str = "",
    insecure_skip_verify: bool = False,
    dashes: str = "--",
) -> Security:
    """Return the security that these options describe; their files are read and checked. Each TLS option implies `tls`.

    `dashes` precede the options' names in errors; in a configuration file, they are empty. Raises UsageError, one line.
    """
    cacert, cert, key = str(cacert), str(cert), str(key)
    if bool(cert) != bool(key):
        one, other = ("cert", "key") if cert else ("key", "cert")
        raise UsageError(f"{dashes}{one} requires {dashes}{other}")
    if cacert and insecure_skip_verify:
        expected = f"no {dashes}insecure-skip-verify, since nothing is checked against it then"
        raise UsageError(invalid(f"{dashes}cacert", cacert, expected))
    for name, text in (("server-name", server_name), ("authority", authority)):
        if text and (not text.isascii() or not text.isprintable() or " " in text or "/" in text):
            raise UsageError(invalid(f"{dashes}{name}", text, "a host name, e.g. shop.example.org"))
    if server_name and not (tls or cacert or cert or insecure_skip_verify):
        raise UsageError(f"{dashes}server-name requires {dashes}tls; {dashes}authority does not")
    security = Security(
        tls=bool(tls or cacert or cert or insecure_skip_verify),
        roots=_certificates(f"{dashes}cacert", cacert) if cacert else None,
        certificate=_certificates(f"{dashes}cert", cert) if cert else None,
        key=_private_key(f"{dashes}key", key) if key else None,
        server_name=server_name,
        authority=authority,
        verify=not insecure_skip_verify,
        options=SecurityOptions(
            tls=tls,
            cacert=_whole(cacert),
            cert=_whole(cert),
            key=_whole(key),
            server_name=server_name,
            authority=authority,
            insecure_skip_verify=insecure_skip_verify,
        ),
    )
    if security.tls:
        _check(security, dashes)
    return security


NO_TLS = "does not speak TLS: remove --tls and its options"
SILENT = "did not answer a TLS handshake: wait until it is ready, or remove --tls"
DEMANDS = "it may require a client certificate, so add --cert FILE --key FILE"


def handshake_fault(error: OSError, security: Security) -> str:
    """Return what the failure of a TLS handshake means, as a clause about the server."""
    import ssl

    if isinstance(error, TimeoutError):
        return SILENT
    if not isinstance(error, ssl.SSLError) or "ALERT" not in (error.reason or ""):
        return NO_TLS
    # An alert is TLS as well: it wants a certificate of ours, or another version.
    reason = (error.reason or "").lower().replace("_", " ").partition("alert ")[2] or "handshake failure"
    if security.certificate is None and any(word in reason for word in ("certificate", "handshake failure")):
        return f"refused the TLS handshake ({reason}): {DEMANDS}"
    if any(word in reason for word in ("certificate", "unknown ca")):
        return f"did not accept the certificate in --cert ({reason}): use one signed by an authority that it trusts"
    if reason == "protocol version":
        return (
            f"refused the TLS handshake ({reason}): it may only support older versions of TLS, but gRPC needs TLS 1.2"
        )
    return f"refused the TLS handshake ({reason})"


def _whole(path: str) -> str:
    """The path of a file for whoever reads it again, wherever that works; nothing for none."""
    return str(Path(path).expanduser().absolute()) if path else ""


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise unreadable(option, path, "a readable PEM file", error) from None


def _certificates(option: str, path: str) -> bytes:
    content = _read(option, path)
    if _CERTIFICATE not in content:
        what = "this file contains a key" if b"PRIVATE KEY-----" in content else "this file contains no certificate"
        raise UsageError(invalid(option, path, f"a certificate in PEM ({_CERTIFICATE.decode()}): {what}"))
    if not content.isascii():
        content = _blocks(content)  # comments between certificates may be in any encoding
    return content


def _blocks(content: bytes) -> bytes:
    """The certificates of a file alone, without what stands between them."""
    end = b"-----END CERTIFICATE-----"
    parts = [part.partition(end)[0] for part in content.split(_CERTIFICATE)[1:]]
    return b"".join(_CERTIFICATE + part + end + b"\n" for part in parts)


def _private_key(option: str, path: str) -> bytes:
    content = _read(option, path)
    if b"PRIVATE KEY-----" not in content:
        raise UsageError(invalid(option, path, "a private key in PEM (-----BEGIN PRIVATE KEY-----)"))
    if b"ENCRYPTED" in content:
        raise UsageError(
            invalid(option, path, "a key without a passphrase, e.g. from `openssl pkey -in KEY -out PLAIN`")
        )
    return content


def _check(security: Security, dashes: str) -> None:
    """Raise UsageError where the certificates cannot be read, or the key is not that of the certificate."""
    import ssl

    files = security.options
    try:
        ssl.create_default_context(cadata=security.roots.decode("ascii") if security.roots else None)
    except (ssl.SSLError, ValueError):
        raise UsageError(invalid(f"{dashes}cacert", files.cacert, "certificates in PEM; this file has none")) from None
    try:
        security.context()
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            expected = f"the private key for the certificate {files.cert}; this is a different key"
            raise UsageError(invalid(f"{dashes}key", files.key, expected)) from None
        expected = f"a certificate and its key ({files.key}) in PEM that OpenSSL can read"
        raise UsageError(invalid(f"{dashes}cert", files.cert, expected)) from None


@contextlib.contextmanager
def _files(certificate: bytes, key: bytes) -> Iterator[tuple[str, str]]:
    """The paths of two files for OpenSSL, which takes nothing else; on Linux they are memory only."""
    with contextlib.ExitStack() as stack:
        paths = []
        for content in (certificate, key):
            if hasattr(os, "memfd_create"):
                number = os.memfd_create("grpclab")
                stack.callback(os.close, number)
                os.write(number, content)
                paths.append(f"/proc/self/fd/{number}")
            else:
                file = stack.enter_context(tempfile.NamedTemporaryFile())  # readable by its user alone
                file.write(content)
                file.flush()
                paths.append(file.name)
        yield paths[0], paths[1]


def _no_passphrase() -> str:
    """Answer OpenSSL, which would ask on the terminal."""
    return ""
