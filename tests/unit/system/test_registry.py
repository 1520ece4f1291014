"""Registries: names out of a table, or out of the entry points of other packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grpclab.errors import PluginError, UsageError
from grpclab.system.registry import Registry

Install = Callable[..., None]
GROUP = "grpclab.shelf"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes a package with entry points importable: ``install("owner", {"name": "module:attribute"})``."""

    def installed(package: str, points: dict[str, str]) -> None:
        place = tmp_path / package
        about = place / f"{package}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}\n" for name, value in points.items()]
        (about / "entry_points.txt").write_text("".join([f"[{GROUP}]\n", *lines]))
        monkeypatch.syspath_prepend(str(place))

    return installed


@pytest.fixture
def shelf() -> Registry[object]:
    return Registry(GROUP, "tool", {"dumps": "json:dumps", "loads": "json:loads"})


def test_a_built_in_name_is_loaded_from_its_module_once_and_in_the_order_of_the_table(shelf: Registry[object]) -> None:
    assert shelf["loads"] is json.loads
    assert shelf.builtin == ("dumps", "loads")
    assert list(shelf) == ["dumps", "loads"]


def test_a_name_of_another_package_is_found_and_comes_after_those_built_in(
    shelf: Registry[object], install: Install
) -> None:
    install("pretty", {"pretty": "pprint:pformat", "a": "pprint:pprint"})
    assert "pretty" in shelf
    assert list(shelf) == ["dumps", "loads", "a", "pretty"]
    assert getattr(shelf["pretty"], "__name__", "") == "pformat"


def test_a_built_in_name_cannot_be_replaced(shelf: Registry[object], install: Install) -> None:
    install("thief", {"loads": "pickle:loads"})
    assert shelf["loads"] is json.loads
    assert list(shelf) == ["dumps", "loads"]


@pytest.mark.parametrize(("name", "hint"), [("dump", "did you mean dumps?"), ("xyz", "expected one of dumps, loads")])
def test_an_unknown_name_is_answered_with_the_nearest_ones(shelf: Registry[object], name: str, hint: str) -> None:
    assert name not in shelf
    with pytest.raises(UsageError) as error:
        shelf[name]
    assert str(error.value) == f"unknown tool {name!r}: {hint}"


@pytest.mark.parametrize("value", ["no_such_module:x", "json:no_such_attribute", "this_raises:x"])
def test_what_does_not_load_is_one_line_that_names_the_package(
    shelf: Registry[object], install: Install, tmp_path: Path, value: str
) -> None:
    install("broken", {"b": value})
    (tmp_path / "broken" / "this_raises.py").write_text("1 / 0\n")
    with pytest.raises(PluginError) as error:
        shelf["b"]
    assert error.value.exit_code == 2
    assert f"'b' of broken ({value})" in str(error.value)
    assert "\n" not in str(error.value)


def test_two_packages_with_one_name_are_refused_and_named(shelf: Registry[object], install: Install) -> None:
    install("one", {"b": "json:dumps"})
    install("two", {"b": "json:loads"})
    with pytest.raises(PluginError, match=r"one .* and two|two .* and one"):
        shelf["b"]


def test_naming_what_is_built_in_reads_no_entry_points() -> None:
    """Help, and an ordinary configuration, cost no look at the disk."""
    program = (
        "import sys, importlib.metadata\n"
        "def refused(*_, **__): raise AssertionError\n"
        "importlib.metadata.entry_points = refused\n"
        "from grpclab.factors.config import TrialConfig\n"
        "from grpclab.factors.registries import ENGINES\n"
        "from grpclab.__main__ import main\n"
        "TrialConfig().replace({'load.engine': 'grpcio', 'load.arrival': 'poisson'})\n"
        "ENGINES['wire']\n"
        "sys.argv = ['grpclab', 'study', '--help']\n"
        "main()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
