"""The notebooks, executed for real at small size by papermill, as a user does it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from grpclab.factors.config import FACTORS
from grpclab.metrics import MEASURED
from tests.support.notebook_runs import papermill


@pytest.fixture(scope="module")
def root(sweep_root: Path) -> Path:
    return sweep_root


def study_folder(root: Path) -> Path:
    (found,) = (path.parent for path in (root / "results").glob("*/manifest.json"))
    return found


def test_every_trial_of_the_design_is_there_whole(root: Path) -> None:
    folder = study_folder(root)
    manifest = json.loads((folder / "manifest.json").read_text())
    trials = sorted(path.name for path in (folder / "trials").iterdir())
    members = [name for group in manifest["plan"]["groups"] for name in group["members"]]
    assert sorted(trial.split("-", 3)[3] for trial in trials) == sorted(members)
    assert {row["name"] for row in manifest["plan"]["configurations"]} == set(members)
    whole = {
        "result.json",
        "latency.parquet",
        "timeline.parquet",
        "stacks.folded",
        "perf.folded",
        "server.log",
    }
    for trial in trials:
        found = {path.name for path in (folder / "trials" / trial).iterdir()}
        assert {name for name in found if not name.endswith(".speedscope.json")} == whole
    for group in (folder / "groups").iterdir():
        assert {"group.json", "trial.ipynb"} <= {path.name for path in group.iterdir()}


def test_the_frame_has_every_factor_and_metric_and_a_row_for_each_trial(root: Path) -> None:
    frame = pd.read_parquet(study_folder(root) / "trials.parquet")
    assert len(frame) == len(list((study_folder(root) / "trials").iterdir()))
    assert set(FACTORS) <= set(frame.columns)
    assert set(MEASURED) <= set(frame.columns)
    assert frame["valid"].all(), frame.loc[~frame["valid"], "invalid_reason"].tolist()
    assert frame["errors"].sum() == 0
    assert (frame["throughput_rps"] > 0).all()
    assert frame["server_kernel_share"].dropna().between(0, 1).all()


def test_a_pool_has_as_many_connections_as_it_was_asked_for(root: Path) -> None:
    frame = pd.read_parquet(study_folder(root) / "trials.parquet")
    pools = frame[frame["client.pooling"] == "pool"]
    assert len(pools) > 0
    assert (pools["connections"] == pools["client.connections"]).all()


def test_the_latency_file_holds_what_the_row_says(root: Path) -> None:
    frame = pd.read_parquet(study_folder(root) / "trials.parquet").set_index("trial")
    for trial, row in frame.iterrows():
        calls = pd.read_parquet(study_folder(root) / "trials" / str(trial) / "latency.parquet")
        measured = calls[calls["start_s"] >= 0]
        assert len(measured) == row["requests"]
        assert measured["latency_s"].max() == pytest.approx(row["latency_max_s"])


def test_profiled_trials_have_stacks_or_say_why_not(root: Path) -> None:
    folder = study_folder(root)
    profiled = json.loads((folder / "manifest.json").read_text())["plan"]["profiled"]
    frame = pd.read_parquet(folder / "trials.parquet")
    for _, rows in frame[frame["configuration"].isin(profiled)].groupby("configuration"):
        looked = rows[(rows["profile_samples"] > 0) | (rows["profile_note"] != "")]
        assert len(looked) == 1, "in one of its groups"
    assert frame.loc[~frame["configuration"].isin(profiled), "profile_samples"].isna().all()


def test_progress_and_the_path_of_the_report_reach_the_terminal(root: Path) -> None:
    terminal = (root / "first.txt").read_text()
    trials = len(list((study_folder(root) / "trials").iterdir()))
    assert f"[{trials}/{trials}]" in terminal
    report = root / "reports" / f"{study_folder(root).name}.html"
    assert f"report: {report}" in terminal
    assert report.exists()
    assert (root / "reports" / "index.html").exists()


def outputs(root: Path) -> dict[str, list[Any]]:
    """What each cell of the executed notebook shows, by the cell's last line."""
    cells = nbformat.read(root / "out.ipynb", as_version=4).cells
    return {cell.source.splitlines()[-1]: cell.outputs for cell in cells if cell.cell_type == "code"}


def test_the_answer_stands_in_the_first_cell_that_shows_anything(root: Path) -> None:
    shown = outputs(root)
    assert next(source for source, found in shown.items() if found) == "lab.answer()"
    (answer,) = shown["lab.answer()"]
    sentence = json.loads((study_folder(root) / "verdict.json").read_text())["sentence"]
    assert answer.data["text/plain"] == sentence
    page = BeautifulSoup(answer.data["text/html"], "html.parser")
    verdict = page.select(".gl-verdict")[0].get_text()
    assert 3 <= len(verdict.split()) <= 17, "at most 15 words beside the badge"
    assert page.get_text().index(verdict) < page.get_text().index("Warnings")


def test_the_progress_is_one_output_and_the_terminal_gets_a_few_lines(root: Path) -> None:
    trials = len(list((study_folder(root) / "trials").iterdir()))
    (progress,) = outputs(root)["lab.run()"]
    assert progress.data["text/plain"].startswith(f"{trials} of {trials} trials, measured")
    page = BeautifulSoup(progress.data["text/html"], "html.parser")
    assert len(page.select("details pre")[0].get_text().splitlines()) == trials
    assert len(re.findall(r"^\[ *\d+/\d+\]", (root / "first.txt").read_text(), re.MULTILINE)) <= 11


def test_figures_are_folded_but_for_the_first(root: Path) -> None:
    (figures,) = outputs(root)["lab.figures()"]
    folds = BeautifulSoup(figures.data["text/html"], "html.parser").select("details.gl-fold")
    assert len(folds) > 5
    assert [fold.b.get_text() for fold in folds if fold.has_attr("open") and fold.b] == ["Throughput"]


def test_links_to_the_report_lead_there_from_the_notebook(root: Path) -> None:
    for cell in ("lab.answer()", "lab.report()"):
        (output,) = outputs(root)[cell]
        links = [link["href"] for link in BeautifulSoup(output.data["text/html"], "html.parser").select("a")]
        assert [(root / str(link)).resolve() for link in links] == [
            root.resolve() / "reports" / f"{study_folder(root).name}.html"
        ]


def test_every_notebook_of_a_group_starts_from_a_clean_kernel(root: Path) -> None:
    for path in study_folder(root).glob("groups/*/trial.ipynb"):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_a_wrong_parameter_stops_the_sweep_with_one_line(tmp_path: Path) -> None:
    run = papermill("sweep", tmp_path, "-p", "request", "5")
    assert run.returncode != 0
    shown = [text for text in run.stderr.splitlines() if text.startswith("grpclab: ")]
    assert len(shown) == 1
    assert "unknown parameter 'request': did you mean requests?" in shown[0]
    assert not (tmp_path / "results").exists()
