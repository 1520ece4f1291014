"""The room that ships what tests need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        ("grpclab.testing", "pytest pandas"),
        ("grpclab.testing.virtual", "pytest pandas"),
        ("grpclab.testing.synthetic", "pytest"),
    ],
)
def test_it_needs_neither_pytest_nor_more_than_its_extra(module: str, missing: str) -> None:
    program = f"import sys; sys.modules.update(dict.fromkeys({missing.split()!r})); import {module}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
