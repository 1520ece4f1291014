"""Every option of every command does what its row says, on the command line and in a file."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grpclab.cli import commands
from grpclab.study.parameters import DESIGNS, StudyParameters
from grpclab.system.repository import WORKTREES
from tests.support.option_rows import OPTIONS, Acts, Refused, Row
from tests.support.watched import Observed, Watched


def options_of(command: str) -> set[str]:
    return {str(param.name) for param in commands.load_command(command).params if param.name != "help"}


@pytest.fixture(scope="module")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Its commands check each revision out once: all of them use the same worktrees."""
    with WORKTREES.in_use(), pytest.MonkeyPatch.context() as patch:
        yield Watched(patch, tmp_path_factory.mktemp("options"))


@pytest.fixture(scope="module")
def without(observe: Watched) -> Callable[[str, str], Observed]:
    """What a command does with these words, seen once for all rows to which an option is added."""
    return functools.cache(lambda command, words: dict(observe(command, words)))


@pytest.fixture(scope="module")
def without_in_a_file(observe: Watched) -> Callable[[str], Observed]:
    """The same of `bench` with these words in a file."""
    return functools.cache(lambda words: dict(observe("bench", as_file(words))))


# ---- options -----------------------------------------------------------------------------------------------------


def test_every_option_of_every_command_has_its_rows() -> None:
    assert set(OPTIONS) == set(commands.COMMANDS)
    for command in commands.COMMANDS:
        assert set(OPTIONS[command]) == options_of(command), command
        for option, rows in OPTIONS[command].items():
            assert any(isinstance(row, Acts) for row in rows), f"{command} {option} never acts"


ROWS = [(command, option, row) for command, rows in OPTIONS.items() for option, found in rows.items() for row in found]


@pytest.mark.parametrize(
    ("command", "option", "row"), ROWS, ids=[f"{c}-{o}-{type(r).__name__}-{r.words}" for c, o, r in ROWS]
)
def test_an_option_does_what_its_row_says(
    observe: Watched, without: Callable[[str, str], Observed], command: str, option: str, row: Row
) -> None:
    if isinstance(row, Acts):
        before = without(command, row.after).get(row.proof)
        seen = observe(command, f"{row.after} {row.words}")
        assert seen["code"] != 2 or row.proof == "code", seen["stderr"]
        assert seen.get(row.proof) != before
        assert not re.search("no effect( on A and B)?: ", seen["stderr"] + seen["stdout"])
    elif isinstance(row, Refused):
        seen = observe(command, row.words)
        assert (seen["code"], seen["stdout"], seen["files"]) == (2, "", [])
        assert row.where in seen["stderr"]
        assert seen["stderr"].count("\n") == 1
    else:
        seen = observe(command, row.words)
        assert seen["code"] != 2
        assert re.search(rf"{re.escape(row.name)} has no effect( on A and B)?: ", seen["stderr"] + seen["stdout"])


def as_file(words: str) -> str:
    """The options of a command line of `bench` as a file in the working folder, and how that is given."""
    options = vars(commands.read(["bench", *words.split()]))
    names = options_of("bench") - {"settings"}
    given = {name.replace("_", "-"): options[name] for name in names if options[name] not in (None, [], False)}
    levels = [word.partition("=")[::2] for word in options["settings"]]
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    lines += ["[set]", *(f'"{name}" = {json.dumps(level)}' for name, level in levels)]
    Path("all.toml").write_text("\n".join(lines))
    return "--config all.toml"


IN_FILE = [
    (option, row)
    for option, rows in OPTIONS["bench"].items()
    for row in rows
    if option not in ("quiet", "config", "settings") and "--allow-remote" not in f"{row}"
]


@pytest.mark.parametrize(("option", "row"), IN_FILE, ids=[f"{o}-{type(r).__name__}-{r.words}" for o, r in IN_FILE])
def test_an_option_in_a_file_does_what_its_flag_does(
    observe: Watched, without_in_a_file: Callable[[str], Observed], option: str, row: Row
) -> None:
    after = row.after if isinstance(row, Acts) else ""
    seen = dict(observe("bench", as_file(f"{after} {row.words}")))
    if isinstance(row, Acts):
        assert seen["code"] != 2, seen["stderr"]
        assert seen.get(row.proof) != without_in_a_file(after).get(row.proof)
    elif isinstance(row, Refused):
        assert seen["code"] == 2
        assert row.where in seen["stderr"]
    else:
        assert re.search(rf"{re.escape(row.name)} has no effect: ", seen["stdout"])


def test_no_file_lets_load_off_this_machine(observe: Watched) -> None:
    seen = observe("bench", as_file("--allow-remote --max-rate 9 --max-calls 9 --max-time 9"))
    assert seen["code"] == 2
    assert "--allow-remote works only on the command line" in seen["stderr"]


@pytest.mark.parametrize("design", list(DESIGNS))
def test_the_parameters_without_part_in_a_design_are_those_that_its_plan_does_not_follow(design: str) -> None:
    def planned(**changed: Any) -> Any:
        return DESIGNS[design].plan(StudyParameters(design=design, **changed), 1)

    others: dict[str, Any] = {
        **{
            "requests": 7,
            "concurrency": "3",
            "blocks": 9,
            "windows_kib": "7",
            "stream_limits": "7",
            "keepalive_s": "7",
        },
        **{"pool_sizes": "7", "rtt_ms": 7, "engine": "wire", "profile": False, "max_trial_s": 0.3},
        **{"implementation": "asyncio", "rate": "70"},
    }
    elsewhere = {"study", "design", "seed", "budget", "cluster"}  # which is kept beside the plan, with the pilot
    assert set(others) == {field.name for field in dataclasses.fields(StudyParameters)} - elsewhere
    standard = planned()
    assert set(DESIGNS[design].unused) == {
        name for name, value in others.items() if planned(**{name: value}) == standard
    }
