"""The rooms of the house: their doors, maps, floors, sizes and names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import grpclab

ROOT = Path(grpclab.__file__).resolve().parent.parent
PACKAGE = ROOT / "grpclab"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "generated" not in path.parts
}
ROOMS = [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "grpclab"]

DOORS = {
    *("cli", "notebook", "calibration", "report", "study", "analysis", "diagnostics", "profiling", "load", "servers"),
    *("link", "factors", "http2", "system", "text", "metrics", "quantities", "errors", "status", "generated"),
}

REGISTRIES = (
    "grpclab.cli",  # a command is one module
    "grpclab.notebook",  # a notebook is one module
    "grpclab.calibration",  # an experiment is one module
    "grpclab.report.sections",
    "grpclab.report.figures",
    "grpclab.report.renderers",  # a medium is one module
    "grpclab.study.designs",
    "grpclab.load.engines",
)
"""Rooms whose modules are members: each is one file, however small, and is named after what it stands for."""

LARGE: dict[str, str] = {
    "grpclab.calibration.disturbances": "not cut yet",
    "grpclab.factors.config": "not cut yet",
    "grpclab.load.generator": "not cut yet",
    "grpclab.metrics": "one table, a row a column",
    "grpclab.report.figures.history": "not cut yet",
    "grpclab.report.finished": "not cut yet",
    "grpclab.study.runner": "not cut yet",
    "grpclab.study.trial": "not cut yet",
}
"""Modules above 16 kB, and why each is one module."""

ONE_USER: dict[str, str] = {
    "grpclab.analysis.claims.load_claims": "not looked at yet",
    "grpclab.analysis.claims.network_claims": "not looked at yet",
    "grpclab.analysis.inference.functions": "not looked at yet",
    "grpclab.analysis.inference.interaction": "not looked at yet",
    "grpclab.analysis.inference.scalability": "not looked at yet",
    "grpclab.analysis.inference.stability": "not looked at yet",
    "grpclab.analysis.limits.rules": "not looked at yet",
    "grpclab.analysis.notices": "not looked at yet",
    "grpclab.analysis.offered": "not looked at yet",
    "grpclab.diagnostics.app": "its user is the entry point",
    "grpclab.diagnostics.guard": "pure, and the one place where it is decided who is answered",
    "grpclab.http2.answering": "half of the server's side; above 16 kB with the other half",
    "grpclab.http2.asking": "half of the client's side; above 16 kB with the other half",
    "grpclab.http2.frame_counter": "pure where its user is not",
    "grpclab.link.model": "pure where its user is not",
    "grpclab.link.relay": "the program of the link's process",
    "grpclab.load.calls.encoding": "above 16 kB with its user",
    "grpclab.load.calls.fields": "above 16 kB with its user",
    "grpclab.load.calls.protofile": "runs protoc; above 16 kB with its user",
    "grpclab.load.output.chart": "a drawing, whatever it shows; above 16 kB with its user",
    "grpclab.load.output.config_file": "pure where its user, a command, is not",
    "grpclab.load.output.ghz_config": "the keys of another tool, a subject of its own",
    "grpclab.load.output.html": "loaded only where a notebook shows a result",
    "grpclab.load.output.progress": "its user is a command",
    "grpclab.load.watching": "not looked at yet",
    "grpclab.profiling.processes": "its user is a command",
    "grpclab.profiling.strace": "a profiler is one module",
    "grpclab.report.index": "not looked at yet",
    "grpclab.report.site": "a medium of its own, which `grpclab report --site` writes",
    "grpclab.servers.elastic": "a thread pool with nothing of gRPC in it",
    "grpclab.servers.prometheus": "loaded only where the factor asks for it: prometheus_client is optional",
    "grpclab.servers.reference.foreground": "loads the server, which the parser of its command must not",
    "grpclab.servers.reference.protocol": "one connection, where its user is the process",
    "grpclab.study.artifacts": "not looked at yet",
    "grpclab.study.planning": "not looked at yet",
    "grpclab.study.window": "not looked at yet",
    "grpclab.system.tether": "a program of its own, run by its path, with the standard library alone",
}
"""Modules that one other module imports, and why they are modules of their own."""

FILE_NAMES: dict[str, str] = {
    "child": "the same part of both servers, the greeter's and the reference server's",
    "engines": "not renamed yet",
    "evidence": "not renamed yet",
    "foreground": "the same part of both servers, the greeter's and the reference server's",
    "launcher": "the same part of both servers, the greeter's and the reference server's",
    "notices": "not renamed yet",
    "progress": "not renamed yet",
    "serving": "the same part of both servers, the greeter's and the reference server's",
}
"""File names that stand in two rooms, beside members of registries, and why."""

CLASS_NAMES: dict[str, str] = {
    "Claim": "not renamed yet",
    "Level": "not renamed yet",
    "Line": "not renamed yet",
    "Rung": "not renamed yet",
    "Spot": "not renamed yet",
}
"""Class names that stand in two modules, and why."""


CIRCLES: set[str] = {
    "grpclab.study.store",
    "grpclab.study.trial",
}
"""Modules that import themselves through others."""
CIRCULAR_ROOMS: set[str] = {"grpclab.study"}
"""Rooms with modules that import each other in a circle."""


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of this package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                if node.module == "grpclab" and alias.name in grpclab._HOMES:
                    member = f"grpclab.{grpclab._HOMES[alias.name]}"
                found |= {member if member in MODULES else node.module} & set(MODULES)
    return frozenset(found - {name, "grpclab"})


def child(room: str, module: str) -> str | None:
    """The module or room inside a room that a module is, or lies in."""
    if not module.startswith(f"{room}."):
        return None
    return module.removeprefix(f"{room}.").partition(".")[0]


def drawn(room: str) -> list[str]:
    """The map of a room: the names in its docstring, in their order."""
    text = ast.get_docstring(tree(room), clean=False) or ""
    return [name.rstrip("/") for name in re.findall(r"^    (\w+/?)  ", text, re.MULTILINE)]


def test_the_doors_of_the_ground_floor_are_those_of_the_design() -> None:
    there = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == DOORS


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_of_a_room_is_complete_and_nothing_on_it_imports_from_below(room: str) -> None:
    names = drawn(room)
    assert len(names) == len(set(names))
    assert set(names) == {child(room, name) for name in MODULES if child(room, name)} - {"__main__"}
    if room in CIRCULAR_ROOMS:
        return
    place = {name: number for number, name in enumerate(names)}
    for module in MODULES:
        own = child(room, module)
        for other in imported(module) if own and own != "__main__" else ():
            there = child(room, other)
            if there and there != own:
                assert place[there] < place[own or ""], f"{module} imports {other}, which the map draws below it"


def test_no_module_is_larger_than_a_reader_wants_to_read_at_once() -> None:
    large = {name for name, path in MODULES.items() if path.stat().st_size > 16_000}
    assert large == set(LARGE)


def test_a_module_that_one_other_uses_is_a_member_of_a_registry_or_has_a_reason() -> None:
    users = Counter(other for name in MODULES for other in imported(name))
    lonely = {
        name
        for name, path in MODULES.items()
        if users[name] == 1 and path.name != "__init__.py" and name.rpartition(".")[0] not in REGISTRIES
    }
    assert lonely == set(ONE_USER)


def test_no_file_name_stands_for_two_things() -> None:
    names = Counter(
        name.rpartition(".")[2]
        for name in MODULES
        if name.rpartition(".")[0] not in REGISTRIES and not name.endswith("__main__")
    )
    assert {name for name, times in names.items() if times > 1} == set(FILE_NAMES)


def test_no_class_name_stands_for_two_things() -> None:
    names = Counter(node.name for module in MODULES for node in tree(module).body if isinstance(node, ast.ClassDef))
    assert {name for name, times in names.items() if times > 1 and not name.startswith("_")} == set(CLASS_NAMES)


def test_no_module_imports_itself_through_others() -> None:
    uses = {name: set(imported(name)) for name in MODULES}
    while ends := [
        name for name in uses if not uses[name] & set(uses) or not any(name in all_ for all_ in uses.values())
    ]:
        for name in ends:
            del uses[name]
    assert set(uses) == CIRCLES
