"""The recorder: what is recorded comes back as it was, from a file, and memory does not grow with it."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from grpclab.errors import StorageError
from grpclab.load.core.recorder import CHUNK, Recorder, Records, remove
from grpclab.status import ENDED_BY_CLIENT

OK, UNAVAILABLE = 0, 14


def written(path: Path, calls: list[tuple[float, float, int, float]], *, residence: bool = False) -> Records:
    """Calls as (start, end, status, lateness), there and back."""
    recorder = Recorder(path, residence=residence)
    for start, end, status, late in calls:
        recorder.record(start, end, status, late)
        recorder.flush_full()
    recorder.close()
    return Records.load(path, residence=residence)


def test_calls_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    records = written(tmp_path / "calls", [(1.0, 1.5, OK, 0.0), (1.25, 3.0, UNAVAILABLE, 0.125)])
    assert records.start_s.tolist() == [1.0, 1.25]
    assert records.latency_s.tolist() == [0.5, 1.75]
    assert records.end_s.tolist() == [1.5, 3.0]
    assert records.status.tolist() == [0, 14]
    assert records.late_s.tolist() == [0.0, 0.125]
    assert records.start_s.dtype == np.float64
    assert records.status.dtype == np.uint8
    assert records.residence_s is None
    assert len(records.message_s) == 0


def test_a_call_takes_25_bytes(tmp_path: Path) -> None:
    written(tmp_path / "calls", [(1.0, 2.0, OK, 0.0)] * 100)
    assert (tmp_path / "calls").stat().st_size == 2500
    assert [file.name for file in tmp_path.iterdir()] == ["calls"], "no messages, no file of them"


def test_no_calls_are_no_calls(tmp_path: Path) -> None:
    assert len(written(tmp_path / "calls", [])) == 0


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, 3 * CHUNK + 7])
def test_chunks_are_written_as_they_fill_and_nothing_is_lost_or_doubled(tmp_path: Path, count: int) -> None:
    recorder = Recorder(tmp_path / "calls")
    for number in range(count):
        recorder.record(float(number), number + 0.5, UNAVAILABLE if number % 10 == 0 else OK)
        recorder.flush_full()
        assert len(recorder.starts) < CHUNK
    assert (tmp_path / "calls").stat().st_size == count // CHUNK * CHUNK * 25
    assert (recorder.calls, recorder.errors) == (count, math.ceil(count / 10))
    recorder.close()
    assert (recorder.calls, recorder.errors) == (count, math.ceil(count / 10))
    assert Records.load(tmp_path / "calls").start_s.tolist() == list(range(count))


def test_columns_may_be_held_by_whoever_records(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    starts, latencies, lates, statuses = recorder.starts, recorder.latencies, recorder.lates, recorder.statuses
    for number in range(2 * CHUNK):
        starts.append(number)
        latencies.append(0.5)
        lates.append(0.0)
        statuses.append(OK)
        recorder.flush_full()
    recorder.close()
    assert Records.load(tmp_path / "calls").start_s.tolist() == list(range(2 * CHUNK))


def test_the_time_inside_the_server_stands_beside_its_call(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls", residence=True)
    for number in range(5):
        recorder.residence(number / 8)
        recorder.record(number, number + 1, OK)
    recorder.close()
    records = Records.load(tmp_path / "calls", residence=True)
    assert records.residence_s is not None
    assert records.residence_s.tolist() == [0, 1 / 8, 2 / 8, 3 / 8, 4 / 8]
    assert records.start_s.tolist() == [0, 1, 2, 3, 4]


def test_where_nobody_tells_it_the_time_inside_the_server_is_nan(tmp_path: Path) -> None:
    records = written(tmp_path / "calls", [(1.0, 2.0, OK, 0.0)] * 3, residence=True)
    assert records.residence_s is not None
    assert np.isnan(records.residence_s).tolist() == [True] * 3


def test_the_time_inside_the_server_is_left_out_where_it_was_not_asked_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    for _ in range(CHUNK):
        recorder.residence(0.5)
        recorder.record(1.0, 2.0, OK)
    recorder.flush_full()
    recorder.close()
    assert Records.load(tmp_path / "calls").residence_s is None


def test_messages_have_a_file_of_their_own_and_know_the_start_of_their_call(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    for number in range(CHUNK + 3):
        recorder.message(number + 0.25, 0.0, float(number))
        recorder.message(number + 0.75, number + 0.25, float(number))
        recorder.flush_full()
    recorder.record(1.0, 2.0, OK)
    recorder.close()
    records = Records.load(tmp_path / "calls")
    assert records.message_s.tolist() == [0.25, 0.5] * (CHUNK + 3)
    assert records.message_first.tolist() == [True, False] * (CHUNK + 3)
    assert records.message_start_s.tolist() == [number for number in range(CHUNK + 3) for _ in range(2)]
    assert records.message_age_s.tolist() == [0.25, 0.75] * (CHUNK + 3)
    assert np.isnan(records.message_reply_s).all(), "the client streams nothing"
    assert len(records.sent_messages) == 0
    assert len(records) == 1


def test_what_the_client_streams_is_recorded_once_for_each_call(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    recorder.message(2.0, 0.0, 1.0, 1.75)
    recorder.sent(1.0, 3)
    recorder.record(1.0, 2.5, OK)
    recorder.sent(1.5, 0)
    recorder.record(1.5, 2.5, UNAVAILABLE)
    recorder.close()
    records = Records.load(tmp_path / "calls")
    assert (records.message_age_s.tolist(), records.message_reply_s.tolist()) == ([1.0], [0.25])
    assert (records.sent_start_s.tolist(), records.sent_messages.tolist()) == ([1.0, 1.5], [3.0, 0.0])
    remove(tmp_path / "calls")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_the_client_ends_as_planned_has_not_failed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    for status in (OK, ENDED_BY_CLIENT, UNAVAILABLE):
        recorder.record(1.0, 2.0, status)
    assert (recorder.calls, recorder.errors) == (3, 1)
    recorder.close()
    assert (recorder.calls, recorder.errors) == (3, 1)


def test_without_a_path_calls_are_counted_and_forgotten() -> None:
    recorder = Recorder()
    for number in range(3 * CHUNK + 1):
        recorder.record(number, number + 1, UNAVAILABLE)
        recorder.message(1.1, 0.0, 1.0)
        recorder.flush_full()
    assert (recorder.calls, recorder.errors) == (3 * CHUNK + 1, 3 * CHUNK + 1)
    assert len(recorder.starts) == 1
    recorder.close()
    assert recorder.calls == 3 * CHUNK + 1


def test_memory_does_not_grow_with_the_number_of_calls(tmp_path: Path) -> None:
    def record(calls: int) -> None:
        for _ in range(calls):
            recorder.record(1.0, 2.0, OK)
            recorder.flush_full()

    recorder = Recorder(tmp_path / "calls")
    tracemalloc.start()
    try:
        record(2 * CHUNK)
        before, _ = tracemalloc.get_traced_memory()
        record(10 * CHUNK)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    recorder.close()
    assert after - before < CHUNK, "less than a byte for each of a chunk's calls"


def test_the_latest_latencies_are_there_on_both_sides_of_a_flush() -> None:
    recorder = Recorder()
    for number in range(CHUNK):
        recorder.record(0.0, float(number), OK)
    assert recorder.recent(2).tolist() == [CHUNK - 2, CHUNK - 1]
    recorder.flush_full()
    recorder.record(0.0, float(CHUNK), OK)
    assert recorder.recent(3).tolist() == [CHUNK - 2, CHUNK - 1, CHUNK]
    assert recorder.recent(0).tolist() == []
    assert len(recorder.recent(10**9)) == CHUNK + 1


def test_a_file_that_cannot_be_written_is_told_at_the_end_and_calls_are_counted_all_the_same(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "missing" / "calls")
    assert "cannot be written" in recorder.failure
    recorder.record(1.0, 2.0, OK)
    with pytest.raises(StorageError, match=r"missing/calls \(No such file or directory\): free some space") as error:
        recorder.close()
    assert recorder.calls == 1
    assert "\n" not in str(error.value)


def test_a_disk_that_fills_up_is_told(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    recorder = Recorder(full)
    for _ in range(CHUNK):
        recorder.record(1.0, 2.0, OK)
    recorder.flush_full()
    assert "No space left on device" in recorder.failure
    with pytest.raises(StorageError, match="free some space"):
        recorder.close()


def test_removed_files_stay_readable_for_whoever_has_loaded_them(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls")
    recorder.record(1.0, 2.0, OK)
    recorder.message(1.5, 0.0, 1.0)
    recorder.close()
    records = Records.load(tmp_path / "calls")
    remove(tmp_path / "calls")
    assert list(tmp_path.iterdir()) == []
    assert records.start_s.tolist() == [1.0]
    assert records.message_s.tolist() == [0.5]


def test_calls_that_succeed_together_are_recorded_like_one_by_one(tmp_path: Path) -> None:
    one_by_one, together = Recorder(tmp_path / "one.calls"), Recorder(tmp_path / "all.calls")
    starts = [0.25, 0.5, 0.75, 0.1]
    for start in starts:
        one_by_one.record(start, 1.0, OK)
    together.record_batch(starts, 1.0)
    assert (together.calls, together.errors) == (len(starts), 0)
    for recorder in (one_by_one, together):
        recorder.close()
    assert (tmp_path / "one.calls").read_bytes() == (tmp_path / "all.calls").read_bytes()
