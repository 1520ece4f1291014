"""The project as a whole: names, stubs, notebooks, environment, errors, places."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import papermill
import pytest
import yaml

import grpclab
from grpclab import analysis, errors
from grpclab.factors.tonic import mapping_markdown
from grpclab.notebook.trial import TrialNotebook
from grpclab.study.parameters import StudyParameters
from grpclab.system.paths import notebook, project_root
from tests.support.notebook_runs import parameters_cell

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "grpclab"
MODULES = sorted(PACKAGE.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_one_module_opens_every_channel() -> None:
    openers = re.compile(r"\b(?:in)?secure_channel\(")
    assert [path.name for path in MODULES if openers.search(path.read_text()) and "generated" not in path.parts] == [
        "channels.py"
    ]


# ---- public names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [grpclab, analysis], ids=lambda room: room.__name__)
def test_type_checkers_see_the_names_where_they_are_loaded_from(room: ModuleType) -> None:
    for_type_checkers = {
        alias.name: (node.module or "").removeprefix(f"{room.__name__}.")
        for node in ast.walk(ast.parse(inspect.getsource(room)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("grpclab")
        for alias in node.names
    }
    modules = {name: home.rpartition(".")[0] for name, home in getattr(room, "_MODULES", {}).items()}
    assert for_type_checkers == room._HOMES | modules
    assert room.__all__ == list(room._HOMES | modules)


@pytest.mark.parametrize("name", grpclab.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(grpclab, name)
    assert inspect.getdoc(found)
    assert name in dir(grpclab)
    home = getattr(found, "__module__", None)
    assert home is None or home == f"grpclab.{grpclab._HOMES[name]}" or not callable(found)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'benchmark'"):
        grpclab.benchmark  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, grpclab.factors.config; print([n for n in ('grpc', 'numpy', 'pandas') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_version_has_one_source() -> None:
    source = ROOT / pyproject()["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{grpclab.__version__}"\n' in source.read_text()
    assert pyproject()["project"]["dynamic"] == ["version"]
    assert "version" not in pyproject()["project"]


# ---- errors --------------------------------------------------------------------------------------------------


def test_the_tree_in_the_docstring_is_the_tree_of_errors() -> None:
    drawn: dict[str, tuple[int, str]] = {}  # name: depth, and what is said of its exit code
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)(\w+Error)\s+(exit (\d))?", line):
            drawn[found[2]] = (len(found[1]) // 4, found[4] or "")
    classes = {
        name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, errors.GrpclabError)
    }
    assert set(drawn) == set(classes)
    for name, (depth, code) in drawn.items():
        ancestors = [c for c in classes[name].__mro__[1:] if issubclass(c, errors.GrpclabError)]
        assert len(ancestors) == depth, name
        if code:
            assert classes[name].exit_code == int(code), name
        else:
            assert classes[name].exit_code == ancestors[0].exit_code, name


def test_a_usage_error_is_a_value_error_and_a_notebook_shows_one_line() -> None:
    assert issubclass(errors.FactorError, ValueError)
    assert errors.FactorError("server.tls=2 is not possible")._render_traceback_() == [
        "grpclab: server.tls=2 is not possible"
    ]


# ---- places --------------------------------------------------------------------------------------------------


def test_the_root_is_the_clone_from_any_of_its_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPCLAB_ROOT", raising=False)
    assert project_root(ROOT / "notebooks") == project_root(PACKAGE / "load") == ROOT


def test_outside_a_clone_the_root_is_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRPCLAB_ROOT", raising=False)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    monkeypatch.chdir(tmp_path)
    assert project_root() == tmp_path


def test_the_variable_beats_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    assert project_root(ROOT) == tmp_path


# ---- what is generated or written down twice -----------------------------------------------------------------


def test_the_stubs_are_what_protoc_makes_of_the_proto(tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Igrpclab/generated=proto", *out, "proto/greet.proto"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    fresh = {p.name: p.read_text() for p in (tmp_path / "grpclab" / "generated").iterdir()}
    committed = {p.name: p.read_text() for p in (PACKAGE / "generated").glob("greet*") if p.suffix in (".py", ".pyi")}
    assert set(fresh) == {"greet_pb2.py", "greet_pb2.pyi", "greet_pb2_grpc.py"}
    assert fresh == committed


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(*extras: str) -> set[str]:
    """The requirements of these extras, those of the extras they name included."""
    found: set[str] = set()
    for extra in extras:
        for requirement in pyproject()["project"]["optional-dependencies"][extra]:
            own = re.fullmatch(r"grpclab\[([\w,-]+)\]", requirement)
            found |= requirements(*own[1].split(",")) if own else {requirement}
    return found


def test_the_conda_environment_installs_what_the_project_asks_for() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in environment if isinstance(entry, dict))
    core = set(pyproject()["project"]["dependencies"])
    assert len(set(pip)) == len(pip)
    assert set(pip) == core | requirements("all") | {"-e ."}
    assert f"python{pyproject()['project']['requires-python']}" in environment
    assert "pip" in environment


def test_the_guides_table_from_tonic_is_the_generated_one() -> None:
    assert mapping_markdown() in (ROOT / "docs" / "from-tonic.md").read_text()


def test_nothing_in_the_repository_knows_the_folder_it_was_written_in() -> None:
    folder = b"/" + b"work/"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(files) > 50
    assert [f.name for f in files if f.is_file() and folder in f.read_bytes()] == []


def test_what_tests_are_skipped_without_is_told_and_ci_installs_it() -> None:
    """Debian's packages that a reason or an error names; and no bare reason of pytest's own."""
    files = [path.read_text() for folder in ("tests", "grpclab") for path in sorted((ROOT / folder).rglob("*.py"))]
    lists = [names for text in files for names in re.findall(r"apt(?:-get)? install ([a-z0-9 -]+)", text)]
    named = {name for names in lists for name in names.split()} - {"golang-go"}  # Go is installed where there is none
    installed = re.search(r"for package in (.*?); do", (ROOT / ".ci" / "run").read_text(), re.DOTALL)
    assert installed is not None
    assert len(named) > 5
    assert named <= set(installed[1].split())
    assert not [text for text in files if re.search(r"importorskip\((?![^)]*reason=)", text)]


# ---- notebooks -----------------------------------------------------------------------------------------------


def test_the_parameters_of_the_sweep_are_the_parameters_of_a_study() -> None:
    cell, fields = parameters_cell("sweep"), StudyParameters.__dataclass_fields__
    assert list(cell) == list(fields)
    for name, (kind, _, said) in cell.items():
        declared = str(fields[name].type)
        assert kind == ("str" if declared.startswith("tuple") else declared), name
        assert said == fields[name].metadata["meaning"], name
    assert StudyParameters.from_namespace({name: default for name, (_, default, _) in cell.items()}) == (
        StudyParameters()
    )


def test_the_parameters_of_a_trial_are_those_its_notebook_reads_each_with_its_help() -> None:
    cell = parameters_cell("trial")
    assert set(cell) == set(TrialNotebook.NAMES)
    for name, (kind, default, said) in cell.items():
        assert kind == type(default).__name__, name
        assert said, name
    assert TrialNotebook({name: default for name, (_, default, _) in cell.items()}).config.load.requests == 2500


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_valid_stripped_and_thin(path: Path) -> None:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    assert found.metadata.kernelspec.name == "python3"
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert code
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
        statements = ast.parse(cell.source).body
        assert not any(isinstance(s, ast.FunctionDef | ast.ClassDef | ast.For | ast.If) for s in statements)


def test_both_notebooks_are_found_by_name() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"sweep", "trial"}
    assert all(notebook(path.stem).read_bytes() == path.read_bytes() for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_reads_every_line_of_a_parameters_cell(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An equals sign in a comment is enough for it to pass over a parameter."""
    (cell,) = (
        cell for cell in nbformat.read(path, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])
    )
    wanted = [line.partition(":")[0] for line in cell.source.splitlines() if line and not line.startswith("#")]
    assert list(papermill.inspect_notebook(str(path))) == wanted
    assert not caplog.records
