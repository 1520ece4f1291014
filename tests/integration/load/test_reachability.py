"""Why a target cannot be loaded is told in the same words by both engines and by reflection, and as soon as it can."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.errors import TargetError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.http2 import frames
from grpclab.load.calls.method import find_call, greeting
from grpclab.load.reachability import Diagnosis, await_listener, look, unreachable
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.transport import PLAINTEXT, Security

PATIENCE_S = 0.3


@contextlib.contextmanager
def answering(greeting: bytes | None) -> Iterator[str]:
    """A target that greets each connection with these bytes and closes it; None: it says nothing and stays."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        kept = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = door.accept()
                    kept.append(connection)
                    if greeting is not None:
                        with contextlib.suppress(OSError):
                            connection.sendall(greeting)
                            connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{door.getsockname()[1]}"
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


@pytest.fixture(scope="module")
def tls_server() -> Iterator[RunningServer]:
    with launch(ServerConfig(tls=True)) as running:
        yield running


def refusal(engine: str, target: str, security: Security = PLAINTEXT, timeout_s: float = 60.0) -> str:
    """What an engine says that cannot connect. A minute is not waited for where it cannot help."""
    config = TrialConfig().replace({"load.engine": engine})

    async def connect() -> None:
        made = ENGINES[engine](config, target, security, greeting(config.load), residence=False)
        try:
            await made.connect(timeout_s)
        finally:
            await made.close()

    with pytest.raises(TargetError) as raised:
        asyncio.run(connect())
    return str(raised.value)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_tls_port_is_called_one_at_once(engine: str, tls_server: RunningServer) -> None:
    assert "speaks TLS" in refusal(engine, tls_server.target)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_an_http_1_server_is_called_one_at_once(engine: str) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as target:
        assert "speaks HTTP/1.1" in refusal(engine, target)


@pytest.mark.parametrize("engine", list(ENGINES))
def test_another_protocol_is_shown_by_its_first_bytes(engine: str) -> None:
    with answering(b"220 mail \x1b[2J ready\r\n") as target:
        line = refusal(engine, target)
    assert "220 mail" in line
    assert line.isprintable()


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_server_without_tls_is_told_to_a_client_with_it(engine: str, tls_server: RunningServer) -> None:
    with answering(b"") as target:
        assert "does not speak TLS" in refusal(engine, target, tls_server.security)


def test_a_server_that_does_not_answer_a_handshake_is_waited_for() -> None:
    with answering(None) as target:
        found = look(target, Security(tls=True), patience_s=PATIENCE_S)
    assert found.text.startswith(f"the server at {target} did not answer a TLS handshake")
    assert not found.final


@pytest.mark.parametrize("engine", list(ENGINES))
def test_a_port_where_nothing_listens_is_waited_for(engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    assert refusal(engine, target, timeout_s=PATIENCE_S).startswith(f"no server responded at {target} within 0.3 s")


def test_reflection_says_the_same(tls_server: RunningServer) -> None:
    with pytest.raises(TargetError, match="speaks TLS"):
        find_call(tls_server.target, "shop.Cart/Get", timeout_s=60.0)


def test_a_server_that_speaks_http_2_or_says_nothing_is_waited_for() -> None:
    waited = Diagnosis(text="", final=False)
    with answering(frames.settings({})) as target:
        assert look(target, patience_s=PATIENCE_S) == waited
    with answering(None) as target:
        assert look(target, patience_s=PATIENCE_S) == waited
    assert "(refused)" in str(unreachable("here:1", 5.0, waited, "refused"))


@pytest.mark.parametrize("engine", list(ENGINES))
def test_too_few_open_files_are_called_so(engine: str, tmp_path: Path) -> None:
    with launch(ServerConfig()) as server:
        # Not a preexec_fn: that forks, and gRPC's threads in this process may then never let go.
        command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]
        command += [sys.executable, "-m", "grpclab", "bench", server.target, "-q", "--engine", engine]
        command += ["--connections", "100", "-n", "200", "-c", "100"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_where_no_file_can_be_opened_nobody_says_that_nothing_listens(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, "full")

    monkeypatch.setattr(socket, "create_connection", full)
    with pytest.raises(TargetError, match=r"cannot open a connection to 127\.0\.0\.1:1, since") as caught:
        await_listener("localhost:1")
    assert ("ulimit" in str(caught.value)) == (number == errno.EMFILE)
