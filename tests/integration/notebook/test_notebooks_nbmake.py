"""The notebooks, top to bottom, by nbmake: parameters are written into a copy of each, as papermill does it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from grpclab.system.paths import notebook
from tests.support.notebook_runs import SMALL, environment

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ("sweep", "replication")
"""What papermill runs in other tests."""
OTHERS = tuple(name for name in SMALL if name not in MEASURED)


@pytest.fixture(scope="module")
def run(sweep_root: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Runs ``pytest --nbmake`` on small copies of the notebooks, once; returns the executed copy of one.

    What papermill has measured for other tests is not measured again: the same parameters, the same folder.
    `replication`, whose cells are those of `sweep` over another design, is run by papermill alone.
    """

    @functools.cache
    def made(*names: str) -> None:
        copies = [sweep_root / f"{name}.ipynb" for name in names]
        for name, copy in zip(names, copies, strict=True):
            nbformat.write(parameterize_notebook(load_notebook_node(str(notebook(name))), SMALL[name]), copy)
        command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", *map(str, copies)]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", "-q"],
            cwd=sweep_root,
            env=environment(sweep_root),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def make(name: str) -> Path:
        if name == "replication":
            root: Path = request.getfixturevalue("replication_root")
            return root / "out.ipynb"
        made(*([name] if name in MEASURED else OTHERS))
        return sweep_root / f"{name}.ipynb"

    return make


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in MEASURED else name for name in SMALL]
)
def test_the_notebook_runs_top_to_bottom(name: str, run: Callable[[str], Path]) -> None:
    cells = nbformat.read(run(name), as_version=4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")


def test_a_single_trial_runs_by_hand_in_a_cold_kernel(run: Callable[[str], Path], sweep_root: Path) -> None:
    cells = nbformat.read(run("trial"), as_version=4).cells
    (result,) = (sweep_root / "results" / "scratch").glob("*/result.json")
    assert json.loads(result.read_text())["metrics"]["requests"] == 60
    assert any("image/png" in o.get("data", {}) for cell in cells for o in cell.get("outputs", []))


@pytest.mark.long
def test_the_same_study_again_measures_nothing_and_judges_again(run: Callable[[str], Path], sweep_root: Path) -> None:
    (folder,) = (path.parent for path in (sweep_root / "results").glob("*/manifest.json"))
    measured = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/result.json")}
    assert measured
    run("sweep")
    first = (sweep_root / "first.txt").stat().st_mtime_ns
    assert max(measured.values()) < first < (folder / "verdict.json").stat().st_mtime_ns


def test_every_notebook_is_among_them() -> None:
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(SMALL)


def test_every_figure_of_explore_is_followed_by_a_sentence_out_of_the_data(
    run: Callable[[str], Path], sweep_root: Path
) -> None:
    cells = nbformat.read(run("explore"), as_version=4).cells
    said = "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []) if o.output_type == "stream")
    assert "Throughput correlates most strongly with " in said
    assert "optimized-c8 against basic-c8: throughput " in said
    assert "absolute figures can be compared" in said
    for cell in cells:
        kinds = [list(o.get("data", {})) or ["text"] for o in cell.get("outputs", [])]
        if any("image/png" in kind for kind in kinds):
            assert ["text"] in kinds
    assert sorted(path.name for path in (sweep_root / "results" / "scratch" / "explore").iterdir()) == [
        *("comparisons.csv", "explained.svg", "joined.parquet"),
    ]
