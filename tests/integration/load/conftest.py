"""Fixtures of the tests of schemas: the shop, and its call as every source must give it."""

from __future__ import annotations

import pytest

from grpclab.load.calls.method import CallSpec
from tests.support.shop import Shop, find, write


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def expected_call(tmp_path_factory: pytest.TempPathFactory) -> CallSpec:
    """What every source must give."""
    proto = write(tmp_path_factory.mktemp("expected"))
    return find("", proto=proto, proto_paths=[proto.parent.parent])
