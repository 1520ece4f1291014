"""Requirements as users write them, and environments that are made once, whole or not at all. Nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import MeasurementError, UsageError
from grpclab.system.virtual_environments import _reason, environment, requirements_of, requirements_text

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
VERSIONS = st.sampled_from(["", "==1.70", ">=1.60,<1.70", "~=2.0", "!=3"])
EXTRAS = st.sampled_from(["", "[a]", "[a,b]"])


@given(st.dictionaries(NAMES, st.tuples(EXTRAS, VERSIONS), min_size=1, max_size=5), st.sampled_from([", ", ",", " "]))
def test_requirements_are_read_however_they_are_separated(wanted: dict[str, tuple[str, str]], between: str) -> None:
    text = between.join(f"{name}{extras}{version}" for name, (extras, version) in wanted.items())
    found = requirements_of(text, "--requirements")
    assert [re.split(r"[\[<>=~!]", one)[0] for one in found] == sorted(wanted)
    assert requirements_of(requirements_text(found), "--requirements") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Grpcio == 1.70", ["grpcio==1.70"]),
        ("zope.interface", ["zope-interface"]),
        ("grpcio==1.70, grpcio == 1.70", ["grpcio==1.70"]),
        ("grpcio; python_version < '4'", ['grpcio; python_version < "4"']),
        ("shop @ file:///x/shop-1-py3-none-any.whl", ["shop @ file:///x/shop-1-py3-none-any.whl"]),
        ("@requirements.txt", ["grpcio==1.70", "protobuf<7"]),
        ("grpcio==1.70 @requirements.txt", ["grpcio==1.70", "protobuf<7"]),
        ("@requirements.txt, redis", ["grpcio==1.70", "protobuf<7", "redis"]),
    ],
)
def test_a_requirement_has_one_normal_form(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "requirements.txt").write_text("# ours\nprotobuf<7  # a comment\n\ngrpcio==1.70\n")
    assert list(requirements_of(text, "--requirements", tmp_path)) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected a requirement, e.g. grpcio==1.70"),
        ("grpcio==", "expected a requirement as pip reads it"),
        ("--pre", "expected a requirement as pip reads it"),
        ("-e .", "expected a requirement as pip reads it"),
        ("grpcio==1, grpcio==2", "expected one requirement of grpcio"),
        ("shop @ https://me:secret@shop.example/shop.whl", "expected a URL without a password"),
        ("@nothing.txt", "expected a readable file"),
        ("@options.txt", "expected lines with one requirement each"),
    ],
)
def test_what_is_no_requirement_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "options.txt").write_text("--index-url https://me:secret@index.example\n")
    with pytest.raises(UsageError) as caught:
        requirements_of(text, "--requirements", tmp_path)
    assert str(caught.value).startswith("invalid --requirements=")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


UV = """  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of grpcio==99 and you require
      grpcio==99, we can conclude that your requirements are unsatisfiable.
"""
PIP = """WARNING: something else
ERROR: Could not find a version that satisfies the requirement grpcio==99 (from versions: 1.0, 1.1, 1.2)
ERROR: No matching distribution found for grpcio==99
"""
CONFLICT = """ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (UV, "Because there is no version of grpcio==99 and you require grpcio==99, we can conclude that your"),
        (PIP, "No matching distribution found for grpcio==99"),
        (CONFLICT, "Cannot install a==1 and b==2 because these package versions have conflicting dependencies."),
        ("one\nthe last line\n\n", "the last line"),
        ("", "it gave no reason"),
    ],
)
def test_the_line_that_says_why_is_found(said: str, line: str) -> None:
    assert _reason(said).startswith(line)


# ---- environments ----------------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str, code: str) -> str:
    """A requirement of a package that is made here."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": code,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{one},,\n" for one in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in files.items():
            archive.writestr(one, content)
    return f"{name} @ {path.as_uri()}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments; what is installed comes from this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache" / "grpclab" / "environments"


def test_packages_are_found_before_those_of_the_other_interpreter_and_the_others_behind(
    tmp_path: Path, cache: Path
) -> None:
    wanted = [wheel(tmp_path, "hpack", "99.0", "mine = 1"), wheel(tmp_path, "till", "1.0", "")]
    told: list[str] = []
    made = environment(sys.executable, wanted, tell=told.append)
    assert made.versions == {"hpack": "99.0", "till": "1.0"}
    assert "hpack @ file://" in told[0]
    code = "import hpack, till, grpc; print(hpack.mine, grpc.__version__)"
    done = subprocess.run([made.python, "-c", code], capture_output=True, text=True, check=True)
    import grpc

    assert done.stdout.split() == ["1", grpc.__version__]
    assert environment(sys.executable, wanted, tell=told.append) == made
    assert len(told) == 1, "it is made once"
    kept = {path.name for path in cache.iterdir() if path.is_dir()}
    assert kept == {Path(made.python).parent.parent.name}, "nothing else is left"


@pytest.mark.long
def test_what_cannot_be_installed_is_told_in_one_line_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        environment(sys.executable, ["no-such-package-of-ours==7"])
    assert str(caught.value).startswith("invalid target.requirements=no-such-package-of-ours==7: expected packages")
    assert "No matching distribution found for no-such-package-of-ours==7" in str(caught.value)
    with pytest.raises(MeasurementError) as failed:
        environment(sys.executable, [f"till @ {(tmp_path / 'gone.whl').as_uri()}"])
    assert "\n" not in str(failed.value)
    assert not [path for path in cache.iterdir() if path.is_dir()]


# ---- uv --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments, with uv on the PATH and without the variables that only pip reads."""
    beside_us = str(Path(sys.executable).parent)
    found = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", os.defpath), beside_us]))
    if found is None:
        pytest.skip("uv is missing: pip install uv")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(Path(found).parent), prepend=os.pathsep)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "grpclab" / "environments"


def test_uv_makes_the_same_environment_as_pip(tmp_path: Path, uv: Path) -> None:
    made = environment(sys.executable, [wheel(tmp_path, "hpack", "99.0", "mine = 1")])
    about = (Path(made.python).parent.parent / "pyvenv.cfg").read_text()
    assert re.search(r"^uv = ", about, re.MULTILINE), "uv made it"
    assert made.versions == {"hpack": "99.0"}
    code = "import hpack, grpc; print(hpack.mine, grpc.__version__)"
    done = subprocess.run([made.python, "-c", code], capture_output=True, text=True, check=True)
    import grpc

    assert done.stdout.split() == ["1", grpc.__version__]
    assert [path.name for path in uv.iterdir() if path.is_dir()] == [Path(made.python).parent.parent.name]


def test_what_uv_cannot_install_is_told_in_one_line_and_leaves_nothing(tmp_path: Path, uv: Path) -> None:
    with pytest.raises(UsageError) as caught:
        environment(sys.executable, ["no-such-package-of-ours==7"])
    assert str(caught.value).startswith("invalid target.requirements=no-such-package-of-ours==7: expected packages")
    with pytest.raises(MeasurementError) as failed:
        environment(sys.executable, [f"till @ {(tmp_path / 'gone.whl').as_uri()}"])
    for error in (caught.value, failed.value):
        assert "\n" not in str(error)
    assert not [path for path in uv.iterdir() if path.is_dir()]


@pytest.mark.long
def test_variables_of_pip_keep_uv_out(tmp_path: Path, uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    made = environment(sys.executable, [wheel(tmp_path, "till", "1.0", "")])
    assert "uv = " not in (Path(made.python).parent.parent / "pyvenv.cfg").read_text()
