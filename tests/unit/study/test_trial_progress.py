"""Progress in plain lines, with a clock passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from grpclab import quantities as qty
from grpclab.study.trial_progress import EncodingProgress, Progress, outcome, say


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Measured:
    valid: bool
    invalid_reason: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    prepare_s: float | None = None
    cleanup_s: float | None = None


def valid(**metrics: float | None) -> Measured:
    return Measured(valid=True, metrics={"throughput_rps": 2345.6, "latency_p50_s": 0.0123, "errors": 0, **metrics})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (89, "89 s"),
        (90, "2 min"),
        (600, "10 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1 h 30 min"),
        (2 * 3600 + 5 * 60, "2 h 05 min"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert qty.rough_duration(seconds) == text


def test_the_time_left_follows_from_the_mean_of_the_trials_so_far() -> None:
    clock, lines = Clock(), list[str]()
    progress = Progress(total=4, stored=0, write=lines.append, clock=clock)
    for seconds in (10, 20, 3, 7):
        clock.now += seconds
        progress.finished("00-000-basic", valid())
    assert [line.rsplit("  ", 1)[1].strip() for line in lines] == ["30 s left", "30 s left", "11 s left", "done"]
    assert [line.split()[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


def test_stored_trials_count_as_done_and_not_towards_the_time() -> None:
    clock, lines = Clock(), list[str]()
    progress = Progress(total=100, stored=90, write=lines.append, clock=clock)
    clock.now += 5
    progress.finished("03-002-basic-c64", valid())
    assert lines[0].startswith("[ 91/100] 03-002-basic-c64 ")
    assert lines[0].endswith(" 45 s left")


def test_an_outcome_is_throughput_median_and_errors() -> None:
    assert outcome(valid()).split("  ") == ["", "", "2,346 requests/s", "p50 12.3 ms"]
    assert outcome(valid(errors=3)).endswith("  3 errors")
    assert "p50" not in outcome(valid(latency_p50_s=None))


def test_an_outcome_tells_how_long_the_commands_beside_the_server_took() -> None:
    result = replace(valid(), prepare_s=2.5, cleanup_s=0.25)
    assert outcome(result).endswith("  prepare 2.5 s  cleanup 250 ms")


def test_an_invalid_trial_says_why() -> None:
    result = Measured(valid=False, invalid_reason="the server died " + "x" * 500)
    assert outcome(result).startswith("INVALID: the server died x")
    assert len(outcome(result)) < 250


def test_lines_go_to_standard_output_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    say("[1/2] basic")
    assert capsys.readouterr().out == "[1/2] basic\n"


def test_requests_that_take_long_to_encode_are_told_once_and_how_long_they_took() -> None:
    clock, lines = Clock(), list[str]()
    encoding = EncodingProgress(lines.append, clock)
    for second, encoded in enumerate((1000, 2000, 3000, 4000)):
        clock.now = 100.0 + second
        encoding.show(encoded, 10_000)
    encoding.end()
    assert lines == [
        "encoding requests (once per study): 2,000 of 10,000, about 4 s left",
        "requests encoded in 3 s",
    ]


def test_requests_that_are_encoded_soon_are_not_told() -> None:
    clock, lines = Clock(), list[str]()
    encoding = EncodingProgress(lines.append, clock)
    for _ in range(2):  # the second ones have a second of their own
        encoding.show(1000, None)
        clock.now += 0.9
        encoding.show(2000, None)
        encoding.end()
    assert lines == []
