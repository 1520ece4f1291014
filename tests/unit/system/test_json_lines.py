"""Messages between processes: what is sent arrives as an equal value, and nothing else is taken for a message."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from grpclab.factors.config import LinkConfig, LoadConfig, TrialConfig
from grpclab.system.json_lines import decode, encode


class Order:
    """What a process of these tests may be sent."""


@dataclass(frozen=True, kw_only=True)
class Begin(Order):
    config: TrialConfig
    payload: bytes = b""
    folder: Path | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    level: bool | int | float | str | None = None
    rate_rps: float | None = None
    kind: Literal["open", "closed"] = "closed"
    pacing: Literal["spin", "timer"] | None = None


@dataclass(frozen=True, kw_only=True)
class End(Order):
    at_s: float


@pytest.mark.parametrize(
    "message",
    [
        Begin(config=TrialConfig()),
        Begin(
            config=TrialConfig(load=LoadConfig(concurrency=7, rate_rps=10.5), link=LinkConfig(rtt_ms=4)),
            payload=b"\0\xff",
            folder=Path("a/b"),
            pairs=(("key", "1"), ("key", "2")),
            counts={"gzip": 3},
            level=True,
            rate_rps=200,
            kind="open",
            pacing="spin",
        ),
        Begin(config=TrialConfig(), level="text"),
        End(at_s=math.inf),
    ],
)
def test_a_message_arrives_as_it_was_sent(message: Order) -> None:
    assert decode(Order, encode(message)) == message


def test_a_number_that_is_none_stays_one() -> None:
    assert math.isnan(decode(End, encode(End(at_s=math.nan))).at_s)


def test_the_name_of_an_only_class_need_not_be_said() -> None:
    assert decode(End, b'{"at_s": 1}') == End(at_s=1.0)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"at_s": 1.0},
        {"message": "Stop"},
        {"message": "Order"},
        {"message": "End"},
        {"message": "End", "at_s": None},
        {"message": "End", "at_s": True},
        {"message": "End", "at_s": "1"},
        {"message": "End", "at_s": 1.0, "more": 1},
        {"message": "Begin", "config": {}, "payload": "not base64"},
        {"message": "Begin", "config": {}, "pairs": [["key"]]},
        {"message": "Begin", "config": {}, "pairs": "key"},
        {"message": "Begin", "config": {}, "counts": {"gzip": 1.5}},
        {"message": "Begin", "config": {}, "level": []},
        {"message": "Begin", "config": {}, "kind": "half"},
        {"message": "Begin", "config": {"load": {"speed": 1}}},
    ],
)
def test_anything_else_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|missing|base64"):
        decode(Order, json.dumps(document))


def test_a_line_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        decode(Order, "garbage")
