"""An environment in which some packages cannot be imported, as if nobody had installed them."""

from __future__ import annotations

from pathlib import Path


def without(folder: Path, *packages: str) -> dict[str, str]:
    """The variable with which Python processes lack these packages; `folder` takes what they read at their start."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({packages!r}))\n")
    return {"PYTHONPATH": str(folder)}
