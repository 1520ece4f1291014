"""What the calibration makes of comparisons whose truth is known, and of a study that was killed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab.calibration import crashes, verdicts
from grpclab.calibration.plan import Plan
from grpclab.errors import DesignError
from grpclab.factors.config import TrialConfig
from grpclab.notebook.calibration import CalibrationNotebook
from grpclab.study import profile_window
from grpclab.study.sides import A, B
from tests.support.pages import html_of
from tests.support.stored_studies import plan_of_two, result


def compared(same: list[str], planted: list[str], **columns: Any) -> pd.DataFrame:
    rows = [{"kind": verdicts.SAME, "verdict": v, "ratio": 1.0, "truth": 1.0, "with_way": 1.0} for v in same]
    rows += [{"kind": verdicts.PLANTED, "verdict": v, "ratio": 0.79, "truth": 0.77, "with_way": 0.79} for v in planted]
    frame = pd.DataFrame(rows).assign(blocks=6, trials=12, wall_s=30.0, noise=0.1)
    return frame.assign(ci_low=frame["ratio"] - 0.03, ci_high=frame["ratio"] + 0.03, **columns)


def test_few_false_verdicts_and_most_of_the_planted_differences_are_asked_for() -> None:
    good = verdicts.claims(compared(["inconclusive"] * 36 + ["faster"] * 4, ["slower"] * 9 + ["inconclusive"]))
    assert [claim.holds for claim in good] == [True, True, True, True, None]
    assert [claim.measured for claim in good[:2]] == ["4 of 40", "9 of 10"]
    bad = verdicts.claims(compared(["equivalent"] * 35 + ["slower"] * 5, ["slower"] * 8 + ["faster"] * 2, truth=0.5))
    assert [claim.holds for claim in bad[:3]] == [False, False, False]
    assert bad[4].measured == "10%"


def test_the_expected_ratio_is_that_of_the_residence_times_with_and_without_the_way() -> None:
    rows = [
        {"block": block, "configuration": side, "valid": True, "residence_mean_s": r, "latency_mean_s": r + 1e-4}
        for block in range(3)
        for side, r in ((A, 1.0e-3), (B, 1.3e-3))
    ]
    found = verdicts._truths(pd.DataFrame(rows))
    assert found == {"truth": pytest.approx(1 / 1.3), "with_way": pytest.approx(1.1 / 1.4)}


def test_both_kinds_of_comparison_are_drawn() -> None:
    html = html_of(verdicts.body(compared(["inconclusive", "faster"], ["slower"])))
    assert html.count('<div class="gl-narrow"><svg') >= 1
    assert "Of 2 comparisons of optimized with itself, 1 came out faster or slower" in html


def test_a_planted_side_is_a_reference_server_that_is_asked_for_its_times() -> None:
    sides = verdicts._sides(verdicts.PLANTED, 1.0)
    assert all(side.subject.residence and "--service-time constant:" in side.subject.command for side in sides.values())
    same = verdicts._sides(verdicts.SAME, 1.0)
    assert same[A].config == same[B].config != TrialConfig()


def trials(run: str, names: list[str], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"trial": names, "written_s": [2.0 * n for n in range(len(names))]})
    given: dict[str, Any] = {
        "default_wall_s": math.nan,
        "default_share": math.nan,
        "run": run,
        "valid": True,
        "half": False,
        "window_s": 1.0,
        "kills": 3,
        "rewritten": 0,
        "left_behind": 0,
    }
    return frame.assign(**{**given, **columns})


def test_a_killed_study_must_end_with_the_trials_of_the_undisturbed_one() -> None:
    whole = trials("undisturbed", ["a", "b", "c"])
    good = crashes.claims(pd.concat([whole, trials("killed", ["a", "b", "c"])], ignore_index=True))
    assert [claim.holds for claim in good] == [True] * 4 + [None, None]
    assert good[3].measured == "1.00 s"
    assert good[4].measured == "50%"
    missing = crashes.claims(pd.concat([whole, trials("killed", ["a", "b"])], ignore_index=True))
    assert missing[0].holds is False
    half = crashes.claims(pd.concat([whole, trials("killed", ["a", "b", "c"], half=[0, 0, 1])], ignore_index=True))
    assert (half[0].holds, half[0].measured) == (False, "2 of 3")
    lost = trials("killed", ["a", "b", "c"], rewritten=1, left_behind=2)
    assert [c.holds for c in crashes.claims(pd.concat([whole, lost], ignore_index=True))][1:3] == [False, False]
    assert "undisturbed" in html_of(crashes.body(pd.concat([whole, lost], ignore_index=True)))


def test_the_default_study_is_told_with_its_time_and_what_it_was_spent_on(tmp_path: Path) -> None:
    assert math.isnan(crashes.default_study(tmp_path)["default_wall_s"])
    folder = tmp_path / "one"
    manifest = {"design": "default", "created_at": "2026-01-01", "plan": plan_of_two(blocks=2)}
    for place in range(4):
        name = f"{place // 2:02}-{place % 2:03}-few"
        trial = folder / "trials" / name
        trial.mkdir(parents=True)
        stored = result(name, window_s=2.0) | {"started_at": f"2026-01-01T00:00:{place}0+00:00"}
        stored["metrics"]["profile_samples"] = None if place else 3.0
        stored["factors"] |= {"load.warmup_s": 1.0, "load.pause_s": 2.0}
        (trial / "result.json").write_text(json.dumps(stored))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    looks = profile_window.length_s()
    found = crashes.default_study(tmp_path)
    assert found == {"default_wall_s": 30.0, "default_share": pytest.approx((15 + looks) / 30)}
    told = crashes._of_the_default(781.0, 0.5)
    assert [(claim.measured, claim.holds) for claim in told] == [("13 min 1 s", False), ("50%", True)]


def test_parts_that_do_not_exist_are_refused_by_name() -> None:
    assert Plan(only=" truth , echo").parts == ["truth", "echo"]
    with pytest.raises(DesignError, match="invalid only=truth,walls: expected names from ceiling, generators, truth"):
        CalibrationNotebook().prepare({"only": "truth,walls"})
