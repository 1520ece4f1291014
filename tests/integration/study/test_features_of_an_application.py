"""The features of a production service, on an application that is not ours: the guide's, in a small study for real."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from grpclab import quantities as qty
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.errors import UsageError
from grpclab.factors import features
from grpclab.report.publish import publish
from grpclab.study.designs import production_design
from grpclab.study.runner import Study
from tools import feature_table

DOCS = Path(__file__).resolve().parents[3] / "docs"
REQUESTS = 60
FEATURES = {
    "server.access_log_share": [1],
    "server.rate_limit_rps": [50_000],
    "server.quota_rps": [50_000],
    "server.max_concurrent_rpcs": [5_000],
    "server.admission": [1_000],
    "server.interceptors": [5],
    "server.reflection": [False],
    "server.channelz": [True],
    "server.tls": [True],
    "server.tracing_share": [1],
    "client.deadline_s": [60],
    "client.retries": [2],
    "client.circuit_breaker": [5],
}


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The guide's application, and a study of all features of it."""
    pytest.importorskip("opentelemetry.instrumentation.grpc", reason="pip install 'grpclab[tracing]'")
    pytest.importorskip("grpc_channelz", reason="pip install 'grpclab[desk]'")
    guide = (DOCS / "your-own-service.md").read_text()
    (tmp_path / "shop").mkdir()
    for language, name in (("proto", "till.proto"), ("python", "server.py")):
        (text,) = re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL)
        (tmp_path / "shop" / name).write_text(text)
    stubs = "-m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. shop/till.proto"
    subprocess.run([sys.executable, *shlex.split(stubs)], check=True, capture_output=True, cwd=tmp_path)
    path = tmp_path / "features.toml"
    path.write_text(
        f"""
question = "What do the features cost our till?"
headline = "server.interceptors=5"
profile = false
[target]
app = "shop.server:register"
[call]
method = "shop.v1.Till/Pay"
data = {{id = 7}}
[set]
load = {{requests = {REQUESTS}, duration_s = 2, warmup_s = 0.05, concurrency = 4, engine = "grpcio"}}
client.pooling = "shared"
[factors]
"""
        + "".join(f"{name} = {json.dumps(levels)}\n" for name, levels in FEATURES.items())
    )
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.long
def test_each_feature_is_measured_on_an_application(study_file: Path, tmp_path: Path) -> None:
    whole = Study.described(study_file, root=tmp_path)
    one_block = replace(whole.manifest, plan=replace(whole.plan, blocks=1))
    study = Study(whole.store, one_block, tmp_path, whole.subjects).begin()
    study.run(lambda _: None)
    trials = study.collect().set_index("configuration")
    assert trials["valid"].all(), trials["invalid_reason"].to_dict()
    assert (trials["errors"] == 0).all()
    assert len(trials) >= len(FEATURES) + 2
    assert not any(one.without_effect for one in study.plan.configurations)
    logged = {
        name: _logged(study.store.trials_folder / trial / "server.log") for name, trial in trials["trial"].items()
    }
    assert {name for name, calls in logged.items() if calls} == {"access-log-share-1"}
    assert logged["access-log-share-1"] >= REQUESTS


@pytest.mark.long
def test_the_production_design_gives_its_table_for_an_application(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("metrics", "reflection", "scraping", "retries")
    some = tuple(replace(one, spare=False) for one in features.FEATURES if one.name in names)
    monkeypatch.setattr(production_design, "FEATURES", some)
    path = tmp_path / "production.toml"
    path.write_text(
        """
design = "production"
profile = false
[target]
app = "shop.server:register"
[call]
method = "shop.v1.Till/Pay"
data = {id = 7}
"""
    )
    whole = Study.described(path, root=tmp_path, own_budget=True)
    assert whole.manifest.pilot is not None
    assert whole.manifest.pilot.budget_s == 600
    assert float(str(whole.manifest.parameters["rate"])) >= 1
    assert [one.name for one in whole.plan.features] == [one.name for one in some]
    assert whole.plan.left_out == ()
    plan = replace(whole.plan, blocks=1, groups=tuple(_short(group) for group in whole.plan.groups))
    study = Study(whole.store, replace(whole.manifest, plan=plan, pilot=None), tmp_path, whole.subjects).begin()
    study.run(lambda _: None)
    trials = study.collect()
    assert trials["valid"].all(), trials.set_index("configuration")["invalid_reason"].to_dict()
    assert (trials["errors"] == 0).all()
    assert set(trials["configuration"]) == set(plan.names)
    publish(study)
    report = json.loads((tmp_path / "reports" / f"{study.name}.json").read_text())
    table = {one.feature: one for one in feature_table.taken(report)}
    assert set(table) == {one.title for one in some}
    assert (trials["throughput_rps"] > 0).all()
    assert set(trials[trials["scrapes_failed"].eq(0)]["configuration"]) == {"optimized-scraping"}
    used = qty.cores(trials["scraper_cores"].max())
    assert f"On the load generator's cores, the stand-in for Prometheus used {used}." in json.dumps(report)
    assert {"optimized-half", "optimized-half-metrics", "optimized-grpcio-retries"} <= set(trials["configuration"])


def test_a_library_that_the_interpreter_of_an_application_lacks_is_named_once(study_file: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    venv.create(bare, symlinks=True)
    (site,) = bare.glob("lib/*/site-packages")
    (site / "ours.pth").write_text(f"{Path(grpc.__file__).parents[1]}\n")
    blocked = {"opentelemetry", "prometheus_client"}
    (site / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({sorted(blocked)}))\n")
    path = tmp_path / "production.toml"
    path.write_text(
        f"""
design = "production"
rate = "none"
[target]
app = "shop.server:register"
python = "{bare}/bin/python"
[call]
method = "shop.v1.Till/Pay"
"""
    )
    plan = Study.described(path, root=tmp_path).plan
    assert plan.left_out is not None
    of_python = f"which {bare}/bin/python does not have"
    assert len(plan.left_out) == len(set(plan.left_out)) == 8
    assert all(text.endswith(of_python) for text in plan.left_out), plan.left_out
    left = {one.name for one in features.FEATURES} - {one.name for one in plan.features}
    assert left == {"metrics", "scraping", "tracing-none", "tracing", "tracing-all"} | {
        one.name for one in features.FEATURES if one.name.startswith("client-tracing")
    }
    assert not plan.configuration("production").config.server.metrics
    assert plan.configuration("production").config.server.access_log_share == 0.01


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('design = "idle"', "invalid design=idle: expected production"),
        ('design = "production"\ngrid = "full"', "grid cannot be combined with design = 'production', which sets it"),
        ('design = "production"\n[set]\nload.requests = 5', "set: load.requests cannot be combined with"),
        ('design = "production"\n[set]\nserver.metrics = true', "set: server.metrics cannot be combined with"),
        ('design = "production"\nrate = "fast"', "invalid rate=fast: expected calls per second"),
        ("rate = 5", "rate works only with design"),
    ],
)
def test_what_the_production_design_sets_itself_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'{text}\n[target]\napp = "shop.server:register"\n[call]\nmethod = "shop.v1.Till/Pay"\n')
    with pytest.raises(UsageError, match=re.escape(expected)):
        Study.described(path, root=tmp_path)


def _short(group: PlannedGroup) -> PlannedGroup:
    """A group with as little counted time as there is."""
    return replace(group, counted_s=0.1, blocks=None)


def _logged(log: Path) -> int:
    """The calls in an access log."""
    return log.read_text().count('"method": "/shop.v1.Till/Pay"')
