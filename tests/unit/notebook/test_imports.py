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


FORKED = """
import json, os, sys
import IPython, matplotlib.figure, matplotlib.backends.backend_svg, numpy, pandas, psutil, pyarrow, scipy
assert "grpclab" not in sys.modules
for statement, name in json.loads(sys.argv[1]).items():
    if not os.fork():
        import grpclab
        exec(statement)
        os._exit(0 if it is getattr(grpclab, name) else 1)
    if os.wait()[1]:
        sys.exit(statement)
"""
"""Each statement in a process that has imported nothing of the package; what the package imports is loaded once."""


def test_an_import_of_the_first_edition_gives_the_same_thing(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKED, json.dumps(FIRST_EDITION)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", notebooks())
def test_a_notebook_imports_from_the_package_itself_only(name: str) -> None:
    cells = json.loads(notebook(name).read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    assert {module for module in modules if module and module.startswith("grpclab")} == {"grpclab"}
