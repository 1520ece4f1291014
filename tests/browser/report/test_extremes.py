"""Studies at the far ends: one configuration or sixty, one block, nothing valid, errors by the thousand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from grpclab.report import figures
from grpclab.report.figures.forest import MOST_ROWS
from grpclab.report.figures.sweeps import MOST_LEVELS
from tests.support import chromium, study_maker, synthetic


def many(configurations: int, *, blocks: int = 6, levels: int | None = None) -> synthetic.MadeStudy:
    """A study of one's own with so many configurations: a sweep of one factor and a curve of every second one."""
    maker = study_maker.StudyMaker(blocks=blocks)
    base = maker.add("base", "the base", 1000, {"server.threads": 1})
    names = [
        maker.add(f"t{n}", f"{n} threads", 1000 + 20 * n, {"server.threads": n + 1}) for n in range(1, configurations)
    ]
    first = names[0] if names else base
    comparisons = [study_maker.comparison(f"{name} against the base", base, name, "chatter") for name in names[1:]]
    swept = [base, *names][: levels or None]
    plan: dict[str, Any] = {
        "blocks": blocks,
        "delta": 0.05,
        "metric": "throughput_rps",
        "configurations": maker.configurations,
        "headline": study_maker.comparison("t1 against the base", base, first),
        "comparisons": comparisons,
        "curves": [
            {
                "title": "all",
                "scenario": "chatter",
                "factor": "server.threads",
                "series": {f"series {name}": [name] for name in [base, *names]},
            }
        ],
        "sweeps": [
            {
                "title": "threads",
                "factor": "server.threads",
                "scenario": "chatter",
                "base": base,
                "points": [{"label": name, "configuration": name} for name in swept],
            }
        ],
    }
    trials = maker.trials(study="many")
    manifest = synthetic.manifest_of("many", plan, blocks=blocks)
    return synthetic.MadeStudy(manifest, trials, {}).judged_again(trials)


def one_configuration(_: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return many(1)


def all_invalid(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials.assign(valid=False, invalid_reason="the server died"))


def one_block(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials[made.trials["block"] == 0])


def many_errors_and_no_profiles(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    looks = [c for c in made.trials.columns if c.startswith(("share_", "perf_", "profile", "syscalls", "threads_per"))]
    trials = made.trials.drop(columns=looks)
    trials["errors"] = trials["requests"] * 0.4
    statuses = {f"STATUS_{n}": n * 1000 for n in range(1, 17)}
    trials["errors_by_status"] = json.dumps(statuses)
    return made.judged_again(trials)


EXTREMES = {
    "one": (one_configuration, ("1 configuration in 6 blocks",)),
    "invalid": (all_invalid, ("the server died",)),
    "block": (one_block, ("fewer than two blocks have results for both sides",)),
    "errors": (many_errors_and_no_profiles, ("STATUS_16", "There is no profile")),
}


@pytest.fixture(scope="module")
def full() -> synthetic.MadeStudy:
    return synthetic.full_study()


@pytest.fixture(scope="module")
def sixty() -> synthetic.MadeStudy:
    return many(60)


def assert_can_be_read(browser: Browser, path: Path, *told: str) -> None:
    """The report says that on a phone, without a value that is none."""
    with chromium.visit(browser, path, width=400) as found:
        found.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        text = found.page.locator("body").inner_text()
        assert [part for part in told if part not in text] == []
        assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b", text)
        window, needed = found.needs_px()
        assert needed <= window
        assert found.trouble == []


LONG = ("block", "errors")
"""Reports with almost every figure, as those of the controls' tests, which are read on a phone as well."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in EXTREMES]
)
def test_an_extreme_study_can_be_read(name: str, full: synthetic.MadeStudy, browser: Browser, tmp_path: Path) -> None:
    change, told = EXTREMES[name]
    made = change(full)
    material = {} if name == "errors" else synthetic.material(made)
    path = made.report(tmp_path / f"{name}.html", **material)
    assert_can_be_read(browser, path, *told)


def test_sixty_configurations_can_be_read(sixty: synthetic.MadeStudy, browser: Browser, tmp_path: Path) -> None:
    material = synthetic.material(sixty)
    path = sixty.report(tmp_path / "sixty.html", **material)
    assert_can_be_read(browser, path, "figure shows")


def test_sixty_configurations_are_complete_in_table_and_forest(sixty: synthetic.MadeStudy) -> None:
    study = sixty.finished()
    sheets = figures.forest(study)
    told = " ".join(sheet.alt for sheet in sheets)
    assert len(sheets) == 3
    assert all(sheet.alt.count("×") <= MOST_ROWS for sheet in sheets)
    for comparison in [sixty.verdict["headline"], *sixty.verdict["comparisons"]]:
        assert f"{comparison['title']} " in told
    sweeps = figures.sweeps(study)
    assert sweeps is not None
    drawn = re.search(r"The figure shows (\d+) of 60 levels", sweeps.caption)
    assert drawn
    assert 8 <= int(drawn[1]) <= MOST_LEVELS
    curve = figures.throughput(study, study.plan.curves[0])
    assert curve is not None
    assert "This figure shows 6 of 60 series" in curve.caption
    assert "series base" in curve.alt


@pytest.mark.long
def test_five_thousand_trials_fit_in_a_file_that_can_be_sent(tmp_path: Path) -> None:
    made = many(50, blocks=100)
    assert len(made.trials) == 5000
    material = synthetic.material(replace(made, trials=made.trials[made.trials["block"] < 3]))
    path = made.report(tmp_path / "large.html", histograms=material["histograms"])
    assert path.stat().st_size < 10e6
