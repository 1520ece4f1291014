"""The agent in a server process: each question has its answer, and anything else has none."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import tempfile
from collections.abc import Iterator

import pytest

from grpclab.servers import agent


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    """A folder with the socket of this process; its name is short enough for one."""
    with tempfile.TemporaryDirectory() as path:
        agent.start(path)
        yield path


def test_the_collector_s_generations_are_those_of_the_process(folder: str) -> None:
    answer = agent.ask(folder, os.getpid(), 60.0, agent.GenerationsQuestion())
    assert [one.collections for one in answer.generations] <= [stats["collections"] for stats in gc.get_stats()]


def test_the_heap_is_of_what_is_still_held(folder: str) -> None:
    held: list[bytearray] = []

    async def ask() -> agent.Allocations:
        question = asyncio.ensure_future(
            agent.ask_later(folder, os.getpid(), 60.0, agent.HeapQuestion(seconds=0.3)),
        )
        while not question.done():
            held.append(bytearray(100_000))
            await asyncio.sleep(0.02)
        return await question

    answer = asyncio.run(ask())
    here = [one for one in answer.allocations if any(file == __file__ for file, _ in one.frames)]
    assert max(one.size for one in here) >= 100_000
    assert all(one.blocks > 0 for one in answer.allocations)


@pytest.mark.parametrize("line", [b"garbage\n", b"{}\n", b"[]\n", b'{"message": "HeapQuestion"}\n', b"\xff\n", b""])
def test_anything_else_is_hung_up_on_and_the_next_question_is_answered(folder: str, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(agent.path_of(folder, os.getpid())))
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert agent.ask(folder, os.getpid(), 60.0, agent.GenerationsQuestion()).generations
