"""The notations of a server's address, and the rule that load goes to this machine only. Pure.

``HOST:PORT``, or ``unix:PATH`` for a Unix socket, is what the rest of the package uses. Here the other ways in which
people and tools write the same address become that: URLs (``http://localhost:50051``), gRPC's own names (``dns:///``,
``passthrough:///``, ``ipv4:``, ``ipv6:``, ``unix:///PATH``), the addresses that a server listens on
(``0.0.0.0:50051``, ``[::]:50051``, ``:50051``).

Several servers with the same port, on addresses of this machine, are ``HOST,HOST:PORT``, or as gRPC writes them:
``ipv4:HOST:PORT,HOST:PORT``.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re

from grpclab.errors import UsageError, invalid

EXAMPLE = "127.0.0.1:50051"
LOOPBACK = "127.0.0.0/8, ::1 or localhost"

_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*):(?=//)|(dns|passthrough|ipv4|ipv6|unix|unix-abstract|vsock|xds):(?!\d+$)"
)
_PLAIN = ("http", "grpc", "tcp", "dns", "passthrough", "ipv4", "ipv6")
"""Schemes behind which ``HOST:PORT`` stands."""
_TLS = ("https", "grpcs")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?", re.ASCII)
UNIX = "unix:"
"""The beginning of a target that is a Unix socket: its path follows."""
LONGEST_PATH = 107
"""The longest path of a Unix socket, in bytes: what ``sockaddr_un`` holds, without its last zero."""


def host_port(text: object, *, remote: bool = False) -> str:
    """The one ``HOST:PORT``, or ``unix:PATH``, that `text` means. Raises UsageError unless it is on this machine.

    With `remote` it may be on another one, by its name or its address.
    """
    host, port = parse(text, remote=remote)
    if host.startswith(UNIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(text: object, *, remote: bool = False) -> tuple[str, int]:
    """Host and port; the host is ``localhost`` or a loopback address without brackets. Raises UsageError.

    With `remote` it may be any address of one machine, or a name.

    A Unix socket is the host ``unix:PATH``, its path absolute, with the port 0. Of several addresses the host is all of
    them, joined by commas.
    """
    if not isinstance(text, str):
        raise refused(text, f"a string such as {EXAMPLE!r}")
    if match := re.fullmatch(r"unix:(?P<authority>//)?(?P<path>.*)", text.strip(), re.IGNORECASE | re.DOTALL):
        return UNIX + _socket_path(text, match["path"], absolute=match["authority"] is not None), 0
    rest = _without_scheme(text)
    if "," in rest:
        return _several(text, rest)
    if not (match := re.fullmatch(r"(?P<host>\[[^][]*\]|[^:]*):(?P<port>\d{1,5})", rest, re.ASCII)):
        raise refused(text, _instead(rest))
    port = int(match["port"])
    if not 0 < port < 65536:
        raise refused(text, "a port from 1 to 65535")
    host = match["host"].lower()
    if host in ("", "*", "localhost", "localhost."):
        return "localhost", port
    try:
        if host.startswith("["):
            return _loopback(ipaddress.IPv6Address(host[1:-1])), port
        return _loopback(ipaddress.IPv4Address(host)), port
    except ValueError:
        if remote:
            return _elsewhere(text, host), port
        expected = (
            f"an address on this machine ({LOOPBACK}), e.g. localhost:{port}; any other address needs --allow-remote"
        )
        raise refused(text, expected) from None


def _elsewhere(text: str, host: str) -> str:
    """The host on another machine: a name that DNS may know, or an address. Raises UsageError."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if _NAME.fullmatch(host) and not host.rpartition(".")[2].isdigit() and not host.startswith("0x"):
            return host
        raise refused(text, "the name or address of a host, e.g. shop.example.org:443") from None
    if address.is_multicast or str(address) == "255.255.255.255" or getattr(address, "scope_id", None):
        raise refused(text, "the address of a single machine")
    return str(address)


def _several(text: str, rest: str) -> tuple[str, int]:
    """The addresses of several servers, joined by commas, and the port that they have in common. Raises UsageError."""
    parts = [re.fullmatch(r"([\d.]+)(?::(\d{1,5}))?", part.strip(), re.ASCII) for part in rest.split(",")]
    found = [(part[1], part[2]) for part in parts if part]
    ports = {int(port) for _, port in found if port}
    try:
        hosts = [_loopback(ipaddress.IPv4Address(host)) for host, _ in found]
    except ValueError:
        hosts = []
    if len(hosts) < len(parts) or len(ports) != 1 or not 0 < (port := ports.pop()) < 65536:
        raise refused(text, "IPv4 addresses on this machine with the same port, e.g. 127.0.0.1,127.0.0.2:50051")
    return ",".join(dict.fromkeys(hosts)), port


def first_of(target: str) -> str:
    """The first server of a target that may be several."""
    if target.startswith(UNIX) or "," not in target:
        return target
    hosts, _, port = target.rpartition(":")
    return f"{hosts.partition(',')[0]}:{port}"


def _socket_path(text: str, path: str, *, absolute: bool) -> str:
    """The absolute path of a Unix socket."""
    if not path or path.endswith("/") or not path.isprintable() or (absolute and not path.startswith("/")):
        raise refused(text, "unix:PATH or unix:///PATH, the path of a socket, e.g. unix:/run/shop.sock")
    path = posixpath.abspath(path)
    if len(path.encode(errors="surrogateescape")) > LONGEST_PATH:
        raise refused(text, f"a path of at most {LONGEST_PATH} bytes, the system's limit for a socket")
    return path


def _without_scheme(text: str) -> str:
    """The ``HOST:PORT`` of an address in one of its other forms."""
    rest = text.strip()
    if not (match := _SCHEME.match(rest)):
        return rest
    scheme, rest = (match[1] or match[2]).lower(), rest[match.end() :]
    if scheme in _TLS:
        raise refused(text, f"HOST:PORT together with --tls, e.g. {EXAMPLE} --tls")
    if scheme == "unix-abstract":
        raise refused(text, "a socket with a path, e.g. unix:/run/shop.sock")
    if scheme not in _PLAIN:
        raise refused(text, f"HOST:PORT, e.g. {EXAMPLE}, alone or after {', '.join(f'{one}://' for one in _PLAIN[:2])}")
    # dns://AUTHORITY/HOST:PORT asks a name server; of the names that have a meaning here, none needs one.
    return rest.removeprefix("///" if scheme not in ("http", "grpc", "tcp") else "//").removesuffix("/")


def _loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address to call. Raises ValueError where it is not on this machine."""
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_unspecified:  # a server that listens on all addresses answers on this one, too
        return "127.0.0.1" if address.version == 4 else "::1"
    if not is_loopback(str(address)):
        raise ValueError
    return str(address)


def is_loopback(address: str) -> bool:
    """True if an address in numbers, as a resolver gives it, is one of this machine's own, which no other reaches."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return parsed.is_loopback and not getattr(parsed, "scope_id", None)


def _instead(rest: str) -> str:
    """Advice on how an address that cannot be read is to be written."""
    try:
        host = rest if rest.lower() == "localhost" else _loopback(ipaddress.ip_address(rest.strip("[]")))
    except ValueError:
        return f"HOST:PORT, e.g. {EXAMPLE}"
    return f"a port after it, e.g. {f'[{host}]' if ':' in host else host}:50051"


def refused(text: object, expected: str) -> UsageError:
    """The error for a target that cannot be loaded."""
    return UsageError(invalid("target", text, expected))
