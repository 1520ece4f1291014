"""The code behind the cells of the notebooks, so that these stay thin; they import it from ``grpclab``.

Each line imports only from those above it::

    side_by_side  two studies, and only what of them is alike
    explore       ``explore.ipynb``: the studies, what is in a frame
    live          outputs that are renewed in place: the answer, the progress, the link to the report
    calibration   ``calibration.ipynb``
    trial         ``trial.ipynb``
    sweep         ``sweep.ipynb``
    replication   ``replication.ipynb``
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"SweepNotebook": "sweep", "TrialNotebook": "trial"}
"""What notebooks of the first edition import from this room, and where it is; until 1.0."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
