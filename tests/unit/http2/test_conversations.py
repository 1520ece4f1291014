"""Mutations of what real servers said: none makes the client raise, hang, grow, or depend on how the bytes are cut.

``GRPCLAB_EXAMPLES=1000000 pytest tests/unit/http2/test_conversations.py`` tries a million; a failure names its number.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from grpclab.http2 import fast_path, frames, header_blocks
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.status import STATUS_NAMES
from tests.support.http2_peer import REQUEST, start
from tests.support.mutations import Conversation, Mutation, Mutator, conversations

INPUTS = int(os.environ.get("GRPCLAB_EXAMPLES", "2000"))
CALLS = 3
LONGEST_CPU_S = 5.0
"""An input of a few thousand bytes takes less than a millisecond; one that takes this long will never end."""
LARGEST_GROWTH_KIB = 64 * 1024
STREAMING = Request(path="/p/m", authority="a", payload=b"", server_streaming=True)

RECORDED = conversations()
mutation = Mutator(RECORDED)


Outcome = tuple[list[tuple[int, int, str, int]], str | None]


def heard(given: Mutation, cuts: tuple[int, ...]) -> Outcome:
    """How each call ended, in their order, and why the connection did."""
    client = ClientConnection(STREAMING if given.streaming else REQUEST, stream_window=65_535, connection_window=65_535)
    start(client, CALLS)
    ended: list[Call] = []
    for begin, end in itertools.pairwise((0, *sorted(cuts), len(given.data))):
        ended += client.receive(given.data[begin:end])
    kept = [client.connection.rest, *client.blocks.fragments]
    kept += [piece for usual in client.fast_path.usual.values() for piece in usual.pieces]
    assert sum(map(len, kept)) <= header_blocks.MAX_BLOCK_BYTES + 3 * frames.DEFAULT_MAX_FRAME + 2 * len(given.data)
    assert len(client.take()) <= 1000 + 20 * len(given.data)
    told = [(call.stream_id, call.status, call.text, call.messages) for call in ended]
    assert all(0 <= status < len(STATUS_NAMES) for _, status, _, _ in told)
    assert sorted([*(stream_id for stream_id, *_ in told), *client.calls]) == [1, 3, 5]
    assert client.closed is None or not client.calls
    closed = client.closed
    assert len(ended) + len(client.connection_lost("the test is over")) == CALLS
    return told, closed


@pytest.fixture
def hangs_are_ended() -> Iterator[Callable[[], None]]:
    """To be called before each input: the CPU time that it may take begins anew."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"an input took {LONGEST_CPU_S:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, hang)
    yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_CPU_S) and None
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_conversation_as_it_was_ends_three_calls(recorded: Conversation) -> None:
    data = b"".join(frames.frame(*frame) for frame in recorded.frames)
    told, closed = heard(Mutation(recorded.streaming, data, ()), ())
    assert sorted(stream_id for stream_id, *_ in told) == [1, 3, 5]
    assert closed is None
    expected = {"unary": 0, "stream": 0, "unimplemented": 12}.get(recorded.name.rpartition(" ")[2])
    assert len({status for _, status, _, _ in told}) == 1
    assert expected in (None, told[0][1])


def test_no_mutation_of_it_raises_hangs_grows_or_depends_on_the_cuts(hangs_are_ended: Callable[[], None]) -> None:
    outcomes: set[int] = set()
    ends: set[str] = set()
    peak_kib = 0
    with mock.patch.object(fast_path, "LEARN_EVERY", 1):
        for number in range(INPUTS):
            given = mutation(number)
            hangs_are_ended()
            try:
                told, closed = heard(given, ())
                assert heard(given, given.cuts) == (told, closed)
            except Exception as error:
                raise AssertionError(f"mutation({number}) of tests/support/mutations.py") from error
            outcomes.update(status for _, status, _, _ in told)
            ends.add((closed or "").partition(":")[0])
            if number == min(1000, INPUTS // 2):
                peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= peak_kib + LARGEST_GROWTH_KIB
    # It goes deep: calls end in many ways, and connections by several rules.
    assert {"OK", "UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "UNAVAILABLE"} <= {STATUS_NAMES[code] for code in outcomes}
    assert {"PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "COMPRESSION_ERROR"} <= ends
