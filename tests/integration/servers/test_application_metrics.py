"""Metrics of an application that grpclab hosts: counted in its own interpreter, scraped from outside."""

from __future__ import annotations

import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.four_servers import APPLICATION
from tests.support.greeting import greeter_at, hello
from tests.support.serving import Serving, serving

CALLS = 8


def desk_of(server: Serving) -> str:
    found = re.search(r"diagnostics server on (http://\S+?)[,;]? ", server.announced)
    assert found is not None, server.announced
    return found[1].rstrip("/")


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize(("implementation", "processes"), [("sync", 1), ("asyncio", 1), ("sync", 2)])
def test_every_call_of_an_application_is_counted_once(implementation: str, processes: int, tmp_path: Path) -> None:
    (tmp_path / "greeting_app.py").write_text(APPLICATION)
    levels = {"implementation": implementation, "processes": processes, "metrics": "true"}
    words = [word for name, level in levels.items() for word in ("--set", f"server.{name}={level}")]
    words += ["--app", "greeting_app:register", "--app-dir", str(tmp_path), "--port", "0", "--drain-delay", "0"]
    with serving(*words, env={"PPROF_PORT": "0"}) as server:
        for _ in range(CALLS):  # each on a connection of its own, which the kernel gives to one of the processes
            with greeter_at(server.target) as stub:
                stub.SayHello(hello(), timeout=60)
        with greeter_at(server.target) as stub:
            assert [reply.message for reply in stub.SayHelloStream(hello(), timeout=60)]
        desk = desk_of(server)
        metrics = page(f"{desk}/metrics")
        for method, kind, calls in (("SayHello", "unary", CALLS), ("SayHelloStream", "server_stream", 1)):
            labels = f'grpc_code="OK",grpc_method="{method}",grpc_service="greet.GreeterService",grpc_type="{kind}"'
            assert f"grpc_server_handled_total{{{labels}}} {calls}.0" in metrics
        assert len(re.findall(r"^process_threads\{", metrics, re.MULTILINE)) == processes
        index = page(desk)
        assert "/metrics" in index
        assert "/debug/pprof/heap" not in index, "the application's process has no agent"
        with pytest.raises(urllib.error.HTTPError) as missing:
            page(f"{desk}/debug/pprof/heap?seconds=1")
        with missing.value:
            assert missing.value.code == 404
        assert server.stop(signal.SIGTERM)[0] == 0


def test_without_metrics_nothing_listens_beside_an_application(tmp_path: Path) -> None:
    (tmp_path / "greeting_app.py").write_text(APPLICATION)
    words = ["--app", "greeting_app:register", "--app-dir", str(tmp_path), "--port", "0", "--drain-delay", "0"]
    with serving(*words) as server:
        assert "diagnostics" not in server.announced
        with greeter_at(server.target) as stub:
            assert stub.SayHello(hello(), timeout=60).message


def test_an_interpreter_without_the_library_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "greeting_app.py").write_text(APPLICATION)
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('No module named prometheus_client')")
    words = ["--app", "greeting_app:register", "--app-dir", str(tmp_path), "--port", "0"]
    with (
        pytest.raises(AssertionError) as refusal,
        serving(*words, "--set", "server.metrics=true", env={"PPROF_PORT": "0", "PYTHONPATH": str(tmp_path)}),
    ):
        pass
    assert "invalid server.metrics=true: expected false" in str(refusal.value)
