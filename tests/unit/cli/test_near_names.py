"""A name that is not there: the nearest is told; and what the TAB key offers."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from grpclab.cli import commands
from grpclab.factors.variants import VARIANTS
from tests.support.command import GRPCLAB


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stored study."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    (tmp_path / "results" / "monday").mkdir(parents=True)
    (tmp_path / "results" / "monday" / "manifest.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("benhc", "bench"),
        ("bench --rat 5", "--rate"),
        ("bench --set server.thread=4", "server.threads"),
        ("bench --engine wir", "wire"),
        ("bench --set load.arrival=poison", "poisson"),
        ("bench --format jsn", "json"),
        ("compare basic optimised", "optimized"),
        ("compare results/mondya:a basic", "results/monday"),
        ("compare results/mondya:a results/monday:b", "results/monday"),
        ("serve optimzed", "optimized"),
        ("study --design idel", "idle"),
        ("report mondai", "monday"),
        ("notebook swep", "sweep"),
    ],
)
def test_the_nearest_name_is_told(here: Path, capsys: pytest.CaptureFixture[str], words: str, near: str) -> None:
    code: object = None
    with contextlib.suppress(SystemExit):
        code = commands.main(words.split())
    error = capsys.readouterr().err
    assert code in (None, 2)
    assert f"did you mean {near}" in error


def offered(words: list[str], shell: str = "bash") -> list[str]:
    """What TAB offers behind these words, of which the last has been begun."""
    environ = {
        "COMP_WORDS": " ".join(["grpclab", *words]),
        "COMP_CWORD": str(len(words)) if shell != "fish" else words[-1],
        "_GRPCLAB_COMPLETE": f"{shell}_complete",
    }
    done = subprocess.run(GRPCLAB, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_commands_are_offered_with_their_lines_in_zsh(here: Path) -> None:
    found = offered([""], "zsh")
    assert found[1::3] == list(commands.COMMANDS)
    assert found[2::3] == list(commands.COMMANDS.values())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bench", "--rat"], ["plain,--rate"]),
        (["bench", "--set", "server.thr"], ["plain,server.threads="]),
        (["compare", "basic", ""], [f"plain,{name}" for name in (*VARIANTS, "results/monday")]),
        (["report", "mon"], ["plain,monday"]),
        (["bench", "--proto", ""], ["file,"]),
    ],
)
def test_options_factors_variants_and_studies_are_offered(here: Path, words: list[str], expected: list[str]) -> None:
    assert offered(words) == expected


def test_behind_a_factor_its_levels_are_offered(here: Path) -> None:
    (here / "grpclab.toml").write_text("[bnch]\n")  # a mistake there is no concern of TAB
    words = ["bench", "--set", "server.implementation=a"]
    assert offered(words, "fish") == ["plain,server.implementation=asyncio"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bench", "--set", "server.implementation", "=", "a"], ["plain,asyncio"]),
        (["bench", "--set", "server.tls", "="], ["plain,true", "plain,false"]),
        (["bench", "--engine", "=", "w"], ["plain,wire"]),
    ],
)
def test_bash_splits_words_at_equals_signs(here: Path, words: list[str], expected: list[str]) -> None:
    assert offered(words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    env = {**os.environ, "_GRPCLAB_COMPLETE": f"{shell}_source"}
    done = subprocess.run(GRPCLAB, env=env, capture_output=True, text=True, check=False)
    assert f"{shell}_complete" in done.stdout
