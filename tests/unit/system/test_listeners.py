"""Who listens at a target, and with how many connections, for ports and for Unix sockets."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.system.listeners import bytes_carried, connections_by_process, connections_of, listening_at
from grpclab.system.procfs import UnixSocket

CLIENTS = 3


@contextlib.contextmanager
def served(family: socket.AddressFamily, address: str | tuple[str, int]) -> Iterator[socket.socket]:
    """A listener of this process, with some clients of this process whose connections it has accepted."""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket(family))
        door.bind(address)
        door.listen()
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket(family))
            client.connect(door.getsockname())
            stack.enter_context(door.accept()[0])
        yield door


def test_a_unix_socket_is_seen_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with served(socket.AF_UNIX, str(path)):
        target = f"unix:{path}"
        assert listening_at(target) == [os.getpid()]
        assert connections_by_process(target) == (CLIENTS,)
        assert connections_of([os.getpid()], target) == CLIENTS
    assert listening_at(target) == []
    assert connections_by_process(target) == ()


def test_a_port_is_seen_from_outside() -> None:
    with served(socket.AF_INET, ("127.0.0.1", 0)) as door:
        target = f"127.0.0.1:{door.getsockname()[1]}"
        assert listening_at(target) == [os.getpid()]
        assert connections_by_process(target) == (CLIENTS,)
        assert connections_of([os.getpid()], target) == CLIENTS


@pytest.mark.parametrize("path", ["/nowhere/s", "/run/s with spaces"])
def test_a_system_that_does_not_tell_has_no_listener(path: str, tmp_path: Path) -> None:
    assert UnixSocket.at(path, root=tmp_path) == UnixSocket(listening=frozenset(), connections={})


def test_the_bytes_of_its_own_connections_are_what_went_over_them() -> None:
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        target = f"127.0.0.1:{door.getsockname()[1]}"
        assert bytes_carried(target) == (0, 0, 0)
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.create_connection(door.getsockname()))
            server = stack.enter_context(door.accept()[0])
            client.sendall(b"x" * 1000)
            assert len(_exactly(server, 1000)) == 1000
            server.sendall(b"y" * 300)
            assert len(_exactly(client, 300)) == 300
        assert bytes_carried(target) == (CLIENTS, CLIENTS * 1000, CLIENTS * 300)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data))
    return data


def test_a_unix_socket_has_no_tcp(tmp_path: Path) -> None:
    with served(socket.AF_UNIX, str(tmp_path / "door")):
        assert bytes_carried(f"unix:{tmp_path}/door") == (0, 0, 0)
