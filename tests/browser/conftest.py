"""One Chromium for all tests of this package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium.started() as found:
        yield found
