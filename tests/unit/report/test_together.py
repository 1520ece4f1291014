"""What a report says of what was measured together: the figure of slices, the table of groups, the lines of text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.study_plan import PlannedGroup
from grpclab.report import confidence, figures, together
from grpclab.report.content import sections
from grpclab.report.figures.slices import noise, passes
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.report.renderers.terminal import WIDTH, table
from grpclab.report.sections import interleaving
from grpclab.study.designs.grouping import NOT_COMPARED, grouped
from grpclab.study.stored_groups import slices_of, stored_groups
from grpclab.text.markdown import escape
from tests.support import synthetic
from tests.support.interleaved import interleaved, slices
from tests.support.pages import html_of


@pytest.fixture(scope="module")
def made() -> FinishedStudy:
    return synthetic.full_study().finished()


@pytest.fixture(scope="module")
def groups(made: FinishedStudy) -> tuple[PlannedGroup, ...]:
    return grouped(made.plan).groups


@pytest.fixture(scope="module")
def study(made: FinishedStudy, groups: tuple[PlannedGroup, ...]) -> FinishedStudy:
    return interleaved(made, groups=groups)


# ---- the figure -----------------------------------------------------------------------------------------------------


def test_shared_noise_is_in_both_sides_and_gone_from_the_ratio(
    made: FinishedStudy, groups: tuple[PlannedGroup, ...]
) -> None:
    found = noise(passes(interleaved(made, groups=groups, shared=0.05, own=0.01)))
    assert found is not None
    assert found.shared > 0.8
    assert found.ratio < 0.6 * min(found.baseline, found.candidate)
    assert found.ratio == pytest.approx(0.01 * math.sqrt(2), rel=0.3)


def test_noise_of_each_side_alone_stays_in_the_ratio(made: FinishedStudy, groups: tuple[PlannedGroup, ...]) -> None:
    found = noise(passes(interleaved(made, groups=groups, shared=0.001, own=0.04)))
    assert found is not None
    assert abs(found.shared) < 0.4
    assert found.ratio > max(found.baseline, found.candidate)


@pytest.mark.parametrize(
    ("of", "gist"),
    [
        ({"shared": 0.05, "own": 0.01}, "Both sides rise and fall together"),
        ({"shared": 0.001, "own": 0.04}, "The two sides share hardly any noise"),
    ],
)
def test_the_caption_says_whether_the_noise_is_shared(
    made: FinishedStudy, groups: tuple[PlannedGroup, ...], of: dict[str, float], gist: str
) -> None:
    block = figures.slices(interleaved(made, groups=groups, **of))
    assert block is not None
    assert block.caption.startswith(gist)
    assert gist in block.alt
    assert "84 passes in 6 blocks" in block.alt


def test_a_step_between_blocks_is_no_noise_within_them(made: FinishedStudy, groups: tuple[PlannedGroup, ...]) -> None:
    found = [noise(passes(interleaved(made, groups=groups, between=step))) for step in (0.0, 0.3)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1].ratio == pytest.approx(found[0].ratio)


def test_the_figure_names_both_sides_and_every_block_it_draws(study: FinishedStudy) -> None:
    block = figures.slices(study)
    assert block is not None
    shown = " ".join(text.strip() for text in ElementTree.fromstring(block.svg_wide).itertext() if text.strip())
    for side in (study.baseline, study.candidate):
        assert study.title(side) in shown
    assert all(f"block {number}" in shown for number in range(6))
    assert "figure shows" not in block.caption


def test_of_many_blocks_some_are_drawn_and_it_says_so(study: FinishedStudy) -> None:
    many = replace(study, slices=slices({study.baseline: 1.0, study.candidate: 2.0}, blocks=30, passes=3))
    block = figures.slices(many)
    assert block is not None
    assert "The figure shows 12 of 30 blocks" in block.caption
    assert "90 passes in 30 blocks" in block.alt


def test_slices_that_do_not_count_and_groups_that_were_measured_again_are_left_out(study: FinishedStudy) -> None:
    frame = study.slices.copy()
    frame.loc[(frame["block"] == 0) & (frame["pass"] == 3), "valid"] = False
    again = frame[frame["block"] == 1].assign(group=len(study.plan.groups), throughput_rps=500.0)
    table = passes(replace(study, slices=pd.concat([frame, again], ignore_index=True)))
    assert list(table.loc[table["block"] == 0, "pass"]) == [number for number in range(14) if number != 3]
    assert set(table.loc[table["block"] == 1, "baseline"]) == {500.0}


def test_the_speeds_of_the_cores_are_drawn_beneath_and_the_caption_says_how_the_ratio_follows_them(
    study: FinishedStudy,
) -> None:
    frame = study.slices
    block = figures.slices(study)
    assert block is not None
    assert "speeds of the cores" not in block.caption, "they were not measured"
    speed = np.exp(np.random.default_rng(2).normal(0, 0.2, len(frame)))
    slowed = frame.assign(core_speed=speed, throughput_rps=frame["throughput_rps"] * speed)
    followed = figures.slices(replace(study, slices=slowed))
    assert followed is not None
    assert "The ratio follows the speeds of the cores (correlation 1.00)" in followed.caption
    unlike = figures.slices(replace(study, slices=frame.assign(core_speed=speed)))
    assert unlike is not None
    assert "hardly follows" in unlike.caption
    partly = frame.assign(core_speed=np.where(frame["pass"] == 3, np.nan, speed))
    assert "speeds of the cores" not in (figures.slices(replace(study, slices=partly)) or block).caption


@pytest.mark.parametrize("frame", [pd.DataFrame(), slices({"basic-c64": 1.0})])
def test_without_slices_of_both_sides_there_is_no_figure_and_a_line_says_so(
    study: FinishedStudy, frame: pd.DataFrame
) -> None:
    assert figures.slices(replace(study, slices=frame)) is None
    assert "were not measured in slices" in html_of(interleaving.section(replace(study, slices=frame)))


@pytest.mark.parametrize(
    "usable",
    [
        pytest.param(lambda frame, _: frame["pass"] < 0, id="no slice"),
        pytest.param(lambda frame, side: frame["member"] == side, id="one side"),
        pytest.param(lambda frame, side: (frame["pass"] % 2 == 0) == (frame["member"] == side), id="sides in turn"),
        pytest.param(lambda frame, _: (frame["pass"] == 0) & (frame["block"] == 0), id="one pass"),
    ],
)
@pytest.mark.parametrize("unusable", [{"valid": False}, {"throughput_rps": 0.0}, {"throughput_rps": math.nan}])
def test_a_report_is_made_however_few_slices_are_usable(
    study: FinishedStudy, usable: Callable[[pd.DataFrame, str], pd.Series[bool]], unusable: dict[str, object]
) -> None:
    kept = usable(study.slices, study.baseline)
    few = replace(
        study,
        slices=study.slices.assign(**{name: study.slices[name].where(kept, value) for name, value in unusable.items()}),
    )
    parts = {part.anchor: html_of(part.data) for part in sections(few)}
    assert "Too few passes have a usable slice of both sides" in parts[interleaving.ANCHOR]
    assert few.narrowing is None


# ---- the groups -----------------------------------------------------------------------------------------------------


def test_a_study_of_the_first_edition_says_nothing_of_groups(made: FinishedStudy) -> None:
    assert interleaving.section(made) is None
    assert together.line(made) == ""
    assert "measured together" not in table(made) + markdown(made)


def test_the_groups_are_told_with_hub_members_slices_and_passes(study: FinishedStudy) -> None:
    found = together.groups(study)
    assert [one.hub for one in found] == [group.hub for group in study.plan.groups]
    first = found[0]
    assert (first.how, first.slices, first.passes) == (together.TOGETHER, "80 ms", "14")
    assert set(first.others) == set(study.plan.groups[0].members) - {first.hub}
    assert {one.reasons for one in found if one.how == together.ALONE} == {(NOT_COMPARED,)}
    page = html_of(interleaving.section(study))
    assert study.title(first.hub) in page
    assert page.count(NOT_COMPARED) == 2, "once in the sentence, once in the table"


def test_what_a_measurement_found_is_told_once_with_its_blocks(study: FinishedStudy) -> None:
    at = next(number for number, one in enumerate(study.groups) if one.interleaved and one.block == 2)
    alone = replace(study.groups[at].members[1], alone="a slice would take 3 s")
    one = replace(study.groups[at], members=(study.groups[at].members[0], alone), interleaved=False, lengths=None)
    changed = replace(study, groups=(*study.groups[:at], one, *study.groups[at + 1 :]))
    facts = together.groups(changed)[one.group]
    assert facts.how == "interleaved, one after the other in 1 of 6 blocks"
    assert facts.reasons == (
        f"{study.title(alone.configuration)} was measured alone: a slice would take 3 s (in 1 of 6 blocks)",
    )


def test_reasons_of_blocks_that_differ_only_in_figures_are_one_reason_with_their_range(study: FinishedStudy) -> None:
    reasons = {one.block: f"a slice would take {3 + one.block} s" for one in study.groups}
    measured = tuple(
        replace(one, interleaved=False, lengths=None, reasons=(reasons[one.block],)) if one.block < 2 else one
        for one in study.groups
    )
    changed = replace(study, groups=measured)
    expected = "a slice would take 3 to 4 s (in 2 of 6 blocks)"
    assert {one.reasons for one in together.groups(changed) if one.how != together.ALONE} == {(expected,)}
    everywhere = tuple(replace(one, interleaved=False, reasons=(reasons[one.block],)) for one in study.groups)
    line = together.line(replace(study, groups=everywhere))
    assert line.count("a slice would take") == 1
    assert "a slice would take 3 to 8 s" in line


def test_a_reason_that_plan_and_measurement_give_is_told_once(study: FinishedStudy) -> None:
    reason = "the differences between them are large"
    plan = replace(study.plan, groups=tuple(replace(one, reason=reason) for one in study.plan.groups))
    measured = tuple(replace(one, interleaved=False, lengths=None, reasons=(reason,)) for one in study.groups)
    changed = replace(study, manifest=replace(study.manifest, plan=plan), groups=measured)
    assert {one.reasons for one in together.groups(changed)} == {(reason,)}


def test_terminal_and_markdown_say_the_same_in_a_line(study: FinishedStudy) -> None:
    line = together.line(study)
    assert "14 passes" in line
    assert NOT_COMPARED in line
    shown = table(study)
    assert line.replace("µ", "u") in " ".join(shown[shown.index("measured together: ") :].splitlines())
    assert all(len(row) <= WIDTH for row in shown.splitlines())
    assert escape(line, begins=False) in markdown(study)


def test_a_comparison_whose_sides_are_measured_in_turn_says_so_with_its_reason(made: FinishedStudy) -> None:
    pair = PlannedGroup(
        hub=made.baseline, members=(made.baseline, made.candidate), interleaved=False, reason="a fixed port"
    )
    line = together.line(replace(interleaved(made, groups=(pair,)), slices=pd.DataFrame()))
    assert line == "the only group was not measured in slices but in sequence or alone (a fixed port)"


def test_the_number_by_which_the_interval_is_narrower_is_told_where_slices_made_it_so(
    made: FinishedStudy, groups: tuple[PlannedGroup, ...]
) -> None:
    drifting = interleaved(made, groups=groups)
    wander = drifting.slices.groupby("block")["pass"].transform(lambda numbers: numbers - numbers.mean()) / 40
    drift = drifting.slices["throughput_rps"] * np.exp(wander * drifting.slices["block"].map(lambda at: (-1) ** at))
    study = replace(drifting, slices=drifting.slices.assign(throughput_rps=drift))
    assert study.narrowing is not None
    assert study.narrowing.low > 1
    number = f"{study.narrowing.times:.1f} times narrower"
    block = figures.slices(study)
    assert block is not None
    assert number in block.caption
    assert number in together.line(study)
    assert dict(confidence.reasons(study))["Measured together"].count(number) == 1
    told = as_json(study)["narrowing"]
    assert told["times"] == pytest.approx(study.narrowing.times)
    assert told["ci_low"] < told["times"] < told["ci_high"]
    assert made.narrowing is None
    assert "narrowing" not in as_json(made)
    assert "Measured together" not in dict(confidence.reasons(made))


# ---- as they are stored ---------------------------------------------------------------------------------------------


def stored(folder: Path, number: int, document: dict[str, Any], frame: pd.DataFrame | None) -> Path:
    path = folder / "groups" / f"00-{number:02d}"
    path.mkdir(parents=True)
    (path / "group.json").write_text(json.dumps(document))
    if frame is not None:
        frame.to_parquet(path / "slices.parquet", index=False)
    return path


def document(block: int, group: int, *names: str) -> dict[str, Any]:
    members = [{"configuration": name, "trial": f"t-{name}", "valid": True, "alone": ""} for name in names]
    return {
        "schema_version": 1,
        "block": block,
        "group": group,
        "hub": names[0],
        "members": members,
        "interleaved": True,
        "lengths": {"ramp_s": 0.03, "counted_s": 0.08},
        "passes": [list(names)] * 3,
        "something newer": 1,
    }


def test_the_slices_of_a_pair_are_those_of_the_groups_that_hold_both(tmp_path: Path) -> None:
    frame = slices({"a": 1.0, "b": 2.0}, blocks=1).drop(columns=["block", "group"])
    stored(tmp_path, 1, document(1, 1, "a", "b"), frame)
    stored(tmp_path, 0, document(0, 0, "a", "b"), frame)
    stored(tmp_path, 2, document(0, 2, "a", "c"), frame)
    found = stored_groups(tmp_path)
    assert [(one.measured.block, one.measured.group) for one in found] == [(0, 0), (0, 2), (1, 1)]
    assert found[0].measured.names == ["a", "b"]
    pair = slices_of(found, tmp_path, ("a", "b"))
    assert [tuple(row) for row in pair[["block", "group"]].drop_duplicates().to_numpy()] == [(0, 0), (1, 1)]
    assert len(pair) == 2 * len(frame)


def test_what_cannot_be_read_of_a_group_is_left_out(tmp_path: Path) -> None:
    frame = slices({"a": 1.0, "b": 2.0}, blocks=1).drop(columns=["block", "group"])
    (stored(tmp_path, 0, document(0, 0, "a", "b"), None) / "slices.parquet").write_bytes(b"PAR1 nothing")
    stored(tmp_path, 1, document(1, 1, "a", "b"), frame.assign(throughput_rps="much"))
    stored(tmp_path, 2, {"block": "first"}, frame)
    stored(tmp_path, 3, document(3, 3, "a", "b"), frame.drop(columns=["valid"]))
    stored(tmp_path, 4, document(4, 4, "a", "b"), frame.assign(throughput_rps=np.nan))
    found = stored_groups(tmp_path)
    assert [one.measured.group for one in found] == [0, 1, 3, 4]
    assert set(slices_of(found, tmp_path, ("a", "b"))["group"]) == {4}
