"""What a report shows of single trials, out of a study's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from grpclab.study import collection
from tests.support.stored_studies import result, stored_result

RESULT = stored_result(result("00-000-a"))


def test_the_end_of_a_log_is_short_and_readable(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    assert collection.log_tail(log, tmp_path) == ""
    log.write_bytes(b"\n".join(b"line %d \xff" % n for n in range(10_000)))
    tail = collection.log_tail(log, tmp_path).splitlines()
    assert len(tail) == collection.LOG_LINES
    assert tail[-1] == "line 9999 \ufffd"
    log.write_text("x" * 5000)
    assert len(collection.log_tail(log, tmp_path)) == collection.LOG_CHARACTERS


def test_latencies_are_those_of_valid_trials_that_were_asked_for() -> None:
    trials = pd.DataFrame(
        {
            "trial": ["a0", "a1", "b0", "c0"],
            "configuration": ["a", "a", "b", "c"],
            "block": [0, 1, 0, 0],
            "valid": [True, False, True, True],
        }
    )
    results = {name: replace(RESULT, histogram=f"H{name}") for name in ("a0", "a1", "c0")}
    results["b0"] = RESULT
    assert collection.histograms(results, ["a", "b"], trials) == {"a": {0: "Ha0"}}


def test_details_hold_what_a_trial_has(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "server.log").write_text("INFO served\n")
    results = {"one": replace(RESULT, advertised={"server": {"x": 1}}), "two": replace(RESULT, advertised={})}
    assert collection.details(tmp_path, results) == {
        "one": {"advertised": {"server": {"x": 1}}, "log": "INFO served"},
        "two": {},
    }
