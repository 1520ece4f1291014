"""Proxy variables of the environment, and a proxy that nobody should come to."""

from __future__ import annotations

import contextlib
import socket
import threading

_NAMES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
VARIABLES = (*_NAMES, *map(str.upper, _NAMES))


class Proxy:
    """A listener that counts who connects, and closes the connection."""

    def __init__(self) -> None:
        self.connections = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._door.accept()[0].close()
                self.connections += 1

    def close(self) -> None:
        """Stop listening."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(5)
