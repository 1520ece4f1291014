"""What may stand for the address of a server, and that nothing but this machine is ever loaded."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import greeting
from grpclab.servers.process.launcher import launch
from grpclab.system import dialling
from grpclab.system.addresses import host_port
from grpclab.system.dialling import loopback_target
from grpclab.system.transport import PLAINTEXT

BOTH = ("127.0.0.1", "::1")
Resolver = Callable[..., None]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resolver:
    """Lets `localhost` stand for some addresses in the file of hosts; no name server is asked."""
    monkeypatch.setattr(dialling, "HOSTS", tmp_path / "hosts")
    monkeypatch.setattr(socket, "getaddrinfo", _refuse_to_resolve)

    def stands_for(*addresses: str) -> None:
        lines = [f"{address} here Localhost # of a test" for address in addresses for _ in range(2)]
        (tmp_path / "hosts").write_text("\n".join(["# localhost", "", "192.0.2.9 other.localhost", *lines]))

    return stands_for


def _refuse_to_resolve(host: str, *_: Any, **__: Any) -> NoReturn:
    raise AssertionError(f"a name server is asked for {host}")


@pytest.mark.parametrize(
    ("text", "meant", "hosts"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", ("127.0.0.1",)),
        ("127.9.9.9:65535", "127.9.9.9:65535", ("127.9.9.9",)),
        ("[::1]:50051", "[::1]:50051", ("::1",)),
        ("[0:0:0:0:0:0:0:1]:7", "[::1]:7", ("::1",)),
        ("[::ffff:127.0.0.1]:7", "127.0.0.1:7", ("127.0.0.1",)),
        ("localhost:50051", "localhost:50051", BOTH),
        ("LocalHost.:50051", "localhost:50051", BOTH),
        (" localhost:50051\n", "localhost:50051", BOTH),
        # what a server listens on
        ("0.0.0.0:7", "127.0.0.1:7", ("127.0.0.1",)),
        ("[::]:7", "[::1]:7", ("::1",)),
        (":7", "localhost:7", BOTH),
        ("*:7", "localhost:7", BOTH),
        # URLs
        ("http://localhost:7", "localhost:7", BOTH),
        ("HTTP://127.0.0.1:7/", "127.0.0.1:7", ("127.0.0.1",)),
        ("grpc://[::1]:7", "[::1]:7", ("::1",)),
        ("tcp://localhost:7", "localhost:7", BOTH),
        # gRPC's names
        ("dns:localhost:7", "localhost:7", BOTH),
        ("dns:///localhost:7", "localhost:7", BOTH),
        ("passthrough:///localhost:7", "localhost:7", BOTH),
        ("ipv4:127.0.0.1:7", "127.0.0.1:7", ("127.0.0.1",)),
        ("ipv6:[::1]:7", "[::1]:7", ("::1",)),
        # several servers
        ("ipv4:127.0.0.1:7,127.0.0.2:7", "127.0.0.1,127.0.0.2:7", ("127.0.0.1", "127.0.0.2")),
        ("127.0.0.1,127.0.0.2:7", "127.0.0.1,127.0.0.2:7", ("127.0.0.1", "127.0.0.2")),
        ("127.0.0.2:7, 127.0.0.1:7,127.0.0.2:7", "127.0.0.2,127.0.0.1:7", ("127.0.0.2", "127.0.0.1")),
    ],
)
def test_an_address_may_be_written_in_many_ways(
    resolver: Resolver, text: str, meant: str, hosts: tuple[str, ...]
) -> None:
    resolver("::1", "127.0.0.1")
    assert host_port(text) == meant
    assert loopback_target(text) == (hosts, int(meant.rpartition(":")[2]))


@pytest.mark.parametrize("text", ["unix:/run/s", "unix:///run/s", "UNIX:/run/x/../s", " unix:/run/s\n"])
def test_a_unix_socket_may_be_written_in_several_ways(text: str) -> None:
    assert host_port(text) == "unix:/run/s"
    assert loopback_target(text) == (("unix:/run/s",), 0)


def test_a_relative_path_is_one_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert host_port("unix:s") == f"unix:{tmp_path}/s"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("localhost", "localhost:50051"),
        ("127.0.0.1", "127.0.0.1:50051"),
        ("http://localhost", "localhost:50051"),
        ("::1", r"\[::1\]:50051"),
        ("[::1]", r"\[::1\]:50051"),
        ("::1:8080", "HOST:PORT"),
        ("localhost:0", "1 to 65535"),
        ("localhost:65536", "1 to 65535"),
        ("localhost:٣", "HOST:PORT"),
        ("", "HOST:PORT"),
        ("localhost:7/path", "HOST:PORT"),
        ("http://user:word@localhost:7", "HOST:PORT"),
        *(
            (several, "addresses on this machine with the same port")
            for several in (
                "ipv4:127.0.0.1:7,127.0.0.2:8",
                "127.0.0.1,127.0.0.2",
                "127.0.0.1:0,127.0.0.2:0",
                "127.0.0.1:7,",
                "127.0.0.1:7,10.0.0.1:7",
                "127.0.0.1:7,localhost:7",
                "127.0.0.1:7,127.0.0.2:65536",
            )
        ),
        ("https://localhost:7", "--tls"),
        ("grpcs://localhost:7", "--tls"),
        ("unix:", "unix:PATH"),
        ("unix:/run/", "unix:PATH"),
        ("unix://run/s", "unix:///PATH"),
        ("unix:/" + "s" * 107, "at most 107 bytes"),
        ("unix-abstract:s", "unix:/run/shop.sock"),
        ("xds:///service", "HOST:PORT"),
        ("10.0.0.1:50051", "on this machine"),
        ("10.0.0.1", "HOST:PORT"),
        ("example.org:80", "on this machine"),
        ("http://example.org:80", "on this machine"),
        ("dns://8.8.8.8/localhost:7", "on this machine"),
        ("[2001:db8::1]:80", "on this machine"),
        ("[::1%eth0]:80", "on this machine"),
        ("localhost.example:80", "on this machine"),
        ("1:2", "on this machine"),
        ("2130706433:80", "on this machine"),
        ("0x7f000001:80", "on this machine"),
        ("0177.0.0.1:80", "on this machine"),
        ("127.1:80", "on this machine"),
        ("127.0.0.1.:80", "on this machine"),
        ("[::ffff:10.0.0.1]:80", "on this machine"),
        ("[::127.0.0.1]:80", "on this machine"),
        ("[::1%1]:80", "on this machine"),
        ("127.0.0.1%lo:80", "on this machine"),
        (50051, "a string"),
        (None, "a string"),
        (b"localhost:7", "a string"),
    ],
)
def test_any_other_address_is_refused_with_what_would_do(text: Any, hint: str) -> None:
    for parse in (host_port, loopback_target):
        shown = re.escape(str(text).replace("user:word@", "redacted@"))
        with pytest.raises(UsageError, match=rf"^invalid target={shown}: expected .*{hint}"):
            parse(text)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("127.0.0.1", "127.0.1.1"), ("::1",), ("::ffff:127.0.0.1",)])
def test_localhost_is_what_it_stands_for(resolver: Resolver, addresses: tuple[str, ...]) -> None:
    resolver(*addresses)
    assert loopback_target("localhost:7") == (addresses, 7)


def test_localhost_that_no_resolver_knows_is_loopback(resolver: Resolver) -> None:
    resolver()
    assert loopback_target("localhost:7") == (BOTH, 7)


@pytest.mark.parametrize(
    "outside", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "::", "fe80::1%eth0", "::1%eth0"]
)
@pytest.mark.parametrize("more", [(), ("127.0.0.1",)])
def test_localhost_that_stands_for_another_machine_is_refused(
    resolver: Resolver, outside: str, more: tuple[str, ...]
) -> None:
    resolver(*more, outside)
    with pytest.raises(UsageError, match=rf"^invalid target=localhost:7: .*{re.escape(outside)}"):
        loopback_target("localhost:7")


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_an_engine_dials_the_addresses_that_were_judged(resolver: Resolver, engine: str) -> None:
    # The second lookup is of a resolver that has changed its mind: there must be none.
    with launch(ServerConfig()) as server:
        port = server.target.rpartition(":")[2]
        resolver("::1", "127.0.0.1")
        asyncio.run(one_connection(engine, f"localhost:{port}", lambda: resolver("192.0.2.1")))
        with pytest.raises(UsageError, match="192"):
            asyncio.run(one_connection(engine, f"localhost:{port}", lambda: None))


async def one_connection(engine: str, target: str, made: Callable[[], None]) -> None:
    """Make an engine, and let it connect."""
    config = TrialConfig().replace({"load.engine": engine})
    client = ENGINES[engine](config, target, PLAINTEXT, greeting(config.load), residence=False)
    made()
    await client.connect(20.0)
    await client.close()


_PIECES = ["localhost", "127.0.0.1", "0.0.0.0", "10.1.2.3", "[::1]", "::", "/", ":", "//", "http:", "dns:", "ipv6:"]
_PIECES += ["unix:", "50051", "0", "%", "@", " ", "é", "[", "]", "example.org"]


@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(_PIECES), max_size=7).map("".join)))
def test_whatever_is_written_is_refused_or_means_this_machine(text: str) -> None:
    try:
        meant = host_port(text)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return
    hosts, port = loopback_target(text)
    assert all(host.startswith("unix:/") or ipaddress.ip_address(host).is_loopback for host in hosts)
    assert 0 < port < 65536 or meant.startswith("unix:/")
    assert host_port(meant) == meant
    assert loopback_target(meant) == (hosts, port)
