"""Who listens at a target, and with how many connections, for ports and for Unix sockets."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.system.listeners import connections_by_process, connections_of, listening_at
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
