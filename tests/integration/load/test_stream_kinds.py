"""Calls of every kind in both engines, against servers that write down what came and how each call ended."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import find_call
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.status import RECORDED_NAMES
from grpclab.system.transport import PLAINTEXT
from tests.support.go_programs import long_until_built, own_path
from tests.support.stream_servers import KINDS, PROTO, SERVERS, SERVICE, ServedCall, StreamServer, digest_of, part

BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])
PARTS = [[{"body": f"{stream}/{number}".encode()} for number in range(1 + stream % 4)] for stream in range(5)]
"""Streams of 1, 2, 3, 4 and 1 messages."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=long_until_built(own_path("streams")) if name == "go" else ()) for name in SERVERS
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[StreamServer]:
    with SERVERS[request.param]() as running:
        yield running


NO_LEVELS: dict[str, Level] = {}


def made(
    server: StreamServer,
    engine: str,
    method: str,
    data: Any,
    path: Path,
    *,
    calls: int = 20,
    concurrency: int = 8,
    levels: Mapping[str, Level] = NO_LEVELS,
) -> tuple[Records, list[str]]:
    """The records of so many calls, and the different texts of those that failed."""
    config = TrialConfig().replace({"load.concurrency": concurrency, **levels})
    call = find_call(server.target, f"{SERVICE}/{method}", data=data, proto=PROTO, load=config.load)
    recorder = Recorder(path / "calls")

    async def main() -> None:
        running = ENGINES[engine](config, server.target, PLAINTEXT, call, residence=False)
        await running.connect(10)
        try:
            async with asyncio.timeout(120):
                await running.run(Gate(opens_at=0, requests=calls), recorder, concurrency)
        finally:
            await running.close()

    asyncio.run(main())
    recorder.close()
    return Records.load(path / "calls"), [entry.text for entry in recorder.failures.entries()]


def statuses(records: Records) -> Counter[str]:
    return Counter(RECORDED_NAMES[code] for code in records.status)


def agree(records: Records, served: list[ServedCall], method: str) -> None:
    """The client and the server count the same."""
    assert Counter(call.status for call in served) == statuses(records)
    assert {call.method for call in served} == {method}
    assert sum(call.answers for call in served) == len(records.message_s) or not any(KINDS[method])
    if KINDS[method][0]:
        assert sum(call.messages for call in served) == records.sent_messages.sum()
        assert sorted(records.sent_messages) == sorted(float(call.messages) for call in served)


@BOTH
@pytest.mark.parametrize("calls", [25, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("method", KINDS)
def test_every_kind_of_call_is_counted_as_its_server_counts_it(
    server: StreamServer, engine: str, method: str, calls: int, tmp_path: Path
) -> None:
    sends, receives = KINDS[method]
    streams = PARTS if sends else [[{"body": f"{n}".encode(), "answers": 1 + n % 3}] for n in range(5)]
    data = streams if sends else [messages[0] for messages in streams]
    records, texts = made(server, engine, method, data, tmp_path, calls=calls)
    served = server.take(calls)
    assert texts == []
    assert statuses(records) == {"OK": calls}
    agree(records, served, method)
    sent = [digest_of(part(**fields).SerializeToString() for fields in messages) for messages in streams]
    assert Counter(call.digest for call in served) == Counter(itertools.islice(itertools.cycle(sent), calls))
    if receives:
        assert np.count_nonzero(records.message_first) == calls


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_a_stream_has_as_many_messages_as_are_asked_for(
    server: StreamServer, engine: str, method: str, tmp_path: Path
) -> None:
    data = [{"body": b"one"}, {"body": b"two"}, {"body": b"three"}]
    for messages in (2, 7):
        records, _ = made(server, engine, method, data, tmp_path, levels={"load.stream_messages": messages})
        served = server.take(20)
        agree(records, served, method)
        sent = itertools.islice(itertools.cycle([part(**one).SerializeToString() for one in data]), messages)
        assert {call.digest for call in served} == {digest_of(sent)}


@BOTH
def test_a_stream_may_be_without_a_message(server: StreamServer, engine: str, tmp_path: Path) -> None:
    records, _ = made(server, engine, "Upload", [], tmp_path)
    served = server.take(20)
    agree(records, served, "Upload")
    assert {call.messages for call in served} == {0}


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_a_status_of_the_server_ends_a_stream_of_the_client(
    server: StreamServer, engine: str, method: str, tmp_path: Path
) -> None:
    records, texts = made(server, engine, method, [{"body": b"x"}, {"status": 10}], tmp_path)
    served = server.take(20)
    assert statuses(records) == {"ABORTED": 20}
    assert texts == ["as asked"]
    agree(records, served, method)


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_large_messages_wait_for_the_windows_and_arrive_whole(
    server: StreamServer, engine: str, method: str, tmp_path: Path
) -> None:
    data = [{"body": bytes([number]) * 300_000} for number in range(6)]
    records, texts = made(server, engine, method, data, tmp_path, calls=6, concurrency=3)
    served = server.take(6)
    assert texts == []
    agree(records, served, method)
    assert {call.digest for call in served} == {digest_of(part(**one).SerializeToString() for one in data)}


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_messages_of_a_stream_may_be_compressed(server: StreamServer, engine: str, method: str, tmp_path: Path) -> None:
    data = [{"body": b"one " * 500}, {"body": b"x"}]
    levels: dict[str, Level] = {"client.compression": "gzip", "load.stream_messages": 3}
    records, texts = made(server, engine, method, data, tmp_path, levels=levels)
    served = server.take(20)
    assert texts == []
    agree(records, served, method)
    sent = [part(**data[number % 2]).SerializeToString() for number in range(3)]
    assert {call.digest for call in served} == {digest_of(sent)}


# ---- times ---------------------------------------------------------------------------------------------------


@BOTH
def test_messages_are_sent_at_their_interval(server: StreamServer, engine: str, tmp_path: Path) -> None:
    levels: dict[str, Level] = {"load.stream_messages": 5, "load.stream_interval_s": 0.02}
    records, _ = made(server, engine, "Chat", {"body": b"x"}, tmp_path, calls=4, concurrency=2, levels=levels)
    agree(records, server.take(4), "Chat")
    assert records.latency_s.min() >= 4 * 0.02
    of_one = records.message_age_s[records.message_start_s == records.message_start_s[0]].reshape(-1, 5)[0]
    assert (of_one >= np.arange(5) * 0.02).all()
    assert (records.message_reply_s <= records.message_age_s).all()


@BOTH
def test_in_ping_pong_a_message_is_sent_when_the_last_is_answered(
    server: StreamServer, engine: str, tmp_path: Path
) -> None:
    levels: dict[str, Level] = {"load.stream_messages": 10, "load.stream_ping_pong": True}
    records, _ = made(server, engine, "Chat", {"body": b"x"}, tmp_path, calls=6, concurrency=2, levels=levels)
    agree(records, server.take(6), "Chat")
    replies = records.message_reply_s
    assert len(replies) == 60
    gaps = records.message_s[~records.message_first]
    assert (replies > 0).all()
    waited = gaps - replies[~records.message_first]
    assert (waited > -0.001).all(), "each is sent when one has come"
    assert np.median(waited) < 0.05, "and as soon as that"


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_the_client_closes_its_side_when_the_time_of_a_stream_is_over(
    server: StreamServer, engine: str, method: str, tmp_path: Path
) -> None:
    levels: dict[str, Level] = {
        "load.stream_messages": 1000,
        "load.stream_interval_s": 0.03,
        "load.stream_duration_s": 0.1,
    }
    records, _ = made(server, engine, method, {"body": b"x"}, tmp_path, calls=4, concurrency=4, levels=levels)
    served = server.take(4)
    agree(records, served, method)
    assert statuses(records) == {"OK": 4}
    assert all(1 <= call.messages <= 4 for call in served)
    assert records.latency_s.min() >= 0.1


@BOTH
def test_a_client_that_waits_keeps_its_side_open(server: StreamServer, engine: str, tmp_path: Path) -> None:
    levels: dict[str, Level] = {"load.stream_end": "wait", "load.stream_duration_s": 0.15}
    records, _ = made(server, engine, "Chat", {"body": b"x"}, tmp_path, calls=4, concurrency=4, levels=levels)
    agree(records, server.take(4), "Chat")
    assert statuses(records) == {"OK": 4}
    assert records.message_age_s.max() < records.latency_s.min()
    assert records.latency_s.min() >= 0.15


# ---- ends ----------------------------------------------------------------------------------------------------


def planned_end(records: Records, served: list[ServedCall]) -> None:
    assert statuses(records) == {"ENDED_BY_CLIENT": len(served)}
    assert {call.status for call in served} == {"CANCELLED"}


@BOTH
def test_a_stream_of_the_server_is_ended_after_so_many_messages(
    server: StreamServer, engine: str, tmp_path: Path
) -> None:
    data = {"pause_ms": 2}
    levels: dict[str, Level] = {"load.stream_messages": 3}
    records, texts = made(server, engine, "Watch", data, tmp_path, calls=10, concurrency=4, levels=levels)
    served = server.take(10)
    planned_end(records, served)
    assert texts == []
    assert len(records.message_s) == 30
    assert all(call.answers >= 3 for call in served)


@BOTH
def test_a_stream_of_the_server_is_ended_when_its_time_is_over(
    server: StreamServer, engine: str, tmp_path: Path
) -> None:
    data = {"pause_ms": 10}
    levels: dict[str, Level] = {"load.stream_duration_s": 0.1}
    records, texts = made(server, engine, "Watch", data, tmp_path, calls=6, concurrency=3, levels=levels)
    planned_end(records, server.take(6))
    assert texts == []
    assert records.latency_s.min() >= 0.1
    assert 6 <= len(records.message_s) <= 60


@BOTH
@pytest.mark.parametrize("method", ["Upload", "Chat"])
def test_a_client_may_cancel_its_stream_when_its_time_is_over(
    server: StreamServer, engine: str, method: str, tmp_path: Path
) -> None:
    for duration_s in (0.1, 0.5, 2.0):  # on a busy machine, a call can be over before its handler reads
        levels: dict[str, Level] = {"load.stream_end": "cancel", "load.stream_duration_s": duration_s}
        # To a handler of grpcio, the client seems to have closed its side until it is told.
        data = {"pause_ms": int(1000 * duration_s) + 400}
        folder = tmp_path / str(duration_s)
        folder.mkdir()
        records, texts = made(server, engine, method, data, folder, calls=6, concurrency=6, levels=levels)
        served = server.take(6)
        planned_end(records, served)
        assert texts == []
        assert records.sent_messages.tolist() == [1.0] * 6
        if all(call.messages for call in served):
            break
    assert {call.messages for call in served} == {1}


@BOTH
@pytest.mark.parametrize("method", KINDS)
def test_a_call_beyond_its_deadline_is_counted_once_on_both_sides(
    server: StreamServer, engine: str, method: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Go resets a stream at its deadline, too. Where that comes before the timer of C-core, grpcio says CANCELLED.
    races = (request.node.callspec.params["server"], engine) == ("go", "grpcio")
    data = {"pause_ms": 60_000}
    levels: dict[str, Level] = {"client.deadline_s": 0.2}
    records, _ = made(server, engine, method, data, tmp_path, calls=6, concurrency=6, levels=levels)
    served = server.take(6)
    ended = statuses(records)
    assert sum(ended.values()) == 6
    assert set(ended) <= {"DEADLINE_EXCEEDED", *(["CANCELLED"] if races else [])}
    assert [call.status for call in served] == ["CANCELLED"] * 6
    assert {call.messages for call in served} == {1}
