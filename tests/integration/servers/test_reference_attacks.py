"""The reference server as a process under attack: it stays small, and whoever means no harm is answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support import adversaries
from tests.support.adversaries import ATTACKS

MOST_BYTES = 300 * 10**6
ROUNDS = [
    ["tiny-messages", "unfinished-messages", "half-open"],
    ["rapid-reset", "ping", "settings", "continuation"],
    ["deaf", "no-window", "unfinished-blocks", "own-headers"],
]


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def latencies(stub: greet_pb2_grpc.GreeterServiceStub, seconds: float) -> list[float]:
    """Of calls one after the other, each of which has to be answered."""
    took, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        stub.SayHello(greet_pb2.HelloRequest(name="well"), timeout=20)
        took.append(time.perf_counter() - begun)
    return sorted(took)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("attack_s", [0.7, pytest.param(5.0, marks=pytest.mark.long)])
def test_under_attack_the_server_stays_small_and_answers_others(attack_s: float) -> None:
    assert {name for names in ROUNDS for name in names} <= set(ATTACKS)
    with launch_reference(ReferenceSpec(pacing="timer")) as server:
        channel = grpc.insecure_channel(server.target, options=[("grpc.enable_http_proxy", 0)])
        with channel:
            stub = greet_pb2_grpc.GreeterServiceStub(channel)
            latencies(stub, 0.2)
            for names in ROUNDS:
                program = [sys.executable, "-m", adversaries.__name__]
                command = [*program, str(server.port), str(attack_s), *names]
                attackers = subprocess.Popen(["nice", "-n", "19", *command], stdout=subprocess.PIPE)
                try:
                    answered = latencies(stub, attack_s)
                finally:
                    said, _ = attackers.communicate(timeout=300)
                assert json.loads(said)["connections"] >= len(names)
                assert answered
                assert peak_bytes(server.pids[0]) < MOST_BYTES
