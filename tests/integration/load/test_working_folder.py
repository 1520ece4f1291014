"""What lies around the lab: modules in the working folder, proxies in the environment. It uses neither."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from grpclab.errors import WorkerError
from grpclab.factors.config import LinkConfig, ServerConfig
from grpclab.link.emulation import running_link
from grpclab.load.calls.schema import from_file
from grpclab.servers.process.launcher import launch
from grpclab.study.kernel import WarmKernel
from grpclab.system.subprocesses import Child
from tests.support.command import GRPCLAB
from tests.support.proxies import VARIABLES, Proxy

NAMES = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions(), "grpclab", "sitecustomize"}
TRAP = """
with open({record!r}, "a") as file:
    file.write(__name__ + "\\n")
raise SystemExit("imported from the working folder: " + __name__)
"""


class Trap:
    """A folder in which every module that a child could import lies under its name, and records its import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self._record = folder / "imported"
        code = TRAP.format(record=str(self._record))
        for name in filter(str.isidentifier, NAMES):
            at = self.folder / (f"{name}.py" if name in sys.stdlib_module_names else f"{name}/__init__.py")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text(code)

    def imported(self) -> list[str]:
        return self._record.read_text().split() if self._record.exists() else []


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trap:
    """The working folder, and that of every child."""
    made = Trap(tmp_path)
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def proxied(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """Every proxy variable names this one."""
    for variable in VARIABLES:
        monkeypatch.setenv(variable, proxy.url)
    return proxy


def test_python_itself_imports_what_lies_in_the_working_folder(trap: Trap) -> None:
    subprocess.run([sys.executable, "-m", "json.tool"], check=False, stderr=subprocess.DEVNULL)
    assert trap.imported() != []


def test_no_server_link_worker_or_compiler_uses_the_working_folder_or_a_proxy(trap: Trap, proxied: Proxy) -> None:
    schema = trap.folder / "greet.proto"
    schema.write_bytes((Path(__file__).resolve().parents[3] / "proto" / "greet.proto").read_bytes())
    from_file(schema)
    with (
        launch(ServerConfig(processes=2, metrics=True, desk=True)) as server,
        running_link(LinkConfig(rtt_ms=1), server.target) as link,
    ):
        words = [link.target, "-n", "40", "-c", "4", "--warmup", "0", "-q"]
        for more in (["--engine", "wire", "--proto", "greet.proto"], ["--engine", "grpcio"]):
            call = ["--call", "greet.GreeterService/SayHello", *more]
            done = subprocess.run([*GRPCLAB, "bench", *words, *call], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")
    assert trap.imported() == []
    assert proxied.connections == 0


def test_no_kernel_of_a_study_uses_the_working_folder(trap: Trap) -> None:
    kernel = WarmKernel()
    try:
        kernel.ready("python3", {})
        kernel._execute("import queue, numpy, grpc, sys; assert '' not in sys.path")
    finally:
        kernel.stop()
    assert trap.imported() == []


def test_the_last_line_of_a_child_that_ends_is_in_the_error() -> None:
    with tempfile.TemporaryFile() as log, Child("grpclab.nothing", name="a worker", log=log) as child:
        with pytest.raises(WorkerError, match=r"^a worker \(pid \d+\) ended with exit code 1: .*nothing") as caught:
            child.receive(60, object)
        assert child.died is False
    assert child.died
    assert ["No module named" in note for note in caught.value.__notes__] == [True]
