"""Many requests of one call: lists, files, templates, Python's own, as the messages that they become."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from grpclab.cli.request_options import request_data
from grpclab.errors import UsageError
from grpclab.load.calls.call_options import DataOptions
from grpclab.load.calls.method import CallSpec, find_call

PROTO = """
syntax = "proto3";
package till.v1;
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
enum Speed { SLOW = 0; FAST = 1; }
message Price { int64 units = 1; string currency = 2; }
message Sale {
  int32 id = 1; string name = 2; bool paid = 3; Price price = 4; Speed speed = 5; repeated int32 codes = 6;
  google.protobuf.Timestamp at = 7; double weight = 8; bytes token = 9;
}
message Receipt { string said = 1; }
service Till {
  rpc Pay(Sale) returns (Receipt);
  rpc Any(google.protobuf.ListValue) returns (Receipt);
}
"""


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("till") / "till.proto"
    path.write_text(PROTO)
    return path


@pytest.fixture(scope="module")
def sale(proto: Path) -> Any:
    from google.protobuf.message_factory import GetMessageClass

    from grpclab.load.calls.schema import from_file

    return GetMessageClass(from_file(proto).pool.FindMessageTypeByName("till.v1.Sale"))


def call_of(proto: Path, data: Any, method: str = "Pay", planned: int = 5, **options: Any) -> CallSpec:
    return find_call(
        "", f"till.v1.Till/{method}", data=data, proto=proto, options=DataOptions(**options), planned=planned
    )


def requests(call: CallSpec) -> list[bytes]:
    """All requests of a call."""
    if call.payloads is None:
        return [call.payload]
    assert call.payload == call.payloads.message(0)
    return [call.payloads.message(number) for number in range(call.payloads.count)]


def ids(sale: Any, call: CallSpec) -> list[int]:
    return [sale.FromString(request).id for request in requests(call)]


def repeats(call: CallSpec) -> bool:
    return call.payloads is None or call.payloads.repeat


def file(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return f"@{path}"


def test_a_list_is_sent_in_turn_and_one_request_is_one(proto: Path, sale: Any) -> None:
    many: list[Any] = ['[{"id": 1}, {"id": 2}]', [{"id": 1}, {"id": 2}], ({"id": 1}, {"id": 2})]
    for data in many:
        call = call_of(proto, data)
        assert ids(sale, call) == [1, 2]
        assert repeats(call)
    one: list[Any] = ['{"id": 7}', '[{"id": 7}]', {"id": 7}, [{"id": 7}]]
    for data in one:
        call = call_of(proto, data)
        assert call.payloads is None
        assert ids(sale, call) == [7]


def test_a_message_whose_own_json_is_a_list_stays_one(proto: Path) -> None:
    assert call_of(proto, "[1, 2]", "Any").payloads is None
    assert call_of(proto, [1, 2], "Any").payloads is None


def test_lines_of_json(proto: Path, sale: Any, tmp_path: Path) -> None:
    lines = '{"id": 1}\n\n{"id": 2, "name": "x"}\r\n{"id": 3}'
    assert ids(sale, call_of(proto, file(tmp_path, "r.jsonl", lines))) == [1, 2, 3]
    assert ids(sale, call_of(proto, file(tmp_path, "r.txt", lines), format="jsonl")) == [1, 2, 3]
    assert ids(sale, call_of(proto, lines, format="jsonl")) == [1, 2, 3]
    # a line of JSON Lines ends with a line feed, and with nothing else that Unicode calls a line
    assert ids(sale, call_of(proto, '{"id": 1, "name": "a\u2028b\u0085c"}\n{"id": 2}', format="jsonl")) == [1, 2]


def test_csv_with_a_header(proto: Path, sale: Any, tmp_path: Path) -> None:
    text = (
        "id,name,paid,price.units,price.currency,speed,codes,at,weight,token\n"
        '1,"a, ""b""",true,5,EUR,FAST,"[1, 2]",2026-01-02T03:04:05Z,1.5,AAE=\n'
        "2,007,0,,,1,,,,\n"
    )
    first, second = (sale.FromString(one) for one in requests(call_of(proto, file(tmp_path, "r.csv", text))))
    assert (first.id, first.name, first.paid, first.price.units, first.price.currency) == (1, 'a, "b"', True, 5, "EUR")
    assert (first.speed, list(first.codes), first.weight, first.token) == (1, [1, 2], 1.5, b"\0\1")
    assert first.at.ToDatetime() == datetime(2026, 1, 2, 3, 4, 5)
    assert (second.name, second.paid, second.speed, second.HasField("price")) == ("007", False, 1, False)


def test_messages_behind_their_lengths(proto: Path, sale: Any, tmp_path: Path) -> None:
    messages = [sale(id=1).SerializeToString(), b"", sale(name="x" * 300).SerializeToString()]
    content = (
        b"\x02" + messages[0] + b"\x00" + bytes([0x80 | len(messages[2]) & 0x7F, len(messages[2]) >> 7]) + messages[2]
    )
    assert requests(call_of(proto, file(tmp_path, "r.bin", content))) == messages
    assert requests(call_of(proto, content)) == messages
    for cut in (content[:-1], content + b"\x80"):
        with pytest.raises(UsageError, match="length-delimited"):
            call_of(proto, file(tmp_path, "cut.bin", cut))


def test_a_file_that_is_one_message_holds_that_one(proto: Path, sale: Any, tmp_path: Path) -> None:
    message = sale(id=7, name="Joe").SerializeToString()
    assert requests(call_of(proto, file(tmp_path, "r.bin", message))) == [message]
    unknown_field = message + b"\xf8\x06\x01"
    with pytest.raises(UsageError, match="length-delimited messages"):
        call_of(proto, file(tmp_path, "r.bin", unknown_field))


def test_requests_that_differ_are_as_many_as_are_planned_and_do_not_repeat(
    proto: Path, sale: Any, tmp_path: Path
) -> None:
    for data in (
        '{"id": {{.RequestNumber}}}',
        {"id": "{{.RequestNumber}}"},
        file(tmp_path, "t.jsonl", '{"id": {{.RequestNumber}}}\n{"id": "{{.RequestNumber}}"}\n'),
        file(tmp_path, "t.csv", "id\n{{.RequestNumber}}\n"),
        lambda number: {"id": number},
        lambda number: f'{{"id": {number}}}',
        lambda number: sale(id=number).SerializeToString(),
        ({"id": number} for number in range(100)),
    ):
        call = call_of(proto, data)
        assert ids(sale, call) == [0, 1, 2, 3, 4]
        assert not repeats(call)
    assert repeats(call_of(proto, '{"id": {{.RequestNumber}}}', repeat=True))


def test_an_iterator_may_end_before(proto: Path, sale: Any) -> None:
    def two() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        yield {"id": 2}

    call = call_of(proto, two(), planned=1000)
    assert ids(sale, call) == [1, 2]
    assert not repeats(call)


def test_a_random_order_has_every_request_once(proto: Path, sale: Any) -> None:
    data = [{"id": number} for number in range(50)]
    first, again = (ids(sale, call_of(proto, data, order="random", seed=3)) for _ in range(2))
    assert first == again != list(range(50))
    assert sorted(first) == list(range(50))


def test_the_requests_of_a_study_are_encoded_once(proto: Path, sale: Any, tmp_path: Path) -> None:
    data = file(tmp_path, "r.jsonl", '{"id": 1}\n{"id": 2}\n')
    first, again = call_of(proto, data), call_of(proto, data)
    assert first.payloads is not None
    assert again.payloads == first.payloads
    assert call_of(proto, '[{"id": 5}, {"id": 6}]').payloads != first.payloads
    Path(data[1:]).write_text('{"id": 1}\n{"id": 2}\n{"id": 3}\n')
    assert ids(sale, call_of(proto, data)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("r.jsonl", '{"id": 1}\n{"id": "x"}\n', ["data.id", "line 2 of", "r.jsonl"]),
        ("r.jsonl", '{"id": 1}\n{"id": 1\n', ["expected JSON", "line 2 of", "r.jsonl"]),
        ("r.jsonl", '{"id": 1}\n{"idd": {{.RequestNumber}}}\n', ["request number 1, line 2 of", "r.jsonl"]),
        ("r.jsonl", "\n \n", ["at least one request"]),
        ("r.json", "[]", ["at least one request"]),
        ("r.json", '[{"id": 1}, {"idd": 1}]', ["data[1].idd", "r.json)"]),
        ("r.json", '{"id": 1,}', ["expected JSON; line 1", "r.json)"]),
        ("r.json", '{"id": {{.UUID}}}', ["request number 0, ", "r.json)"]),
        ("r.csv", "id\n1\n2,3\n", ["1 cell in line 3", "there are 2"]),
        ("r.csv", "", ["header"]),
        ("r.csv", "id,id\n1,2\n", ["header"]),
        ("r.csv", "name,name.first\nx,y\n", ["either name or name.first"]),
        ("r.csv", "idd\n1\n", ["data.idd", "line 2 of", "r.csv)"]),
        ("r.csv", 'name,id\n"a\nb",1\nc,x\n', ["data.id", "line 4 of", "r.csv)"]),
        ("r.csv", "name,id\n{{.UUID}},1\nx,x\n", ["data.id", "request number 1, line 3 of", "r.csv)"]),
        ("r.csv", 'id\n"1\n', ["CSV"]),
        ("r.csv", "paid\nmaybe\n", ["data.paid", "line 2 of"]),
        ("r.bin", "", ["at least one request"]),
        ("r.bin", b"\x02\x08\x01\x03\x08", ["message 2, at byte 3,", "has a length of 3 bytes, but 1 are left"]),
        ("r.bin", b"\x02\x08\x01\x80", ["the file ends inside the length of message 2, at byte 3"]),
        ("r.bin", b"\x02\x08\x01\x02\x08\x80", ["invalid data=08 80", "message 2, at byte 3 of", "r.bin)"]),
        ("r.bin", b"\x02\x08\x01\x03\x0a\x01a", ["expected a varint in field 1", "message 2, at byte 3 of"]),
        ("r.bin", b"\x04\x22\x02\x0a\x00", ["field 1", "message 1, at byte 0 of"]),
        ("r.jsonl", "\x00", ["UTF-8"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    proto: Path, tmp_path: Path, name: str, content: str | bytes, words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        call_of(proto, file(tmp_path, name, content))
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_small_file_of_json_that_a_command_reads_is_named_in_errors(proto: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text('[{"id": 1}, {"idd": 2}]')
    for given in ({"data_file": str(path)}, {"data": f"@{path}"}):
        with pytest.raises(UsageError, match=r"data\[1\]\.idd.*small\.json\)$"):
            call_of(proto, request_data(given))


@pytest.mark.parametrize("options", [{"format": "xml"}, {"order": "backwards"}])
def test_options_that_there_are_not_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected one of"):
        DataOptions(**options)
