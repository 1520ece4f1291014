"""How the suite runs: its lanes, what begins first, what is tried once more, and what a failed run leaves behind.

With ``pytest -n 3`` the tests whose figures suffer from each other run one after the other in one worker process; those
of browsers and those of notebooks, which share what they draw and measure, in one each; all others, file by file, in
whichever is free. What takes longest begins first. Without ``-n`` all run in one process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

PROCESSES = ("tests/integration/", "tests/browser/")
"""Where tests need more than this process: real servers, sockets, notebooks, Chromium."""
MEASURES = (
    "tests/integration/link/",
    *(
        f"tests/integration/load/test_{subject}.py"
        for subject in (
            *("bench", "burst", "endings", "generator", "generator_ends", "grpcio_engine"),
            *("stopped", "traffic", "wire", "worker"),
        )
    ),
    "tests/integration/study/test_resources.py",
)
"""Where tests judge what they measure: never two at once."""
SHARES = ("tests/browser/", "tests/integration/notebook/")
"""Folders whose tests share what they draw and measure."""
LONGEST = (
    *("tests/unit/study/test_replication.py", "tests/unit/project/test_example.py", "tests/unit/report/"),
    *("tests/unit/notebook/", "tests/unit/calibration/"),
)
"""The pure tests that take longest: begun last, one of them would keep the others waiting for the end."""
_ORDER: tuple[str | tuple[str, ...], ...] = (MEASURES, *SHARES, PROCESSES, LONGEST, "")
FAILURES = "test-failures.txt"
"""The file in the project's folder that a failed run leaves behind."""


SPARED = Path(__file__).parent / "spared"
"""Packages that take time and that nothing here needs."""


def spare_children() -> None:
    """Let the thousand Python processes of a run begin quickly.

    Each compiles nothing that another has compiled, and starts no threads for numpy's linear algebra.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SPARED), os.environ.get("PYTHONPATH")]))


def lane(nodeid: str) -> str:
    """The tests that run in one worker process, one after the other."""
    if nodeid.startswith(MEASURES):
        return "measures"
    return next((folder for folder in SHARES if nodeid.startswith(folder)), nodeid.partition("::")[0])


def longest_first(items: list[pytest.Item]) -> None:
    """Put the lanes first, then other tests of processes and the longest pure ones; within a file nothing changes."""
    items.sort(key=lambda item: next(n for n, folders in enumerate(_ORDER) if item.nodeid.startswith(folders)))


def retry_processes(items: Iterable[pytest.Item]) -> None:
    """Have tests of processes and browsers tried once more when they fail; a pure test never is."""
    for item in items:
        if item.nodeid.startswith(PROCESSES):
            item.add_marker(pytest.mark.flaky(reruns=1))


def names(reporter: Any, *outcomes: str) -> list[str]:
    """The tests with one of these outcomes, each once, in the order in which they ended."""
    reports = (report for outcome in outcomes for report in reporter.stats.get(outcome, []))
    return list(dict.fromkeys(report.nodeid for report in reports))


def close(reporter: Any, root: Path) -> None:
    """Name the failed tests after the closing line, and keep both in a file."""
    if not (failed := names(reporter, "failed", "error")):
        return
    closing = ", ".join(text for text, _ in reporter.build_summary_stats_line()[0])
    (root / FAILURES).write_text("\n".join([time.strftime("%F %T"), closing, *failed]) + "\n")
    reporter.write_line(f"{closing}: {' '.join(failed)} (kept in {FAILURES})", red=True)
