"""The menu: every entry types commands that grpclab takes, shows them, and runs nothing else."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.cli import commands, menu, prompts
from grpclab.errors import MissingDependencyError
from grpclab.system.interrupts import Interrupted, left_to_child
from tests.support.scripted_prompts import ScriptedPrompts

DEMO = ["Build all", "Run optimized server", "Run benchmark", "Docker setup", "Generate flamegraph"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a stored study, in which nothing has been set."""
    for name in ("results/monday/manifest.json", "deploy/compose.yaml", "proto/greet.proto"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.delenv("PPROF_TOKEN", raising=False)
    return tmp_path


def typed(entry: str, **answers: str) -> list[list[str]]:
    """What an entry types where some of its questions have these answers, and the others their defaults."""
    return [list(words) for words in menu.TASKS[entry].commands(ScriptedPrompts(answers=answers))]


def grpclab_words(words: list[str]) -> list[str]:
    return words[words.index(menu.PROGRAM) + 1 :]


def test_the_entries_of_the_demo_come_first() -> None:
    assert list(menu.TASKS)[:5] == DEMO


@pytest.mark.parametrize("entry", menu.TASKS)
def test_the_defaults_of_an_entry_are_a_command_that_grpclab_takes(here: Path, entry: str) -> None:
    found = typed(entry)
    assert found
    for words in found:
        if menu.PROGRAM in words:
            assert commands.read(grpclab_words(words)).command in commands.COMMANDS
        else:
            assert words[0] in ("make", "docker", "env")


@pytest.mark.parametrize(
    ("entry", "answers", "expected"),
    [
        ("Build all", {}, ["grpclab doctor", "make -C {here} stubs"]),
        ("Run optimized server", {}, ["env PPROF_ENABLED=true grpclab serve optimized --port 50051"]),
        (
            "Run optimized server",
            {"With profiles and metrics?": "false", "Port": "0"},
            ["env PPROF_ENABLED=false grpclab serve optimized --port 0"],
        ),
        ("Run benchmark", {"Calls": "7"}, ["grpclab bench localhost:50051 --requests 7 --concurrency 50"]),
        (
            "Generate flamegraph",
            {"File": "my file.html"},
            ["grpclab profile --server localhost:50051 --duration 5s --output 'my file.html'"],
        ),
        (
            "Compare",
            {"A factor that B changes, e.g. server.threads=4 (optional)": "server.threads=4"},
            ["grpclab compare basic optimized --b-set server.threads=4 --min-effect 5%"],
        ),
        ("Study", {"Measure now?": "--plan"}, ["grpclab study --design quick --plan"]),
        ("Call", {"What do you want to see?": "list"}, ["grpclab call list localhost:50051"]),
        (
            "Call",
            {"What do you want to see?": ""},
            ["""grpclab call greet.GreeterService/SayHello localhost:50051 --data '{"name": "world"}'"""],
        ),
        ("Report", {}, ["grpclab report monday"]),
    ],
)
def test_answers_stand_in_the_command(here: Path, entry: str, answers: dict[str, str], expected: list[str]) -> None:
    found = menu.TASKS[entry].commands(ScriptedPrompts(answers=answers))
    assert [shlex.join(words) for words in found] == [line.replace("{here}", str(here)) for line in expected]


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_an_answer_stays_one_word_whatever_it_holds(answer: str) -> None:
    (words,) = typed("Run benchmark", Calls=answer)
    assert shlex.split(shlex.join(words)) == words
    assert words[words.index("--requests") + 1] == answer


def test_the_newest_study_is_offered_first(here: Path) -> None:
    newer = here / "results" / "april" / "manifest.json"
    newer.parent.mkdir()
    newer.write_text("{}")
    os.utime(here / "results" / "monday" / "manifest.json", ns=(0, newer.stat().st_mtime_ns - 10**9))
    assert typed("Report") == [["grpclab", "report", "april"]]


def test_containers_get_a_token_unless_one_is_set(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,), (second,) = typed("Docker setup"), typed("Docker setup")
    assert first[2:] == ["docker", "compose", "--file", str(here / "deploy" / "compose.yaml"), "up", "--build"]
    assert first[1] != second[1]
    assert len(first[1]) > len("PPROF_TOKEN=") + 20
    monkeypatch.setenv("PPROF_TOKEN", "0123456789abcdef")
    question = "What do you want to start?"
    (words,) = menu.TASKS["Docker setup"].commands(ScriptedPrompts(answers={question: "monitoring"}))
    assert list(words[:6]) == ["docker", "compose", "--file", words[3], "--profile", "monitoring"]


# ---- the menu ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the menu runs, in a terminal; it ends with 0, `grpclab doctor` with 3."""
    found: list[list[str]] = []

    def execute(words: menu.Command, came: Sequence[int]) -> int:
        found.append(list(words))
        return 3 if "doctor" in words else 0

    monkeypatch.setattr(menu, "in_terminal", lambda: True)
    monkeypatch.setattr(menu, "execute", execute)
    return found


def answered(monkeypatch: pytest.MonkeyPatch, *entries: str, **more: Any) -> None:
    monkeypatch.setattr(prompts, "TerminalPrompts", lambda: ScriptedPrompts(*entries, **more))


def test_a_command_is_shown_as_it_would_be_typed_before_it_runs(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(monkeypatch, "Run benchmark", "Call")
    assert commands.main(["menu", "-q", "--redact", "tenant"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line)[1:] for line in lines if line.startswith("$ ")] == ran
    assert [words[-3:] for words in ran] == [["--quiet", "--redact", "tenant"]] * 2


def test_what_follows_a_command_that_fails_is_not_run(
    here: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(monkeypatch, "Build all")
    assert commands.main(["menu"]) == 0
    assert ran == [["grpclab", "doctor"]]
    assert "exit code 3" in capsys.readouterr().out


@pytest.mark.parametrize("refused", [KeyboardInterrupt(), EOFError()], ids=repr)
def test_a_question_that_is_left_leads_back_to_the_menu(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, refused: BaseException
) -> None:
    answered(monkeypatch, "Run benchmark", "Call", answers={"Calls": refused})
    assert commands.main(["menu"]) == 0
    assert ran == [["grpclab", "call", "demo"]]


def test_sigterm_in_a_question_ends_the_menu(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, "Run benchmark", answers={"Calls": Interrupted(15)})
    with pytest.raises(Interrupted):
        menu.run(commands.read(["menu"]))


def test_what_cannot_be_done_is_one_line_and_the_menu_stays(
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    answered(monkeypatch, "Report", "Docker setup", "Call")
    assert commands.main(["menu"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert "has no studies yet" in first
    assert str(tmp_path / "deploy" / "compose.yaml") in second
    assert ran == [["grpclab", "call", "demo"]]


def test_without_a_terminal_there_is_help_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["menu"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == (f"{menu.COMMAND.get_help(click.Context(menu.COMMAND))}\n", "")
    assert all(entry in out for entry in menu.TASKS)


def test_a_missing_library_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(menu, "in_terminal", lambda: True)
    monkeypatch.delitem(sys.modules, "grpclab.cli.prompts")
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    assert commands.main(["menu"]) == 2
    assert re.search(r"needs prompt_toolkit, .*\[menu\]", capsys.readouterr().err)


# ---- running -------------------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingDependencyError, match="no-such-program is not installed"):
        menu.execute(["env", "A=1", "no-such-program", "up"])


def test_the_exit_code_is_that_of_the_command() -> None:
    assert menu.execute(["env", "A=1", "grpclab", "--version"]) == 0
    assert menu.execute(["grpclab", "benhc"]) == 2
    assert menu.execute(["sh", "-c", "kill -9 $$"]) == 137


def test_ctrl_c_before_a_command_starts_reaches_it() -> None:
    with left_to_child() as came:
        os.kill(os.getpid(), signal.SIGINT)
        assert came == [signal.SIGINT]
        assert menu.execute(["sleep", "600"], came) == 130
