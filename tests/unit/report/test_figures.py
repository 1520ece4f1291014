"""What the figures say of the numbers they are given."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from grpclab import analysis
from grpclab import quantities as qty
from grpclab.report import FigureBlock, figures, theme, words
from grpclab.report.content import sections
from grpclab.report.figures.engines import sentence as client_cost
from grpclab.report.figures.ladder import steps
from grpclab.report.figures.shares import VIEWS, View, profiles
from grpclab.report.figures.timeline import relative
from grpclab.report.figures.windows import panels
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.tidy import tidy
from tests.support import full_plan, synthetic
from tests.support.drawn_words import words_out_of_place
from tests.support.finished import finished


@pytest.fixture(scope="module")
def study() -> FinishedStudy:
    made = synthetic.full_study()
    return made.finished()


def text_of(svg: str) -> str:
    return " ".join(t.strip() for t in ElementTree.fromstring(svg).itertext() if t.strip())


def test_a_curve_names_its_lines_and_its_hollow_markers(study: FinishedStudy) -> None:
    block = figures.throughput(study, study.plan.curves[0])
    assert block is not None
    for svg in (block.svg_wide, block.svg_narrow):
        shown = text_of(svg)
        assert "basic" in shown
        assert "optimized" in shown
        assert qty.ratio(study.headline.ratio) in shown
        assert theme.BASELINE.lower() in svg
        assert theme.CANDIDATE.lower() in svg
    assert "optimized at 256" in block.caption
    assert "generator-bound" in block.caption


def test_no_percentile_from_too_few_requests() -> None:
    frame = pd.DataFrame(
        {
            "requests": [999.0, 1000.0],
            "latency_p99_s": [0.2, 0.2],
            "latency_p90_s": [0.1, 0.1],
        }
    )
    assert tidy(frame)["latency_p99_s"].isna().tolist() == [True, False]
    assert tidy(frame)["latency_p90_s"].notna().all()


def test_rungs_stand_where_their_baseline_stands(study: FinishedStudy) -> None:
    rungs = {step.title: step for step in steps(study)}
    pool = rungs["connection pool"]
    for name in ("asyncio server", "asyncio on uvloop", "room for 10,000 threads"):
        assert rungs[name].start == pytest.approx(pool.end)
    assert not rungs["asyncio server"].kept
    last = rungs["HTTP/2 settings"]
    assert last.end == pytest.approx(study.headline.ratio, rel=1e-9)
    slot = rungs["a process per core"]
    assert math.isnan(slot.ratio)
    assert slot.start == pytest.approx(last.end)


def test_windows_are_in_bytes_where_the_plan_says_how_many(study: FinishedStudy) -> None:
    down, up = panels(study)
    assert (down.unit, up.unit) == ("MB/s", "MB/s")
    trials = study.rows("downloads-1024")["throughput_rps"]
    expected = float(np.exp(np.log(trials).mean())) * full_plan.RESPONSE_BYTES / 1e6
    by_label = {spot.label: spot for spot in down.points}
    assert by_label["1 MiB"].mean == pytest.approx(expected)
    assert [spot.label for spot in down.points] == ["64 KiB", "256 KiB", "1 MiB", "4 MiB", "16 MiB"]
    assert [spot.label for spot in down.apart] == ["adaptive"]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_shares_of_work_leave_waiting_out(study: FinishedStudy, view: View) -> None:
    drawn = profiles(study, view)
    assert [p.configuration for p in drawn] == ["basic-c64", "optimized-c64"]
    for profile in drawn:
        assert sum(share.mean for share in profile.families.values()) == pytest.approx(1, abs=1e-9)
        assert profile.samples > 2000
        assert profile.blocks == 6
        if view.name == "py-spy":
            assert 0.1 < profile.wait.mean < 0.6


def test_every_comparison_is_listed_once(study: FinishedStudy) -> None:
    listed = [c for _, found in grouped(study) for c in found]
    assert len(listed) == len(study.verdict.comparisons) + 2
    groups = [name for name, _ in grouped(study)]
    assert groups[:5] == ["headline", "the same pair, other metrics", "each side", "engines", "ladder"]
    engines = dict(grouped(study))["engines"]
    assert len(engines) == 3
    assert all("engine" in c.title for c in engines)
    assert groups[-1] == "noise (A/A)"


# ---- engines ---------------------------------------------------------------------------------------------------


def loaded(basic: float, optimized: float, *, base: str = "grpcio", limits: str = "") -> FinishedStudy:
    """A study in which wire gets so many times what grpcio gets out of each variant."""
    arms = [f"{variant}-c64{suffix}" for variant in ("basic", "optimized") for suffix in ("", "-wire")]
    made = synthetic.full_study().only(arms)
    trials = made.trials.sort_values("block")
    for variant, factor in (("basic", basic), ("optimized", optimized)):
        grpcio, wire = (trials["configuration"].eq(f"{variant}-c64{suffix}") for suffix in ("", "-wire"))
        jitter = np.exp(0.01 * np.array([1, -1, 1, -1, 1, -1]))
        trials.loc[wire, "throughput_rps"] = trials.loc[grpcio, "throughput_rps"].to_numpy() * factor * jitter
        trials.loc[wire, "limited_by"] = limits
    made.manifest["plan"]["engines"] |= {"base": base}
    made = made.judged_again(trials)
    return made.finished()


def test_an_engine_is_the_measured_one_else_the_planned_one_else_the_default(study: FinishedStudy) -> None:
    assert study.engine("basic-c64") == "grpcio"
    assert study.engine("basic-c64-wire") == "wire"
    assert study.engine("no such configuration") == ""
    plan = {"configurations": [{"name": "a", "settings": {}}, {"name": "b", "settings": {}}]}
    unmeasured = finished(
        {"plan": plan}, pd.DataFrame({"configuration": ["b"], "load.engine": ["grpcio"], "valid": [False]}), {}
    )
    assert (unmeasured.engine("a"), unmeasured.engine("b")) == ("wire", "grpcio")
    planned = {"configurations": [{"name": "a", "settings": {"load.engine": "grpcio"}}]}
    assert finished({"plan": planned}, pd.DataFrame(), {}).engine("a") == "grpcio"


def test_several_engines_are_said_together_and_none_is_not_said(study: FinishedStudy) -> None:
    assert study.engines(["basic-c64", "basic-c64-again"]) == "engine: grpcio"
    assert study.engines(["optimized-c64-wire", "basic-c64", ""]) == "engines: grpcio and wire"
    assert study.engines([""]) == ""


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        (
            {"basic": 1.5, "optimized": 1.4},
            "With the wire engine, optimized reaches 1.40× and basic 1.50× the throughput that they reach with a "
            "Python client. The client accounts for that difference in the figures above.",
        ),
        (
            {"basic": 1.5, "optimized": 1.4, "base": "wire", "limits": "generator-bound"},
            "With the wire engine, optimized reaches at least 1.40× and basic at least 1.50× the throughput that they "
            "reach with a Python client. With a Python client, throughput would be lower than in the figures above by "
            "that factor.",
        ),
        (
            {"basic": 1.0, "optimized": 1.4},
            "With the wire engine, optimized reaches 1.40× the throughput that it reaches with a Python client. The "
            "client accounts for that difference in the figures above. The ratio of the wire engine to grpcio is "
            "1.00× (95% interval 0.99 to 1.01) for basic: both engines reach the same throughput, so the server is "
            "the limit, not the client.",
        ),
        (
            {"basic": 0.8, "optimized": 1.05},
            "The ratio of the wire engine to grpcio is 0.80× (95% interval 0.79 to 0.81) for basic: throughput is "
            "lower with the wire engine than with a Python client. The ratio of the wire engine to grpcio is 1.05× "
            "(95% interval 1.04 to 1.06) for optimized: undecided; the client may or may not reduce throughput.",
        ),
    ],
    ids=["python dearer", "wire is the base", "one alike", "slower and inconclusive"],
)
def test_the_cost_of_the_client_is_one_sentence_whatever_it_is(measured: dict[str, Any], told: str) -> None:
    assert client_cost(loaded(**measured)) == told


def test_a_variant_without_a_common_block_says_so(study: FinishedStudy) -> None:
    kept = study.trials[study.trials["configuration"] != "basic-c64-wire"]
    found = FinishedStudy.of(study.manifest, kept, analysis.analyse(kept, study.plan))
    assert client_cost(found).endswith(". No block has results with both engines for basic.")
    assert figures.engines(found) is not None


def test_bars_of_engines_are_hollow_where_the_client_was_the_limit(study: FinishedStudy) -> None:
    block = figures.engines(study)
    assert block is not None
    hollow, filled = (f"fill: {c}; stroke: {theme.BASELINE}".lower() for c in (theme.PAPER, theme.BASELINE))
    for svg in (block.svg_wide, block.svg_narrow):
        assert svg.lower().count(hollow.replace(theme.PAPER.lower(), "#ffffff")) == 1  # basic with grpcio: client-cpu
        assert svg.lower().count(filled) == 1
        shown = text_of(svg)
        assert "engines: grpcio and wire" in shown
        assert "170 + 190" in shown.replace("171", "170").replace("169", "170")
    assert "server" in block.alt


def test_an_interval_that_two_blocks_leave_wide_open_does_not_flatten_the_bars(study: FinishedStudy) -> None:
    trials = study.trials[study.trials["block"] < 2].copy()
    trials.loc[trials["configuration"].eq("basic-c64") & trials["block"].eq(0), "throughput_rps"] *= 4
    judged = analysis.analyse(trials, study.plan)
    block = figures.engines(FinishedStudy.of(study.manifest, trials, judged))
    assert block is not None
    assert {"2k", "4k", "6k"} <= set(text_of(block.svg_wide).split())


def test_rungs_that_the_client_limited_are_hollow(study: FinishedStudy) -> None:
    rungs = {step.title: step for step in steps(study)}
    assert rungs["channel reuse"].limited  # it starts at basic, whose client was at its end
    assert not rungs["connection pool"].limited
    block = figures.ladder(study)
    assert block is not None
    assert f"fill: #ffffff; stroke: {theme.CANDIDATE}".lower() in block.svg_wide.lower()


def test_the_timeline_is_relative_and_in_order(study: FinishedStudy) -> None:
    table = relative(study)
    assert len(table) == len(study.trials)
    logs = np.log(table["relative"])
    assert logs.groupby(table["configuration"]).mean().abs().max() < 1e-12
    assert table["relative"].isna().sum() == 1
    assert table["block"].is_monotonic_increasing


@pytest.mark.parametrize(
    "draw",
    [
        figures.ladder,
        figures.windows,
        *(functools.partial(figures.profile, view=view) for view in VIEWS),
        figures.forest,
        figures.sweeps,
        figures.timeline,
    ],
)
def test_without_trials_there_is_no_figure(
    draw: Callable[[FinishedStudy], FigureBlock | list[FigureBlock] | None],
) -> None:
    made = synthetic.small_study()
    empty = made.judged_again(made.trials.iloc[:0])
    assert not draw(empty.finished())


@pytest.fixture(scope="module")
def blocks(study: FinishedStudy) -> list[FigureBlock]:
    """Every figure of a report."""
    return [block for section in sections(study) for block in section.figures]


@pytest.mark.parametrize("narrow", [False, True])
def test_no_words_in_a_picture_are_cut_off_or_lie_on_others(blocks: list[FigureBlock], narrow: bool) -> None:
    assert len(blocks) > 10
    assert [f"{block.title}: {fault}" for block in blocks for fault in words_out_of_place(block, narrow)] == []


def test_drawing_leaves_no_global_state(study: FinishedStudy) -> None:
    import matplotlib as mpl
    from matplotlib import _pylab_helpers

    before = dict(mpl.rcParams)
    assert figures.timeline(study) is not None
    assert dict(mpl.rcParams) == before
    assert not _pylab_helpers.Gcf.figs


def test_a_block_is_a_figure_with_its_words(study: FinishedStudy) -> None:
    block = FigureBlock(
        title="a & b",
        draw=lambda figure, narrow: None,
        wide_height_in=1,
        narrow_height_in=1,
        above="",
        alt='say "x"',
        caption="<b>",
        how_to_read="so",
    )
    html = block.html()
    assert 'role="img" aria-label="say &#34;x&#34;"' in html
    assert "<figcaption>&lt;b&gt;</figcaption>" in html
    assert "<summary>How to read this</summary>" in html


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.98, 1.03), (0.7, 1.06), (0.9, 6.2), (0.06, 7.5), (0.5, 2.0), (1e-3, 1e4), (1.0, 1.0001)],
)
def test_ticks_of_ratios_keep_their_distance(low: float, high: float) -> None:
    ticks = theme.ratio_ticks(low, high, most=7)
    assert ticks == sorted(ticks)
    gaps = np.diff(np.log(ticks))
    assert len(ticks) <= 3 or gaps.min() > np.log(high / low) * 0.1
    assert any(t == pytest.approx(1) for t in ticks)


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (qty.ratio(0.0512), "0.05×"),
        (qty.ratio(12.34), "12.3×"),
        (qty.ratio(None), "–"),
        (qty.interval(0.9, 1.234), "0.90 to 1.23"),
        (qty.interval(None, 1), "–"),
        (qty.duration(0.00085), "850 µs"),
        (qty.duration(0.0123), "12.3 ms"),
        (qty.percent(0.042), "4.2%"),
        (qty.amount(12345.6), "12,346"),
        (qty.level(10_000), "10,000"),
        (words.plain("a\x00b\n\tc"), "ab c"),
        (words.short("abcdef", 4), "abc…"),
        (words.typeset("2.0x at 64x, 182 us of CPU"), "2.0× at 64×, 182 µs of CPU"),
        (words.typeset("arg.n=5x1 uses"), "arg.n=5x1 uses"),
    ],
)
def test_numbers_and_names_as_a_reader_sees_them(made: str, shown: str) -> None:
    assert made == shown


def test_the_templates_are_part_of_the_package() -> None:
    from grpclab.report.assets import TEMPLATES
    from grpclab.report.content import ORDER

    written = {path.name for path in (TEMPLATES / "grpclab" / "sections").iterdir()}
    assert written <= {f"{part.ANCHOR}.html.j2" for part in ORDER}, "a template belongs to a section"
    assert len({part.PLACE for part in ORDER}) == len(ORDER), "one section, one place"
