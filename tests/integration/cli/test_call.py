"""``grpclab call``: services, messages and single calls of a server that is not ours, in this process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

import grpclab
from grpclab.cli.commands import main
from grpclab.errors import TargetError
from grpclab.load.call_answer import AnswerDecoder
from grpclab.load.calls.encoding import encode
from grpclab.load.calls.outline import message_example
from grpclab.load.calls.request import from_python
from grpclab.load.calls.schema import from_descriptors
from grpclab.testing import fake_target
from tests.support.command import GRPCLAB
from tests.support.shop import SERVICE, Shop, write

PLACE, WATCH = f"{SERVICE}/Place", f"{SERVICE}/Watch"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def answers(shop: Shop) -> grpc.GenericRpcHandler:
    """All four kinds of methods, with headers, trailers and errors."""

    def receipt(order: Any) -> Any:
        return shop.receipt(said=order.customer, order=order.SerializeToString(deterministic=True))

    def place(order: Any, context: grpc.ServicerContext) -> Any:
        context.send_initial_metadata((("x-shop", "corner"), ("x-token", "very-secret-word-1")))
        context.set_trailing_metadata((("x-cost-bin", b"\x01\x02\x03"),))
        if order.customer == "nobody":
            status = status_pb2.Status(code=5, message="no such customer")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="UNKNOWN_CUSTOMER", domain="shop"))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no such customer")
        return receipt(order)

    def watch(order: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from (receipt(order) for _ in range(3))
        if order.customer == "forever":
            left = threading.Event()
            if context.add_callback(left.set):
                left.wait()
        if order.customer == "nobody":
            context.abort(grpc.StatusCode.DATA_LOSS, "torn")

    def upload(orders: Iterator[Any], context: grpc.ServicerContext) -> Any:
        return shop.receipt(said=", ".join(order.customer for order in orders))

    def chat(orders: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        yield from map(receipt, orders)

    codec = {"request_deserializer": shop.order.FromString, "response_serializer": shop.receipt.SerializeToString}
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Place": grpc.unary_unary_rpc_method_handler(place, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, **codec),
            "Upload": grpc.stream_unary_rpc_method_handler(upload, **codec),
            "Chat": grpc.stream_stream_rpc_method_handler(chat, **codec),
        },
    )


@pytest.fixture(scope="module")
def target(shop: Shop) -> Iterator[str]:
    reflector = reflection.ReflectionServicer([SERVICE, reflection.SERVICE_NAME], pool=shop.pool)
    reflected = grpc.method_handlers_generic_handler(
        reflection.SERVICE_NAME,
        {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                reflector.ServerReflectionInfo,
                request_deserializer=ServerReflectionRequest.FromString,
                response_serializer=ServerReflectionResponse.SerializeToString,
            )
        },
    )
    with fake_target(answers(shop), reflected, answer=None, services=()) as running:
        yield running.address


def called(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What `grpclab call WORDS` prints."""
    ended = main(["call", *words])
    printed = capsys.readouterr()
    assert ended == code, printed.err
    assert all(len(line) <= 104 for line in printed.out.splitlines())
    return printed.out if code != 2 else printed.err


# ---- services and messages ---------------------------------------------------------------------------------------


def test_services_are_listed_with_their_methods(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = called(capsys, "list", target).splitlines()
    assert lines[0] == SERVICE
    assert "  Watch   Order -> stream Receipt" in lines
    assert "  Chat    stream Order -> stream Receipt" in lines
    assert f"gRPC's own: {reflection.SERVICE_NAME}" in lines


def test_a_list_for_programs_is_json_alone(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(called(capsys, "list", target, "--json", "-"))
    methods = {m["name"]: m["kind"] for service in found["services"] for m in service["methods"]}
    assert methods[f"{SERVICE}/Upload"] == "client streaming"


def test_the_address_may_come_first(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(capsys, target) == called(capsys, "list", target) == called(capsys, target, "list")
    assert called(capsys, target, "describe", "Watch") == called(capsys, "describe", "Watch", target)


@pytest.mark.parametrize("name", [PLACE, "Place", "Orders/Place", "shop.v1.Orders.Place"])
def test_a_method_is_described_by_any_clear_name(target: str, capsys: pytest.CaptureFixture[str], name: str) -> None:
    text = called(capsys, "describe", name, target)
    assert f"method {PLACE}, unary" in text
    assert "map<string, shop.v1.Order.Item>" in text
    assert "nested message shop.v1.Money" in text
    assert "SPEED_UNKNOWN, SLOW, FAST" in text
    assert "one of paid" in text


def test_the_template_of_a_description_is_a_request(
    shop: Shop, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    template = json.loads(called(capsys, "describe", PLACE, target, "--json", "-"))["template"]
    assert template["items"][0]["price"] == {"currency": "currency", "units": 1}
    assert template["extras"]["key"]["count"] == 1
    schema = from_descriptors(file.SerializeToString() for file in shop.files.file)
    kind = schema.method(SERVICE, "Place").input_type
    assert encode(from_python(template), kind, schema.pool)
    assert message_example(kind, 0).keys() < template.keys()


def test_messages_enums_and_services_are_described(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "units" in called(capsys, "describe", "shop.v1.Money", target)
    assert "  2  FAST" in called(capsys, "describe", "shop.v1.Speed", target)
    assert "Upload" in called(capsys, "describe", SERVICE, target)


def test_a_schema_file_needs_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = write(tmp_path)
    assert "Place" in called(capsys, "list", "--proto", str(proto), "--proto-path", str(tmp_path))


def test_the_example_of_a_client_stream_is_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = tmp_path / "a.proto"
    proto.write_text(
        'syntax = "proto3"; package a; message M { bool x = 1; } service B { rpc C(stream M) returns (M); }'
    )
    text = called(capsys, "describe", "C", "--proto", str(proto))
    assert "method a.B/C, client streaming" in text
    assert """--data '[{"x": true}, {"x": true}]'""" in text


# ---- calls -------------------------------------------------------------------------------------------------------


def test_a_call_shows_all_that_came_with_its_answer(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = called(capsys, PLACE, target, "--data", '{"customer": "Ada"}')
    assert '{"said": "Ada", "order": "CgNBZGE="}' in text
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line and line[0].islower())
    assert rows["status"] == "OK"
    assert rows["headers"] == "x-shop: corner"
    assert rows["trailers"] == "x-cost-bin: AQID"
    assert rows["time"].endswith(" ms")
    assert "very-secret-word-1" not in text


def test_a_call_that_fails_shows_its_details_and_ends_with_1(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = called(capsys, "Place", target, "--data", '{"customer": "nobody"}', code=1)
    assert "status    NOT_FOUND" in text
    assert "message   no such customer" in text
    assert "UNKNOWN_CUSTOMER" in text


def test_quiet_prints_a_message_a_line(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = called(capsys, WATCH, target, "--data", '{"customer": "Ada"}', "-q").splitlines()
    assert [json.loads(line)["said"] for line in lines] == ["Ada"] * 3


def test_the_messages_before_an_error_are_printed(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = called(capsys, WATCH, target, "--data", '{"customer": "nobody"}', code=1)
    assert text.count('"said": "nobody"') == 3
    assert "status    DATA_LOSS" in text


def test_a_stream_that_ctrl_c_ends_is_kept_as_far_as_it_came(target: str, tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    words = ["call", WATCH, target, "--data", '{"customer": "forever"}', "--json", str(file)]
    with subprocess.Popen([*GRPCLAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert all("forever" in process.stdout.readline() for _ in range(3))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "grpclab: interrupted (Ctrl-C)\n")
    assert "status    CANCELLED" in out
    (call,) = json.loads(file.read_text())["calls"]
    assert (call["status"], len(call["answers"]), len(call["arrived_s"])) == ("CANCELLED", 3, 3)


def test_several_calls_on_one_channel_have_a_time_each(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = called(capsys, PLACE, target, "--data", '[{"customer": "Ada"}, {"customer": "Bob"}]', "--repeat", "4")
    assert [line.split()[0] for line in text.splitlines() if line.endswith("OK")] == ["1", "2", "3", "4"]
    assert "The first call opened the connection" in text
    assert '"said": "Bob"' in text


def test_a_list_is_one_stream_where_the_client_streams(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    orders = '[{"customer": "Ada"}, {"customer": "Bob"}, {"customer": "Ada"}]'
    assert '"said": "Ada, Bob, Ada"' in called(capsys, "Upload", target, "--data", orders)
    found = json.loads(called(capsys, "Chat", target, "--data", orders, "--json", "-"))["calls"][0]
    assert [answer["said"] for answer in found["answers"]] == ["Ada", "Bob", "Ada"]
    assert len(found["arrived_s"]) == 3
    assert found["status"] == "OK"


def test_the_call_for_programs_returns_an_answer(target: str) -> None:
    answer = grpclab.call(target, PLACE, {"customer": "Ada"}, metadata={"x-user": "7"})
    assert answer.ok
    assert answer.messages[0]["said"] == "Ada"
    assert 0 < answer.arrived_s[0] <= answer.time_s


# ---- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["Pläce"], "has no method"),
        (["shop.v1.Orders/Plac"], "did you mean Place?"),
        (["describe", "Ordres"], "has no method Ordres"),
        ([PLACE, "--data", '{"custommer": 1}'], "did you mean customer?"),
        ([PLACE, "--repeat", "0"], "invalid --repeat=0"),
        ([PLACE, "--repeat", "9999999"], "grpclab bench"),
    ],
)
def test_what_cannot_be_is_one_line(
    target: str, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    line = called(capsys, *words, target, code=2)
    assert expected in line
    assert line.count("\n") == 1


def test_another_machine_is_not_called_without_leave(capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs --allow-remote" in called(capsys, "list", "192.0.2.1:50051", code=2)


def test_no_more_calls_are_made_than_were_allowed(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ceilings = ("--allow-remote", "--max-rate", "1000", "--max-calls", "3", "--max-time", "1m")
    schema = ("--proto", str(write(tmp_path)), "--proto-path", str(tmp_path))
    assert called(capsys, PLACE, target, *ceilings, *schema, "--repeat", "9", code=3).count("  OK") == 3


def test_an_answer_of_unknown_content_is_shown_as_text(shop: Shop) -> None:
    order = shop.order(customer="Ada")
    order.gift.type_url, order.gift.value = "type.googleapis.com/shop.v1.Unknown", b"\x08\x01"
    schema = from_descriptors(file.SerializeToString() for file in shop.files.file)
    decode = AnswerDecoder(schema.method(SERVICE, "Place").input_type, schema)
    assert decode(shop.order(customer="Ada").SerializeToString()) == {"customer": "Ada"}
    assert 'customer: "Ada"' in decode(order.SerializeToString())


def test_where_nothing_listens_the_exit_code_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = write(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free_port = listener.getsockname()[1]
    for words in (["list"], [PLACE, "--proto", str(proto), "--proto-path", str(tmp_path)]):
        assert main(["call", *words, f"localhost:{free_port}"]) == TargetError.exit_code
        assert "no server responded at localhost" in capsys.readouterr().err


def test_the_demonstration_makes_its_three_calls(capsys: pytest.CaptureFixture[str]) -> None:
    text = called(capsys, "demo")
    assert text.count("$ grpclab call ") == 3
    assert text.count('{"message": "Hello world!"}') == 1 + 1 + 5
    assert "    10  " in text
