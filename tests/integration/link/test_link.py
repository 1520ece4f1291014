"""The relay of the emulated link with real sockets."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpclab.errors import WorkerError
from grpclab.factors.config import LinkConfig
from grpclab.http2 import frames
from grpclab.link.emulation import check_link, running_link
from grpclab.link.model import Direction
from grpclab.link.relay_messages import RelayListening, RelayOrder
from grpclab.system.json_lines import decode, encode
from grpclab.system.subprocesses import MARK

UP, DOWN = Direction.UP, Direction.DOWN


@contextlib.contextmanager
def server(handle: Callable[[socket.socket], None], *, connections: int = 1) -> Iterator[str]:
    """A TCP server on loopback that handles so many connections, each in a thread."""

    def accept() -> None:
        with contextlib.suppress(OSError):
            for _ in range(connections):
                sock, _ = listener.accept()
                sock.settimeout(60)
                threads.append(threading.Thread(target=serve, args=(sock,)))
                threads[-1].start()

    def serve(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            handle(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        for thread in threads:
            thread.join(60)


def connect(target: str) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(2**18):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def run_relay(order: str) -> subprocess.CompletedProcess[str]:
    """The relay's process with an order, to its end."""
    command = [sys.executable, "-m", "grpclab.link.emulation"]
    return subprocess.run(command, input=order + "\n", capture_output=True, text=True, check=False)


def digest_of(sock: socket.socket) -> tuple[int, str]:
    total, digest = 0, hashlib.blake2b()
    while data := sock.recv(2**18):
        total += len(data)
        digest.update(data)
    return total, digest.hexdigest()


def no_uvloop(folder: Path) -> dict[str, str]:
    """An environment in which uvloop is not installed."""
    (folder / "uvloop.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize("uvloop", [True, False])
@pytest.mark.parametrize("config", [LinkConfig(rtt_ms=4), LinkConfig(rtt_ms=2, bandwidth_mbps=2000)])
def test_bytes_and_the_end_of_the_stream_come_through_both_ways(
    config: LinkConfig, uvloop: bool, tmp_path: Path
) -> None:
    block = bytes(range(256)) * 512 + b"odd"
    blocks = 80  # 10 MB
    env = {} if uvloop else no_uvloop(tmp_path)
    with server(echo) as target, running_link(config, target, env=env) as link, connect(link.target) as sock:

        def send() -> None:
            for _ in range(blocks):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = digest_of(sock)
        sender.join()
        link.require_alive()
    assert received == (len(block) * blocks, hashlib.blake2b(block * blocks).hexdigest())


def test_a_round_trip_is_never_shorter_than_asked() -> None:
    with server(echo) as target, running_link(LinkConfig(rtt_ms=10), target) as link:
        began = time.monotonic()
        with connect(link.target) as sock:
            for number in range(5):
                sock.sendall(b"ping")
                assert sock.recv(100) == b"ping"
                took = time.monotonic() - began
                assert took >= 0.010 * (2 if number == 0 else 1)  # the first one carries the handshake
                began = time.monotonic()


def test_after_silence_nothing_comes_through_and_nobody_is_told() -> None:
    received: list[bytes] = []

    def collect(sock: socket.socket) -> None:
        while data := sock.recv(100):
            received.append(data)
            sock.sendall(b"yes")

    idle_s = 0.15
    with server(collect) as target, running_link(LinkConfig(idle_timeout_s=idle_s), target) as link:
        with connect(link.target) as sock:
            sock.sendall(b"before")
            assert sock.recv(100) == b"yes"
            time.sleep(2 * idle_s)  # the silence itself: the relay's clock is the real one
            sock.sendall(b"after")
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                sock.recv(100)
        link.require_alive()
    assert received == [b"before"]


def test_a_target_that_nobody_serves_ends_in_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with running_link(LinkConfig(), f"127.0.0.1:{port}") as link, connect(link.target) as sock:
        sock.settimeout(60)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_reset_of_the_server_reaches_the_client_behind_its_last_bytes() -> None:
    def answer_and_reset(sock: socket.socket) -> None:
        sock.sendall(b"last words")
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    config = LinkConfig(rtt_ms=4)
    with (
        server(answer_and_reset) as target,
        running_link(config, target) as link,
        connect(link.target) as sock,
    ):
        assert sock.recv(100) == b"last words"
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_a_reader_that_stands_still_holds_the_sender_back() -> None:
    """Memory is bounded: the relay stops reading long before the sender is through."""
    release = threading.Event()

    def stand_still(sock: socket.socket) -> None:
        release.wait(60)
        while sock.recv(2**20):
            pass

    config = LinkConfig(bandwidth_mbps=1000)
    sent, offered, block = 0, 400 * 2**20, bytes(2**20)
    with server(stand_still) as target, running_link(config, target) as link, connect(link.target) as sock:
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while sent < offered:
                sent += sock.send(block)
        release.set()
    assert sent < offered


def test_the_relay_refuses_other_machines() -> None:
    order = encode(RelayOrder(target="192.0.2.1:50051", link=LinkConfig(rtt_ms=1)))
    run = run_relay(order)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert "192.0.2.1:50051" in run.stderr


@pytest.mark.parametrize(
    "order",
    [
        "",
        "nonsense",
        "{}",
        '{"target": "127.0.0.1:1"}',
        '{"target": "127.0.0.1:1", "link": {"rtt": 1}}',
        '{"target": "127.0.0.1:1", "link": {"rtt_ms": -1}}',
        '{"target": "127.0.0.1:1", "link": {"rtt_ms": "1"}}',
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: str) -> None:
    run = run_relay(order)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("ending", ["end of stdin", "SIGTERM"])
def test_the_relay_ends_with_its_parent(ending: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "grpclab.link.emulation"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode(RelayOrder(target="127.0.0.1:9", link=LinkConfig())).encode() + b"\n")
        process.stdin.flush()
        assert decode(RelayListening, process.stdout.readline().removeprefix(MARK)).port > 0
        if ending == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(60) == 0


def test_nothing_is_left_behind() -> None:
    with running_link(LinkConfig(), "localhost:9") as link:
        link.require_alive()
    with pytest.raises(WorkerError, match=r"^the emulated link \(pid \d+\) ended with exit code \d+"):
        link.require_alive()


def test_starting_the_relay_does_not_import_the_laboratory() -> None:
    code = "import sys, grpclab.link.relay; print({'grpc', 'numpy', 'pandas', 'google'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_link_says_what_it_really_does() -> None:
    check = check_link(LinkConfig(rtt_ms=10))
    assert check["rtt_ms_asked"] == 10
    assert 10 <= check["rtt_ms_p50"] <= check["rtt_ms_p99"]
    assert 0 < check["direct_ms_p50"] < check["rtt_ms_p50"]
    assert check["overhead_ms_p50"] >= 0
    assert check["probes"] >= 1000


def test_a_link_with_an_idle_timeout_tells_of_connections_pings_and_goaways() -> None:
    sent = frames.PREFACE + frames.ping(b"12345678")
    answer = frames.settings({}) + frames.goaway(0, frames.ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running_link(LinkConfig(idle_timeout_s=30.0), f"127.0.0.1:{server.getsockname()[1]}") as link,
    ):
        host, port = link.target.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(sent)
            peer, _ = server.accept()
            with peer:
                assert peer.recv(len(sent), socket.MSG_WAITALL) == sent
                peer.sendall(answer)
                assert client.recv(len(answer), socket.MSG_WAITALL) == answer
        traffic = link.traffic()
    assert (traffic.connections, traffic.client_pings, traffic.server_pings) == (1, 1, 0)
    assert traffic.goaways == {"ENHANCE_YOUR_CALM too_many_pings": 1}
