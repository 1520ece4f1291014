"""The features of a production service, on an application that is not ours: the guide's, in a small study for real."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grpclab.study.runner import Study

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


def _logged(log: Path) -> int:
    """The calls in an access log."""
    return log.read_text().count('"method": "/shop.v1.Till/Pay"')
