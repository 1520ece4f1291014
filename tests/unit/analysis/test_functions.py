"""Which functions' shares changed most between two configurations."""

from __future__ import annotations

import pytest

from grpclab.analysis.inference.functions import largest, shares


def test_a_function_counts_once_for_a_stack_and_by_its_file_not_its_line() -> None:
    found = shares({"main (a.py:1);work (b.py:2);work (b.py:3)": 3, "main (a.py:9)": 1})
    assert found == {"main (a.py)": 1.0, "work (b.py)": 0.75}
    assert shares({}) == {}


def test_the_greatest_difference_comes_first_and_roots_say_nothing() -> None:
    before = {0: {"main;send": 6, "main;parse": 4}, 1: {"main;send": 5, "main;parse": 5}}
    after = {0: {"main;send": 1, "main;parse": 4, "main;new": 5}, 1: {"main;send": 1, "main;parse": 5, "main;new": 4}}
    found = largest(before, after)
    assert [one.function for one in found] == ["new", "send"]
    assert found[0].shares.change.mean == pytest.approx(0.45)
    assert found[0].shares.baseline.mean == 0
    assert found[1].shares.change.mean == pytest.approx(-0.45)
    assert found[1].shares.change.blocks == 2


def test_only_blocks_that_hold_both_sides_tell_of_a_change() -> None:
    found = largest({0: {"m;a": 1}, 1: {"m;a": 1, "m;b": 1}}, {1: {"m;a": 2}, 2: {"m;a": 1}})
    assert [(one.function, one.shares.change.mean, one.shares.change.blocks) for one in found] == [
        ("a", 0.5, 1),
        ("b", -0.5, 1),
    ]
    assert len(largest({1: {"m;a": 1, "m;b": 1}}, {1: {"m;a": 2}}, most=1)) == 1
    assert largest({}, {0: {"a": 1}}) == []
