"""The rooms of the house: their doors, maps, floors, sizes and names; what the pure rooms do without.

Every module is parsed once, here, for all tests that read the code of the package.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import grpclab

ROOT = Path(grpclab.__file__).resolve().parent.parent
PACKAGE = ROOT / "grpclab"
ALL = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MODULES = {name: path for name, path in ALL.items() if "generated" not in path.parts}
ROOMS = [name for name, path in MODULES.items() if path.name == "__init__.py" and name != "grpclab"]

DOORS = {
    *("cli", "notebook", "calibration", "testing", "report", "study", "analysis", "diagnostics", "profiling", "load"),
    "cluster",
    *("servers", "link", "factors", "http2", "system", "text"),
    *("metrics", "quantities", "errors", "status", "generated"),
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
    "grpclab.load.output.exporters",  # a format is one module
)
"""Rooms whose modules are members: each is one file, however small, and is named after what it stands for."""

LARGE: dict[str, str] = {
    "grpclab.factors.config": "one table, a row a factor",
    "grpclab.metrics": "one table, a row a column",
    "grpclab.servers.hosting.host": "one self-contained file, run by interpreters that have no grpclab",
}
"""Modules above 16 kB, and why each is one module."""

ONE_USER: dict[str, str] = {
    "grpclab.load.bench_windows": "above 16 kB with its user",
    "grpclab.load.cluster_collection": "above 16 kB with its user",
    "grpclab.load.cluster_rules": "above 16 kB with its user",
    "grpclab.load.machine_parts": "pure where its user is not",
    "grpclab.profiling.perf": "a profiler is one module",
    "grpclab.analysis.claims.load_claims": "claims on calls and CPU, apart from the table that lists all claims",
    "grpclab.analysis.claims.network_claims": "claims on the network, apart from the table that lists all claims",
    "grpclab.analysis.inference.functions": "pure where its user is not",
    "grpclab.analysis.inference.interaction": "pure where its user is not",
    "grpclab.analysis.inference.scalability": "pure where its user is not",
    "grpclab.analysis.inference.stability": "statistics with their own sources, apart from what warns by them",
    "grpclab.analysis.limits.rules": "the table of rules, apart from the answer",
    "grpclab.analysis.offered": "pure where its user is not",
    "grpclab.diagnostics.app": "its user is the entry point",
    "grpclab.diagnostics.guard": "pure, and the one place where it is decided who is answered",
    "grpclab.http2.answers": "a part that its user owns, with a subject of its own; above 16 kB together",
    "grpclab.http2.frame_counter": "pure where its user is not",
    "grpclab.link.model": "pure where its user is not",
    "grpclab.load.calls.binary_requests": "messages that are encoded already, a subject of its own; above 16 kB with"
    " its user",
    "grpclab.load.calls.csv_requests": "requests in CSV, a subject of its own",
    "grpclab.load.calls.encoding": "above 16 kB with its user",
    "grpclab.load.calls.protofile": "runs protoc; above 16 kB with its user",
    "grpclab.load.core.concurrency": "the notation of a schedule of concurrency, beside that of rates; for bench alone",
    "grpclab.load.local_ports": "above 16 kB with its user",
    "grpclab.study.rates": "it measures, and its user plans",
    "grpclab.study.stand_ins": "what a trial says of them, apart from what starts them and all else",
    "grpclab.study.yardstick_loop": "a process of its own, which imports little",
    "grpclab.load.record": "the relay that records; its user, a command, has the words",
    "grpclab.http2.call_reader": "pure where its user is not",
    "grpclab.load.output.chart": "a drawing, whatever it shows; above 16 kB with its user",
    "grpclab.load.output.config_file": "pure where its user, a command, is not",
    "grpclab.load.slice_parts": "pure; above 16 kB with its user",
    "grpclab.load.sliced_load": "the slices, where its user has the window; above 16 kB together",
    "grpclab.load.sliced_worker": "the slices, where its user has the window; above 16 kB together",
    "grpclab.profiling.processes": "its user is a command",
    "grpclab.report.index": "its user is the door of the room",
    "grpclab.report.site": "a medium of its own, which `grpclab report --site` writes",
    "grpclab.servers.hosting.foreground": "loads the hosting, which the parser of its command must not",
    "grpclab.servers.hosting.host": "a program of its own, run by its path, by interpreters that have no grpclab",
    "grpclab.servers.process.preparation": "a program of its own, beside the processes of servers",
    "grpclab.servers.pygrpc": "loaded only where the factor asks for it, by applications' interpreters, too",
    "grpclab.servers.betterproto2_messages": "loaded only where the factor asks for it: betterproto2 is optional",
    "grpclab.servers.connect_application": "runs inside Envoy, where its user is not",
    "grpclab.servers.connect_server": "loaded only where the factor asks for it: pyvoy is optional",
    "grpclab.servers.grpclib_server": "loaded only where the factor asks for it: grpclib is optional",
    "grpclab.servers.interceptors": "loaded by applications' interpreters, too, by its path",
    "grpclab.servers.prometheus": "loaded only where the factor asks for it: prometheus_client is optional",
    "grpclab.servers.reference.foreground": "loads the server, which the parser of its command must not",
    "grpclab.servers.reference.protocol": "one connection, where its user is the process",
    "grpclab.study.sliced_passes": "the slices, where its user has the group; above 16 kB together",
    "grpclab.testing.fake_target": "its user is the door of the room",
    "grpclab.analysis.inference.joint": "statistics with their own source, apart from the studies that are joined",
    "grpclab.study.block_task": "runs on the workers of a cluster, where its user is not",
    "grpclab.study.bisection": "its user is a command",
    "grpclab.study.rejudging": "its user is a command",
    "grpclab.study.revision_walk": "pure where its user is not",
    "grpclab.system.tether": "a program of its own, run by its path, with the standard library alone",
    "grpclab.system.virtual_environments": "loaded only where packages are required",
}
"""Modules that one other module imports, and why they are modules of their own."""

FILE_NAMES: dict[str, str] = {
    "connection": "a connection of HTTP/2, and the one to a Dask cluster: both are what their fields call so",
    "child": "the same part of both servers, the greeter's and the reference server's",
    "foreground": "the same part of both servers, the greeter's and the reference server's",
    "launcher": "the same part of both servers, the greeter's and the reference server's",
    "model": "the pure model of a link, and the values of a study: both are what the design calls so",
    "serving": "the same part of both servers, the greeter's and the reference server's",
    "target": "the target, and what a trial measures of it: the target with its call",
}
"""File names that stand in two rooms, beside members of registries, and why."""

CLASS_NAMES: dict[str, str] = {}
"""Class names that stand in two modules, and why."""


CIRCLES: set[str] = set()
"""Modules that import themselves through others."""


TYPED_ROOMS = (
    *("study", "analysis", "report", "calibration", "cli", "load", "link"),
    *("servers", "diagnostics", "system", "http2", "factors", "text"),
)
PASSES_JSON: dict[str, str] = {
    "analysis.inference.evidence": "JSON in a cell of a frame",
    "analysis.inference.verdict": "writes a part of verdict.json",
    "analysis.judgement": "writes verdict.json",
    "analysis.limits.rules": "writes a part of verdict.json",
    "analysis.setup": "the versions of a manifest, by what they are of",
    "analysis.study_notices": "JSON in a cell of a frame",
    "calibration.deciding": "a row of a frame",
    "calibration.interleaved_noise": "a row of a frame",
    "calibration.page": "writes the JSON of a calibration",
    "calibration.plan": "a notebook's variables, by their names",
    "calibration.slice_edges": "a row of a frame",
    "calibration.sliced_stall": "a row of a frame",
    "calibration.verdicts": "a row of a frame",
    "cli.call_text": "writes what --json asks for",
    "cli.bench": "options of the command line, by their names",
    "cli.bench_output": "options of the command line, by their names",
    "cli.cluster_options": "options of the command line, by their names",
    "cli.defaults": "reads a file of options in TOML",
    "cli.layers": "options of the command line, by their names",
    "cli.options": "options of the command line, by their names",
    "cli.request_options": "options of the command line, by their names",
    "cli.target_options": "options of the command line, by their names",
    "cli.profiled": "writes what --json asks for",
    "factors.config": "writes what --json asks for",
    "load.calls.outline": "an example of a request, as JSON has it",
    "load.calls.encoding": "a request in JSON, as its user writes it",
    "cli.several_calls": "the options of a command, by name",
    "load.cluster_figures": "writes a part of bench's JSON",
    "load.core.recording": "reads and writes lines of JSON",
    "load.calls.mixed_call": "makes values of TOML or JSON",
    "load.core.failures": "writes a part of bench's JSON",
    "load.core.traffic": "reads channelz's JSON, and writes a part of bench's",
    "load.output.config_file": "reads a file of options in TOML or JSON",
    "load.output.formats": "writes bench's JSON",
    "load.output.ghz_config": "reads another tool's options in JSON",
    "load.output.ghz_terms": "writes a part of bench's JSON",
    "report.data": "the JSON inside a page",
    "report.past": "reads and writes the JSON of a summary",
    "report.renderers.json": "writes what a machine reads",
    "report.tables": "the facts of a machine, whatever they are",
    "servers.connect_application": "what connectrpc asks of a service",
    "servers.connect_server": "Envoy's configuration, which is JSON",
    "servers.grpclib_server": "what grpclib asks of a servicer",
    "servers.hosting.host": "reads and writes messages as JSON, without what grpclab reads them with",
    "study.bisection": "writes what --json asks for",
    "study.collection": "the JSON inside a page",
    "study.comparison": "writes what --json asks for",
    "study.designs.file_design": "another package's design, as the values of TOML",
    "study.designs.file_tables": "makes values of TOML",
    "study.designs.file_targets": "makes values of TOML",
    "study.designs.study_file": "makes a value of TOML",
    "study.documents": "reads and writes JSON files",
    "study.group_order": "a notebook's variables, by their names; writes group.json",
    "study.group_result": "writes group.json",
    "study.joint_runs": "writes what --json asks for",
    "study.rejudging": "writes what --json asks for",
    "study.manifests": "a notebook's variables, by their names",
    "study.model": "the values themselves: what they hold of any kind is a dictionary",
    "study.parameters": "a notebook's variables, by their names",
    "study.stored_values": "makes values of JSON",
    "study.trial_order": "a notebook's variables, by their names",
    "system.environment": "versions by distribution",
    "system.inputs": "a mapping that a user passes in",
    "system.interference": "writes a part of result.json",
    "system.json_lines": "makes values of JSON",
    "system.notices": "writes a part of result.json",
    "system.optional": "reads pip's direct_url.json",
    "system.untrusted": "reads JSON",
}
"""Modules of these rooms whose dictionaries are JSON, or options, that are only read, written or passed on."""


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(ALL[name].read_text(encoding="utf-8"))


@cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    """Everything in a module, at any depth."""
    return tuple(ast.walk(tree(name)))


@pytest.fixture(scope="module", autouse=True)
def forget_the_trees() -> Iterator[None]:
    """They take hundreds of megabytes."""
    yield
    tree.cache_clear()
    nodes.cache_clear()


@cache
def imports(name: str) -> frozenset[str]:
    """What a module imports, anywhere in it, by its dotted name: a module, or a name in a module."""
    package = name.split(".") if ALL[name].name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in nodes(name):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            for alias in node.names:
                home = grpclab._HOMES.get(alias.name, alias.name) if module == "grpclab" else alias.name
                found.add(f"{module}.{home}")
    return frozenset(found)


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of this package that a module imports, anywhere in it."""
    found = {one if one in MODULES else one.rpartition(".")[0] for one in imports(name)}
    return frozenset(found & set(MODULES) - {name, "grpclab"})


def child(room: str, module: str) -> str | None:
    """The module or room inside a room that a module is, or lies in."""
    if not module.startswith(f"{room}."):
        return None
    return module.removeprefix(f"{room}.").partition(".")[0]


def drawn(room: str) -> list[str]:
    """The map of a room: the names in its docstring, in their order."""
    text = ast.get_docstring(tree(room), clean=False) or ""
    return [name.rstrip("/") for name in re.findall(r"^    (\w+/?)  ", text, re.MULTILINE)]


# ---- the floors ------------------------------------------------------------------------------------------------------


def floors() -> dict[str, int]:
    """Room or module to the number of its floor, 0 on top, as the package's docstring draws the house."""
    layout = (grpclab.__doc__ or "").partition("floors below it:")[2].partition("\n\nNames")[0]
    lines = re.findall(r"^    (\S+(?:, \S+)*)  ", layout, re.MULTILINE)
    return {name.removesuffix("/"): number for number, line in enumerate(lines) for name in line.split(", ")} | {
        "__main__": -1
    }


def doors_to(name: str) -> set[str]:
    """The doors of the ground floor behind which lies what a module imports, anywhere in it."""
    parts = [one.split(".") for one in imports(name)]
    return {
        door for package, door, *_ in filter(lambda p: len(p) > 1, parts) if package == "grpclab" and door[:2] != "__"
    }


def test_a_module_imports_only_from_the_floors_below_its_own() -> None:
    house = floors()
    rooms = {name: name.split(".")[1] for name in ALL if name != "grpclab"}
    assert set(rooms.values()) <= set(house), "in the layout of grpclab/__init__.py"
    above = {
        name: wrong
        for name, room in rooms.items()
        if (wrong := {door for door in doors_to(name) if door != room and house[door] <= house[room]})
    }
    assert above == {}


def test_the_layout_names_nothing_that_is_not_there() -> None:
    there = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert len(floors()) > 10
    assert set(floors()) <= there


PURE = (
    *("errors", "status", "metrics", "quantities", "link.model", "system.addresses", "profiling.families"),
    *(f"factors.{name}" for name in ("config", "levels", "channel_args", "variants", "service_time")),
    *(f"servers.reference.{name}" for name in ("disturbances", "service")),
    *("load.slo", "study.designs.design", "study.parameters"),
)
PURE_ROOMS = ("http2", "analysis", "load.core")
CLOCKS_AND_SOCKETS = {"asyncio", "grpc", "os", "random", "socket", "subprocess", "threading", "time"}


def test_the_pure_core_has_no_clock_no_socket_and_no_process() -> None:
    pure = [f"grpclab.{name}" for name in PURE]
    for room in PURE_ROOMS:
        inside = [name for name, path in MODULES.items() if name.startswith(f"grpclab.{room}.") and path.stem[0] != "_"]
        assert inside
        pure += inside
    impure = {name: {one.partition(".")[0] for one in imports(name)} & CLOCKS_AND_SOCKETS for name in pure}
    assert {name: found for name, found in impure.items() if found} == {}


# ---- the rooms -------------------------------------------------------------------------------------------------------


def test_the_doors_of_the_ground_floor_are_those_of_the_design() -> None:
    there = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == DOORS


OWN_MAP = ("grpclab.report.sections",)
"""Registries whose members are found by their files: the first line of each docstring is the map, none is drawn."""


@pytest.mark.parametrize("room", OWN_MAP)
def test_a_member_of_a_room_without_a_map_says_what_it_is_and_imports_no_other(room: str) -> None:
    members = {module for module in MODULES if child(room, module)}
    assert members
    for module in members:
        assert (ast.get_docstring(tree(module)) or "").partition("\n")[0].endswith("."), module
        assert not imported(module) & members, f"{module} imports a member beside it"


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in OWN_MAP])
def test_the_map_of_a_room_is_complete_and_nothing_on_it_imports_from_below(room: str) -> None:
    names = drawn(room)
    assert len(names) == len(set(names))
    assert set(names) == {child(room, name) for name in MODULES if child(room, name)} - {"__main__"}
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


JSON_TYPES = ("Any", "Json", "object")
"""What stands for any value in an annotation; `Json` is a name of ours for it."""


def is_dictionary(node: ast.AST) -> bool:
    """Whether an annotation is, or holds, JSON of any shape.

    That is ``dict[str, Any]`` or ``Mapping[str, Json]``, a bare ``dict``, or ``Json`` itself.
    """
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("dict", "Mapping"):
        key, _, value = ast.unparse(node.slice).strip("()").partition(", ")
        return (key == "str" and value in JSON_TYPES) or is_dictionary(node.slice)
    if isinstance(node, ast.Name):
        return node.id in ("dict", "Mapping", "Json")
    return any(is_dictionary(part) for part in ast.iter_child_nodes(node))


@pytest.mark.parametrize(
    ("annotation", "is_json"),
    [
        ("dict[str, Any]", True),
        ("Mapping[str, Any] | None", True),
        ("Mapping[str, object]", True),
        ("Mapping[str, Json]", True),
        ("list[dict[str, Any]]", True),
        ("tuple[str, dict[str, list[dict[str, Any]]]]", True),
        ("Callable[[str], Json]", True),
        ("dict", True),
        ("Sequence[Mapping]", True),
        ("dict[str, Level]", False),
        ("Mapping[str, Mapping[int, str]]", False),
        ("Callable[[str, Any], Any]", False),
        ("Literal['wide', 'narrow']", False),
        ("list[int] | None", False),
    ],
)
def test_json_of_any_shape_is_told_from_values(annotation: str, is_json: bool) -> None:
    assert is_dictionary(ast.parse(annotation, mode="eval").body) == is_json


def functions(body: list[ast.stmt], of: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions of a module and of its classes, and those inside them, by their dotted names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{of}{node.name}", node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node.body, f"{of}{node.name}.")


def annotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    taken = function.args
    arguments = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    found = [function.returns, *(argument.annotation for argument in arguments if argument)]
    return [annotation for annotation in found if annotation]


_TYPES = (ast.Name, ast.Subscript, ast.BinOp)
"""What the value of another name for a type is."""


def dictionaries(name: str) -> set[str]:
    """The functions of a module that take or return a dictionary, and its other names for such a type."""
    found = {who for who, function in functions(tree(name).body) if any(map(is_dictionary, annotated(function)))}
    found |= {
        target.id
        for node in tree(name).body
        if isinstance(node, ast.Assign) and isinstance(node.value, _TYPES) and is_dictionary(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {f"{name.removeprefix('grpclab.')}.{who}" for who in found}


def test_plans_and_verdicts_travel_as_values_not_as_dictionaries() -> None:
    names = [module.removeprefix("grpclab.") for module in MODULES]
    typed = [name for name in names if name.partition(".")[0] in TYPED_ROOMS and name not in PASSES_JSON]
    assert {name: found for name in typed if (found := dictionaries(f"grpclab.{name}"))} == {}


FORK = re.compile(rf"{'preexec_fn'}=|\bos\.{'fork'}\(")
FORKS = {
    "tests/integration/cli/test_signals.py": "a server in a process of its own, as text",
    "tests/integration/study/test_crash_safety.py": "a process of its own, as text",
    "tests/support/hostile_files.py": "a process of its own, which opens no channel",
    "tests/support/stand_ins.py": "a server in a process of its own, as text",
    "tests/unit/notebook/test_imports.py": "a process of its own, as text",
    "tests/unit/study/test_slice_account.py": "a process of its own, as text",
}
"""Files that fork, and why gRPC's threads are not there."""


def test_nothing_forks_beside_the_threads_of_grpc() -> None:
    """There a fork may wait for ever; ``preexec_fn`` makes subprocess fork where it would not."""
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    names = {str(path.relative_to(ROOT)) for path in files if FORK.search(path.read_text())}
    assert names == set(FORKS)


MAKES_MARKUP = {
    "grpclab.load.output.notebook_html": "the element around all that a cell shows, with its own style sheet",
    "grpclab.report.renderers.markdown": "the folds of GitHub's Markdown, which are HTML there",
    "grpclab.report.svg": "the drawings of matplotlib, as elements of a page",
    "grpclab.report.theme": "the drawings of matplotlib",
}
"""Modules that write tags, and why no template does."""
_NAMES = (
    r"a|b|i|p|br|li|ul|ol|dl|dt|dd|td|th|tr|div|pre|img|svg|g|h\d|code|span|small|table|style|script|button|figure|"
    r"details|summary|section|html|title"
)
_TAG = re.compile(rf"<(?:/?(?:{_NAMES})(?: [a-z-]+=|>)|!doctype)", re.IGNORECASE)


def writes_tags(name: str) -> bool:
    """Whether a module makes HTML of strings: an f-string, or one that is added to another, with a tag in it."""
    for node in nodes(name):
        parts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            parts = list(node.values)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
            parts = [node.left, node.right]
        texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if any(_TAG.search(text) for text in texts):
            return True
    return False


def test_html_is_made_by_templates() -> None:
    assert {name for name in MODULES if writes_tags(name)} == set(MAKES_MARKUP)


SCALES = {1e3, 1e6, 1e-3, 1e-6}


def scaled(name: str) -> Iterator[int]:
    """The lines where an f-string scales a number that it writes, as only a time is."""
    for node in nodes(name):
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.BinOp):
            right = node.value.right
            if isinstance(node.value.op, ast.Mult) and isinstance(right, ast.Constant) and right.value in SCALES:
                yield node.lineno


def test_no_module_but_that_of_quantities_scales_a_time_to_write_it() -> None:
    places = {name: list(scaled(name)) for name in MODULES if name != "grpclab.quantities"}
    assert {name: lines for name, lines in places.items() if lines} == {}
