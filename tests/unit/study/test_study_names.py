"""The automatic name of a study has the identity of its servers' programs."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grpclab.analysis.study_plan import StoredFile, StoredProgram
from grpclab.errors import DesignError
from grpclab.study.runner import Study
from grpclab.study.server_programs import with_programs

FILE = """
headline = "arg.threads=8"
[target]
command = "{python} {server} --port {{port}} --threads {{threads}}"
[call]
method = "a.Shop/Buy"
data = {{id = 1}}
[factors]
arg.threads = [4, 8]
"""


@pytest.fixture
def server(tmp_path: Path) -> Path:
    path = tmp_path / "server.py"
    path.write_text("print(1)\n")
    (tmp_path / "till.toml").write_text(FILE.format(python=sys.executable, server=path))
    return path


def study(server: Path, name: str | None = None) -> Study:
    return Study.described(server.parent / "till.toml", name, root=server.parent)


def test_two_runs_of_one_plan_with_other_programs_have_folders_of_their_own(server: Path) -> None:
    first = study(server).begin()
    assert re.fullmatch("till-[0-9a-f]{6}", first.name)
    assert study(server).begin().store.folder == first.store.folder
    server.write_text("print(2)\n")
    second = study(server).begin()
    assert second.plan == first.plan
    assert second.store.folder != first.store.folder
    server.write_text("print(1)\n")
    assert study(server).name == first.name


def test_a_study_that_resumes_by_its_name_says_which_file_changed(server: Path) -> None:
    study(server, "mine").begin()
    server.write_text("print(2)\n")
    with pytest.raises(DesignError, match=r"different program behind its servers \(.*server\.py is a different file\)"):
        study(server, "mine").begin()


def program(sha256: str, **parts: object) -> StoredProgram:
    made = StoredProgram(command="./srv --token s3cret", files=(StoredFile(name="srv", sha256=sha256),))
    return replace(made, **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [
        program("2"),
        program("1", commit="b"),
        program("1", dirty=True),
        program("1", versions={"grpcio": "1.80"}),
    ],
)
def test_each_part_of_the_identity_counts(other: StoredProgram) -> None:
    assert with_programs("till", {"a": program("1")}) != with_programs("till", {"a": other})


def test_neither_the_words_of_a_command_nor_the_number_of_configurations_count() -> None:
    name = with_programs("till", {"a": program("1")})
    assert with_programs("till", {"a": program("1", command="./srv"), "b": program("1")}) == name


def test_a_name_stays_a_name_of_a_study() -> None:
    assert len(with_programs("t" * 64, {"a": program("1")})) == 64
    assert with_programs("till", {}) == with_programs("till", {"a": StoredProgram(address="a:1")}) == "till"
