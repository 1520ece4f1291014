"""The messages of calls whose client streams, out of everything that may give them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.http2.messages import prefixed, unframed
from grpclab.load.calls.call_options import DataOptions, StreamData
from grpclab.load.calls.data_file import file_reference
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.calls.request_data import encoded
from grpclab.load.calls.templates import TemplateValues
from tests.support.stream_servers import POOL, part

PART = POOL.FindMessageTypeByName("streams.Part")
STREAMS = StreamData()


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    with PAYLOAD_FOLDER.in_use():
        yield


def streams(data: Any, of: StreamData = STREAMS, *, planned: int = 4, **options: Any) -> list[list[Any]]:
    """The messages of the first calls, as JSON would have their bodies or their numbers of answers."""
    made = encoded(data, PART, POOL, DataOptions(**options), TemplateValues(), planned=planned, streams=of)
    if isinstance(made, bytes):
        return [_read(made)]
    contents = made.messages(prefix=True)
    return [_read(next(contents)) for _ in range(made.count)]


def _read(content: bytes) -> list[Any]:
    read = []
    for message in unframed(content):
        one = part()
        one.ParseFromString(message)
        read.append(one.answers or one.body.hex())
    return read


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ('{"answers": 1}', [[1]]),
        ('[{"answers": 1}, {"answers": 2}]', [[1, 2]]),
        ('[[{"answers": 1}], [{"answers": 2}, {"answers": 3}]]', [[1], [2, 3]]),
        ("[]", [[]]),
        ("[[], []]", [[], []]),
        ([{"answers": 1}, {"answers": 2}], [[1, 2]]),
        ([[{"answers": 1}], [{"answers": 2}]], [[1], [2]]),
        ({"answers": 7}, [[7]]),
        (lambda number: [{"answers": number + 1}] * 2, [[1, 1], [2, 2], [3, 3], [4, 4]]),
        (lambda number: [part(answers=9).SerializeToString()] * (number + 1), [[9] * (n + 1) for n in range(4)]),
    ],
)
def test_a_list_is_the_messages_of_a_call_and_lists_are_several_calls(data: Any, expected: list[list[Any]]) -> None:
    assert streams(data) == expected


def test_an_iterator_gives_the_messages_of_one_call_after_the_other() -> None:
    assert streams(iter([[{"answers": 1}], {"answers": 2}])) == [[1], [2]]


def test_a_line_is_a_call(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text('[{"answers": 1}, {"answers": 2}]\n\n{"answers": 3}\n')
    assert streams(file_reference(str(file))) == [[1, 2], [3]]


def test_rows_and_encoded_messages_are_those_of_one_call(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("answers,pause_ms\n1,5\n2,\n")
    assert streams(file_reference(str(tmp_path / "rows.csv"))) == [[1, 2]]
    content = b"".join(bytes([len(one)]) + one for one in (part(answers=n).SerializeToString() for n in (3, 4)))
    (tmp_path / "parts.bin").write_bytes(content)
    assert streams(file_reference(str(tmp_path / "parts.bin"))) == [[3, 4]]


def test_a_random_order_is_one_of_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join(json.dumps([{"answers": n}, {"answers": n + 1}]) for n in range(1, 40)))
    shuffled = streams(file_reference(str(file)), order="random")
    assert sorted(shuffled) == [[n, n + 1] for n in range(1, 40)]
    assert shuffled != sorted(shuffled)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ('[{"answers": 1}, {"answers": "x"}]', r"data\[1\]\.answers"),
        ('[[{"answers": 1}], [{"answers": 1}, {"answers": "x"}]]', r"data\[1\]\[1\]\.answers"),
        ('{"answers": "x"}', r"data\.answers"),
    ],
)
def test_an_error_names_the_place_in_the_stream(data: str, place: str) -> None:
    with pytest.raises(UsageError, match=rf"^invalid {place}="):
        streams(data)


# ---- templates ---------------------------------------------------------------------------------------------------


def test_templates_are_filled_in_once_for_each_call() -> None:
    made = streams('[{"answers": 1{{.RequestNumber}}}, {"answers": {{randomInt 20 1000000}}}]')
    assert [messages[0] for messages in made] == [10, 11, 12, 13]
    assert len({messages[1] for messages in made}) == 4


def bodies(of: StreamData, data: Any = '{"body": "{{randomString 12 12}}"}') -> list[list[Any]]:
    return streams(data, of, planned=3)


def test_dynamic_messages_are_made_anew_and_by_the_seed() -> None:
    made = bodies(StreamData(dynamic=True, messages=5))
    assert [len(messages) for messages in made] == [5, 5, 5]
    assert len({body for messages in made for body in messages}) == 15
    assert made == bodies(StreamData(dynamic=True, messages=5))


@pytest.mark.parametrize(
    "data",
    [
        '[{"answers": 1}, {"answers": 2, "pause_ms": {{randomInt 1 9}}}]',
        [{"answers": 1}, {"answers": 2, "body": "{{randomString 4 4}}"}],
    ],
)
def test_dynamic_messages_go_through_the_list(data: Any) -> None:
    assert bodies(StreamData(dynamic=True, messages=5), data)[0] == [1, 2, 1, 2, 1]
    assert bodies(StreamData(dynamic=True), data)[0] == [1, 2]
    assert bodies(StreamData(dynamic=True, messages=1), data)[0] == [1]


def test_dynamic_messages_need_a_template() -> None:
    with pytest.raises(UsageError, match=r"^invalid load\.stream_dynamic=true: expected data with templates"):
        streams('{"answers": 1}', StreamData(dynamic=True, messages=3))


# ---- the file ----------------------------------------------------------------------------------------------------


def test_the_file_holds_each_message_with_its_prefix() -> None:
    made = encoded(
        '[[{"answers": 1}], [{"answers": 2}, {}]]',
        PART,
        POOL,
        DataOptions(),
        TemplateValues(),
        planned=1,
        streams=STREAMS,
    )
    assert isinstance(made, Payloads)
    contents = [[part(answers=1)], [part(answers=2), part()]]
    framed = [b"".join(prefixed(one.SerializeToString()) for one in messages) for messages in contents]
    found = made.messages(prefix=True)
    assert [next(found) for _ in range(3)] == [*framed, framed[0]]
    assert made.message(1, prefix=True) == framed[1]


def test_streams_and_requests_of_the_same_data_are_apart() -> None:
    data = '[{"answers": 1}, {"answers": 2}]'
    requests = encoded(data, PART, POOL, DataOptions(), TemplateValues(), planned=1)
    assert isinstance(requests, Payloads)
    assert requests.count == 2
    assert streams(data) == [[1, 2]]
