"""All notebooks, top to bottom, by nbmake: parameters are written into a copy of each, as papermill does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from grpclab.places import notebook

ROOT = Path(__file__).resolve().parent.parent
SMALL: dict[str, dict[str, Any]] = {
    "trial": {"requests": 60, "duration_s": 0.2, "profile": False},
    "sweep": {
        "design": "quick",
        "requests": 60,
        "blocks": 1,
        "max_trial_s": 0.2,
        "profile": False,
        "rtt_ms": 5.0,
        "concurrency": "64",
        "windows_kib": "64",
    },
    "explore": {},
    "calibration": {"only": "echo", "rounds": 1, "scale": 0.05},
}
"""The notebooks in the order in which they are run, each with its smallest parameters; `explore` looks at what `sweep`
has measured."""
NEEDS = {"explore": "sweep"}


class Lab:
    """A project's folder in which each notebook is run once at most."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: dict[str, subprocess.CompletedProcess[str]] = {}

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """``pytest --nbmake`` on a small copy of the notebook, after the one that it needs."""
        if name in NEEDS:
            assert self.run(NEEDS[name]).returncode == 0, f"{NEEDS[name]} failed, which {name} needs"
        if name not in self.runs:
            self.runs[name] = self._nbmake(name)
        return self.runs[name]

    def _nbmake(self, name: str) -> subprocess.CompletedProcess[str]:
        copy = self.folder / f"{name}.ipynb"
        nbformat.write(parameterize_notebook(load_notebook_node(str(notebook(name))), SMALL[name]), copy)
        env = {**os.environ, "GRPCLAB_ROOT": str(self.folder), "PYTHONWARNINGS": "ignore"}
        for inherited in ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS"):
            env.pop(inherited, None)
        command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", str(copy), "-p", "no:cacheprovider", "-q"]
        return subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=240, check=False
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("name", SMALL)
def test_the_notebook_runs_top_to_bottom(name: str, lab: Lab) -> None:
    run = lab.run(name)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_notebook_is_among_them() -> None:
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(SMALL)


def printed(lab: Lab, name: str) -> str:
    """What the notebook's cells wrote."""
    assert lab.run(name).returncode == 0
    cells = nbformat.read(lab.folder / f"{name}.ipynb", as_version=4).cells
    return "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []) if o.output_type == "stream")


def test_every_figure_of_explore_is_followed_by_a_sentence_out_of_the_data(lab: Lab) -> None:
    said = printed(lab, "explore")
    assert "Throughput goes most closely with " in said
    assert "optimized-c64 against basic-c64: throughput " in said
    assert "absolute numbers may be compared" in said
    cells = nbformat.read(lab.folder / "explore.ipynb", as_version=4).cells
    for cell in cells:
        kinds = [list(o.get("data", {})) or ["text"] for o in cell.get("outputs", [])]
        if any("image/png" in kind for kind in kinds):
            assert ["text"] in kinds
    assert sorted(path.name for path in (lab.folder / "results" / "scratch" / "explore").iterdir()) == [
        *("comparisons.csv", "explained.svg", "joined.parquet"),
    ]
