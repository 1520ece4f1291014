"""Recordings of calls: what is written comes back, whatever is wrong with the file is one line, secrets stay out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.http2.call_reader import PassedCall
from grpclab.load.calls.data_file import DataFile
from grpclab.load.core.recording import (
    VERSION,
    RecordedCall,
    call_line,
    call_times,
    header_line,
    is_cut,
    is_recording,
    read_recording,
)
from grpclab.load.record import CallsWriter
from grpclab.load.replay import replay_plan
from grpclab.text import credentials

HEADER = header_line("localhost:50051", "2026-11-30T08:00:00+00:00")
seconds = st.floats(0, 1e6, allow_nan=False)
recorded_calls = st.builds(
    RecordedCall,
    at_s=seconds,
    method=st.from_regex(r"[a-z]{1,5}\.[A-Z][a-z]{0,5}/[A-Z][a-z]{0,5}", fullmatch=True),
    messages=st.lists(st.binary(max_size=60), max_size=3).map(tuple),
    metadata=st.lists(
        st.tuples(st.from_regex("x-[a-z0-9-]{0,9}", fullmatch=True), st.text(max_size=20)), max_size=3
    ).map(tuple),
    status=st.none() | st.integers(0, 17),
    answers=st.integers(0, 1000),
    took_s=st.none() | seconds,
)
recordings = st.lists(recorded_calls, min_size=1, max_size=6)


def written(calls: list[RecordedCall]) -> bytes:
    """A recording of these calls."""
    return (HEADER + "".join(map(call_line, calls))).encode()


@given(recordings)
def test_every_call_that_is_written_comes_back_in_the_order_in_which_they_began(calls: list[RecordedCall]) -> None:
    content = written(calls)
    assert is_recording(content)
    assert not is_cut(content)
    assert read_recording("day.calls", content) == sorted(calls, key=lambda call: call.at_s)


@given(recordings, st.data())
def test_of_a_file_that_is_cut_the_whole_calls_are_left(calls: list[RecordedCall], drawn: st.DataObject) -> None:
    content = written(calls)
    ends = [len(HEADER)]  # the end of each line, its line break apart: a call is whole without it
    for call in calls:
        ends.append(ends[-1] + len(call_line(call)))
    length = drawn.draw(st.integers(0, len(content)), label="bytes left")
    whole = sum(length >= end - 1 for end in ends) - 1
    if whole < 1:
        with pytest.raises(UsageError):
            read_recording("day.calls", content[:length])
        return
    assert read_recording("day.calls", content[:length]) == sorted(calls[:whole], key=lambda call: call.at_s)
    assert is_cut(content[:length]) is (ends[whole] < length < len(content) and length not in [end - 1 for end in ends])


@given(st.integers() | st.none() | st.text(max_size=5))
def test_another_version_is_refused(version: Any) -> None:
    header = json.dumps({"grpclab": "calls", "version": version})
    content = f"{header}\n{call_line(RecordedCall(at_s=0.0, method='a.B/C', messages=(b'',)))}".encode()
    if version == VERSION:
        assert len(read_recording("day.calls", content)) == 1
        return
    with pytest.raises(UsageError, match=f"day.calls: expected .*, version {VERSION}"):
        read_recording("day.calls", content)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
right = {"at_s": 1.0, "method": "a.B/C", "messages": [""], "metadata": [], "status": 0, "answers": 1, "took_s": 0.1}


@given(st.fixed_dictionaries({key: st.just(value) | values for key, value in right.items()}))
def test_a_line_of_anything_else_is_a_call_or_refused_with_its_number(document: dict[str, Any]) -> None:
    good = call_line(RecordedCall(at_s=0.0, method="a.B/C", messages=(b"",)))
    content = f"{HEADER}{json.dumps(document)}\n{good}".encode()
    found = told(content)
    assert found in (
        2,
        "invalid recording=day.calls: expected a recording made by `grpclab record`; line 2 is not a call",
    )


def told(content: bytes) -> int | str:
    """The number of calls in a recording, or why it is none."""
    try:
        return len(read_recording("day.calls", content))
    except UsageError as error:
        return str(error)


def test_a_line_that_is_cut_in_the_middle_of_a_file_is_refused() -> None:
    line = call_line(RecordedCall(at_s=0.0, method="a.B/C", messages=(b"",)))
    with pytest.raises(UsageError, match="line 2 is not a call"):
        read_recording("day.calls", f"{HEADER}{line[:20]}\n{line}".encode())


def test_a_replay_tells_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    calls = [RecordedCall(at_s=float(at), method="a.B/C", messages=(b"x",) * (at > 0)) for at in range(3)]
    path.write_bytes(written(calls) + b'{"at_s": 3')
    file = DataFile.of(f"@{path}")
    assert file is not None
    plan = replay_plan(file)
    assert [call.at_s for call in plan.calls] == [1.0, 2.0]
    assert plan.note.split("; ") == [
        "left out of the recording: 1 call without a complete request",
        "left out of the recording: its last line, which is cut off",
    ]
    assert call_times(str(path), path.read_text()) == (1.0, 2.0)


# ---- what the relay hands over -------------------------------------------------------------------------------------


def passed(**given: Any) -> PassedCall:
    """A call that has passed a relay."""
    return PassedCall(**{"path": "/a.B/C", "metadata": [], "began_at": 11.0, "ended_at": 11.5, "status": 0, **given})


def writer(**given: Any) -> tuple[io.StringIO, CallsWriter]:
    """A file, and what writes calls to it."""
    file = io.StringIO()
    return file, CallsWriter(file=file, began_at=10.0, header=HEADER, **given)


@given(st.lists(st.text("abcdefgh0123456789", min_size=8, max_size=20), min_size=4, max_size=4, unique=True))
def test_secrets_are_not_written(secrets: list[str]) -> None:
    credentials.redact(["x-tenant"])
    file, calls = writer()
    keys = ["authorization", "x-api-key", "trace-bin", "x-tenant"]
    own = [("te", "trailers"), ("user-agent", "x"), ("grpc-timeout", "1S"), ("x-shop", "open")]
    calls.write(passed(metadata=[*own, *zip(keys, secrets, strict=True)]))
    assert not [secret for secret in secrets if secret in file.getvalue().removeprefix(HEADER)]
    (call,) = read_recording("day.calls", file.getvalue().encode())
    assert call.metadata == (("x-shop", "open"), *((key, credentials.MASK) for key in keys))
    assert calls.masked == set(keys)


def test_times_are_those_since_the_recording_began() -> None:
    file, calls = writer()
    calls.write(passed(began_at=10.25, ended_at=10.5))
    calls.write(passed(status=None))
    first, second = read_recording("day.calls", file.getvalue().encode())
    assert (first.at_s, first.took_s, first.status) == (0.25, 0.25, 0)
    assert (second.at_s, second.took_s, second.status) == (1.0, None, None)
    assert (calls.calls, calls.unended) == (2, 1)


def test_a_call_whose_messages_are_not_all_there_is_written_without_any() -> None:
    file, calls = writer()
    calls.write(passed(messages=[b"one"], fault="a message of 5 GiB"))
    assert [call.messages for call in read_recording("day.calls", file.getvalue().encode())] == [()]
    assert calls.incomplete == {"a message of 5 GiB": 1}


def test_a_writer_that_has_enough_writes_no_more() -> None:
    file, calls = writer(most_calls=2)
    for _ in range(3):
        calls.write(passed())
    assert len(read_recording("day.calls", file.getvalue().encode())) == 2
    assert calls.full == "2 calls were recorded, as requested"
    file, calls = writer(most_bytes=4)
    for _ in range(3):
        calls.write(passed(messages=[b"abc"]))
    assert (calls.calls, calls.bytes) == (2, 6)


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/a/b/c"])
def test_a_path_that_is_no_method_is_not_written(path: str) -> None:
    _, calls = writer()
    calls.write(passed(path=path))
    assert calls.calls == 0
