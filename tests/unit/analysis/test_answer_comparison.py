"""Whether two sides answer alike, by what their trials kept."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from grpclab.analysis.answer_comparison import answers_cell, answers_differ, answers_notes, requests_differ
from grpclab.analysis.inference.verdict import Comparison

Cell = dict[str, dict[str, int]]


def trials(*cells: tuple[str, Cell], valid: bool = True) -> pd.DataFrame:
    """Trials of configurations with the answers that they kept; the fields of an answer are made of its hash."""
    fields = {"x1": {"total": "1", "at": "7"}, "x2": {"total": "2", "at": "7"}, "x3": {"total": "1"}}
    rows = [
        {"configuration": name, "valid": valid, "block": at, "order": 0, "answers": answers_cell(cell, fields)}
        for at, (name, cell) in enumerate(cells)
    ]
    return pd.DataFrame(rows)


def told(frame: pd.DataFrame) -> str:
    return str(answers_differ(frame, "a", "b"))


def test_equal_answers_are_equal_however_often_they_came() -> None:
    frame = trials(("a", {"0": {"x1": 3}, "1": {"x2": 1}}), ("b", {"0": {"x1": 5}, "1": {"x2": 2}, "2": {"x9": 1}}))
    assert told(frame) == "equal in all 7 sampled calls"


def test_an_answer_that_the_other_side_never_gave_is_told_with_its_field() -> None:
    frame = trials(("a", {"0": {"x1": 100}}), ("b", {"0": {"x1": 98, "x2": 2}}))
    assert told(frame) == "2 of 100 answers differ, the first at request number 0 in total"


def test_so_it_is_where_the_baseline_is_the_odd_one() -> None:
    frame = trials(("a", {"0": {"x1": 98, "x3": 2}}), ("b", {"0": {"x1": 100}}))
    assert told(frame) == "2 of 100 answers differ, the first at request number 0 in at"


def test_the_first_is_by_number_and_all_blocks_count() -> None:
    one: Cell = {"10": {"x1": 1}, "9": {"x1": 1}}
    other: Cell = {"10": {"x2": 1}, "9": {"x2": 1}}
    frame = trials(("a", one), ("b", one), ("a", one), ("b", other))
    assert told(frame) == "2 of 4 answers differ, the first at request number 9 in total"


def test_nothing_is_said_without_answers() -> None:
    assert answers_differ(pd.DataFrame({"configuration": ["a", "b"], "valid": True}), "a", "b") is None
    assert answers_differ(trials(("a", {"0": {"x1": 1}}), ("b", {"1": {"x1": 1}})), "a", "b") is None
    assert answers_differ(trials(("a", {"0": {"x1": 1}}), ("b", {"0": {"x2": 1}}), valid=False), "a", "b") is None


@pytest.mark.parametrize("cell", ["", "[]", "{", '{"0": 1}', '{"x": []}', '{"0": [[1]]}', None])
def test_a_cell_that_is_none_is_left_out(cell: str | None) -> None:
    frame = trials(("a", {"0": {"x1": 1}}), ("b", {"0": {"x1": 1}}))
    frame.loc[2] = {"configuration": "b", "valid": True, "block": 2, "order": 0, "answers": cell}
    assert told(frame) == "equal in all 1 sampled calls"
    assert json.loads(frame["answers"][0])


def test_each_pair_whose_answers_differ_is_a_warning() -> None:
    frame = trials(("a", {"0": {"x1": 1}}), ("b", {"0": {"x2": 1}}), ("c", {"0": {"x1": 1}}))
    compared = [Comparison(baseline="a", candidate=name, ratio=1.0, blocks=3, metric="throughput_rps") for name in "bc"]
    notes = answers_notes(frame, compared)
    assert [note.partition(":")[0] for note in notes] == ["b against a"]


def test_other_requests_on_both_sides_are_told_with_their_field() -> None:
    def sent(one: str, other: str) -> str:
        same: Cell = {"0": {"x1": 1}}
        frame = trials(("a", {**same, "requests": {one: 1}}), ("b", {**same, "requests": {other: 1}}))
        return requests_differ(frame, "a", "b")

    assert sent("x1", "x1") == ""
    assert sent("x1", "x2") == "the two sides did not receive the same requests: the first requests differ in total"
    assert requests_differ(trials(("a", {"0": {"x1": 1}}), ("b", {"0": {"x1": 1}})), "a", "b") == ""
    assert told(trials(("a", {"requests": {"x1": 1}}), ("b", {"requests": {"x1": 1}}))) == "None"
