"""A Dask cluster: opened or joined, its workers checked.

::

    with opened("local:2") as cluster:                    # two worker processes here, made and closed
        cluster.workers                                   # address, host and cores of each
    with opened("tls://scheduler:8786") as cluster:       # a cluster that exists
        ...

Dask runs whatever arrives, on every machine. So a scheduler on another machine is reached over TLS, with the
certificates of Dask's own configuration (``distributed.comm.tls``); plain TCP beyond loopback needs ``allow_remote``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import grpclab
from grpclab.errors import MeasurementError, UsageError, invalid
from grpclab.system.addresses import is_loopback
from grpclab.system.optional import needs
from grpclab.system.subprocesses import START_TIMEOUT_S, Child
from grpclab.system.temporary import TemporaryFolder

if TYPE_CHECKING:
    from distributed import Client

CONNECT_TIMEOUT_S = 10.0
"""The time in which a scheduler has to answer."""
MOST_LOCAL = 64
"""The most worker processes of ``local:N``."""
EXPECTED = "local:N, or the address of a Dask scheduler, e.g. tls://10.0.0.5:8786"
_LOCAL = re.compile(r"local:(\d{1,9})", re.ASCII)
_ADDRESS = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>\[[^][]+\]|[^:/\[\]]+):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ClusterWorker:
    """A worker process of a Dask cluster, and the machine that it runs on."""

    address: str
    """Dask's own, e.g. ``tcp://10.0.0.6:40123``."""
    name: str
    host: str
    """The host name of its machine."""
    machine: str
    """Equal for workers that share a kernel and its network: the boot, and the network namespace."""
    cores: tuple[int, ...]
    """The cores that it may use, by their numbers."""
    threads: int
    """The tasks that Dask gives it at a time."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Dask cluster whose workers run the same versions as this process."""

    client: Client
    address: str
    """The scheduler's."""
    workers: tuple[ClusterWorker, ...]
    """At least one, by machine, then by name."""

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines of the workers, each once, in the order of the workers."""
        return tuple(dict.fromkeys(worker.machine for worker in self.workers))

    def cores_of(self, worker: ClusterWorker) -> tuple[int, ...]:
        """The cores for one worker: a part of its machine's, so that workers share none where there are enough."""
        beside = [one for one in self.workers if one.machine == worker.machine]
        index, cores = beside.index(worker), worker.cores
        return cores[index :: len(beside)] if len(beside) <= len(cores) else cores


@dataclass(frozen=True, kw_only=True)
class _Described:
    """A process as it describes itself."""

    versions: Mapping[str, str]
    host: str
    machine: str
    cores: tuple[int, ...]


def described() -> _Described:
    """Return the versions and the machine of the process that calls it, here or on a worker."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        machine = f"{boot.read_text().strip()}-{Path('/proc/self/ns/net').stat().st_ino}"
    except OSError:
        machine = socket.gethostname()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    versions = {
        "grpclab": grpclab.__version__,
        "Python": platform.python_version(),
        "grpcio": metadata.version("grpcio"),
    }
    return _Described(versions=versions, host=socket.gethostname(), machine=machine, cores=tuple(sorted(cores)))


@contextlib.contextmanager
def opened(cluster: str | Client, *, allow_remote: bool = False) -> Iterator[Cluster]:
    """Join a cluster, or make one, for as long as the block runs; check its workers before.

    `cluster` is ``local:N`` (N worker processes on this machine, which end with the block), the address of a scheduler,
    or a ``distributed.Client``, which stays open. `allow_remote` allows a scheduler on another machine over plain TCP.

    Raises MissingDependencyError without the extra, UsageError for what is no cluster, for a scheduler that may not be
    used and where the versions on a worker differ, MeasurementError where nobody answers.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise needs("--cluster", str(error.name), "cluster") from None
    with contextlib.ExitStack() as stack:
        if isinstance(cluster, distributed.Client):
            address = str(cluster.scheduler_info()["address"])
            _check_address(address, allow_remote)
            client = cluster
        elif match := _LOCAL.fullmatch(str(cluster)):
            client = stack.enter_context(_local(int(match[1]), str(cluster)))
            address = str(cluster)
        else:
            address = str(cluster)
            _check_address(address, allow_remote)
            client = stack.enter_context(_joined(address))
        stack.enter_context(client.as_current())  # where Dask's actors find it
        yield Cluster(client=client, address=address, workers=_checked_workers(client, address))


def _check_address(address: str, allow_remote: bool) -> None:
    """Raise UsageError for what is no scheduler's address, and for plain TCP beyond this machine without leave."""
    match = _ADDRESS.fullmatch(address)
    if match is None or match["scheme"] not in ("tcp", "tls") or not 0 < int(match["port"]) < 65536:
        raise UsageError(invalid("--cluster", address, EXPECTED))
    host = match["host"].strip("[]")
    if match["scheme"] == "tls" or host == "localhost" or is_loopback(host) or allow_remote:
        return
    expected = (
        f"tls://{match['host']}:{match['port']}, since Dask runs any code that it receives; in a network "
        "that you trust, add --allow-remote"
    )
    raise UsageError(invalid("--cluster", address, expected))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log off standard error: what matters of it becomes one error of ours."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _joined(address: str) -> Iterator[Client]:
    """A client of a scheduler, for as long as the block runs. Raises UsageError, MeasurementError."""
    from distributed import Client

    if address.startswith("tls:"):
        _check_certificates(address)
    with _quiet():
        try:
            client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise MeasurementError(f"no Dask scheduler responded at {address}: {_first_line(error)}") from None
        try:
            yield client
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                client.close(timeout=5)


def _check_certificates(address: str) -> None:
    """Raise UsageError where Dask's configuration has no certificates for a client, or they cannot be read."""
    from distributed.security import Security

    expected = "certificates in Dask's configuration (distributed.comm.tls: ca-file, and cert and key of client)"
    try:
        known = Security().get_connection_args("client").get("ssl_context") is not None
    except (OSError, ValueError) as error:
        raise UsageError(invalid("--cluster", address, f"{expected}, but {_first_line(error)}")) from None
    if not known:
        raise UsageError(invalid("--cluster", address, expected))


@contextlib.contextmanager
def _local(workers: int, text: str) -> Iterator[Client]:
    """A client of a scheduler in this process with some workers in processes of their own. Raises WorkerError."""
    import dask
    from distributed import LocalCluster

    if not 1 <= workers <= MOST_LOCAL:
        raise UsageError(invalid("--cluster", text, f"local:N with N from 1 to {MOST_LOCAL}"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        # A worker that ends closes its connection. Silence means that this machine was suspended, or is very busy.
        stack.enter_context(dask.config.set({"distributed.scheduler.worker-ttl": None}))
        folder = stack.enter_context(TemporaryFolder())
        scheduler = stack.enter_context(
            LocalCluster(
                n_workers=0,
                processes=True,
                host="127.0.0.1",
                scheduler_port=0,
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"local_directory": str(folder), "dashboard": False},
            )
        )
        client = stack.enter_context(_joined(scheduler.scheduler_address))
        children = [
            stack.enter_context(
                Child(
                    "grpclab.cluster.local_worker",
                    scheduler.scheduler_address,
                    f"local-{index}",
                    str(folder),
                    name=f"Dask worker {index + 1} of {workers}",
                )
            )
            for index in range(workers)
        ]
        try:
            client.wait_for_workers(workers, timeout=START_TIMEOUT_S)
        except TimeoutError:
            for child in children:
                child.require_alive()
            raise MeasurementError(f"{text}: the workers did not start within {START_TIMEOUT_S:g} s") from None
        yield client


def _checked_workers(client: Client, address: str) -> tuple[ClusterWorker, ...]:
    """The workers, each of which runs our versions. Raises UsageError with a list of those that differ."""
    known = client.scheduler_info(n_workers=-1)["workers"]
    if not known:
        raise MeasurementError(
            f"the Dask scheduler at {address} has no workers: start some, e.g. dask worker {address}"
        )
    with _quiet():
        answers = client.run(described, on_error="return")
    ours, differing, workers = described(), [], []
    for worker, answer in sorted(answers.items()):
        if not isinstance(answer, _Described):
            differing.append(f"{worker} has no compatible grpclab ({_first_line(answer)})")
            continue
        differing += [
            f"{worker} has {name} {answer.versions.get(name, 'unknown')} instead of {version}"
            for name, version in ours.versions.items()
            if answer.versions.get(name) != version
        ]
        workers.append(
            ClusterWorker(
                address=str(worker),
                name=str(known[worker]["name"]) if worker in known else str(worker),
                host=answer.host,
                machine=answer.machine,
                cores=answer.cores,
                threads=int(known[worker]["nthreads"]) if worker in known else 1,
            )
        )
    if differing:
        raise UsageError(
            invalid("--cluster", address, f"workers with the same versions as this process, but {'; '.join(differing)}")
        )
    return tuple(sorted(workers, key=lambda worker: (worker.machine, _by_number(worker.name), worker.address)))


def _by_number(name: str) -> list[tuple[int, str]]:
    """The parts of a name, so that ``local-10`` comes after ``local-2``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
