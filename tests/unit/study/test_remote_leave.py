"""The leave to load a server on another machine: in a study's file, and in Python's `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import grpclab
from grpclab.errors import DesignError, MeasurementError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.servers.leave import RemoteLeave
from grpclab.study import comparing
from grpclab.study.designs import file_design
from grpclab.study.designs.file_design import FileDesign
from grpclab.system.allowance import Allowance, SharedAllowance

ELSEWHERE = "192.0.2.1:7"
FILE = """
[target]
{target}
[call]
method = "a.Shop/Buy"
[set]
{set}
[factors]
client.pooling = ["shared", "per_call"]
"""
CEILINGS: dict[str, Any] = {"max_rate_rps": 100, "max_calls": 1000, "max_time_s": 60}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def leave(told: list[str]) -> RemoteLeave:
    allowance = Allowance(rate_rps=100, calls=1000, time_s=60)
    return RemoteLeave(ledger=SharedAllowance(allowance, now=0), announce=told.append)


def design(
    folder: Path, leave: RemoteLeave | None, *, target: str = f'address = "{ELSEWHERE}"', set_: str = ""
) -> FileDesign:
    path = folder / "there.toml"
    path.write_text(FILE.format(target=target, set=set_))
    return file_design.read(path, leave)


def test_a_file_may_name_another_machine_with_leave_only(tmp_path: Path, leave: RemoteLeave, told: list[str]) -> None:
    with pytest.raises(DesignError, match="any other address needs --allow-remote"):
        design(tmp_path, None)
    found = design(tmp_path, leave)
    assert told == [
        f"sends a.Shop/Buy calls to {ELSEWHERE} (192.0.2.1) in plain text: at most 100 calls/s, 1,000 calls, 60 s"
    ]
    assert {subject.target.ledger for subject in found.subjects.values()} == {leave.ledger}
    assert {subject.target.security.remote for subject in found.subjects.values()} == {("192.0.2.1",)}
    assert "192.0.2.1'," not in repr(found.plan), "no leave is stored"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"set_": "load.rate_rps = 200"}, "invalid --rate=200: expected at most 100"),
        ({"set_": "link.rtt_ms = 5"}, "remove the link.* settings"),
        ({"target": "command = './srv {port}'"}, "applies only to an address in [target]"),
    ],
)
def test_a_file_that_may_not_be_measured_there_is_refused(
    tmp_path: Path, leave: RemoteLeave, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(DesignError) as caught:
        design(tmp_path, leave, **changes)
    assert words in str(caught.value)


def test_a_server_on_this_machine_needs_no_ceilings(tmp_path: Path, leave: RemoteLeave, told: list[str]) -> None:
    found = design(tmp_path, leave, target='address = "127.0.0.1:7"', set_="load.rate_rps = 200")
    assert {subject.target.ledger for subject in found.subjects.values()} == {None}
    assert told == []


def test_no_trial_begins_once_the_ceilings_are_used_up(tmp_path: Path, leave: RemoteLeave) -> None:
    subject = next(iter(design(tmp_path, leave).subjects.values()))
    leave.ledger.spend(1000)
    assert "--max-calls=1000" in subject.over
    with pytest.raises(MeasurementError):
        leave.ledger.left(0)


class _PreparedError(Exception):
    """Stands for the measurement."""


def test_compare_takes_the_leave_and_says_what_is_sent_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared: list[Any] = []

    def prepare(sides: Any, **_: object) -> None:
        prepared.append(sides)
        raise _PreparedError

    monkeypatch.setattr(comparing, "prepare", prepare)
    there = grpclab.Address(ELSEWHERE)
    given: dict[str, Any] = {"call": "a.Shop/Buy", "b_settings": {"client.pooling": "per_call"}}
    with pytest.raises(_PreparedError):
        grpclab.compare(there, there, **given, allow_remote=True, **CEILINGS)
    assert capsys.readouterr().err.count(f"grpclab: sends a.Shop/Buy calls to {ELSEWHERE} (192.0.2.1)") == 1
    ledgers = {side.subject.target.ledger for side in prepared[0].values()}
    assert len(ledgers) == 1
    assert ledgers.pop().allowance == Allowance(rate_rps=100, calls=1000, time_s=60)


@pytest.mark.parametrize(
    ("sides", "options", "words"),
    [
        (grpclab.Address(ELSEWHERE), {}, "any other address needs"),
        (grpclab.Address(ELSEWHERE), {"allow_remote": True}, "add --max-rate, --max-calls, --max-time"),
        (grpclab.Address(ELSEWHERE), CEILINGS, "requires --allow-remote"),
        ("basic", {"allow_remote": True, **CEILINGS}, "applies only to an Address"),
        (
            grpclab.Address(ELSEWHERE),
            {"allow_remote": True, **CEILINGS, "settings": {"load.rate_rps": 200}},
            "expected at most 100",
        ),
    ],
)
def test_compare_refuses_what_has_no_leave(sides: Any, options: dict[str, Any], words: str) -> None:
    call = None if sides == "basic" else "a.Shop/Buy"
    with pytest.raises(UsageError) as caught:
        grpclab.compare(sides, sides, call=call, **options)
    assert words in str(caught.value)


def test_a_load_of_this_machine_has_no_ceiling_of_its_rate(leave: RemoteLeave) -> None:
    leave.check(grpclab.Address("127.0.0.1:7"), TrialConfig().replace({"load.rate_rps": 200}))
