"""Factors of a user's own: arg.NAME, env.NAME and target.python."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpclab.errors import FactorError
from grpclab.factors.config import FACTORS, TrialConfig, lookup, parse_settings, settings_of
from grpclab.factors.own import LONGEST, OF_THE_TARGET, OwnLevels
from grpclab.system.json_lines import decode, encode

NAMES = st.from_regex(r"(arg|env)\.[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
LEVELS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
OWN = st.dictionaries(NAMES, LEVELS, max_size=5)


@given(OWN, st.integers(1, 100))
@example({"arg.a": " two  words\n", "env.B": 'it\'s "quoted" \\ #x', "arg._": ""}, 4)
def test_any_own_level_survives_being_written_as_settings_and_read(own: dict[str, str], threads: int) -> None:
    config = TrialConfig().replace({**own, "server.threads": threads})
    assert TrialConfig().replace(settings_of(config.settings())) == config
    assert TrialConfig().replace(config.differences(TrialConfig())) == config
    assert TrialConfig().replace(config.flat()) == config
    assert decode(TrialConfig, encode(config)) == config


@given(OWN, OWN)
def test_the_differences_of_two_configurations_lead_to_the_other(one: dict[str, str], two: dict[str, str]) -> None:
    first, second = TrialConfig(own=one), TrialConfig(own=two)
    assert first.replace(second.differences(first)) == second
    assert (first == second) == (first.flat() == second.flat())
    assert first != second or hash(first) == hash(second)


@pytest.mark.parametrize(
    ("level", "text"), [(4, "4"), (1.5, "1.5"), (True, "true"), (False, "false"), ("", ""), (" a b ", " a b ")]
)
def test_a_level_is_stored_as_text(level: object, text: str) -> None:
    assert TrialConfig().replace({"arg.x": level}).flat()["arg.x"] == text  # type: ignore[dict-item]


def test_own_factors_are_sorted_and_come_after_the_table() -> None:
    config = TrialConfig().replace({"env.B": "2", "arg.z": "1", "target.python": "./py", "arg.a": "0"})
    assert list(config.flat()) == [*FACTORS, "arg.a", "arg.z", "env.B", "target.python"]
    assert config == TrialConfig().replace({"target.python": "./py", "arg.a": "0", "arg.z": "1", "env.B": "2"})


def test_none_takes_an_own_factor_out_and_the_word_none_stays_a_level() -> None:
    config = TrialConfig().replace({"env.A": "1"})
    assert config.replace({"env.A": None}) == TrialConfig()
    unset = config.replace(parse_settings(["env.A=none"]))
    assert unset.own["env.A"] == "none"
    assert OwnLevels(unset.own).variables == {"A": None}


def test_arguments_and_variables_by_their_names() -> None:
    own = OwnLevels({"arg.threads": "4", "env.GOMAXPROCS": "2", "env.X": "none", "target.python": "p"})
    assert own.arguments == {"threads": "4"}
    assert own.variables == {"GOMAXPROCS": "2", "X": None}


@pytest.mark.parametrize("name", ["arg.", "arg.1a", "arg.a-b", "env.a.b", "target.pythons", "arg.ä", "env.A "])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(FactorError, match="unknown factor"):
        lookup(name)


@pytest.mark.parametrize("level", ["a\0b", "\ud800", "x" * (LONGEST + 1)])
def test_a_level_that_no_process_can_be_given_is_refused(level: str) -> None:
    with pytest.raises(FactorError, match=r"invalid arg\.x="):
        TrialConfig().replace({"arg.x": level})


@pytest.mark.parametrize("name", OF_THE_TARGET)
def test_a_factor_of_the_target_needs_a_word(name: str) -> None:
    with pytest.raises(FactorError, match=f"invalid {name}=' ': expected {OF_THE_TARGET[name][1]}"):
        TrialConfig().replace({name: " "})


def test_settings_with_an_open_quote_are_refused_in_one_line() -> None:
    with pytest.raises(FactorError, match="invalid settings=") as refused:
        settings_of("arg.x='a")
    assert "\n" not in str(refused.value)


def test_settings_without_own_factors_are_written_as_before() -> None:
    config = TrialConfig().replace({"server.threads": 64, "client.deadline_s": None, "server.tls": True})
    assert config.settings() == "server.threads=64 server.tls=true client.deadline_s=none"
