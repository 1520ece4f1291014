"""A command is split first and filled afterwards; what of it is filled, and what does not match, is told."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.servers.process.filling import check_arguments, filled, filled_words, placeholders

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True)
LEVELS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def test_the_port_the_socket_and_the_arguments_of_a_plan_are_filled() -> None:
    words = filled_words("./srv --port {port} --threads={threads}", {"port": "5001", "threads": "4"})
    assert words == ["./srv", "--port", "5001", "--threads=4"]
    assert filled_words("./srv unix:{socket}", {"socket": "/tmp/x/s"}) == ["./srv", "unix:/tmp/x/s"]


@pytest.mark.parametrize("word", ["{other}", "{}", "{1}", "{a-b}", "${HOME}", "{port", '{"a": {"b": 1}}', "{ port }"])
def test_every_other_brace_stays(word: str) -> None:
    assert filled(["srv", word], {"port": "1", "threads": "2"}) == ["srv", word]


def test_braces_around_a_name_in_braces_stay() -> None:
    assert filled(["{{threads}}"], {"threads": "2"}) == ["{2}"]


def test_a_word_that_is_a_name_alone_is_left_out_where_its_level_is_empty() -> None:
    command = "./srv {flag} --mode={flag} '' {port}"
    assert filled_words(command, {"flag": "", "port": "1"}) == ["./srv", "--mode=", "", "1"]
    assert filled_words(command, {"flag": "-x", "port": "1"}) == ["./srv", "-x", "--mode=-x", "", "1"]


@given(LEVELS, LEVELS)
def test_a_level_stays_one_word_whatever_is_in_it(level: str, other: str) -> None:
    words = filled_words("srv --name {name} --x={other} {port}", {"name": level or "-", "other": other, "port": "1"})
    assert words == ["srv", "--name", level or "-", f"--x={other}", "1"]


@given(st.lists(st.text(max_size=12), max_size=6), st.dictionaries(NAMES, LEVELS, max_size=4))
def test_words_without_a_known_name_are_what_they_were(words: list[str], values: dict[str, str]) -> None:
    kept = [word for word in words if not placeholders(word) & set(values)]
    assert filled(kept, values) == kept


@given(st.lists(LEVELS, min_size=1, max_size=5))
def test_what_a_shell_would_split_is_split_so(words: list[str]) -> None:
    assert filled_words(shlex.join(words), {}) == words


def refused(*configurations: dict[str, str], places: tuple[str, ...] = ("./srv {port} {threads}",)) -> str:
    with pytest.raises(UsageError) as caught:
        check_arguments(places, {f"c{at}": arguments for at, arguments in enumerate(configurations)})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_argument_without_its_place_in_the_command_is_refused() -> None:
    assert refused({"window": "4", "threads": "1"}).startswith("invalid arg.window=4: expected {window} in the command")


def test_a_place_without_a_level_in_one_configuration_is_refused() -> None:
    assert "c0 has none" in refused({}, {"threads": "4"})


@pytest.mark.parametrize("name", ["port", "socket"])
def test_the_names_of_the_lab_are_no_arguments(name: str) -> None:
    assert refused({name: "1"}).startswith(f"invalid arg.{name}=1: expected another name")


def test_an_argument_may_stand_in_prepare_alone() -> None:
    check_arguments(("./srv {port} {other}", "./fill --rows {rows}"), {"a": {"rows": "1"}, "b": {"rows": "2"}})


def test_a_name_that_another_command_has_a_level_for_needs_one_here() -> None:
    with pytest.raises(
        UsageError, match=r"expected a level of arg\.threads for \{threads\} in each configuration; A has none"
    ):
        check_arguments(["./srv {port} {threads}"], {"A": {}}, planned=["threads"])
    check_arguments(["./srv {port} {other}"], {"A": {}}, planned=["threads"])


def test_a_name_begins_with_a_letter_or_an_underscore() -> None:
    assert placeholders("{1} {2b} {a} {b2} {_c} {ä}") == {"a", "b2", "_c"}
    assert filled(["{1}", "{a}"], {"1": "x", "a": "y"}) == ["{1}", "y"]
