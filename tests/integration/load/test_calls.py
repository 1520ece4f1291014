"""Calls of any service: from a name, some JSON and metadata to the bytes that a server understands."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2

from grpclab.errors import UsageError
from grpclab.factors.config import LoadConfig
from grpclab.generated import greet_pb2
from grpclab.http2.messages import unframed
from grpclab.load.calls.metadata import parse_metadata
from grpclab.load.calls.method import CallSpec, find_call, greeting
from grpclab.servers.process.launcher import RunningServer
from grpclab.system.json_lines import decode, encode
from tests.support.greeting import channel_to, hello
from tests.support.shop import Shop, write


def unary(target: str, spec: CallSpec) -> bytes:
    """Make the call as it is; the bytes of the reply."""
    with channel_to(target) as channel:
        call: Any = channel.unary_unary(spec.path)
        return bytes(call(spec.payload, timeout=60, metadata=spec.grpcio_metadata))


def stream(target: str, spec: CallSpec, most: int | None = None) -> list[bytes]:
    """The replies of a streaming call; with `most`, only so many."""
    replies: list[bytes] = []
    with channel_to(target) as channel:
        call: Any = channel.unary_stream(spec.path)
        for reply in call(spec.payload, timeout=60, metadata=spec.grpcio_metadata):
            replies.append(reply)
            if len(replies) == most:
                break
    return replies


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def shop_target(shop: Shop) -> Iterator[str]:
    with shop.serve(shop.reflector()) as target:
        yield target


@pytest.fixture(scope="module")
def proto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("protos"))


def place(proto: Path, request: object) -> CallSpec:
    """An order, by the files: no server is asked."""
    data = request if isinstance(request, str) else json.dumps(request)
    return find_call("", "shop.v1.Orders/Place", data=data, proto=proto, proto_paths=[proto.parent.parent])


def refusal(proto: Path, request: object) -> str:
    """The line that a wrong request ends in."""
    with pytest.raises(UsageError) as caught:
        place(proto, request)
    line = str(caught.value)
    assert "\n" not in line
    assert line.encode()
    return line


# ---- our greeter ---------------------------------------------------------------------------------------------


def test_the_greeting_is_what_the_generated_stub_would_send() -> None:
    assert greeting(LoadConfig()) == CallSpec(
        path="/greet.GreeterService/SayHello", payload=hello("world").SerializeToString()
    )
    assert greeting(LoadConfig(method="SayHelloStream", request_bytes=3)) == CallSpec(
        path="/greet.GreeterService/SayHelloStream", payload=hello("xxx").SerializeToString(), server_streaming=True
    )


@pytest.mark.parametrize("method", ["SayHello", "SayHelloStream"])
def test_the_greeter_found_by_reflection_is_the_greeting(quick_server: RunningServer, method: Any) -> None:
    spec = find_call(quick_server.target, f"greet.GreeterService/{method}", data='{"name": "world"}')
    assert spec == greeting(LoadConfig(method=method))


def test_the_greeter_answers_the_call(quick_server: RunningServer) -> None:
    spec = find_call(quick_server.target, "greet.GreeterService/SayHello", data='{"name": "Zoë"}')
    assert greet_pb2.HelloResponse.FromString(unary(quick_server.target, spec)).message == "Hello Zoë!"
    spec = find_call(quick_server.target, "greet.GreeterService/SayHelloStream", data='{"name": "Zoë"}')
    replies = stream(quick_server.target, spec)
    assert [greet_pb2.HelloResponse.FromString(reply).message for reply in replies] == ["Hello Zoë!"] * 3


def test_a_worker_reads_a_call_without_grpc_and_protobuf() -> None:
    code = "import sys, grpclab.load.calls.method; print([n for n in ('grpc', 'google.protobuf') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_call_comes_whole_through_a_workers_line() -> None:
    spec = CallSpec(path="/a.B/C", payload=bytes(range(256)), server_streaming=True, metadata=(("x-a", "1"),) * 2)
    assert decode(CallSpec, encode(spec)) == spec


# ---- services that are not ours ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Check", "grpc.health.v1.Health.Check"]
)
def test_the_health_of_a_server_is_called_by_any_spelling(quick_server: RunningServer, name: str) -> None:
    spec = find_call(quick_server.target, name)
    assert spec == CallSpec(path="/grpc.health.v1.Health/Check", payload=b"")
    answer = health_pb2.HealthCheckResponse.FromString(unary(quick_server.target, spec))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_stream_without_an_end_is_called_too(quick_server: RunningServer) -> None:
    spec = find_call(quick_server.target, "grpc.health.v1.Health/Watch", data='{"service": "greet.GreeterService"}')
    assert spec.server_streaming
    (first,) = stream(quick_server.target, spec, most=1)
    assert health_pb2.HealthCheckResponse.FromString(first).status == health_pb2.HealthCheckResponse.SERVING


ORDER = {
    "customer": "Zoë",
    "items": [{"name": "tea", "count": 2, "price": {"currency": "EUR", "units": "9007199254740993"}}, {"tags": ["a"]}],
    "extras": {"on top": {"name": "cup"}},
    "by_day": {"1": "FAST", "-2": 1},
    "speed": "SLOW",
    "placedAt": "2024-02-29T12:00:00.5Z",
    "token": "_-8",
    "cash": {"units": 5},
    "wrapped": True,
    "codes": [1, "2"],
    "weight": "NaN",
    "patience": "1.5s",
    "card": None,
}


def understood(shop: Shop, spec: CallSpec, reply: bytes) -> Any:
    receipt = shop.receipt.FromString(reply)
    order = shop.order.FromString(spec.payload)
    assert receipt.order == order.SerializeToString(deterministic=True)
    return shop.order.FromString(receipt.order)


def test_every_kind_of_field_reaches_the_server(shop: Shop, shop_target: str) -> None:
    spec = find_call(shop_target, "shop.v1.Orders/Place", data=json.dumps(ORDER))
    order = understood(shop, spec, unary(shop_target, spec))
    assert order.customer == "Zoë"
    assert [(i.name, i.count, i.price.units, list(i.tags)) for i in order.items] == [
        ("tea", 2, 9007199254740993, []),
        ("", 0, 0, ["a"]),
    ]
    assert order.extras["on top"].name == "cup"
    assert dict(order.by_day) == {1: 2, -2: 1}
    assert order.placed_at.ToJsonString() == "2024-02-29T12:00:00.500Z"
    assert (order.speed, order.token, order.WhichOneof("paid"), order.cash.units) == (1, b"\xff\xef", "cash", 5)
    assert (order.wrapped, list(order.codes), order.patience.ToJsonString()) == (True, [1, 2], "1.500s")
    assert order.weight != order.weight


def test_a_stream_of_theirs_has_all_its_messages(shop: Shop, shop_target: str) -> None:
    spec = find_call(shop_target, "shop.v1.Orders/Watch", data='{"customer": "Ada"}')
    replies = stream(shop_target, spec)
    assert spec.server_streaming
    assert [understood(shop, spec, reply).customer for reply in replies] == ["Ada"] * 3


def test_the_files_and_the_reflection_give_the_same_bytes(shop_target: str, proto: Path) -> None:
    request = {key: value for key, value in ORDER.items() if not isinstance(value, dict)}  # maps have no order
    by_reflection = find_call(shop_target, "shop.v1.Orders/Place", data=json.dumps(request))
    assert place(proto, request) == by_reflection


def test_a_message_inside_any_is_found_though_no_file_imports_it(shop: Shop, shop_target: str) -> None:
    gift = {"@type": "type.googleapis.com/shop.v1.Gift", "message": "hi"}
    spec = find_call(shop_target, "shop.v1.Orders/Place", data=json.dumps({"gift": gift}))
    order = understood(shop, spec, unary(shop_target, spec))
    assert order.gift.type_url == gift["@type"]
    assert order.gift.value == b"\n\x02hi"


def test_metadata_reaches_the_server(shop: Shop, shop_target: str) -> None:
    metadata = parse_metadata(["x-user=a=b c", "x-user=2", "x-raw-bin=AP8="])
    spec = find_call(shop_target, "shop.v1.Orders/Place", metadata=metadata)
    assert spec.metadata == (("x-user", "a=b c"), ("x-user", "2"), ("x-raw-bin", "AP8"))
    received = shop.receipt.FromString(unary(shop_target, spec)).said
    assert received == repr([("x-raw-bin", b"\x00\xff"), ("x-user", "2")])


def test_nothing_of_theirs_stays_in_this_process(proto: Path) -> None:
    first = place(proto, {"customer": "Ada"})
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("shop.v1.Order")
    assert place(proto, {"customer": "Ada"}) == first


# ---- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "/", "SayHello", "a/b/c", "greet.GreeterService/", "/SayHello", "a b/c", "ä.B/C"])
def test_a_name_that_is_none_is_refused_before_anyone_is_asked(name: str) -> None:
    with pytest.raises(UsageError, match="is not a method name: write package"):
        find_call("127.0.0.1:1", name)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "greet.GreterService/SayHello",
            r"has no service greet.GreterService \(.*; did you mean greet.GreeterService\?",
        ),
        ("GreeterService/SayHello", r"no service GreeterService \(available: .*; did you mean greet.GreeterService\?"),
        ("health/Check", r"available: .*grpc.health.v1.Health, .*; did you mean grpc.health.v1.Health\?"),
        (
            "x.Y/Z",
            r"\(available: greet.GreeterService, grpc.health.v1.Health, grpc.reflection.v1alpha.ServerReflection\)$",
        ),
        (
            "greet.GreeterService/sayhello",
            r"has no method sayhello \(available: SayHello, SayHelloStream; did you mean SayHello\?",
        ),
        (
            "greet.GreeterService",
            "greet.GreeterService is a service: specify one of its methods,"
            " greet.GreeterService/SayHello, greet.GreeterService/SayHelloStream",
        ),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(
    quick_server: RunningServer, name: str, line: str
) -> None:
    with pytest.raises(UsageError, match=line):
        find_call(quick_server.target, name)


@pytest.mark.parametrize(("method", "answers"), [("Upload", False), ("Chat", True)])
def test_where_the_client_streams_a_list_is_the_messages_of_a_call(
    shop_target: str, method: str, answers: bool
) -> None:
    spec = find_call(shop_target, f"shop.v1.Orders/{method}", data=[{"customer": "a"}, {"customer": "b"}])
    assert (spec.client_streaming, spec.server_streaming) == (True, answers)
    assert unframed(spec.payload) == (b"\n\x01a", b"\n\x01b")
    assert spec.payloads is None


def test_only_loopback_is_asked() -> None:
    with pytest.raises(UsageError, match="expected an address on this machine"):
        find_call("192.0.2.1:50051", "greet.GreeterService/SayHello")


# ---- the request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "invalid data=: expected JSON; line 1, column 1 needs a value$"),
        ("{'customer': 1}", r"line 1, column 2 needs a name in double quotes, near {'customer': 1}"),
        ('{"customer":\n"a",}', r"expected JSON; line 2, column \d+ needs "),
        ('{"customer": "a"} x', "needs the end of the text"),
        ('{"items": [{"count": 1, "count": 2}]}', r"invalid data.items\[0\].count=2: expected one value"),
        ('{"items":' * 5000, "expected at most 100 levels"),
        ('{"items":' * 300 + "1" + "}" * 300, r"invalid data.items=.*: expected a list, e.g. \["),
    ],
)
def test_broken_json_is_told_with_its_place(proto: Path, text: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        place(proto, text)


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        ([1], 'invalid data[0]=1: expected an object for shop.v1.Order, e.g. {"customer": "hello"}'),
        (None, "invalid data=null: expected an object for shop.v1.Order"),
        (
            {"items": [{}, {"cuont": 1}]},
            "invalid data.items[1].cuont: expected a field of shop.v1.Order.Item, which has name, count, price, tags;"
            " did you mean count?",
        ),
        ({"extras": {"a\nb": {"price": {"cents": 1}}}}, 'invalid data.extras["a\\nb"].price.cents: expected a field'),
        ({"\ud800": 1}, "invalid data.\\ud800: expected a field"),
        ({"customer": 7}, 'invalid data.customer=7: expected a string, e.g. "hello"'),
        ({"customer": "\ud800"}, 'invalid data.customer="\\ud800": expected a string'),
        ({"items": {"name": "tea"}}, 'invalid data.items={"name": "tea"}: expected a list, e.g. [{"name": "hello"}]'),
        ({"items": ["tea"]}, 'invalid data.items[0]="tea": expected an object for shop.v1.Order.Item'),
        ({"items": [None]}, "invalid data.items[0]=null: expected a value"),
        ({"codes": [1, "x"]}, 'invalid data.codes[1]="x": expected a whole number from -9,223,372,036,854,775,808 to'),
        ({"extras": []}, 'invalid data.extras=[]: expected an object, e.g. {"key": {"name": "hello"}}'),
        ({"items": [{"count": 2**31}]}, "invalid data.items[0].count=2147483648: expected a whole number from"),
        ({"items": [{"count": 1.5}]}, "invalid data.items[0].count=1.5: expected a whole number from"),
        (
            {"speed": "WARP"},
            'invalid data.speed="WARP": expected a name or number of shop.v1.Speed, which has SPEED_UNKNOWN, S',
        ),
        ({"by_day": {"1": "WARP"}}, 'invalid data.by_day["1"]="WARP": expected a name or number of shop.v1.Speed'),
        ({"by_day": {"x": "SLOW"}}, 'invalid data.by_day["x"]: expected a key that is a whole number'),
        ({"placed_at": "today"}, 'invalid data.placed_at="today": expected a time'),
        ({"patience": 3}, "invalid data.patience=3: expected seconds followed by s"),
        ({"token": "###"}, 'invalid data.token="###": expected bytes in base64, e.g. "aGVsbG8="'),
        ({"token": 1}, "invalid data.token=1: expected bytes in base64"),
        ({"wrapped": "yes"}, 'invalid data.wrapped="yes": expected true or false, without quotes'),
        (
            {"gift": {"@type": "x/shop.v1.None"}},
            'invalid data.gift.@type="x/shop.v1.None": expected a message type in the schema',
        ),
        ({"card": "1", "cash": {}}, "invalid data.cash={}: expected card or cash, not both"),
        ({"customer": ["x" * 500]}, 'invalid data.customer=["' + "x" * 38 + "...: expected"),
    ],
)
def test_a_field_that_does_not_fit_is_told_by_its_path(proto: Path, request_: object, line: str) -> None:
    assert line in refusal(proto, request_)


def test_a_required_field_that_is_missing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "old.proto"
    file.write_text(
        'syntax = "proto2"; message Q { required int32 id = 1; extensions 100 to 200; }'
        " extend Q { optional int32 e = 100; }"
        " service Old { rpc Ask(Q) returns (Q); }"
    )
    with pytest.raises(UsageError, match=r"invalid data.id: expected a value, e.g. 42, since the field is required"):
        find_call("", "Old/Ask", proto=file)
    assert find_call("", "Old/Ask", proto=file, data='{"id": 1, "[e]": 2}').payload == b"\x08\x01\xa0\x06\x02"


# ---- metadata ------------------------------------------------------------------------------------------------


def test_metadata_is_read_word_by_word() -> None:
    assert parse_metadata([]) == ()
    words = ["authorization=Bearer x=y", "a.b_c-1=", "a.b_c-1=2"]
    assert parse_metadata(words) == (("authorization", "Bearer x=y"), ("a.b_c-1", ""), ("a.b_c-1", "2"))
    padded = base64.b64encode(b"hello").decode()
    assert parse_metadata([f"k-bin={padded}", f"k-bin={padded.rstrip('=')}", "k-bin="]) == (
        ("k-bin", "aGVsbG8"),
        ("k-bin", "aGVsbG8"),
        ("k-bin", ""),
    )
    assert parse_metadata(["k-bin=_-8=", "x-trace-bin=_-8"]) == (("k-bin", "/+8"), ("x-trace-bin", "/+8"))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("x-user", "expected key=value, e.g. x-user=42"),
        ("=1", "expected key=value"),
        ("X-User=1", "invalid metadata=X-User=1: expected x-user in lower case"),
        ("grpc-timeout=1S", "invalid metadata=grpc-timeout=1S: expected a different key"),
        ("grpc-status-details-bin=AA", "expected a different key"),
        ("GRPC-encoding=x", "expected a different key"),
        ("grpc-trace-bin=AA", "expected a different key; those that begin with grpc- are reserved for gRPC"),
        ("grpc-foo=1", "those that begin with grpc- are reserved for gRPC"),
        (":path=/x", "expected a different key"),
        ("content-type=text/html", "expected a different key"),
        ("te=trailers", "expected a different key"),
        ("ümlaut=1", "expected a key of a-z, 0-9, '_', '-' and '.'"),
        ("a b=1", "expected a key of a-z"),
        ("x=ü", "expected printable ASCII .* for anything else, use x-bin= and base64"),
        ("x=a\nb", "expected printable ASCII"),
        ("x= a", "without leading or trailing spaces"),
        ("x-bin=###", "expected base64 for a key that ends with -bin, e.g. x-bin=aGVsbG8"),
        ("x-bin=ü", "expected base64"),
        ("x-bin=+_8", "expected base64"),
        ("x-bin=AA=", "expected base64"),
    ],
)
def test_metadata_that_cannot_be_sent_is_refused(word: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        parse_metadata(["fine=1", word])
