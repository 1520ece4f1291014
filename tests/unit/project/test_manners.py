"""The manners of a public project: releases, workflows, commit hooks, the citation."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import grpclab
from tools import release

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
SOURCES = ("pyproject.toml", "grpclab/__init__.py", "CHANGELOG.md", "CITATION.cff")


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_todays_version_may_be_released_from_its_repository() -> None:
    assert list(release.problems(f"v{grpclab.__version__}", REPOSITORY)) == []
    assert release.main([f"v{grpclab.__version__}"]) == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "named"),
    [
        ("grpclab/__init__.py", f'"{grpclab.__version__}"', '"9.9.9"', ["tag=v", "CHANGELOG.md", "CITATION.cff"]),
        ("CHANGELOG.md", f"## {grpclab.__version__} - ", "## Unreleased ", ["CHANGELOG.md", "CITATION.cff"]),
        ("CITATION.cff", "date-released: 2", "date-released: 1", ["CITATION.cff"]),
        ("pyproject.toml", f'Repository = "{REPOSITORY}"', 'Repository = "https://example.org"', ["Repository="]),
    ],
)
def test_what_does_not_agree_with_a_tag_is_named(copy: Path, name: str, old: str, new: str, named: list[str]) -> None:
    text = (copy / name).read_text()
    assert old in text
    (copy / name).write_text(text.replace(old, new))
    found = list(release.problems(f"v{grpclab.__version__}", REPOSITORY, copy))
    assert len(found) == len(named)
    assert all(word in line for word, line in zip(named, found, strict=True))


def test_a_wrong_tag_is_an_exit_code_of_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["v0.0.0", "--repository", REPOSITORY]) == 1
    assert capsys.readouterr().err.startswith("invalid tag=v0.0.0: expected v")


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    found = workflow("release")
    assert found["permissions"] == {}
    assert {name: job["permissions"] for name, job in found["jobs"].items()} == {
        "build": {"contents": "read"},
        "publish": {"id-token": "write"},
    }
    assert found["jobs"]["publish"]["environment"]["name"] == "pypi"
    runs = [step["run"] for step in found["jobs"]["build"]["steps"] if "run" in step]
    assert "tools.release" in runs[0]


def test_every_supported_python_is_tested() -> None:
    tested = workflow("test")["jobs"]["test"]["strategy"]["matrix"]["python"]
    classified = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert tested == classified
    assert PROJECT["requires-python"] == f">={tested[0]}"


def test_commit_hooks_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    commands = [re.sub(r" --\S+", "", hook["entry"]).replace(".venv/bin/", "$(BIN)/") for hook in hooks]
    assert [command for command in commands if command not in check] == []
    assert len(commands) > 4
