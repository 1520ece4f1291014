"""How a command starts: what it loads, and what the program says that is called with nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pexpect
import pytest

from grpclab.cli import commands
from tests.support.terminals import Terminal

HEAVY = ("numpy", "grpc", "google.protobuf", "pandas", "matplotlib", "scipy", "psutil", "rich", "asyncio", "ssl")
"""Packages that help and mistakes have no use for."""
SLOW = (
    *("decimal", "fractions", "hpack", "random", "shutil", "tempfile"),
    *("grpclab.cli.build_report", "grpclab.factors.variants", "grpclab.load.calls.mixed_call"),
    "grpclab.servers.reference.faults",
)
"""Modules that are loaded where they act, and not for a mistake or a TAB."""


def loaded_by(done: subprocess.CompletedProcess[str]) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["benhc"], 2),
        (["bench", "--help"], 0),
        (["bench", "--rat", "5"], 2),
        (["compare", "--help"], 0),
        (["compare", "--rat", "5"], 2),
        (["serve", "x", "--prt", "1"], 2),
        (["study", "--x"], 2),
        (["bisect", "--god", "HEAD"], 2),
        (["bisect", "--help"], 0),
        (["study", "--help"], 0),
        (["report", "--hlep"], 2),
        (["profile", "--rat"], 2),
        (["factors", "--help"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_mistakes_start_without_the_heavy_packages(words: list[str], code: int) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "grpclab", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    loaded = loaded_by(done)
    assert "grpclab.cli.commands" in loaded
    assert done.returncode == code
    assert [name for name in (*HEAVY, *(SLOW if code else ())) if name in loaded] == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bench --ra", "--rate"),
        ("compare --ra", "--rate"),
        ("compare --a-set server.adaptive", "server.adaptive_window="),
        ("compare opti", "optimized"),
        ("serve opti", "optimized"),
        ("study --desi", "--design"),
    ],
)
def test_a_tab_loads_little_but_what_it_offers(line: str, offered: str) -> None:
    words = f"grpclab {line}"
    asked = {"_GRPCLAB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-X", "importtime", "-m", "grpclab"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True)
    loaded = loaded_by(done)
    assert done.stdout == f"plain,{offered}\n"
    assert "grpclab.factors.config" in loaded
    assert [name for name in (*HEAVY, *SLOW, "difflib") if name in loaded] == []


@pytest.mark.parametrize(("word", "ran"), [("--version", False), ("factors", True)])
def test_garbage_is_collected_from_when_a_command_runs(word: str, ran: bool) -> None:
    program = (
        "import gc, sys\nfrom grpclab.__main__ import main\nmain()\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"
    )
    if not ran:
        program = program.replace("\nmain()", "\ntry: main()\nexcept SystemExit: pass")
    done = subprocess.run([sys.executable, "-c", program, word], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{ran} {not ran}"


def test_an_error_is_wrapped_at_the_edge_of_a_terminal_between_words() -> None:
    words = ["-m", "grpclab", "bench", "--set", "server.thread=4"]
    plain = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False).stderr
    environment = os.environ | {"NO_COLOR": "1"}
    terminal = Terminal(sys.executable, words, dimensions=(24, 60), encoding="utf-8", env=environment)
    terminal.expect(pexpect.EOF)
    shown = (terminal.before or "").splitlines()
    assert len(shown) > len(plain.splitlines()) == 1
    assert max(map(len, shown)) <= 60
    assert " ".join(shown).split() == plain.split()


def test_no_command_but_the_one_that_is_named_is_loaded() -> None:
    code = "import sys\nfrom grpclab.cli import commands\ncommands.load_command('doctor')\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("grpclab.cli.") for name in done.stdout.split() if name.startswith("grpclab.cli.")}
    assert loaded & set(commands.COMMANDS) == {"doctor"}


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_commands_line_in_the_list_is_its_own(name: str) -> None:
    command = commands.load_command(name)
    assert (command.name, command.short_help) == (name, commands.COMMANDS[name])


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("name", ["", *commands.COMMANDS])
def test_a_help_fits_its_window_and_its_examples_stay_commands(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = commands.load_command(name) if name else commands.PROGRAM
    context = click.Context(command)
    monkeypatch.setenv("COLUMNS", "400")
    wide = command.get_help(context)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = command.get_help(context)
    assert max(map(len, shown.splitlines())) <= columns
    assert shown.replace("\\\n", " ").split() == wide.replace("\\\n", " ").split()
