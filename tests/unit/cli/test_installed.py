"""What an installation carries: its extras, the command that adds one, its notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grpclab.cli import commands, report
from grpclab.errors import MissingDependencyError, UsageError
from grpclab.system import optional as extras
from grpclab.system import paths

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({}, "'grpclab[lab]'"),
        ({"url": "file:///home/me/grpclab", "dir_info": {"editable": True}}, "-e '/home/me/grpclab[lab]'"),
        ({"url": "file:///home/me/my%20lab", "dir_info": {}}, "'/home/me/my lab[lab]'"),
        ({"url": "file:///tmp/grpclab-0.1.0-py3-none-any.whl", "archive_info": {}}, "whl'"),
        ({"url": "https://host/lab", "vcs_info": {"vcs": "git", "commit_id": "abc"}}, "git+https://host/lab@abc'"),
    ],
)
def test_an_extra_is_installed_from_where_the_package_came_from(source: dict[str, Any], told: str) -> None:
    word = extras._requirement("lab", source)
    assert word.endswith(told)
    assert "[lab]" in word


def test_a_missing_package_is_told_with_a_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError) as error, extras.needs_extra("study"):
        import jinja2  # noqa: F401
    assert str(error.value).endswith(extras.install_command("study"))


def installed_with(extra: str) -> set[str]:
    """The distributions that an installation with one extra has, by their normalized names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    left = [*project["dependencies"], *project["optional-dependencies"][extra]]
    found: set[str] = set()
    while left:
        requirement = Requirement(left.pop())
        name = canonicalize_name(requirement.name)
        if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            found.add(name)
            left += metadata.requires(name) or []
    return found


def loaded_by(module: str) -> dict[str, set[str]]:
    """The packages of others that a process loads with a module, each with the distributions that may have it."""
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = metadata.packages_distributions()
    packages = {name.partition(".")[0] for name in done.stdout.split()} & set(owners)
    packages -= {"grpclab", "grpc_tools"}  # the latter by grpcio, if it is there
    return {package: set(map(canonicalize_name, owners[package])) for package in packages}


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("grpclab.diagnostics.app", "desk"),
        ("grpclab.servers.prometheus", "desk"),
        ("grpclab.servers.tracing", "tracing"),
        ("grpclab.servers.pygrpc", "pygrpc"),
        ("grpclab.cli.prompts", "menu"),
    ],
)
def test_an_extra_installs_what_its_modules_load(module: str, extra: str) -> None:
    loaded, installed = loaded_by(module), installed_with(extra)
    assert loaded
    assert {package for package, owners in loaded.items() if not owners & installed} == set()


def test_the_readmes_one_line_installs_all_that_it_shows() -> None:
    text = (ROOT / "README.md").read_text()
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "pip install -e '.[all]'" in text
    assert "pip install -e '.[lab]'" not in text
    assert set(optional) - {"all", "dev", "docs"} == {
        *("betterproto2", "check", "cluster", "connectrpc", "desk", "grpclib", "lab", "menu", "pygrpc", "study", "tls"),
        "tracing",
    }
    assert optional["all"][0] == "grpclab[check,cluster,desk,lab,menu,tls,tracing]", "lab has study in it"
    assert any(word.startswith("grpcio-tools") for word in optional["all"])


# ---- grpclab notebook ----------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_notebook_is_listed_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["notebook"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == paths.notebooks()
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", ["sweep", "sweep.ipynb"])
def test_a_notebook_is_copied_whole(here: Path, name: str) -> None:
    assert commands.main(["notebook", name]) == 0
    assert (here / "sweep.ipynb").read_bytes() == paths.notebook("sweep").read_bytes()
    nbformat.validate(nbformat.read(here / "sweep.ipynb", as_version=4))
    assert commands.main(["notebook", name]) == 0, "the same file is no harm"


def test_ones_own_work_is_not_replaced_unless_that_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = here / "sweep.ipynb"
    mine.write_text("mine")
    assert commands.main(["notebook", "sweep"]) == UsageError.exit_code
    assert "--force" in capsys.readouterr().err
    opened: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, words: opened.append(words))
    assert commands.main(["notebook", "sweep", "--open"]) == 0
    assert (mine.read_text(), opened[0][-1]) == ("mine", "sweep.ipynb")
    assert commands.main(["notebook", "sweep", "--force"]) == 0
    assert mine.read_bytes() == paths.notebook("sweep").read_bytes()


def test_a_wheel_carries_the_notebooks_where_they_are_looked_for() -> None:
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert included["force-include"] == {"notebooks": "grpclab/notebooks"}


# ---- grpclab report NAME -------------------------------------------------------------------------------------


def test_a_report_is_found_by_the_studys_name_and_a_wrong_one_is_told_with_the_near(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(here))
    folder = here / "results" / "monday"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert report.stored_folder("monday") == folder
    assert report.stored_folder("results/monday") == Path("results/monday")
    for wrong, told in (
        ("mondya", "did you mean monday?"),
        ("zzz", "results has monday"),
        ("results/mondai", "monday?"),
    ):
        assert commands.main(["report", wrong]) == 2
        assert told in capsys.readouterr().err


def test_factors_are_plain_values_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["factors", "--json", "-"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["server.threads"]["default"] == 10
    assert rows["load.engine"]["choices"] == ["wire", "grpcio"]
    assert rows["server.max_concurrent_rpcs"]["environment_variable"] == "GRPC_CONCURRENCY_LIMIT"
