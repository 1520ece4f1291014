"""The reflection of a study's servers: each is asked once, whatever the number of trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.servers.build import SERVICE
from grpclab.servers.target import Command
from grpclab.study.target import Subject
from grpclab.testing import FakeTarget, fake_target
from tests.support.processes import until

SUBJECT = Subject(target=Command("srv {port}"), call=f"{SERVICE}/SayHello", data='{"name": "Ada"}')
CONFIG = TrialConfig()


class Asked(grpc.GenericRpcHandler):
    """Counts the calls of reflection, and leaves them to others; they wait while `held`."""

    def __init__(self) -> None:
        self.calls = 0
        self.free = threading.Event()
        self.free.set()

    def service(self, handler_call_details: Any) -> None:
        if "Reflection" in handler_call_details.method:
            self.calls += 1
            self.free.wait(30)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def target(asked: Asked) -> Iterator[FakeTarget]:
    with fake_target(asked) as running:
        yield running


def test_a_server_of_a_study_is_asked_at_its_first_start(asked: Asked, target: FakeTarget) -> None:
    alone = SUBJECT.call_at(target.address, CONFIG)
    once = asked.calls
    assert once > 0
    with PAYLOAD_FOLDER.in_use():
        calls = [SUBJECT.call_at(target.address, CONFIG) for _ in range(3)]
        assert asked.calls == 2 * once
    assert calls == [alone] * 3
    with PAYLOAD_FOLDER.in_use():
        SUBJECT.call_at(target.address, CONFIG)
    assert asked.calls == 3 * once, "another study asks for itself"


def test_servers_that_start_together_ask_once_between_them(asked: Asked, target: FakeTarget) -> None:
    SUBJECT.call_at(target.address, CONFIG)
    once = asked.calls
    asked.free.clear()
    with PAYLOAD_FOLDER.in_use(), ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(SUBJECT.call_at, target.address, CONFIG) for _ in range(4)]
        assert until(lambda: asked.calls > once)
        asked.free.set()
        assert len({call.result().payload for call in calls}) == 1
    assert asked.calls == 2 * once


@pytest.mark.parametrize(
    ("subject", "config"),
    [
        (SUBJECT, CONFIG.replace({"arg.version": "2"})),
        (Subject(target=Command("other {port}"), call=SUBJECT.call), CONFIG),
        (Subject(target=SUBJECT.target, call=SUBJECT.call, metadata=("tenant=7",)), CONFIG),
        (Subject(target=SUBJECT.target, call=f"{SERVICE}/SayHelloStream"), CONFIG),
    ],
    ids=["argument", "command", "metadata", "method"],
)
def test_another_server_or_question_is_asked_for_itself(
    subject: Subject, config: TrialConfig, asked: Asked, target: FakeTarget
) -> None:
    with PAYLOAD_FOLDER.in_use():
        SUBJECT.call_at(target.address, CONFIG)
        once = asked.calls
        subject.call_at(target.address, config)
    assert asked.calls == 2 * once


def test_what_a_server_did_not_say_is_asked_again(asked: Asked, target: FakeTarget) -> None:
    unknown = Subject(target=SUBJECT.target, call="a.Shop/Buy")
    counts = []
    with PAYLOAD_FOLDER.in_use():
        for _ in range(2):
            with pytest.raises(UsageError, match=r"has no service a\.Shop"):
                unknown.call_at(target.address, CONFIG)
            counts.append(asked.calls)
    assert counts[0] > 0
