"""What notebooks import: names of the package itself; those of the first edition keep working."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from grpclab.system.paths import notebook, notebooks

FIRST_EDITION = {
    "from grpclab.calibration.notebook import CalibrationNotebook as it": "CalibrationNotebook",
    "from grpclab import exploring as it": "explore",
    "from grpclab.notebook import SweepNotebook as it": "SweepNotebook",
    "from grpclab.notebook import TrialNotebook as it": "TrialNotebook",
    "from grpclab.notebook_replication import ReplicationNotebook as it": "ReplicationNotebook",
}


@pytest.mark.parametrize("statement", FIRST_EDITION)
def test_an_import_of_the_first_edition_gives_the_same_thing(statement: str, tmp_path: Path) -> None:
    code = f"import grpclab; {statement}; assert it is grpclab.{FIRST_EDITION[statement]}"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", notebooks())
def test_a_notebook_imports_from_the_package_itself_only(name: str) -> None:
    cells = json.loads(notebook(name).read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    assert {module for module in modules if module and module.startswith("grpclab")} == {"grpclab"}
