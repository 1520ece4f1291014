"""What is read or written in pieces takes time in proportion to its length: eight times the length, about eight times
the time, where work that grows with the square would take 64 times."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable

import pytest

from grpclab.http2 import frames, messages
from grpclab.http2.headers import HUFFMAN_BYTES, BlockDecoder, RequestHeaders, literal
from grpclab.http2.messages import MessageReader
from grpclab.load.calls import request
from grpclab.servers.process.server_messages import CommandOrder, ServerListening
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, Lines

TIMES, MOST = 8, 28


def a_line(size: int) -> None:
    lines = Lines()
    piece = bytes(4_096)
    for _ in range(size // 4_096):
        assert lines.feed(piece) == []
    assert [len(line) for line in lines.feed(b"\n")] == [size // 4_096 * 4_096]


def a_header_to_send(size: int) -> None:
    RequestHeaders([("mark", "q" * size)]).block()


def a_header_that_came(size: int) -> None:
    BlockDecoder(lambda headers: headers).decode(literal("mark", "q" * size))


def a_status(size: int) -> None:
    assert messages.decode_text(messages.encode_text("ä " * (size // 2))) == "ä " * (size // 2)


def a_message(size: int) -> None:
    reader = MessageReader(keep=True)
    reader.feed(b"\0" + size.to_bytes(4, "big"))
    for _ in range(size // 64):
        reader.feed(bytes(64))
    assert len(reader.messages[0]) == size


def objects(size: int) -> None:
    request.parse("[" + ",".join(['{"a":1}'] * (size // 8)) + "]")


@pytest.mark.parametrize(
    ("work", "size"),
    [
        (a_line, 4_096 * 512),
        (a_header_to_send, 8_192),
        (a_header_that_came, frames.MAX_LIST_BYTES // TIMES - 64),
        (a_status, 8_192),
        (a_message, 64 * 2_048),
        (objects, 8 * 2_048),
    ],
)
def test_time_grows_with_the_length(work: Callable[[int], None], size: int) -> None:
    def best(of: int) -> float:
        took = []
        for _ in range(3):
            begun = time.process_time_ns()
            work(of)
            took.append(time.process_time_ns() - begun)
        return min(took) + 200_000  # below that, whatever it is does not matter

    assert best(TIMES * size) < MOST * best(size)


def test_lines_come_out_as_they_went_in_however_they_were_cut() -> None:
    said = b"one\n\ntwo\nthree"
    for cut in range(1, len(said)):
        lines = Lines()
        came = [line for at in range(0, len(said), cut) for line in lines.feed(said[at : at + cut])]
        assert [*came, *lines.feed(b"\n")] == [b"one", b"", b"two", b"three"]


@pytest.mark.parametrize("size", [HUFFMAN_BYTES, HUFFMAN_BYTES + 1, 100_000])
def test_a_long_header_arrives_as_it_was(size: int) -> None:
    headers = [("short", "value"), ("mark", "q" * size)]
    assert BlockDecoder(lambda found: found).decode(RequestHeaders(headers).block()) == headers


def test_a_command_longer_than_a_pipe_starts_its_server() -> None:
    serving = "import socket, sys, time; held = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
    command = f"{shlex.join([sys.executable, '-c', serving])} {{port}} {'x' * 90_000}"
    with Child("grpclab.servers.process.command", name="server") as child:
        child.send(CommandOrder(command=command, timeout_s=START_TIMEOUT_S))
        assert child.receive(START_TIMEOUT_S, ServerListening).started
