"""What stands for a cluster, and what is told where it cannot be used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from grpclab.cluster import slot
from grpclab.cluster.connection import Cluster, ClusterWorker, opened
from grpclab.errors import MeasurementError, MissingDependencyError, UsageError
from grpclab.system.optional import install_command


@pytest.mark.parametrize(
    "word",
    [
        "",
        "local",
        "local:0",
        "local:65",
        "local:two",
        "localhost:8786",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:0",
        "ws://a:1",
    ],
)
def test_what_is_no_cluster_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="invalid --cluster"), opened(word):
        pass


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tcp://scheduler:8786", "tcp://[2001:db8::1]:8786"])
def test_a_scheduler_on_another_machine_needs_tls_or_leave(address: str) -> None:
    with pytest.raises(UsageError, match=r"tls://.*--allow-remote"), opened(address):
        pass


def test_tls_without_certificates_says_where_they_belong() -> None:
    with pytest.raises(UsageError, match=r"distributed\.comm\.tls"), opened("tls://127.0.0.1:1"):
        pass


def test_without_the_extra_one_line_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError) as error, opened("local:1"):
        pass
    assert str(error.value).endswith(install_command("cluster"))
    assert "\n" not in str(error.value)


def test_the_package_does_not_import_dask() -> None:
    code = (
        "import sys, grpclab, grpclab.cluster.connection; grpclab.bench; grpclab.Study; "
        "print([name for name in ('dask', 'distributed') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def worker(name: str, machine: str, cores: tuple[int, ...]) -> ClusterWorker:
    return ClusterWorker(address=f"tcp://{name}:1", name=name, host=machine, machine=machine, cores=cores, threads=1)


def test_workers_of_one_machine_share_its_cores_only_where_there_are_too_few() -> None:
    two, three = (
        [worker(f"a{n}", "a", (0, 1, 2, 3)) for n in range(2)],
        [worker(f"b{n}", "b", (0, 1)) for n in range(3)],
    )
    cluster = Cluster(client=None, address="", workers=(*two, *three))  # type: ignore[arg-type]
    assert [cluster.cores_of(one) for one in two] == [(0, 2), (1, 3)]
    assert [cluster.cores_of(one) for one in three] == [(0, 1)] * 3
    assert cluster.machines == ("a", "b")


def test_a_slot_is_free_again_after_a_measurement_that_fails() -> None:
    with pytest.raises(MeasurementError, match="first"), slot.measuring("first"):
        slot.take("second")
    with slot.measuring("second"):
        pass
