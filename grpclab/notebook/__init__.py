"""What the cells of the notebooks call.

Each line imports only from those above it::

    explore      what the cells of ``explore.ipynb`` call
    live         what a notebook shows in one place and renews
    calibration  what the cells of ``calibration.ipynb`` call, so that the notebook stays thin
    cells        what the cells of ``trial.ipynb`` and ``sweep.ipynb`` call, so that the notebooks stay thin
    replication  what the cells of ``replication.ipynb`` call, so that the notebook stays thin
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("grpclab.notebook.cells"), name)
