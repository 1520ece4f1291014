"""The notebooks, executed for real at small size by papermill, as a user does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from grpclab.config import FACTORS
from grpclab.places import notebook
from grpclab.study.trial import METRICS

PAIRS = {"requests": "60", "blocks": "1", "design": "quick", "max_trial_s": "0.4", "rtt_ms": "5", "concurrency": "64"}
SMALL = [word for pair in PAIRS.items() for word in ("-p", *pair)]


def papermill(name: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``papermill notebooks/<name>.ipynb out.ipynb ...`` in `root`, which becomes the project's folder."""
    command = [sys.executable, "-m", "papermill", str(notebook(name)), "out.ipynb", *arguments]
    env = {**os.environ, "GRPCLAB_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
    env.pop("PYTEST_CURRENT_TEST", None)  # in its presence ipykernel treats the terminal in another way
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small study has been run once."""
    folder = tmp_path_factory.mktemp("lab")
    run = papermill("sweep", folder, *SMALL)
    assert run.returncode == 0, run.stderr
    (folder / "first.txt").write_text(run.stderr)
    return folder


def study_folder(root: Path) -> Path:
    (found,) = (root / "results").iterdir()
    return found


def test_every_trial_of_the_design_is_there_whole(root: Path) -> None:
    folder = study_folder(root)
    manifest = json.loads((folder / "manifest.json").read_text())
    trials = sorted(path.name for path in (folder / "trials").iterdir())
    names = [row["name"] for row in manifest["plan"]["configurations"]]
    assert sorted(trial.split("-", 2)[2] for trial in trials) == sorted(names)
    whole = {
        "trial.ipynb",
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


def test_the_frame_has_every_factor_and_metric_and_a_row_for_each_trial(root: Path) -> None:
    frame = pd.read_parquet(study_folder(root) / "trials.parquet")
    assert len(frame) == len(list((study_folder(root) / "trials").iterdir()))
    assert set(FACTORS) <= set(frame.columns)
    assert set(METRICS) <= set(frame.columns)
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
    for _, row in frame[frame["configuration"].isin(profiled)].iterrows():
        assert row["profile_samples"] > 0 or row["profile_note"]
    assert frame.loc[~frame["configuration"].isin(profiled), "profile_samples"].isna().all()


def test_progress_and_the_path_of_the_report_reach_the_terminal(root: Path) -> None:
    terminal = (root / "first.txt").read_text()
    trials = len(list((study_folder(root) / "trials").iterdir()))
    assert f"[{trials}/{trials}]" in terminal
    report = root / "reports" / f"{study_folder(root).name}.html"
    assert f"report: {report}" in terminal
    assert report.exists()
    assert (root / "reports" / "index.html").exists()


def test_the_same_command_again_measures_nothing_and_judges_again(root: Path) -> None:
    folder = study_folder(root)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/result.json")}
    (folder / "verdict.json").unlink()
    again = papermill("sweep", root, *SMALL)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/result.json")} == before
    assert (folder / "verdict.json").exists()


def test_every_trial_notebook_starts_from_a_clean_kernel(root: Path) -> None:
    for path in study_folder(root).glob("trials/*/trial.ipynb"):
        cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_a_wrong_parameter_stops_the_sweep_with_one_line(tmp_path: Path) -> None:
    run = papermill("sweep", tmp_path, "-p", "request", "5")
    assert run.returncode != 0
    shown = [text for text in run.stderr.splitlines() if text.startswith("grpclab: ")]
    assert len(shown) == 1
    assert "unknown parameter 'request': did you mean requests?" in shown[0]
    assert not (tmp_path / "results").exists()


def test_a_single_trial_runs_by_hand_in_a_cold_kernel(tmp_path: Path) -> None:
    run = papermill("trial", tmp_path, "-p", "requests", "100", "-p", "profile", "false", "-p", "variant", "basic")
    assert run.returncode == 0, run.stderr
    (result,) = (tmp_path / "results" / "scratch").glob("*/result.json")
    assert json.loads(result.read_text())["metrics"]["requests"] == 100
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells for o in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
