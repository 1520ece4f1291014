"""Notebooks executed by papermill as a user does it, with parameters so small that a study takes seconds."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from grpclab.system.paths import notebook

SMALL: dict[str, dict[str, Any]] = {
    "trial": {"requests": 60, "duration_s": 0.5, "profile": False},
    "sweep": {
        **{"requests": 60, "blocks": 1, "design": "quick", "max_trial_s": 0.6},
        **{"rtt_ms": 5.0, "concurrency": "8", "windows_kib": "1024"},
    },
    "replication": {"requests": 60, "blocks": 1, "max_trial_s": 1.0, "rtt_ms": 5.0, "profile": False},
    "explore": {},
    "calibration": {"only": "echo", "rounds": 1, "scale": 0.05},
}
"""The smallest parameters of each notebook, in the order in which they are run: `explore` looks at what `sweep` has
measured."""


def environment(root: Path) -> dict[str, str]:
    """For a process whose project lies in `root`."""
    env = {**os.environ, "GRPCLAB_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
    for inherited in ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS"):  # ipykernel treats the terminal in another way
        env.pop(inherited, None)
    return env


def small(name: str) -> list[str]:
    """The smallest parameters as papermill's options."""
    return [word for key, value in SMALL[name].items() for word in ("-p", key, str(value))]


def papermill(name: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``papermill notebooks/<name>.ipynb out.ipynb ...`` in `root`, which becomes the project's folder."""
    command = [sys.executable, "-m", "papermill", str(notebook(name)), "out.ipynb", *arguments]
    return subprocess.run(
        command, cwd=root, env=environment(root), capture_output=True, text=True, timeout=600, check=False
    )


def measured(name: str, root: Path) -> Path:
    """`root`, in which the smallest study of that notebook has been run once; ``first.txt`` is what it told."""
    run = papermill(name, root, *small(name))
    assert run.returncode == 0, run.stderr
    (root / "first.txt").write_text(run.stderr)
    return root


def parameters_cell(name: str) -> dict[str, tuple[str, Any, str]]:
    """Type, default and help of each line of the cell that papermill reads."""
    cells = json.loads(notebook(name).read_text())["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    found = {}
    for line in "".join(cell["source"]).splitlines():
        code, _, said = line.partition("  # ")
        (statement,) = ast.parse(code).body
        assert isinstance(statement, ast.AnnAssign), line
        assert statement.value is not None, line
        found[ast.unparse(statement.target)] = (
            ast.unparse(statement.annotation),
            ast.literal_eval(statement.value),
            said,
        )
    return found
