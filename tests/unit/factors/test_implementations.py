"""The servers that can be under a service, and the factors that each one refuses."""

from __future__ import annotations

import pytest

from grpclab.errors import FactorError
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.factors.implementations import IMPLEMENTATIONS
from grpclab.factors.levels import Level, format_level
from grpclab.servers.hosting import host
from tests.unit.cli.test_factors import LEVELS

REFUSED = [(name, factor) for name, one in IMPLEMENTATIONS.items() for factor in one.lacks]


def test_each_level_of_the_factor_is_a_server() -> None:
    assert list(FACTORS["server.implementation"].choices) == list(IMPLEMENTATIONS)


@pytest.mark.parametrize(("name", "factor"), REFUSED)
def test_a_factor_that_a_server_lacks_is_refused_in_one_line(name: str, factor: str) -> None:
    table = FACTORS[factor]
    level = table.parse(LEVELS[table.dotted][0])
    given: dict[str, Level] = {"server.implementation": name, table.dotted: level}
    with pytest.raises(FactorError) as refused:
        TrialConfig().replace(given)
    written = f"invalid {table.dotted}={format_level(level)}: expected {format_level(table.default)} for "
    assert str(refused.value).startswith(f"{written}server.implementation={name}, since ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_defaults_are_taken_by_every_server(name: str) -> None:
    assert TrialConfig().replace({"server.implementation": name}).server.implementation == name


def test_everything_that_has_to_be_set_otherwise_is_in_one_line() -> None:
    with pytest.raises(FactorError) as refused:
        TrialConfig().replace({"server.implementation": "pygrpc", "server.tls": True, "server.compression": "gzip"})
    assert str(refused.value).endswith("; it also needs server.compression=none")


def test_the_host_knows_which_servers_have_threads() -> None:
    in_threads = {name for name, one in IMPLEMENTATIONS.items() if one.threaded and one.hosts_applications}
    assert set(host.THREADED) == in_threads
    for other in host.THREADED.values():
        assert not IMPLEMENTATIONS[other].threaded
