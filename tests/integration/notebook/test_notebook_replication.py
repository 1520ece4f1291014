"""``replication.ipynb``, executed for real at the smallest size by papermill, as a user does it."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from grpclab.analysis.claims.replication import claims
from grpclab.errors import DesignError
from grpclab.notebook.replication import ReplicationNotebook
from grpclab.study.designs import replication_design
from grpclab.study.parameters import StudyParameters
from grpclab.system.paths import notebook
from tests.support.notebook_runs import parameters_cell


@pytest.fixture(scope="module")
def root(replication_root: Path) -> Path:
    return replication_root


def study_folder(root: Path) -> Path:
    (found,) = (path.parent for path in (root / "results").glob("*/manifest.json"))
    return found


def measured(root: Path) -> dict[str, dict[Hashable, Any]]:
    """The row of each configuration."""
    frame = pd.read_parquet(study_folder(root) / "trials.parquet")
    return {str(row["configuration"]): row for row in frame.to_dict("records")}


@pytest.mark.long
def test_every_trial_is_valid_and_ten_thousand_calls_are_in_flight(root: Path) -> None:
    rows = measured(root)
    manifest = json.loads((study_folder(root) / "manifest.json").read_text())
    assert set(rows) == {row["name"] for row in manifest["plan"]["configurations"]}
    assert [row["invalid_reason"] for row in rows.values() if not row["valid"]] == []
    assert rows["optimized-c10000"]["in_flight_max"] == 10_000
    assert rows["optimized"]["in_flight_max"] == 64


@pytest.mark.long
def test_connections_are_counted_where_channels_are_kept_and_where_not(root: Path) -> None:
    rows = measured(root)
    assert rows["optimized-wire"]["connections_opened"] == rows["keepalive-off"]["connections_opened"] == 4
    assert rows["per-call"]["connections_opened"] >= rows["per-call"]["requests"]
    assert min(rows[name]["link_connections"] for name in ("idle-off", "idle-working")) >= 1


@pytest.mark.long
def test_the_claims_stand_in_the_notebook_and_in_the_report(root: Path) -> None:
    cells = nbformat.read(root / "out.ipynb", as_version=4).cells
    top = next(cell for cell in cells if cell.cell_type == "code")
    report = (root / "reports" / f"{study_folder(root).name}.html").read_text()
    for page in (top.outputs[0].data["text/html"], report):
        assert "The claims of the Rust demo" in page
        assert "cannot be expressed in grpcio" in page
        assert "not decided" in page


@pytest.mark.long
def test_the_published_report_is_replaced_only_by_its_own_name(root: Path) -> None:
    assert study_folder(root).name.startswith("replication-60x1-")
    assert not (root / "reports" / "replication.html").exists()
    defaults = {name: default for name, (_, default, _) in parameters_cell("replication").items()}
    assert ReplicationNotebook.parameters({**defaults, "study": "replication"}).study == "replication"


def test_its_parameters_are_some_of_a_studys_with_the_same_defaults() -> None:
    cell, fields = parameters_cell("replication"), StudyParameters.__dataclass_fields__
    assert tuple(cell) == ReplicationNotebook.NAMES
    for name, (kind, default, said) in cell.items():
        assert (kind, bool(said)) == (fields[name].type, True), name
        assert default == fields[name].default, name


def test_another_parameter_of_a_study_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DesignError, match="unknown parameter 'design': expected one of study"):
        ReplicationNotebook().prepare({"design": "quick"})
    assert not (tmp_path / "results").exists()


def test_the_notebook_names_every_claim() -> None:
    cells = json.loads(notebook("replication").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    plan = replication_design.plan(StudyParameters(design="replication"))
    assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) == len(claims(pd.DataFrame(), [], plan))
