"""`grpclab serve production` from outside: health, metrics, the settings in effect, and its end under load."""

from __future__ import annotations

import json
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.factors.effective import effects
from grpclab.factors.variants import PRODUCTION
from grpclab.generated import greet_pb2_grpc
from grpclab.load.peer_probe import channel_settings, server_settings
from tests.support.command import unused_port
from tests.support.four_servers import APPLICATION
from tests.support.greeting import greeter_at, hello
from tests.support.serving import Serving, serving

HOSTS = ("127.0.0.1", "127.0.0.2")
BALANCED = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})
CALLERS, CALLS_BEFORE, CALLS_AFTER = 8, 200, 400
each_implementation = pytest.mark.parametrize("implementation", ["sync", "asyncio"])


@contextmanager
def production(implementation: str, *words: str, diagnostics: bool = False) -> Iterator[Serving]:
    """The server, with a single process so that its log has an order."""
    levels = [f"server.implementation={implementation}", "server.processes=1"]
    env = {"PPROF_ENABLED": str(diagnostics).lower(), "PPROF_PORT": "0"}
    with serving("production", *words, *(word for one in levels for word in ("--set", one)), env=env) as server:
        yield server


@each_implementation
def test_it_answers_health_checks_and_serves_metrics(implementation: str) -> None:
    with production(implementation, "--port", "0", diagnostics=True) as server:
        with grpc.insecure_channel(server.target) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with greeter_at(server.target) as stub:
            for _ in range(3):
                stub.SayHello(hello(), timeout=60)
        desk = re.search(r"diagnostics server on (http://\S+?)[,;]? ", server.announced)
        assert desk is not None
        metrics = urllib.request.urlopen(f"{desk[1].rstrip('/')}/metrics", timeout=60).read().decode()
        handled = re.search(r'^\S*handled_total\{[^}]*SayHello"[^}]*\} (\S+)$', metrics, re.MULTILINE)
        assert handled is not None, metrics
        assert float(handled[1]) == 3
        assert server.stop(signal.SIGTERM)[0] == 0


@each_implementation
def test_its_settings_took_effect_as_they_were_requested(implementation: str) -> None:
    with production(implementation, "--port", "0") as server:
        advertised = server_settings(server.target)
        ours = channel_settings(PRODUCTION.client)
        threads = {} if implementation == "sync" else {"server.spare_threads": 0}
        requested = PRODUCTION.replace({"server.implementation": implementation, **threads})
        assert effects(requested, advertised, ours) == {}
        assert advertised.max_concurrent_streams == 5_000
        assert advertised.window_bytes == ours.window_bytes == 8 * 2**20
        told = f"{server.announced}{server.stop(signal.SIGTERM)[2]}"
        assert "no effect" not in told


@each_implementation
def test_it_ends_under_load_without_a_failed_call(implementation: str) -> None:
    """Clients that watch its health go to another server before it refuses calls."""
    port = str(unused_port())
    first, second = (production(implementation, "--host", host, "--port", port) for host in HOSTS)
    with first as ending, second:
        code, out = ended_under_load(ending, port)
    assert code == 0
    served = re.search(r"^served ([\d,]+) calls", out, re.MULTILINE)
    assert served is not None
    assert int(served[1].replace(",", "")) >= CALLS_BEFORE / 4


@each_implementation
def test_an_application_ends_under_load_without_a_failed_call(implementation: str, tmp_path: Path) -> None:
    (tmp_path / "greeting_app.py").write_text(APPLICATION)
    port = str(unused_port())
    words = ["--app", "greeting_app:register", "--app-dir", str(tmp_path), "--port", port]
    words += ["--set", f"server.implementation={implementation}"]
    first, second = (serving(*words, "--host", host) for host in HOSTS)
    with first as ending, second:
        code, _ = ended_under_load(ending, port)
    assert code == 0


def ended_under_load(ending: Serving, port: str) -> tuple[int, str]:
    """Stop the first of two servers while clients call both, none of whose calls may fail; its exit code and output."""
    target = f"ipv4:{','.join(f'{host}:{port}' for host in HOSTS)}"
    with grpc.insecure_channel(target, options=[("grpc.service_config", BALANCED)]) as channel:
        stub = greet_pb2_grpc.GreeterServiceStub(channel)
        answered, enough, ended = threading.Semaphore(0), threading.Event(), threading.Event()

        def call() -> list[grpc.StatusCode]:
            failed = []
            while not ended.is_set() or not enough.is_set():
                try:
                    stub.SayHello(hello(), timeout=60, wait_for_ready=True)
                except grpc.RpcError as error:
                    failed.append(error.code())
                answered.release()
            return failed

        with ThreadPoolExecutor(CALLERS) as pool:
            callers = [pool.submit(call) for _ in range(CALLERS)]
            try:
                for _ in range(CALLS_BEFORE):
                    assert answered.acquire(timeout=60)
                code, out, _ = ending.stop(signal.SIGTERM)
                ended.set()
                for _ in range(CALLS_AFTER):
                    assert answered.acquire(timeout=60)
            finally:
                ended.set()
                enough.set()
            failed = [status for caller in callers for status in caller.result(60)]
    assert failed == []
    return code, out
