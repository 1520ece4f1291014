"""Which answers are kept, and how they are counted."""

from __future__ import annotations

from grpclab.load.core import kept_answers as answers
from grpclab.load.core.kept_answers import EVERY, FIRST, AnswerLog, AnswerSample, AnswerSchedule, merged_samples


def test_the_first_answers_are_kept_and_later_about_every_hundredth_the_same_ones_each_time() -> None:
    schedules = [AnswerSchedule() for _ in range(2)]
    due = [[schedule.due() for _ in range(100_000)] for schedule in schedules]
    assert due[0] == due[1]
    assert all(due[0][: FIRST - 1])
    later = sum(due[0][FIRST:])
    assert 0.9 * 99_500 / EVERY < later < 1.1 * 99_500 / EVERY
    kept = [number for number, one in enumerate(due[0]) if one and number > FIRST]
    assert len({number % 200 for number in kept}) > 150  # a fault in one call of 200 is met, wherever it is


def test_equal_answers_are_counted_and_different_ones_kept_apart() -> None:
    log = AnswerLog()
    for number, messages in [(0, [b"a"]), (0, [b"a"]), (0, [b"b"]), (1, [b"a"]), (1, [b"a", b""]), (1, [])]:
        log.note(number, messages)
    assert [(one.number, one.messages, one.count) for one in log.samples()] == [
        *((0, (b"a",), 2), (0, (b"b",), 1)),
        *((1, (b"a",), 1), (1, (b"a", b""), 1), (1, (), 1)),
    ]


def test_memory_is_bounded() -> None:
    log = AnswerLog()
    for number in range(3):
        log.note(number, [bytes(answers.MOST_BYTES // 2)])
    assert [one.number for one in log.samples()] == [0, 1]
    small = AnswerLog()
    for number in range(answers.MOST_SAMPLES + 10):
        small.note(number, [b"x"])
    assert len(small.samples()) == answers.MOST_SAMPLES


def test_the_samples_of_several_workers_are_one() -> None:
    one, two = (AnswerSample(number=0, messages=(b"a",), count=count) for count in (2, 3))
    other = AnswerSample(number=1, messages=(b"a",))
    assert merged_samples([[one], [two, other]]) == (AnswerSample(number=0, messages=(b"a",), count=5), other)
