"""The table of factors: levels, ranges, words, environment variables."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import (
    FACTORS,
    SECTIONS,
    ClientConfig,
    LinkConfig,
    LoadConfig,
    ServerConfig,
    TrialConfig,
    from_environment,
    lookup,
    parse_settings,
    pool_settings,
)
from grpclab.factors.implementations import IMPLEMENTATIONS
from grpclab.factors.levels import NAME_PATTERNS, Factor, Level, format_level
from grpclab.quantities import TIMES
from grpclab.status import STATUS_NAMES, statuses_of

WAITS = "number from 0 to 60,000, exponential:MEAN, uniform:LOW,HIGH or lognormal:MEDIAN,SIGMA"
UNITS = ("_s", "_ms", "_us", "_kib", "_bytes", "_mbps", "_rps", "_share")


def levels_of(factor: Factor) -> st.SearchStrategy[Level]:
    """Every level that a factor takes."""
    kind: st.SearchStrategy[Any]
    if factor.choices:
        kind = st.sampled_from(factor.choices)
    elif factor.distribution:
        kind = st.sampled_from(["0", "0.25", "5", "exponential:5", "uniform:1,9.5", "lognormal:5,0.5"])
    elif factor.naming:
        kind = st.from_regex(NAME_PATTERNS[factor.naming], fullmatch=True)
    elif factor.statuses:
        some = st.sets(st.sampled_from(STATUS_NAMES[1:]), min_size=1)
        kind = some.map(lambda names: ",".join(statuses_of(",".join(names))))
    elif factor.kind is bool:
        kind = st.booleans()
    elif factor.kind is int:
        assert factor.minimum is not None
        assert factor.maximum is not None
        kind = st.integers(int(factor.minimum), int(factor.maximum))
    else:
        kind = st.floats(factor.minimum, factor.maximum, allow_nan=False, allow_infinity=False)
    return st.none() | kind if factor.optional else kind


def honoured(levels: dict[str, Level]) -> dict[str, Level]:
    """The levels that the server which they name does not refuse: metrics are scraped where there is a page of them."""
    lacks = set(IMPLEMENTATIONS[str(levels.get("server.implementation", "sync"))].lacks)
    if not (levels.get("server.metrics") and levels.get("server.desk")):
        lacks.add("server.scrape_s")
    return {name: level for name, level in levels.items() if name not in lacks}


settings_of_some_factors = (
    st.fixed_dictionaries({}, optional={name: levels_of(factor) for name, factor in FACTORS.items()})
    .filter(lambda levels: levels.get("load.requests", 1) or levels.get("load.duration_s"))
    .map(honoured)
)


@given(st.data())
def test_every_level_of_every_factor_survives_being_written_and_read(data: st.DataObject) -> None:
    for factor in FACTORS.values():
        level = data.draw(levels_of(factor), label=factor.dotted)
        factor.check(level)
        read = factor.parse(format_level(level))
        assert read == level
        assert (read is None) == (level is None)


@given(settings_of_some_factors)
@example({"server.metrics": True, "server.desk": True, "server.scrape_s": 1.0})
def test_a_configuration_is_read_back_from_its_own_settings(levels: dict[str, Level]) -> None:
    config = TrialConfig().replace(levels)
    assert TrialConfig().replace(parse_settings(config.settings().split())) == config
    assert TrialConfig().replace(config.differences(TrialConfig())) == config
    assert TrialConfig().replace(config.flat()) == config


def test_the_default_of_every_factor_is_one_of_its_levels() -> None:
    for factor in FACTORS.values():
        factor.check(factor.default)


def test_every_factor_says_what_it_means_on_one_line() -> None:
    for factor in FACTORS.values():
        assert factor.meaning
        assert "\n" not in factor.meaning


def test_every_measured_quantity_carries_its_unit_in_its_name() -> None:
    assert [f.dotted for f in FACTORS.values() if f.kind is float and not f.name.endswith(UNITS)] == []


def test_the_table_is_the_fields_of_the_four_sections_in_their_order() -> None:
    fields = [f"{section}.{f.name}" for section, cls in SECTIONS.items() for f in dataclasses.fields(cls)]
    assert list(FACTORS) == fields == list(TrialConfig().flat())


def test_configurations_are_frozen_and_take_keywords_only() -> None:
    for cls in (*SECTIONS.values(), TrialConfig):
        with pytest.raises(TypeError):
            cls("sync")
        with pytest.raises(dataclasses.FrozenInstanceError):
            cls().anything = 1


@pytest.mark.parametrize(
    ("name", "word", "level"),
    [
        ("server.processes", "0", 0),
        ("server.window_kib", " 1024 ", 1024),
        ("server.window_kib", "none", None),
        ("server.window_kib", "Unlimited", None),
        ("client.deadline_s", "off", None),
        ("client.deadline_s", "2", 2.0),
        ("server.tls", "ON", True),
        ("server.tls", "0", False),
        ("server.event_loop", "uvloop", "uvloop"),
        ("link.rtt_ms", "2e1", 20.0),
        ("server.handler_wait_ms", " 5.0 ", "5"),
        ("server.handler_wait_ms", "5ms", "5"),
        ("server.handler_wait_ms", "constant:0.25", "0.25"),
        ("server.handler_wait_ms", "1.5s", "1500"),
        ("server.handler_wait_ms", "exponential:2ms", "exponential:2"),
        ("server.handler_wait_ms", "lognormal:5, 0.50", "lognormal:5,0.5"),
        ("server.handler_wait_ms", "Uniform:1,9", "uniform:1,9"),
        ("client.retry_statuses", "unavailable, Aborted,ABORTED", "ABORTED,UNAVAILABLE"),
    ],
)
def test_words_are_read_as_levels(name: str, word: str, level: Level) -> None:
    read = FACTORS[name].parse(word)
    assert read == level
    assert type(read) is type(level)


@pytest.mark.parametrize(
    ("name", "word", "takes"),
    [
        ("load.concurrency", "0", "integer from 1 to 100,000"),
        ("load.concurrency", "100001", "integer from 1 to 100,000"),
        ("load.concurrency", "8.5", "integer from 1 to 100,000"),
        ("load.concurrency", "none", "integer from 1 to 100,000"),
        ("load.concurrency", "", "integer from 1 to 100,000"),
        ("load.concurrency", "9" * 30, "integer from 1 to 100,000"),
        ("load.duration_s", "nan", "number from 0.01 to 86,400|none"),
        ("link.bandwidth_mbps", "inf", "number from 0.01|none"),
        ("link.rtt_ms", "-1", "number from 0 to 10,000"),
        ("server.tls", "perhaps", "true|false"),
        ("server.tls", "none", "true|false"),
        ("client.pooling", "Pool", "per_call|shared|pool; did you mean pool?"),
        *(
            ("client.retry_statuses", word, "names of gRPC statuses, e.g. UNAVAILABLE,ABORTED")
            for word in ("", "OK", "none", "14")
        ),
        *(
            ("client.retry_statuses", word, f"names of gRPC statuses, e.g. UNAVAILABLE,ABORTED; did you mean {meant}?")
            for word, meant in (("UNAVAILBLE", "UNAVAILABLE"), ("ABORTED,", "ABORTED"))
        ),
        *(
            ("server.handler_wait_ms", word, WAITS)
            for word in ("-1", "60001", "nan", "inf", "none", "", "exponential", "gamma:5", "uniform:9,1", "5,6")
        ),
        ("server.handler_wait_ms", "lognormal:5,10", WAITS),  # its mean is e^50 times its median
        ("server.handler_wait_ms", "lognormal:1e305,10", WAITS),  # and here no number
    ],
)
def test_an_impossible_word_is_refused_in_one_line_with_what_would_do(name: str, word: str, takes: str) -> None:
    with pytest.raises(FactorError) as refusal:
        FACTORS[name].parse(word)
    if FACTORS[name].time_unit:
        takes = f"{takes.replace('number', 'milliseconds' if name.endswith('_ms') else 'seconds')}, or {TIMES}"
    assert str(refusal.value) == f"invalid {name}={word}: expected {takes}"


def test_a_computed_number_is_shown_as_a_person_writes_it() -> None:
    with pytest.raises(FactorError, match=r"^invalid client\.deadline_s=0\.0001: expected "):
        TrialConfig().replace({"client.deadline_s": 100 * 1e-6})


def test_a_refusal_stays_on_one_line_whatever_was_given() -> None:
    with pytest.raises(FactorError) as refusal:
        FACTORS["load.workers"].parse("two\nor three")
    assert str(refusal.value) == "invalid load.workers=two or three: expected integer from 0 to 256"


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("load.concurrency", True),
        ("load.concurrency", 8.0),
        ("load.concurrency", "8"),
        ("server.tls", 1),
        ("server.tls", None),
        ("link.rtt_ms", math.nan),
        ("link.rtt_ms", False),
        ("client.keepalive_s", 10**400),
    ],
)
def test_a_level_of_another_type_is_refused_not_converted(name: str, level: Any) -> None:
    with pytest.raises(FactorError, match=re.escape(name)):
        TrialConfig().replace({name: level})


@pytest.mark.parametrize(("number", "level"), [(5, "5"), (0.25, "0.25"), (0, "0")])
def test_a_wait_may_be_given_as_a_number(number: float, level: str) -> None:
    assert TrialConfig().replace({"server.handler_wait_ms": number}).server.handler_wait_ms == level


@pytest.mark.parametrize(
    "part",
    [
        {"server": ServerConfig(threads=0)},
        {"server": ServerConfig(handler_wait_ms="long")},
        {"client": ClientConfig(connections=0)},
        {"load": LoadConfig(workers=-1)},
        {"link": LinkConfig(rtt_ms=-1)},
    ],
)
def test_no_way_of_building_a_configuration_goes_round_the_ranges(part: dict[str, Any]) -> None:
    with pytest.raises(FactorError, match=r"^invalid .*: expected "):
        TrialConfig(**part)


def test_a_window_needs_a_bound() -> None:
    with pytest.raises(FactorError, match="both unset: set at least one of them"):
        TrialConfig().replace({"load.requests": None})
    bounded = TrialConfig().replace({"load.requests": None, "load.duration_s": 1})
    assert bounded.load.duration_s == 1


def test_replacing_leaves_the_original_and_the_other_factors_alone() -> None:
    before = TrialConfig()
    after = before.replace({"server.tls": True, "load.workers": 2})
    assert after.differences(before) == {"server.tls": True, "load.workers": 2}
    assert before == TrialConfig()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("server.windows_kib", "server.window_kib"), ("load.concurency", "load.concurrency")],
)
def test_an_unknown_factor_is_refused_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(FactorError, match=rf"^unknown factor '{wrong}': did you mean .*{right}"):
        lookup(wrong)
    with pytest.raises(FactorError, match="unknown factor"):
        TrialConfig().replace({wrong: 1})


def test_a_factor_like_no_other_is_refused_with_where_to_look() -> None:
    with pytest.raises(FactorError) as refusal:
        lookup("zzz")
    assert str(refusal.value) == "unknown factor 'zzz': `grpclab factors` lists them all"


def test_of_two_settings_of_one_factor_the_later_holds() -> None:
    assert parse_settings(["load.workers=2", " load.workers = 3"]) == {"load.workers": 3}
    assert parse_settings([]) == {}


def test_several_connections_are_a_pool() -> None:
    assert pool_settings(1) == {"client.pooling": "shared"}
    assert pool_settings(4) == {"client.pooling": "pool", "client.connections": 4}
    with pytest.raises(UsageError, match="--connections=0"):
        pool_settings(0)


def test_a_setting_without_a_level_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(FactorError) as refusal:
        parse_settings(["server.tls"])
    assert str(refusal.value) == (
        "'server.tls' is not a setting: write section.name=level, e.g. server.window_kib=1024"
    )


def test_environment_variables_set_the_factors_that_name_them() -> None:
    found = from_environment({"GRPC_CONCURRENCY_LIMIT": "8", "GRPC_KEEPALIVE_TIMEOUT": "2.5", "HOME": "/root"})
    assert found == {"server.max_concurrent_rpcs": 8, "server.keepalive_timeout_s": 2.5}
    assert from_environment({}) == {}


def test_no_two_factors_read_the_same_variable() -> None:
    variables = [factor.env for factor in FACTORS.values() if factor.env]
    assert variables
    assert len(set(variables)) == len(variables)


def test_a_wrong_environment_variable_is_refused_by_its_name() -> None:
    with pytest.raises(FactorError) as refusal:
        from_environment({"GRPC_CONCURRENCY_LIMIT": "many"})
    assert str(refusal.value) == (
        "environment variable GRPC_CONCURRENCY_LIMIT: invalid server.max_concurrent_rpcs=many:"
        " expected integer from 1 to 2,147,483,647|none"
    )


def test_only_a_link_with_something_set_is_emulated() -> None:
    assert not LinkConfig().emulated
    assert LinkConfig(rtt_ms=1).emulated
    assert LinkConfig(bandwidth_mbps=10).emulated
    assert LinkConfig(idle_timeout_s=2).emulated
