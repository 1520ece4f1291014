"""A Dask cluster in network namespaces of a test: each worker and the server in its own, joined by a bridge."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grpclab.system.temporary import TemporaryFolder

SCHEDULER_ADDRESS, SERVER_ADDRESS = "10.203.78.1", "10.203.78.250"
PORT = 50051
OTHER_CLOCK = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
NEW_TIME = 0x80
assert not libc.unshare(NEW_TIME), os.strerror(ctypes.get_errno())
with open("/proc/self/timens_offsets", "w") as file:
    file.write(f"monotonic 0 {round(float(sys.argv[1]) * 1e9)}")
with open("/proc/self/ns/time_for_children") as file:
    assert not libc.setns(file.fileno(), NEW_TIME), os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Run a program whose monotonic clock is so many seconds ahead."""


@dataclass(kw_only=True)
class ClusterNetwork:
    """The namespaces by their names, and the processes in them."""

    workers: Sequence[str]
    server: str
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    folder: Path = Path("/tmp")
    """What Dask keeps on disk lies in it."""
    scheduler: str = ""
    """The scheduler's address."""

    @property
    def target(self) -> str:
        """The server's address."""
        return f"{SERVER_ADDRESS}:{PORT}"

    def start(self, name: str, namespace: str | None, *words: str, clock_s: float = 0.0) -> None:
        """Start a Python module, in a namespace, with a clock that is ahead."""
        command = [sys.executable, *words]
        if clock_s:
            command = [sys.executable, "-c", OTHER_CLOCK, str(clock_s), *command]
        if namespace is not None:
            command = ["nsenter", f"--net=/run/netns/{namespace}", *command]
        self.processes[name] = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(self.folder)},
        )

    def served(self) -> int:
        """End the server; return the calls that it has served by its own count."""
        server = self.processes.pop("server")
        server.send_signal(signal.SIGTERM)
        text, _ = server.communicate(timeout=60)
        match = re.search(r"served ([\d,]+) calls", text)
        assert match is not None, text
        return int(match[1].replace(",", ""))

    def unplug(self, worker: int) -> None:
        """Cut a worker's cable."""
        subprocess.run(["ip", "-n", self.workers[worker], "link", "set", "cable", "down"], check=True)

    def plug(self, worker: int) -> None:
        """Mend a worker's cable."""
        subprocess.run(["ip", "-n", self.workers[worker], "link", "set", "cable", "up"], check=True)

    def generators(self) -> list[int]:
        """The generator processes in the namespaces of the workers."""
        words = ["ip", "netns", "pids"]
        found = []
        for namespace in self.workers:
            for pid in subprocess.run([*words, namespace], capture_output=True, text=True, check=True).stdout.split():
                with contextlib.suppress(OSError):
                    if b"grpclab.load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        found.append(int(pid))
        return found


@contextlib.contextmanager
def cluster_network(workers: int, *, clock_s: float = 0.0) -> Iterator[ClusterNetwork]:
    """Make the namespaces with a scheduler, workers and the reference server; the last worker's clock is ahead."""
    bridge = f"glb{os.getpid() % 10**8}"
    names = [f"grpclab-w{number}-{os.getpid()}" for number in range(workers)]
    network = ClusterNetwork(workers=names, server=f"grpclab-s-{os.getpid()}")
    everyone = {name: f"10.203.78.{number + 10}" for number, name in enumerate(names)} | {
        network.server: SERVER_ADDRESS
    }

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    with contextlib.ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(subprocess.run, ["ip", "link", "delete", bridge], check=False, capture_output=True)
        ip("address", "add", f"{SCHEDULER_ADDRESS}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, (name, address) in enumerate(everyone.items()):
            ip("netns", "add", name)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False, capture_output=True)
            cable = f"glc{number}x{os.getpid() % 10**7}"
            ip("link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", name)
            # A namespace takes its end away some time after it was deleted, and the name is wanted again.
            stack.callback(subprocess.run, ["ip", "link", "delete", cable], check=False, capture_output=True)
            ip("link", "set", cable, "master", bridge, "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        network.folder = stack.enter_context(TemporaryFolder())
        stack.callback(_end, network)
        port = _free_port()
        network.scheduler = f"tcp://{SCHEDULER_ADDRESS}:{port}"
        network.start(
            *("scheduler", None, "-m", "distributed.cli.dask_scheduler", "--host", SCHEDULER_ADDRESS),
            *("--port", str(port), "--no-dashboard", "--dashboard-address", ":0"),
        )
        network.start(
            *("server", network.server, "-m", "grpclab", "serve", "reference", "--host", SERVER_ADDRESS, "--port"),
            str(PORT),
        )
        for number, name in enumerate(names):
            network.start(
                *(name, name, "-m", "distributed.cli.dask_worker", network.scheduler, "--nthreads", "1"),
                *("--no-nanny", "--no-dashboard", "--name", f"w{number}", "--host", everyone[name]),
                *("--memory-limit", "0"),
                clock_s=clock_s if number == workers - 1 else 0.0,
            )
        yield network


def _free_port() -> int:
    import socket

    with socket.create_server((SCHEDULER_ADDRESS, 0)) as made:
        return int(made.getsockname()[1])


def _end(network: ClusterNetwork) -> None:
    for process in network.processes.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    end = time.monotonic() + 10
    for process in network.processes.values():
        try:
            process.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
