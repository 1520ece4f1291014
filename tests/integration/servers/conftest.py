"""The servers on which features are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.four_servers import KINDS, Start, starter


@pytest.fixture(params=KINDS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """What starts a server with levels of its factors."""
    return starter(request.param, tmp_path)
