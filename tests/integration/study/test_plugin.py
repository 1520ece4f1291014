"""A package with entry points adds one of each: a target, a design, a scenario, a load shape, an engine, a profiler, an
experiment; and is seen at work."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from grpclab import bench
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.plan import Plan
from grpclab.cli import commands
from grpclab.errors import DesignError, FactorError, UsageError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.profiling.profiler import PROFILERS
from grpclab.report.stored import load_original
from grpclab.servers.process.launcher import launch
from grpclab.study import comparing
from grpclab.study.designs.scenario import SCENARIOS
from grpclab.study.parameters import DESIGNS, StudyParameters
from grpclab.study.repeat import planned
from grpclab.study.runner import Study
from grpclab.study.sides import PairOptions, Side, pair
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import machine, split_cores
from tests.support.stored_studies import manifest, plan_of_two

PLUGIN = Path(__file__).parents[2] / "support" / "plugin"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, importable here and in child processes."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)


def test_without_the_package_its_names_are_unknown() -> None:
    with pytest.raises(FactorError, match=r"expected wire\|grpcio$"):
        TrialConfig().replace({"load.engine": "example"})
    with pytest.raises(DesignError, match=r"one of default, quick, idle, desk, production, replication$"):
        StudyParameters(design="example")


@pytest.mark.usefixtures("installed")
def test_its_target_is_a_side_of_a_comparison(tmp_path: Path) -> None:
    sides = pair("example:1ms", "example:20ms", PairOptions(settings={"load.requests": 20, "load.warmup_s": 0.1}))
    assert [side.label for side in sides.values()] == ["example:1ms", "example:20ms"]
    assert sides["a"].config.client == TrialConfig().client
    result = run_trial(
        sides["b"].config,
        tmp_path,
        cores=split_cores(machine().affinity),
        identity=TrialIdentity(),
        subject=sides["b"].subject,
    )
    assert result.valid, result.invalid_reason
    assert result.metrics["latency_min_s"] >= 0.02
    assert not any(name.startswith("server.") for name in result.stored().factors)


@pytest.mark.usefixtures("installed")
def test_its_target_has_as_long_to_listen_as_the_command_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []

    def prepare(sides: Mapping[str, Side], *, start_timeout_s: float, **_: object) -> NoReturn:
        asked.extend([start_timeout_s, *(side.subject.target.ready_timeout_s for side in sides.values())])
        raise UsageError("this is all that was to be seen")

    monkeypatch.setattr(comparing, "prepare", prepare)
    assert commands.main(["compare", "basic", "example:1ms", "--start-timeout", "7"]) == 2
    assert asked == [7.0, None, 7.0]


def test_a_study_of_its_target_is_repeated_only_where_the_package_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    target = {"command": "example:1ms"}
    plan = plan_of_two(blocks=6) | {"subjects": {"few": target, "many": target}}
    path = tmp_path / "results" / "tiny" / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest(plan)))
    with pytest.raises(DesignError, match="example:1ms"):
        planned(load_original(path), consent=True)
    monkeypatch.syspath_prepend(str(PLUGIN))
    assert planned(load_original(path), consent=True).name == "tiny-repeat"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("text", ["example", "example:", "examples:1ms"])
def test_a_target_that_cannot_be_started_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        pair("basic", text, PairOptions())


@pytest.mark.usefixtures("installed")
def test_a_wrong_name_is_answered_with_those_of_the_package_too() -> None:
    with pytest.raises(FactorError, match=r"expected constant\|poisson\|gamma:SHAPE.*replay:FILE\|pairs$"):
        TrialConfig().replace({"load.arrival": "triples"})


@pytest.mark.usefixtures("installed")
def test_bench_loads_with_its_engine_in_its_load_shape() -> None:
    with launch(ServerConfig(), seed=1) as server:
        loading = bench(server.target, rate_rps=200, arrival="pairs", requests=40, engine="example")
        result = asyncio.run(loading)
    assert result.config.load.engine == "example"
    assert result.run.summary.requests == 40
    assert result.run.summary.errors == 0


@pytest.mark.usefixtures("installed")
@pytest.mark.long
def test_its_design_runs_as_a_study_of_its_scenario(tmp_path: Path) -> None:
    parameters = StudyParameters(design="example", requests=10, blocks=1, max_trial_s=1)
    study = Study.prepare(parameters, tmp_path)
    study.run(lambda _: None)
    results = [json.loads(path.read_text()) for path in study.store.folder.glob("trials/*/result.json")]
    assert [result["valid"] for result in results] == [True] * 3
    assert {result["factors"]["load.engine"] for result in results} == {"example"}
    assert SCENARIOS["example"].meaning == "pairs of calls"
    assert DESIGNS["example"].unused == ("rtt_ms",)


@pytest.mark.usefixtures("installed")
def test_its_profilers_look_at_the_server_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(PROFILERS.builtin) - {"proc"}:
        monkeypatch.setattr(PROFILERS[name], "seconds", 1 if name == "pyspy" else 0.1)
    config = TrialConfig().replace({"load.requests": 50, "load.warmup_s": 0.1})
    cores = split_cores(machine().affinity)
    result = run_trial(config, tmp_path, cores=cores, identity=TrialIdentity(), profile=True)
    assert result.looks["example"].metrics == {"alive": 1.0}
    assert json.loads((tmp_path / "profiler-example.json").read_text())["metrics"] == {"alive": 1.0}
    assert result.looks["example-window"].metrics["calls"] >= 50


@pytest.mark.usefixtures("installed")
def test_its_experiment_is_listed_after_those_built_in_and_is_measured() -> None:
    assert list(EXPERIMENTS) == [*EXPERIMENTS.builtin, "example"]
    experiment = EXPERIMENTS["example"]
    assert experiment.body(experiment.sized(Plan(rounds=3))) == "<p>3 rounds</p>"
