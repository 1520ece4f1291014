"""The generator's ceiling: measured once, kept, and measured again when the machine or a version changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grpclab.load import ceiling as module
from grpclab.load.ceiling import Ceiling, ceiling, stored_ceiling


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "grpclab" / "ceiling.json"


def small(engine: str, monkeypatch: pytest.MonkeyPatch) -> Ceiling:
    monkeypatch.setitem(module.CALLS, engine, 500)
    return ceiling(engine)


def test_it_is_measured_once_for_each_engine_and_then_known(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored_ceiling("wire") is None
    wire = small("wire", monkeypatch)
    assert 1_000 < wire.calls_per_s < 1e7
    assert stored_ceiling("wire") == ceiling("wire") == wire
    assert stored_ceiling("grpcio") is None
    grpcio = small("grpcio", monkeypatch)
    assert (stored_ceiling("wire"), stored_ceiling("grpcio")) == (wire, grpcio)
    assert grpcio.calls_per_s < wire.calls_per_s
    assert [path.name for path in cache.parent.iterdir()] == ["ceiling.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": null, "ceilings": {}}'])
def test_a_cache_that_is_broken_or_of_another_machine_is_not_believed(cache: Path, text: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert stored_ceiling("wire") is None


def test_other_versions_make_it_unknown(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling_ = Ceiling(engine="wire", cpu_per_call_s=5e-6, measured_at="2026-01-01T00:00:00+00:00")
    module._keep(ceiling_)
    assert stored_ceiling("wire") == ceiling_
    assert str(ceiling_) == "at least 200,000 calls/s per process (wire)"
    stored = json.loads(cache.read_text())
    monkeypatch.setattr(module, "_identity", lambda: {**stored["identity"], "another": "version"})
    assert stored_ceiling("wire") is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    module._keep(Ceiling(engine="wire", cpu_per_call_s=5e-6, measured_at=""))
    assert stored_ceiling("wire") is None
