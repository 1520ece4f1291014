"""What is looked for in an answer: expressions, and fields that vary by nature."""

from __future__ import annotations

from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.load.calls.call_options import AnswerKind
from grpclab.load.calls.checks import AnswerReader, answer_check
from grpclab.load.calls.descriptors import answer_kind
from grpclab.load.calls.schema import from_file

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Inner { int32 n = 1; google.protobuf.Timestamp at = 2; }
message Reply {
  int32 total = 1; string said = 2; Inner inner = 3; repeated Inner list = 4; map<string, Inner> by_name = 5;
  repeated int32 codes = 6;
}
service Shop { rpc Buy(Reply) returns (Reply); }
"""


@pytest.fixture(scope="module")
def kind(tmp_path_factory: pytest.TempPathFactory) -> AnswerKind:
    path = tmp_path_factory.mktemp("shop") / "shop.proto"
    path.write_text(PROTO)
    return answer_kind(from_file(path).method("shop.Shop", "Buy").output_type)


@pytest.fixture(scope="module")
def reply(kind: AnswerKind) -> Any:
    return AnswerReader(kind)._class


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("reply.total > 0", True),
        ("reply.total == 7 and reply.said == 'x'", True),
        ("reply.inner.n == 3", True),
        ("10 / reply.inner.n > 3", True),
        ("reply.codes[1] == 5", True),
        ("reply.total < 0 or not reply.said", False),
        ("reply.codes[7] == 5", False),
    ],
)
def test_a_check_is_an_expression_over_the_reply(kind: AnswerKind, reply: Any, expression: str, holds: bool) -> None:
    pytest.importorskip("simpleeval", reason="pip install 'grpclab[check]'")
    message = reply(total=7, said="x", inner={"n": 3}, codes=[4, 5]).SerializeToString()
    fault = answer_check(expression, kind)
    assert (fault(message) == "") is holds
    assert fault(b"\xff") != ""


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        *(("reply.totl > 0", "did you mean total"), ("reply.total >", "expression"), ("foo", "not defined")),
        ('__import__("os").system("true")', "not defined"),
    ],
)
def test_a_check_that_cannot_be_made_is_refused_first(kind: AnswerKind, expression: str, words: str) -> None:
    pytest.importorskip("simpleeval", reason="pip install 'grpclab[check]'")
    with pytest.raises(UsageError, match=words):
        answer_check(expression, kind)


def test_equal_answers_are_equal_without_what_varies(kind: AnswerKind, reply: Any) -> None:
    def said(at: int, total: int = 1) -> bytes:
        inner = {"n": 1, "at": {"seconds": at}}
        made = reply(total=total, inner=inner, list=[inner, inner], codes=[at])
        made.by_name["a"].CopyFrom(made.inner)
        content: bytes = made.SerializeToString()
        return content

    plain = AnswerReader(kind)
    assert plain.read([said(1)]) == plain.read([said(1)])
    apart = plain.read([said(1)]).fields, plain.read([said(2)]).fields
    differing = {name for name in apart[0] if apart[0][name] != apart[1][name]}
    assert differing == {"inner.at.seconds", "list", "by_name", "codes"}
    ignoring = AnswerReader(kind, ["inner.at", "list.at", "by_name.at", "codes"])
    assert ignoring.read([said(1)]).digest == ignoring.read([said(2)]).digest
    assert ignoring.read([said(1)]).digest != ignoring.read([said(1, total=2)]).digest
    assert ignoring.read([said(1)]).digest != ignoring.read([said(1), said(1)]).digest
    assert ignoring.read([b"\xff"]).digest != ignoring.read([b"\xfe"]).digest


@pytest.mark.parametrize("path", ["totl", "inner.nn", "total.n", "inner.at.seconds.x"])
def test_a_field_that_there_is_not_is_refused(kind: AnswerKind, path: str) -> None:
    with pytest.raises(UsageError, match="ignore-fields"):
        AnswerReader(kind, [path])
