"""A process that may have few files open."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest

from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.load.core.bounds import connections
from grpclab.system import ulimits
from tests.support.command import GRPCLAB, assert_refused


def test_connections_that_a_worker_cannot_open_are_refused_with_the_remedy() -> None:
    ulimits.require_open_files(100, limit=128)
    with pytest.raises(MeasurementError, match="raise `ulimit -n`") as caught:
        ulimits.require_open_files(101, limit=128)
    assert {"101", "129", "128"} <= set(re.findall(r"\d+", str(caught.value)))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"client.pooling": "pool", "client.connections": 7}, 7),
        ({"client.pooling": "shared", "load.concurrency": 50}, 1),
        ({"client.pooling": "per_call", "load.concurrency": 50}, 50),
        ({"client.pooling": "per_call", "load.rate_rps": 10.0}, 1),
    ],
)
def test_the_connections_of_a_client_follow_from_its_pooling(settings: dict[str, object], count: int) -> None:
    assert connections(TrialConfig().replace(settings)) == count  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_low_limit_is_told_before_anything_is_measured(engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        target = f"127.0.0.1:{door.getsockname()[1]}"
        words = ["bench", target, "--connections", "100", "--engine", engine, "--workers", "1", "-q"]
        limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *GRPCLAB, *words]
        done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert_refused(done, 3, "100 connections .*128 open files.* 64 per process: raise `ulimit -n`")


def test_a_process_of_ours_raises_its_limit_as_far_as_it_may() -> None:
    code = "import resource as r\n"
    code += "from grpclab.system import ulimits; ulimits.raise_open_files(); print(r.getrlimit(7))"
    limited = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run(limited, capture_output=True, text=True, check=True)
    soft, hard = re.findall(r"-?\d+", done.stdout)
    assert soft == hard


def test_too_little_memory_is_told_before_a_library_fails() -> None:
    limited = ["sh", "-c", 'ulimit -v 150000; exec "$@"', "sh", *GRPCLAB, "factors"]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert_refused(done, 3, "146 MiB.*ulimit -v")


@pytest.mark.parametrize("limit", [-1, ulimits.LEAST_MEMORY_BYTES, 2**63 - 1])
def test_enough_memory_is_no_error(limit: int) -> None:
    assert ulimits.memory_too_small(limit) == ""


def test_only_memory_and_threads_that_ran_out_are_explained_as_such() -> None:
    assert ulimits.exhausted(MemoryError())
    assert ulimits.exhausted(RuntimeError("can't start new thread"))
    assert not ulimits.exhausted(RuntimeError("another"))
