"""matplotlib, loaded whatever MPLBACKEND names: no figure of a report is shown in a window.

Where the variable names no backend at all, matplotlib cannot be imported while it is set. What it names is set
afterwards, as matplotlib would have done.
"""

from __future__ import annotations

import contextlib
import os

_NAMED = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as mpl
finally:
    if _NAMED is not None:
        os.environ["MPLBACKEND"] = _NAMED

if _NAMED:
    with contextlib.suppress(ValueError):
        mpl.rcParams["backend"] = _NAMED
