"""Stored studies judged once more: by today's rules, and several runs of one plan together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from grpclab.analysis import Comparison, Judgement
from grpclab.analysis.inference.edition import TODAY
from grpclab.cli.commands import main
from grpclab.errors import DesignError, MeasurementError
from grpclab.report.stored import load_original, runs_of
from grpclab.study.documents import write_json
from grpclab.study.joint_runs import join_runs
from grpclab.study.rejudging import Rejudged, rejudge
from grpclab.study.repeat import Original
from grpclab.study.runner import Study
from grpclab.study.stored_values import read_manifest
from tests.support.stored_studies import manifest, plan_of_two, result

BLOCKS = 6


def headline(ratio: float = 1.2, width: float = 1.01) -> Comparison:
    return Comparison(
        title="many against few",
        scenario="tiny",
        metric="throughput_rps",
        baseline="few",
        candidate="many",
        ratio=ratio,
        ci_low=ratio / width,
        ci_high=ratio * width,
        blocks=BLOCKS,
        delta=0.05,
        verdict="faster",
    )


def plan() -> dict[str, Any]:
    return plan_of_two(blocks=BLOCKS)


def original(name: str, ratio: float = 1.2, **changed: Any) -> Original:
    document = {"study": name, "created_at": f"2026-11-2{len(name)}T09:00:00+00:00", **changed}
    judged = Judgement(headline=headline(ratio))
    return Original(source=name, manifest=read_manifest(manifest(plan(), **document)), verdict=judged)


def stored(root: Path, name: str, ratio: float, *, bound: str = "", **changed: Any) -> Path:
    """A study in a folder of results, with its trials and its verdict."""
    folder = root / "results" / name
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", manifest(plan(), study=name, **changed))
    for block in range(BLOCKS):
        for order, (side, rps) in enumerate([("few", 1000.0), ("many", 1000.0 * ratio * (1 + block / 1e4))]):
            trial = f"{block:02d}-{order:03d}-{side}"
            document = result(trial, throughput_rps=rps, requests=1000)
            document |= {"study": name, "measured_on": {}, "limited_by": "generator-bound" if side == bound else ""}
            (folder / "trials" / trial).mkdir(parents=True)
            write_json(folder / "trials" / trial / "result.json", document)
    write_json(folder / "verdict.json", Judgement(headline=headline(ratio)).as_dict())
    return folder


# ---- together -------------------------------------------------------------------------------------------------------


def test_two_runs_are_told_with_their_spread() -> None:
    lines = join_runs([original("a", 1.2), original("bb", 1.3)]).lines()
    assert lines[0].startswith("a (2026-11-21, elsewhere)")
    assert lines[-1] == "2 runs, ratios from 1.2× to 1.3×: a joint interval needs at least 3 runs"


def test_three_runs_have_one_interval_and_a_verdict() -> None:
    found = join_runs([original("a", 1.2), original("bb", 1.22), original("ccc", 1.21)])
    assert found.verdict.verdict == "faster"
    assert "3 runs together: 1.21×" in found.lines()[-1]
    assert "Hartung-Knapp, 2 degrees of freedom" in found.lines()[-1]
    document = found.as_json()
    assert document["degrees"] == 2
    assert [one["study"] for one in document["runs"]] == ["a", "bb", "ccc"]


def test_a_run_with_another_target_is_not_joined() -> None:
    found = join_runs([original("a"), original("bb"), original("ccc", versions={"grpcio": "1.70.0"})])
    assert len(found.runs) == 2
    assert found.left_out == (("ccc", "its few is a different program: grpcio 1.70.0, in the first None"),)
    assert "not joined: ccc: its few is a different program" in found.lines()[-1]


def test_a_run_on_another_machine_is_joined() -> None:
    found = join_runs([original("a"), original("bb", identity={"host": "there"}), original("ccc")])
    assert len(found.runs) == 3
    assert "there" in found.lines()[1]


def test_a_run_of_another_plan_is_not_joined() -> None:
    settings = plan()
    settings["configurations"][0]["settings"] |= {"server.threads": 3}
    other = Original(
        source="d", manifest=read_manifest(manifest(settings, study="d")), verdict=Judgement(headline=headline())
    )
    turned = plan() | {"headline": plan()["headline"] | {"baseline": "many", "candidate": "few"}}
    swapped = Original(
        source="e", manifest=read_manifest(manifest(turned, study="e")), verdict=Judgement(headline=headline())
    )
    found = join_runs([original("a"), other, swapped])
    assert found.left_out == (("d", "its few is a different configuration"), ("e", "it compares something else"))


def test_a_run_without_an_interval_is_not_joined() -> None:
    empty = Original(source="x", manifest=original("x").manifest, verdict=Judgement())
    found = join_runs([empty, original("a")])
    assert found.left_out == (("x", "it has no ratio with an interval"),)
    assert len(found.runs) == 1
    with pytest.raises(DesignError, match="needs at least two runs"):
        join_runs([])


def test_the_repeats_of_a_study_are_found_among_the_results(tmp_path: Path) -> None:
    first = load_original(stored(tmp_path, "tiny", 1.2))
    repeats = {"study": "tiny", "created_at": first.manifest.created_at, "identity": {}}
    for name in ("tiny-repeat", "tiny-repeat-2"):
        stored(tmp_path, name, 1.2, repeats=repeats)
        Study.stored(tmp_path / "results" / name).collect()
    stored(tmp_path, "other", 1.2, repeats=repeats | {"study": "another"})
    assert {run.name for run in runs_of(first, tmp_path / "results")} == {"tiny-repeat", "tiny-repeat-2"}


# ---- by today's rules -----------------------------------------------------------------------------------------------


def test_a_study_of_the_first_edition_is_rejudged_and_the_rows_that_change_are_told(tmp_path: Path) -> None:
    folder = stored(tmp_path, "tiny", 1.2, bound="few")
    before = (folder / "verdict.json").read_text()
    found = rejudge(Study.stored(folder))
    assert [(row.before.verdict, row.after.verdict) for row in found.changed] == [("faster", "inconclusive")]
    first, row = found.lines()
    assert first == (
        "tiny by current rules, edition 2; the study was measured under the rules of edition 1: 1 of 1 row changed"
    )
    assert "many against few, throughput: faster -> inconclusive: the load generator was the limit" in row
    assert (folder / "verdict.json").read_text() == before


def test_what_stands_as_at_least_has_changed_too(tmp_path: Path) -> None:
    (row,) = rejudge(Study.stored(stored(tmp_path, "tiny", 1.2, bound="many"))).changed
    assert row.line().endswith("faster -> faster (at least)")


@pytest.mark.parametrize(("ratio", "changed"), [(1.2, 0), (1 / 1.051, 1)])
def test_the_margins_of_today_change_what_lies_between(tmp_path: Path, ratio: float, changed: int) -> None:
    # 1 / 1.051 = 0.9515: inside 1 - 5%, beyond 1 / 1.05
    assert len(rejudge(Study.stored(stored(tmp_path, "tiny", ratio))).changed) == changed


def test_a_study_of_today_says_that_nothing_changed() -> None:
    found = Rejudged(study="tiny", measured=TODAY, judgement=Judgement(), changed=(), rows=1)
    assert found.lines() == ["tiny by current rules, the rules under which it was measured: 0 of 1 row changed"]


def test_a_study_without_a_trial_cannot_be_rejudged(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "tiny"
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", manifest(plan()))
    with pytest.raises(MeasurementError, match="has no trials yet"):
        rejudge(Study.stored(folder))


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_rejudges_and_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, ratio in enumerate((1.2, 1.21, 1.19)):
        stored(tmp_path, f"tiny{number}", ratio, bound="few")
    names = [f"results/tiny{number}" for number in range(3)]
    assert main(["report", names[0], "--rejudge", "--json", "again.json"]) == 0
    assert "1 of 1 row changed" in capsys.readouterr().out
    assert json.loads(Path("again.json").read_text())["changed"][0]["after"] == "inconclusive"
    assert main(["report", names[0], "--joint", *names[1:], "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "faster"
    assert math.isclose(document["ratio"], 1.2, rel_tol=1e-3)
    for words in (["--rejudge", "--site", "www"], ["--joint", names[1], "--rejudge"]):
        assert main(["report", names[0], *words]) == 2
