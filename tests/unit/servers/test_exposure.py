"""Where a server is to listen, and who reaches it then."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.servers.process.exposure import ListenAddress, listen_address

SERVICES = ("a.B", "c.D")


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_loopback_is_this_machine_only(given: str, host: str) -> None:
    where = listen_address(given)
    assert (where.host, where.local, where.exposure(SERVICES)) == (host, True, "")


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("0", "0.0.0.0"),
        ("0x0", "0.0.0.0"),
        ("::", "::"),
        ("[::]", "::"),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_any_other_address_is_everybody(given: str, host: str) -> None:
    where = listen_address(given)
    assert (where.host, where.local) == (host, False)
    line = where.exposure(SERVICES, diagnostics="the desk is elsewhere")
    assert "\n" not in line
    for part in (host, *SERVICES, "without TLS", "the desk is elsewhere"):
        assert part in line
    assert "over TLS" in where.exposure(SERVICES, tls=True)


def test_a_name_is_what_it_stands_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *_: Any, flags: int, **__: Any) -> list[Any]:
        if host != "localhost" or flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in ("127.0.0.1", "192.0.2.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    where = listen_address("localhost")
    assert where == ListenAddress(host="localhost", addresses=("127.0.0.1", "192.0.2.1"))
    assert "192.0.2.1" in where.exposure(SERVICES)
    with pytest.raises(UsageError):
        listen_address("elsewhere")


@pytest.mark.parametrize("given", ["300.0.0.1", "a b", "[::1", "x" * 300])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="--host="):
        listen_address(given)
