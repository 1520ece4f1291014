"""The alerts on metrics that were recorded from a real server, by Prometheus's own program for tests of rules."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

pytest.importorskip("aiohttp", reason="pip install 'grpclab[desk]'")
pytest.importorskip("prometheus_client", reason="pip install 'grpclab[desk]'")

from prometheus_client.parser import text_string_to_metric_families

from grpclab.diagnostics.app import metrics_text
from grpclab.servers.instrumentation import FOLDER_VARIABLE
from grpclab.system.channels import open_channel
from tests.support import counting_server, deploy

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is missing: it is in Prometheus's releases, and in Debian's package prometheus"
)

STEP_S, STEPS = 15, 40
OURS = {"server": "grpc-server-optimized", "instance": "10.0.0.2:3000", "job": "grpc-servers"}
"""The labels that scraping adds."""
LIMITS = {
    "latency_p99_seconds": 0.25,
    "connection_failures_share": 0.1,
    "errors_share": 0.01,
    "memory_bytes": 1e9,
    "cpu_cores": 0.9,
}
FIRING = {
    "latency": {"alertname": "GrpcHighLatency"},
    "connections": {"alertname": "GrpcConnectionFailures"},
    "errors": {"alertname": "GrpcErrorRate"},
    "memory": {"alertname": "GrpcResourceExhaustion", "resource": "memory"},
    "cpu": {"alertname": "GrpcResourceExhaustion", "resource": "cpu"},
}
"""The labels of each alert that tell it from the others."""


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A server that counts its calls."""

    process: subprocess.Popen[str]
    target: str
    folder: str

    def call(self, *words: str) -> None:
        """One call per word; see :mod:`tests.support.counting_server`."""
        with open_channel(self.target) as channel:
            do: Any = channel.unary_unary(counting_server.METHOD)
            for word in words:
                with contextlib.suppress(grpc.RpcError):
                    do(word.encode(), timeout=60)

    def scrape(self) -> dict[str, float]:
        """Each sample of /metrics, by its name with its labels and those that scraping adds."""
        text = metrics_text(self.folder, [self.process.pid]).decode()
        return {
            series(one.name, {**one.labels, **OURS}): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }


def series(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Counting]:
    folder = tmp_path / "counters"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, counting_server.__file__],
        env={**os.environ, FOLDER_VARIABLE: str(folder), "PYTHONPATH": str(deploy.ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield Counting(process=process, target=f"127.0.0.1:{port}", folder=str(folder))
        finally:
            process.kill()


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)


def recorded(before: Mapping[str, float], after: Mapping[str, float]) -> list[dict[str, str]]:
    """Series that go on as they went from one scrape to the next: what was counted comes again with every step."""
    found = []
    for name, value in after.items():
        first = before.get(name, 0.0)
        step = value - first if "_total{" in name or "_bucket{" in name or "_count{" in name else 0.0
        found.append({"series": name, "values": f"{(first if step else value):.6f}+{step:.6f}x{STEPS}"})
    return found


REACHED = [
    series("probe_success", {**OURS, "instance": "10.0.0.2:50051", "job": "grpc-connections"}),
    series("up", OURS),
]
"""Whether the exporter connects, and whether the metrics are scraped."""


def connecting(name: str, failed: int) -> dict[str, str]:
    """A series of REACHED, of which the last attempts failed."""
    return {"series": name, "values": f"1x{STEPS - failed} 0x{failed}"}


def assert_firing(folder: Path, found: list[dict[str, str]], expected: set[str], **limits: float) -> None:
    """At the end of these series these alerts of FIRING fire and no others; `limits` differ from those of the file."""
    thresholds = deploy.read("prometheus/thresholds.yml")
    for rule in thresholds["groups"][0]["rules"]:
        name = rule["record"].removeprefix("grpclab:limit:")
        rule["expr"] = f"vector({limits.get(name, LIMITS[name])})"
    (folder / "thresholds.yml").write_text(yaml.safe_dump(thresholds))
    shutil.copy(deploy.DEPLOY / "prometheus" / "alerts.yml", folder)
    server = series("ALERTS", {"server": OURS["server"], "alertstate": "firing"})
    case = {
        "expr": f"count by (alertname, resource) ({server})",
        "eval_time": f"{STEP_S * STEPS}s",
        "exp_samples": [{"labels": series("", FIRING[name]), "value": 1} for name in sorted(expected)],
    }
    test = {
        "rule_files": list(deploy.RULES),
        "evaluation_interval": f"{STEP_S}s",
        "group_eval_order": ["grpclab-thresholds", "grpclab-recorded", "grpclab-alerts"],
        "tests": [{"interval": f"{STEP_S}s", "input_series": found, "promql_expr_test": [case]}],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_limits_of_this_test_are_those_of_the_file() -> None:
    rules = deploy.read("prometheus/thresholds.yml")["groups"][0]["rules"]
    assert {rule["record"]: rule["expr"] for rule in rules} == {
        f"grpclab:limit:{name}": f"vector({'1e9' if limit == 1e9 else limit})" for name, limit in LIMITS.items()
    }


def test_a_server_that_is_well_fires_nothing(counting: Counting, tmp_path: Path) -> None:
    before = counting.scrape()
    counting.call("", "", "", "NOT_FOUND")
    found = [*recorded(before, counting.scrape()), *(connecting(name, 0) for name in REACHED)]
    assert_firing(tmp_path, found, set())


@pytest.mark.parametrize(("limit", "expected"), [(0.05, {"latency"}), (0.25, set())])
def test_slow_calls_fire_above_the_limit(counting: Counting, tmp_path: Path, limit: float, expected: set[str]) -> None:
    before = counting.scrape()
    counting.call(*["slow"] * 4)
    found = recorded(before, counting.scrape())
    assert_firing(tmp_path, found, expected, latency_p99_seconds=limit)


@pytest.mark.parametrize(
    ("status", "limit", "expected"),
    [
        ("INTERNAL", 0.01, {"errors"}),
        ("UNAVAILABLE", 0.01, {"errors"}),
        ("INTERNAL", 0.5, set()),
        ("NOT_FOUND", 0.01, set()),
        ("CANCELLED", 0.01, set()),
    ],
)
def test_calls_that_the_server_fails_fire_above_the_limit(
    counting: Counting, tmp_path: Path, status: str, limit: float, expected: set[str]
) -> None:
    before = counting.scrape()
    counting.call("", "", "", status)
    assert_firing(tmp_path, recorded(before, counting.scrape()), expected, errors_share=limit)


@pytest.mark.parametrize(("limit", "expected"), [(1e6, {"memory"}), (1e9, set())])
def test_memory_fires_above_the_limit(counting: Counting, tmp_path: Path, limit: float, expected: set[str]) -> None:
    scraped = counting.scrape()
    assert_firing(tmp_path, recorded(scraped, scraped), expected, memory_bytes=limit)


@pytest.mark.parametrize(("share", "expected"), [(0.5, {"cpu"}), (40.0, set())])
def test_cpu_fires_above_the_limit(counting: Counting, tmp_path: Path, share: float, expected: set[str]) -> None:
    before = counting.scrape()
    counting.call("burn")
    limit = share * counting_server.BURNT_S / STEP_S
    found = recorded(before, counting.scrape())
    assert_firing(tmp_path, found, expected, cpu_cores=limit, latency_p99_seconds=10.0)


@pytest.mark.parametrize("name", REACHED)
@pytest.mark.parametrize(("failed", "expected"), [(30, {"connections"}), (1, set())])
def test_failed_connections_fire_above_the_limit(tmp_path: Path, name: str, failed: int, expected: set[str]) -> None:
    assert_firing(tmp_path, [connecting(one, failed if one == name else 0) for one in REACHED], expected)


# ---- the files -----------------------------------------------------------------------------------------------------


def test_promtool_accepts_the_configuration_and_the_rules(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    for file in (deploy.DEPLOY / "prometheus").iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace("/run/secrets/pprof_token", str(token)))
    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") >= 3


def test_promtool_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": one.promql} for number, one in enumerate(deploy.expressions())]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", str(tmp_path / "queries.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
