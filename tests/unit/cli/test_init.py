"""``grpclab init`` writes a file that a study of it takes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import grpclab
from grpclab.cli.commands import main
from grpclab.cli.init import lines
from grpclab.factors.effective import idle_processes
from grpclab.load.calls.encoding import encode
from grpclab.load.calls.request import from_python
from grpclab.load.calls.schema import from_descriptors
from grpclab.servers.target import Target
from grpclab.study.designs.file_design import design
from tests.support.shop import SERVICE, descriptors


@pytest.mark.parametrize(
    ("target", "implementation"),
    [
        (grpclab.App("shop:register"), ""),
        (grpclab.App("shop:register"), "asyncio"),
        (grpclab.Address("[::1]:50061"), ""),
    ],
)
def test_the_file_is_short_and_describes_a_study(target: Target, implementation: str, tmp_path: Path) -> None:
    schema = from_descriptors(file.SerializeToString() for file in descriptors(tmp_path).file)
    method = schema.method(SERVICE, "Place")
    text = lines(target, method, "threads.toml", implementation)
    assert len(text) <= 15
    content = tomllib.loads("\n".join(text))
    assert content["call"]["method"] == f"{SERVICE}/Place"
    assert encode(from_python(content["call"]["data"]), method.input_type, schema.pool)
    made = design(content, tmp_path)
    assert {subject.target.kind for subject in made.subjects.values()} == {target.kind}
    assert len(made.plan.configurations) > 2
    assert not any(idle_processes(one.config) for one in made.plan.configurations), "a connection for each process"


def test_a_file_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    assert main(["init", "--app", "shop:register", "--file", str(path)]) == 2
    assert path.read_text() == "mine"
    assert "expected the name of a new file, but this file already exists" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["init"], ["init", "localhost:1", "--app", "shop:register"]])
def test_one_target_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "grpclab init ADDRESS or grpclab init --app MODULE:NAME" in capsys.readouterr().err
