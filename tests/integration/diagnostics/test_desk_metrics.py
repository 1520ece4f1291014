"""/metrics against the calls that were really made."""

from __future__ import annotations

import os
import re
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest

pytest.importorskip("prometheus_client", reason="pip install 'grpclab[desk]'")

from grpclab.diagnostics.app import metrics_text
from grpclab.factors.config import ServerConfig
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.servers.interceptors import code_name
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.channels import open_channel
from tests.support.processes import until


def observed(implementation: str, processes: int) -> ServerConfig:
    return ServerConfig(implementation=implementation, processes=processes, metrics=True, desk=True)  # type: ignore[arg-type]


def page(server: RunningServer) -> str:
    return str(urllib.request.urlopen(f"{server.desk}/metrics", timeout=60).read().decode())


def values(text: str, name: str, method: str) -> dict[str, float]:
    """Status code, or nothing -> value."""
    rows = re.findall(rf'^{name}{{(.*grpc_method="{method}".*)}} (\S+)$', text, re.MULTILINE)
    return {(re.search(r'grpc_code="(\w+)"', labels) or [""] * 2)[1]: float(value) for labels, value in rows}


@pytest.mark.parametrize(("implementation", "processes"), [("sync", 1), ("asyncio", 2)])
def test_the_counters_of_all_processes_equal_the_calls_sent(implementation: str, processes: int) -> None:
    with launch(observed(implementation, processes)) as server:
        for _ in range(8):
            with open_channel(server.target) as channel:
                stub: Any = greet_pb2_grpc.GreeterServiceStub(channel)
                for _ in range(3):
                    stub.SayHello(greet_pb2.HelloRequest(name="a"), timeout=60)
        # The server ends a call a moment after the client has its answer.
        assert until(lambda: values(page(server), "grpc_server_handled_total", "SayHello") == {"OK": 24})
        text = page(server)
    assert values(text, "grpc_server_started_total", "SayHello") == {"": 24}
    assert values(text, "grpc_server_handled_total", "SayHello") == {"OK": 24}
    assert values(text, "grpc_server_handling_seconds_count", "SayHello") == {"": 24}


def test_a_file_of_counters_that_a_process_is_about_to_fill_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").touch()
    assert metrics_text(str(tmp_path), [os.getpid()]).decode().count("process_threads{") == 1


def test_every_process_alive_has_its_memory_cpu_and_garbage_collector() -> None:
    with launch(observed("asyncio", 2)) as server:
        text = page(server)
    for pid in server.pids:
        for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_threads"):
            assert re.search(rf'^{name}{{pid="{pid}"}} [1-9.0]', text, re.MULTILINE)
        assert re.search(rf'^python_gc_collections_total{{generation="2",pid="{pid}"}} \d', text, re.MULTILINE)


@pytest.mark.parametrize(
    ("code", "error", "name"),
    [
        (None, None, "OK"),
        (0, None, "OK"),
        (grpc.StatusCode.NOT_FOUND, Exception(), "NOT_FOUND"),
        (3, Exception(), "INVALID_ARGUMENT"),
        (None, ValueError(), "UNKNOWN"),
        (0, GeneratorExit(), "CANCELLED"),
    ],
)
def test_a_code_is_what_the_context_says_or_what_the_error_means(
    code: Any, error: BaseException | None, name: str
) -> None:
    assert code_name(code, error) == name
