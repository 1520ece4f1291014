"""The guide to extending grpclab: its examples, installed as the package that it describes, do what it says."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import grpclab
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.plan import Plan
from grpclab.errors import UsageError
from grpclab.factors.registries import ARRIVALS
from grpclab.load.output.exporters import FORMATS
from grpclab.profiling.profiler import PROFILERS
from grpclab.servers.process.launcher import launch
from grpclab.servers.targets import TARGETS
from grpclab.study.designs.scenario import SCENARIOS
from grpclab.study.sides import PairOptions, pair
from tests.support.bench_results import thousand

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PACKAGE = Path(grpclab.__file__).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


ENTRY_POINTS: dict[str, dict[str, str]] = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]


@pytest.fixture
def my_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the guide, installed here and in child processes."""
    place = tmp_path / "site"
    about = place / "my_lab-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1.0\n")
    lines = [f"[{group}]\n{name} = {value}\n" for group, names in ENTRY_POINTS.items() for name, value in names.items()]
    (about / "entry_points.txt").write_text("".join(lines))
    (place / "my_lab.py").write_text("\n".join(blocks("python")))
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.delitem(sys.modules, "my_lab", raising=False)
    return importlib.import_module("my_lab")


def test_every_registry_is_in_the_guide() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py")]
    groups = {group for text in sources for group in re.findall(r'\] = Registry\(\s*"(grpclab\.\w+)"', text)}
    assert groups == set(ENTRY_POINTS)
    assert groups == set(re.findall(r"^\| `(grpclab\.\w+)` \|", GUIDE, re.MULTILINE))


def test_the_classes_of_the_table_are_where_it_says() -> None:
    named = re.findall(r"`(\w+)`(?: or `(\w+)`)? \(`(grpclab[\w.]+)`\)", GUIDE)
    assert len(named) == len(ENTRY_POINTS)
    for *names, module in named:
        assert all(hasattr(importlib.import_module(module), name) for name in names if name)


def test_its_target_is_checked(my_lab: ModuleType) -> None:
    assert TARGETS["docker"] is my_lab.DOCKER
    assert pair("docker:a", "docker:b", PairOptions())["a"].subject.command == "docker:a"
    with pytest.raises(UsageError):
        pair("docker:a", "docker", PairOptions())


def test_its_load_shape_ascends_at_the_rate_that_is_asked_for(my_lab: ModuleType) -> None:
    times = next(ARRIVALS["bursts"].times(100.0, 1))
    assert (np.diff(times) >= 0).all()
    assert (times < 1).sum() == 100
    assert SCENARIOS["bursty"].levels["load.arrival"] == "bursts"


def test_its_format_is_written(my_lab: ModuleType) -> None:
    assert list(FORMATS["rows"](thousand())) == ["localhost:50051\t1000\t990.0\n"]


def test_its_profiler_looks(my_lab: ModuleType) -> None:
    with launch(grpclab.ServerConfig()) as server:
        generator: Any = None
        profiler: Any = PROFILERS["files"]
        assert profiler.look(server, generator, cpus=None).metrics["open_files"] > 0


def test_its_experiment_is_made_of_its_frame(my_lab: ModuleType) -> None:
    clock = EXPERIMENTS["clock"]
    frame = clock.sized(Plan(rounds=2))
    assert [claim.holds for claim in clock.claims(frame)] == [True]
    assert str(clock.body(frame)).startswith("<p>")


def test_its_tests_pass(my_lab: ModuleType, tmp_path: Path) -> None:
    asyncio.run(my_lab.test_the_engine_tags_its_calls())
    my_lab.test_the_study_finds_what_is_there(tmp_path)
