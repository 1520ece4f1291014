"""The data files of a study: what changed in them is told, on resume and during the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from grpclab.analysis.study_plan import PlannedConfiguration, StoredTarget, StudyPlan
from grpclab.errors import DesignError, MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.data_file import file_reference
from grpclab.study import set_up
from grpclab.study.manifests import with_outside
from grpclab.study.model import Manifest
from grpclab.study.request_files import data_files_of
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest
from tests.support import stored_studies


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "orders.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\n')
    return path


def target(data: Path) -> StoredTarget:
    return StoredTarget(command="./srv {port}", call="a.Shop/Buy", data=file_reference(str(data)))


def manifest(data: Path) -> Manifest:
    planned = read_manifest(stored_studies.manifest({"blocks": 6, "configurations": [{"name": "a", "settings": {}}]}))
    planned = replace(planned, plan=replace(planned.plan, subjects={"a": target(data)}))
    return with_outside(planned, {})


def test_a_study_with_another_content_of_its_data_file_does_not_resume(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "mine")
    store.open(manifest(data))
    store.open(manifest(data))
    data.write_text('{"id": 1}\n{"id": 3}\n')
    with pytest.raises(DesignError, match=r"different content of the data file orders\.jsonl"):
        store.open(manifest(data))


def test_a_study_of_an_earlier_version_says_nothing_of_its_data_file(data: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "mine")
    store.open(replace(manifest(data), data_files=None))
    assert store.open(manifest(data)).data_files is None


def test_the_file_of_a_replay_is_one_of_them(data: Path) -> None:
    planned = PlannedConfiguration(name="a", settings={"load.arrival": f"replay:{data}@4", "load.rate_rps": 3.0})
    plan = StudyPlan(configurations=(planned,), subjects={"a": StoredTarget(address="localhost:1")})
    assert [file.name for file in data_files_of(plan)] == [str(data)]
    assert data_files_of(replace(plan, subjects={"a": target(data)})) == data_files_of(plan), "it is named once"


class _Subject:
    """A call whose file is read as the study's is."""

    def __init__(self, data: Path, error: Exception | None = None) -> None:
        self._data, self._error = data, error

    def call_at(self, *_: object) -> str:
        if self._error:
            raise self._error
        return "the call"

    def stored(self) -> StoredTarget:
        return target(self._data)


@pytest.mark.parametrize("content", ['{"id": 3}\n', None])
@pytest.mark.parametrize("error", [None, DesignError("half a file")])
def test_a_trial_after_a_change_of_its_data_file_is_invalid(data: Path, content: str | None, error: Exception) -> None:
    known = data_files_of(StudyPlan(subjects={"a": target(data)}))
    server = cast("Any", type("Server", (), {"target": "", "security": None, "descriptors": ()}))
    assert set_up._call(cast("Any", _Subject(data)), server, TrialConfig(), known) == "the call"  # type: ignore[comparison-overlap]
    if content is None:
        data.unlink()
    else:
        data.write_text(content)
    with pytest.raises(MeasurementError, match="data file"):
        set_up._call(cast("Any", _Subject(data, error)), server, TrialConfig(), known)
