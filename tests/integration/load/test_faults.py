"""The misbehaving peer over real sockets: every fault ends in counted statuses, in time, and in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from grpclab.errors import TargetError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.messages import prefixed
from grpclab.http2.replies import Reply
from grpclab.load.calls.method import greeting
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.engines.wire import WireEngine
from grpclab.servers.reference.faults import FAULTS, PERCENT_MESSAGE, Fault, FaultState, ResponseContext, parse_fault
from grpclab.servers.reference.serving import listening
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.status import STATUS_NAMES
from grpclab.system.transport import PLAINTEXT
from tests.support.greeting import greeter_at, hello

DEADLINE_S = 0.4
CALLS, AT_ONCE = 16, 8
HANGS_AFTER_S = 10.0
MEMORY_BYTES = 16 * 1024 * 1024

VALID = [name for name, fault in FAULTS.items() if fault.ends == ("OK",)]
NEVER_UP = [name for name, fault in FAULTS.items() if not fault.ends]
DEADLY = sorted(FAULTS.keys() - set(VALID) - set(NEVER_UP))
# One of these messages is enough to end all that is open on the connection, whatever was answered before.
MAY_END_WELL = {"goaway", "goaway-storm", "garbage", "silent-after"}
FLOODS = [name for name in FAULTS if name.startswith("flood") or name in ("header-bomb", "oversized-prefix")]


async def statuses(
    fault: str, *, calls: int = CALLS, deadline_s: float = DEADLINE_S, settings: dict[str, object] | None = None
) -> Counter[str]:
    """How so many calls of the wire engine end at a peer with this fault."""
    config = TrialConfig().replace({"client.deadline_s": deadline_s, **(settings or {})})  # type: ignore[dict-item]
    async with listening(ReferenceSpec(fault=fault, pacing="timer")) as (_, port):
        engine = WireEngine(config, f"127.0.0.1:{port}", PLAINTEXT, greeting(config.load))
        try:
            await engine.connect(deadline_s)
            recorder = Recorder(None)
            async with asyncio.timeout(HANGS_AFTER_S):
                await engine.run(Gate(opens_at=0, requests=calls), recorder, AT_ONCE)
        finally:
            await engine.close()
    return Counter(STATUS_NAMES[status] for status in recorder.statuses)


@pytest.mark.parametrize("name", VALID)
def test_what_is_only_unusual_ends_well(name: str) -> None:
    assert asyncio.run(statuses(name, deadline_s=HANGS_AFTER_S)) == {"OK": CALLS}


@pytest.mark.parametrize("name", DEADLY)
def test_every_fault_ends_in_the_statuses_it_should(name: str) -> None:
    ends = FAULTS[name].ends
    ended = asyncio.run(statuses(name, deadline_s=DEADLINE_S if "DEADLINE_EXCEEDED" in ends else HANGS_AFTER_S))
    assert ended.total() == CALLS
    assert set(ended) <= set(ends)
    assert ended["OK"] < CALLS
    assert bool(ended["OK"]) == (name in MAY_END_WELL)


@pytest.mark.parametrize("name", NEVER_UP)
def test_a_peer_that_is_no_server_is_told_when_one_connects(name: str) -> None:
    with pytest.raises(TargetError, match=r"no server responded at|speaks HTTP/1\.1"):
        asyncio.run(statuses(name))


@pytest.mark.parametrize("name", FLOODS)
def test_memory_stays_bounded(name: str) -> None:
    tracemalloc.start()
    try:
        asyncio.run(statuses(name, calls=AT_ONCE))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES


def test_what_was_not_processed_may_be_sent_again() -> None:
    again: dict[str, object] = {"client.resend": True}
    assert asyncio.run(statuses("goaway:5", settings=again)) == {"OK": CALLS}
    assert asyncio.run(statuses(f"refuse:{CALLS}", settings=again)) == {"OK": CALLS}


def test_a_reset_tells_its_reason_by_the_status() -> None:
    assert set(asyncio.run(statuses("rst"))) == set(FAULTS["rst"].ends)


# ---- what others make of it --------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(fault: str) -> Iterator[str]:
    """A peer with this fault on a loop of its own, so that a client which blocks may call it."""
    where: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.SimpleQueue()

    async def serve() -> None:
        async with listening(ReferenceSpec(fault=fault, pacing="timer")) as (_, port):
            over = asyncio.Event()
            where.put((asyncio.get_running_loop(), over, port))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, over, port = where.get(timeout=60)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=60)


# C-core reads no padding in HEADERS ("Incomplete header"): for that one see below.
@pytest.mark.parametrize("name", [name for name in VALID if name != "padded"])
def test_grpcio_finds_it_valid_too(name: str) -> None:
    with serving(name) as target, greeter_at(target) as stub:
        assert [stub.SayHello(hello(), timeout=20).message for _ in range(3)] == ["Hello world!"] * 3


@pytest.mark.parametrize(
    "name",
    [
        *("rst", "refuse", "zero-window", "oversized-prefix", "no-trailers", "no-status"),
        *("trailers-only", "http-503", "compressed-flag", "percent-message", "cut"),
    ],
)
def test_grpcio_gives_it_the_same_status(name: str) -> None:
    with serving(name) as target, greeter_at(target) as stub:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as ended:
                stub.SayHello(hello(), timeout=DEADLINE_S if "DEADLINE_EXCEEDED" in FAULTS[name].ends else 20)
            assert ended.value.code().name in FAULTS[name].ends
            if name == "percent-message":
                assert ended.value.details() == PERCENT_MESSAGE


# ---- the bytes ---------------------------------------------------------------------------------------------------

REPLY = Reply(b"Hello!", stamp="told")


def turn(name: str, calls: int = 1, stream_id: int = 1) -> bytes:
    fault = FAULTS[name]
    assert fault.answer is not None
    return fault.answer(ResponseContext(FaultState(fault.n or 0, calls, highest=stream_id), stream_id, REPLY, b"12"))


@pytest.mark.parametrize("name", ["padded", "split", "max-streams-flap"])
def test_h2_reads_the_proper_answer_out_of_the_unusual_one(name: str) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "here")]
    client.send_headers(1, headers, end_stream=True)
    events = client.receive_data(frames.settings({}) + turn(name))
    body = b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
    (trailers,) = [event.headers for event in events if isinstance(event, h2.events.TrailersReceived)]
    assert body == prefixed(b"Hello!")
    assert [(str(name), str(value)) for name, value in trailers] == [("grpc-status", "0"), ("told", "12")]


def test_a_goaway_lets_the_calls_below_it_end_and_none_above() -> None:
    answer = FAULTS["goaway"].answer
    assert answer is not None
    state, answers = FaultState(2), []
    for stream_id in (5, 3, 1, 7, 9):
        state.calls += 1
        state.highest = max(state.highest, stream_id)
        answers.append(answer(ResponseContext(state, stream_id, REPLY, b"12")))
    assert state.last_id == 5
    assert [bool(part) for part in answers] == [True, True, True, False, False]


def test_the_text_of_a_failure_is_decoded() -> None:
    client = ClientConnection(
        Request(path="/a.B/C", authority="here", payload=b""), stream_window=65_535, connection_window=65_535
    )
    client.receive(frames.settings({}))
    call = Call()
    client.start(call)
    assert client.receive(turn("percent-message")) == [call]
    assert (call.status, call.text) == (9, PERCENT_MESSAGE)


# ---- how they are asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fault"), FAULTS.items())
def test_every_fault_says_what_it_does(name: str, fault: Fault) -> None:
    assert fault.meaning
    assert (" N" in fault.meaning or "N " in fault.meaning) == (fault.n is not None)
    assert set(fault.ends) <= set(STATUS_NAMES)
    assert parse_fault(name) == (fault, fault.n or 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("goawy", "invalid --fault=goawy: expected one of goaway, "),
        ("", "invalid --fault=: expected one of goaway, "),
        ("goaway:0", "expected a whole number, e.g. goaway:10"),
        ("goaway:x", "expected a whole number, e.g. goaway:10"),
        ("goaway:-1", "expected a whole number, e.g. goaway:10"),
        ("silent:3", "expected silent without a number"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_fault(text)


def test_a_number_goes_with_the_fault() -> None:
    assert parse_fault("goaway:7") == (FAULTS["goaway"], 7)
    assert parse_fault("cut:0") == (FAULTS["cut"], 0)
