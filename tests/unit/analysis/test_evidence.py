"""How the looks at two configurations differ, block by block."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis.inference import evidence
from grpclab.analysis.inference.ratios import numbers

WORDS = {"send": "sending", "python": "the interpreter"}


def trials(**columns: tuple[list[Any], list[Any]]) -> pd.DataFrame:
    """Two configurations, the first list of each column for `a`, the second for `b`, a block each."""
    rows = []
    for side, name in enumerate("ab"):
        blocks = len(next(iter(columns.values()))[side])
        for block in range(blocks):
            values = {column: pair[side][block] for column, pair in columns.items()}
            rows.append({"configuration": name, "block": block, "valid": True, **values})
    return pd.DataFrame(rows)


def test_the_change_is_taken_within_the_blocks_that_hold_both() -> None:
    frame = trials(x=([1.0, 2.0, 9.0], [3.0, 4.5, math.nan]))
    found = evidence.shift(frame, "a", "b", numbers(frame, "x"))
    assert found.baseline.blocks == 3
    assert found.change.blocks == 2
    assert found.change.mean == pytest.approx(2.25)
    assert found.candidate.mean == pytest.approx(3.75)


def test_a_change_is_clear_when_its_interval_leaves_out_0() -> None:
    frame = trials(x=([1.0, 1.1, 0.9], [2.0, 2.2, 1.9]), y=([1.0, 1.1, 0.9], [0.5, 1.9, 1.0]))
    assert evidence.shift(frame, "a", "b", numbers(frame, "x")).clear
    assert not evidence.shift(frame, "a", "b", numbers(frame, "y")).clear


def test_invalid_trials_do_not_count() -> None:
    frame = trials(x=([1.0, 5.0], [2.0, 2.0]))
    frame.loc[1, "valid"] = False
    assert evidence.level(frame, "a", numbers(frame, "x")).mean == 1.0


def test_waiting_is_no_part_of_py_spys_work_and_perfs_samples_are_all_work() -> None:
    frame = trials(share_send=([0.1], [0.2]), share_wait=([0.5], [0.6]), perf_share_send=([0.3], [0.4]))
    assert evidence.work_shares(frame, evidence.PYSPY, "send").tolist() == pytest.approx([0.2, 0.5])
    assert evidence.work_shares(frame, evidence.PERF, "send").tolist() == [0.3, 0.4]
    assert evidence.work_shares(frame, evidence.PERF, "locks").isna().all()


def test_values_come_out_of_json_by_their_keys() -> None:
    frame = trials(calls=([json.dumps({"futex": 2.0, "sendmsg": 3.0}), ""], ['{"futex": 4}', "no json"]))
    assert evidence.keyed(frame, "calls", "sendmsg").tolist() == pytest.approx(
        [3.0, math.nan, 0.0, math.nan], nan_ok=True
    )
    assert evidence.keys(frame, "calls") == ["futex", "sendmsg"]
    nested = trials(threads=(['{"python": {"user_s": 0.5}}'], ['{"other": {"user_s": 0.7}}']))
    assert evidence.keyed(nested, "threads", "python", "user_s").tolist() == [0.5, 0.0]
    assert evidence.keys(nested, "threads", "user_s") == ["other", "python"]


def test_the_sentence_names_the_family_whose_cost_moved_most() -> None:
    frame = trials(
        server_cpu_per_call_s=([4e-4, 4.1e-4, 3.9e-4], [2e-4, 2.1e-4, 1.9e-4]),
        perf_samples=([400.0] * 3, [400.0] * 3),
        perf_share_send=([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]),
        perf_share_python=([0.5, 0.5, 0.5], [0.75, 0.75, 0.75]),
    )
    told = evidence.moved(frame, "a", "b", WORDS)
    assert told.startswith(
        "The server's CPU time per request fell from 400 µs to 200 µs (interval of the change -200 µs to -200 µs"
    )
    assert "the largest change is in sending, from 200 µs to 50 µs" in told


def test_nothing_that_moved_clearly_is_said_as_such() -> None:
    frame = trials(
        server_cpu_per_call_s=([4e-4, 2e-4], [2e-4, 4.1e-4]),
        perf_samples=([400.0] * 2, [400.0] * 2),
        perf_share_send=([0.5, 0.6], [0.6, 0.5]),
    )
    told = evidence.moved(frame, "a", "b", WORDS)
    assert "showed no clear change" in told
    assert told.endswith("no kind of work changed clearly.")


def test_without_perf_the_sentence_is_about_shares_and_says_of_what() -> None:
    frame = trials(
        share_send=([0.4, 0.41, 0.4], [0.1, 0.11, 0.1]),
        share_wait=([0.0] * 3, [0.0] * 3),
        profile_samples=([9] * 3, [9] * 3),
    )
    told = evidence.moved(frame, "a", "b", WORDS)
    assert told.startswith(
        "Judging by the working samples of Python threads, the largest change is in sending, from 40 % to 10 %"
    )
    assert evidence.moved(trials(x=([1.0], [1.0])), "a", "b", WORDS) == ""
