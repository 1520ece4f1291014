"""A page that several files read, drawn once in a run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.support import synthetic


@pytest.fixture(scope="session")
def nightly_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a whole study with its latencies, by whichever worker process asks for it first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers of this run
    path = folder / "nightly" / "nightly.html"
    path.parent.mkdir(exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = synthetic.full_study(name="nightly")
            made.report(path, histograms=synthetic.material(made)["histograms"])
    return path
