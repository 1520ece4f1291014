"""Trials beside which something stands in for a collector or for Prometheus: it works, and what it used is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from grpclab.analysis.study_plan import PlannedGroup
from grpclab.errors import ServerError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.servers.process.scraper import running_scraper
from grpclab.servers.target import Target
from grpclab.study.group import run_group
from grpclab.study.group_result import GroupMember
from grpclab.study.stand_ins import StandIns
from grpclab.study.target import Subject
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from grpclab.system.programs import descendants
from tests.support.four_servers import APPLICATION
from tests.support.metrics_page import MetricsPage
from tests.support.processes import until

CORES = split_cores(machine().affinity)
LOAD: dict[str, Level] = {"load.duration_s": 0.6, "load.requests": None, "load.warmup_s": 0.1, "load.concurrency": 4}
COUNTED: dict[str, Level] = {"server.metrics": True, "server.desk": True}
SCRAPED: dict[str, Level] = {**COUNTED, "server.scrape_s": 0.05}
OURS = ("scrapes", "scrapes_failed", "scraper_cores", "collector_cores")


def measured(folder: Path, levels: Mapping[str, Level], subject: Subject | None = None) -> TrialResult:
    config = TrialConfig().replace({**LOAD, **levels})
    found = run_trial(config, folder, cores=CORES, identity=TrialIdentity(), subject=subject or Subject())
    assert descendants() == []
    return found


def application(folder: Path) -> Subject:
    (folder / "greeting_app.py").write_text(APPLICATION)
    target = Target(app="greeting_app:register", app_dir=str(folder))
    return Subject(target=target, call="greet.GreeterService/SayHello")


@pytest.mark.parametrize("implementation", ["sync", "asyncio"])
@pytest.mark.parametrize("hosted", [False, True], ids=["greeter", "application"])
def test_a_trial_is_scraped_and_says_how_often_and_at_which_cost(
    tmp_path: Path, implementation: str, hosted: bool
) -> None:
    subject = application(tmp_path) if hosted else Subject()
    found = measured(tmp_path, {**SCRAPED, "server.implementation": implementation}, subject)
    assert found.valid, found.invalid_reason
    assert found.metrics["scrapes"] >= 1
    assert found.metrics["scrapes_failed"] == 0
    assert 0 < found.metrics["scraper_cores"] < 1
    assert "collector_cores" not in found.metrics
    assert found.without_effect == {}
    assert not found.metrics["server_cpu_per_call_s"] <= 0, "not known where the server was never seen idle"


def test_without_the_factor_nothing_reads_the_metrics(tmp_path: Path) -> None:
    assert not set(OURS) & set(measured(tmp_path, COUNTED).metrics)


@pytest.mark.parametrize("side", ["server", "client"])
def test_what_the_collector_used_is_told(tmp_path: Path, side: str) -> None:
    pytest.importorskip("opentelemetry.instrumentation.grpc", reason="pip install 'grpclab[tracing]'")
    found = measured(tmp_path, {f"{side}.tracing_share": 1.0, "load.engine": "grpcio"})
    assert found.valid, found.invalid_reason
    assert 0 < found.metrics["collector_cores"] < 1
    assert not {"scrapes", "scraper_cores"} & set(found.metrics)


@pytest.mark.parametrize("implementation", ["sync", "asyncio"])
def test_the_servers_of_a_group_are_scraped_in_their_own_slices_each_at_its_own_page(
    tmp_path: Path, implementation: str
) -> None:
    configs = {"plain": COUNTED, "scraped": SCRAPED, "too": SCRAPED}
    members = []
    for order, (name, levels) in enumerate(configs.items()):
        (tmp_path / name).mkdir()
        config = TrialConfig().replace({**LOAD, **levels, "server.implementation": implementation})
        identity = TrialIdentity(study="s", trial=f"00-00-{name}", configuration=name, order=order, group=0)
        members.append(GroupMember(config=config, identity=identity, folder=tmp_path / name))
    group = PlannedGroup(hub="plain", members=tuple(configs), counted_s=0.6)
    found = run_group(members, tmp_path, group=group, cores=CORES, seed=1)
    assert descendants() == []
    assert found.interleaved, found.reasons
    assert all(result.valid for result in found.trials.values()), [r.invalid_reason for r in found.trials.values()]
    for name in ("scraped", "too"):
        metrics = found.trials[name].metrics
        assert metrics["scrapes"] >= 1
        assert metrics["scrapes_failed"] == 0
        assert 0 < metrics["scraper_cores"] < 1
    assert not set(OURS) & set(found.trials["plain"].metrics)
    slices = pd.read_parquet(tmp_path / "slices.parquet")
    loaded_s = slices.groupby("member")[["ramp_s", "counted_s", "tail_s", "drain_s"]].sum().sum(axis=1)
    for name in ("scraped", "too"):
        most = 2 + loaded_s[name] / 0.05
        assert found.trials[name].metrics["scrapes"] <= most, "not while the others have their slices"


def test_reads_that_failed_are_a_warning_and_an_error_if_none_succeeded(metrics_page: MetricsPage) -> None:
    with running_scraper(metrics_page.address, 0.05) as scraper:
        stand_ins = StandIns(scraper=scraper)
        assert (stand_ins.metrics(), stand_ins.notices()) == ({}, [])
        metrics_page.status = 503
        with stand_ins.loading():
            assert until(lambda: metrics_page.reads >= 3)
        with pytest.raises(ServerError, match="the metrics of the server could not be read: its status is 503"):
            stand_ins.metrics()
        metrics_page.status = 200
        read = metrics_page.reads
        with stand_ins.loading():
            assert until(lambda: metrics_page.reads >= read + 2)
        found = stand_ins.metrics()
        (notice,) = stand_ins.notices()
    assert found["scrapes"] >= 1
    assert found["scrapes_failed"] >= 1
    assert (notice.kind, notice.severity) == ("scrapes-failed", "warning")
    assert "its status is 503" in notice.text
