"""A factor whose library is missing: one clear line that names the extra, exit code 2, and no call before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grpclab.errors import UsageError
from grpclab.factors.config import ServerConfig
from grpclab.servers.process.launcher import launch
from tests.support import command
from tests.support.blocked import without

TRACED = ("--set", "client.tracing_share=1", "--set", "load.engine=grpcio")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_bench_says_which_extra_a_factor_of_the_client_needs_and_sends_nothing(tmp_path: Path, workers: str) -> None:
    words = (*TRACED, "-n", "20", "--workers", workers, "--connections", workers)
    with launch(ServerConfig()) as server:
        done = command.run("bench", server.target, *words, env=without(tmp_path, "opentelemetry"))
        server.stop()
        assert server.calls == 0
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    needed = "client.tracing_share needs opentelemetry-instrumentation-grpc, which is not installed"
    assert line.startswith(f"grpclab: {needed}: pip install ")
    assert "[tracing]" in line


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("levels", "package", "extra"),
    [
        ({"metrics": True}, "prometheus_client", "desk"),
        ({"desk": True}, "aiohttp", "desk"),
        ({"channelz": True}, "grpc_channelz", "desk"),
        ({"implementation": "pygrpc"}, "pygrpc_native", "pygrpc"),
        ({"implementation": "grpclib"}, "grpclib", "grpclib"),
    ],
)
def test_a_server_says_which_extra_a_factor_of_it_needs(
    tmp_path: Path, levels: dict[str, Any], package: str, extra: str, processes: int
) -> None:
    config = ServerConfig(processes=processes, **levels)
    with pytest.raises(UsageError) as refusal, launch(config, env=without(tmp_path, package)):
        pass
    text = str(refusal.value)
    assert text.startswith(("server.", "the diagnostics server"))
    assert "which is not installed: pip install" in text
    assert f"[{extra}]" in text


def test_compare_says_so_before_any_load(tmp_path: Path) -> None:
    words = ("basic", "basic", *TRACED, "--budget", "20s")
    env = without(tmp_path, "opentelemetry") | {"GRPCLAB_ROOT": str(tmp_path)}
    done = command.run("compare", *words, env=env)
    assert done.returncode == 2
    assert "tracing_share needs opentelemetry-exporter-otlp-proto-grpc, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
