"""How the suite runs, and the fixtures of several files."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from grpclab.factors.config import ServerConfig
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.interrupts import SIGNALS
from grpclab.system.subprocesses import STUDY_VARIABLE
from grpclab.text import credentials
from tests.support import suite, synthetic
from tests.support.metrics_page import MetricsPage
from tests.support.notebook_runs import measured
from tests.support.processes import processes_of
from tests.support.proxies import Proxy

# Tests press Ctrl-C. A shell that runs us in the background has it ignored, here and in all that we start; nohup has
# SIGHUP ignored, which ends us no more than before, but reaches what we start.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# The same examples in every run, however slow the machine is; twice as many in continuous integration.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    max_examples=int(os.environ.get("GRPCLAB_EXAMPLES", "50")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")
suite.spare_children()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--retry-processes", action="store_true", help="try failed tests of real processes and browsers once more"
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives as long as the process: nobody looks through it for garbage, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("retry_processes"):
        suite.retry_processes(items)
    if hasattr(config, "workerinput"):
        suite.longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole lanes go to the workers, in the order in which the tests are collected."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = suite.lane
    return scheduler


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the closing line."""
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        suite.close(reporter, config.rootpath)


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test learned as a secret is none in the next."""
    monkeypatch.setattr(credentials, "_KNOWN", credentials._Known())
    monkeypatch.setenv(credentials.VARIABLE, "")


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """No test leaves a signal ignored, here and in all that later tests start."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that counts its connections; a test names it in the environment."""
    with contextlib.closing(Proxy()) as found:
        yield found


@pytest.fixture(scope="session", autouse=True)
def state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or makes the key in this user's home, or annotates the build that runs it."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        os.environ.pop(name, None)
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Finds, from outside, the processes that descend from this test."""
    study = f"test-{uuid.uuid4()}"
    monkeypatch.setenv(STUDY_VARIABLE, study)
    return lambda: processes_of(study)


@pytest.fixture(scope="session")
def sweep_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the smallest study has been run by ``sweep.ipynb``, once for all files of tests."""
    return measured("sweep", tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="session")
def replication_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by ``replication.ipynb``."""
    return measured("replication", tmp_path_factory.mktemp("replication"))


@pytest.fixture(scope="session")
def nightly_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a whole study with all that can stand beside it, by whichever worker process asks first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers of this run
    path = folder / "nightly" / "nightly.html"
    path.parent.mkdir(exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = synthetic.full_study(name="nightly")
            made.report(path, **synthetic.material(made))
    return path


@pytest.fixture(scope="module")
def quick_server() -> Iterator[RunningServer]:
    """A server that a whole file of tests may load: streams are three messages, 20 ms apart."""
    config = ServerConfig(implementation="asyncio", event_loop="uvloop", stream_messages=3, stream_interval_ms=20)
    with launch(config) as server:
        yield server


@pytest.fixture
def metrics_page() -> Iterator[MetricsPage]:
    """A page that counts the reads of its metrics."""
    found = MetricsPage()
    yield found
    found.server.shutdown()
    found.server.server_close()
