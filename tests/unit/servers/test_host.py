"""What the host of an application decides without a server: arguments, names, files, kinds of handlers."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import ServerConfig
from grpclab.servers.hosting import application, host

SETTINGS = {"threads": 10, "implementation": "sync", "processes": 1}


def bound(register: Callable[..., Any], **arguments: str) -> dict[str, Any]:
    return host.bind(register, SimpleNamespace(app="shop.server:register", settings=SETTINGS), arguments)


def refusal(register: Callable[..., Any], **arguments: str) -> str:
    with pytest.raises(host._RefusedError) as refused:
        bound(register, **arguments)
    return str(refused.value)


def test_a_parameter_is_filled_by_the_server_factor_of_its_name() -> None:
    def register(server: Any, threads: int, *, implementation: str) -> None: ...

    assert bound(register) == {"threads": 10, "implementation": "sync"}


def test_a_parameter_that_is_no_server_factor_is_filled_by_the_argument_of_its_name() -> None:
    def register(server: Any, shelf: str, depth: int = 1) -> None: ...

    assert bound(register, shelf="a b") == {"shelf": "a b"}
    assert bound(register, shelf="", depth="7") == {"shelf": "", "depth": 7}


def test_a_required_parameter_that_nothing_fills_is_refused() -> None:
    def register(server: Any, shelf: str) -> None: ...

    assert "set arg.shelf" in refusal(register)


def test_an_argument_that_no_parameter_takes_is_refused_with_the_nearest_name() -> None:
    def register(server: Any, shelf: str = "") -> None: ...

    line = refusal(register, shelv="7")
    assert line.startswith("invalid arg.shelv=7: expected ")
    assert line.endswith("did you mean shelf?")


def test_an_argument_beside_the_server_factor_of_its_name_is_refused() -> None:
    def register(server: Any, threads: int) -> None: ...

    assert "server.threads sets it" in refusal(register, threads="7")


def test_keywords_take_every_argument_that_is_left() -> None:
    def register(server: Any, threads: int, **others: str) -> None: ...

    assert bound(register, a="1", b="2") == {"threads": 10, "a": "1", "b": "2"}


def test_a_parameter_that_cannot_be_named_cannot_be_required() -> None:
    def register(server: Any, shelf: str, /) -> None: ...

    assert "shelf cannot" in refusal(register, shelf="a")


@pytest.mark.parametrize("register", [lambda: None, lambda *, server: None, lambda **all_: None])
def test_a_function_that_takes_no_server_is_refused(register: Callable[..., Any]) -> None:
    assert "takes the server first" in refusal(register)


def test_a_class_and_an_object_that_is_called_are_functions_too() -> None:
    class Shop:
        def __init__(self, server: Any, depth: int) -> None: ...

    class Made:
        def __call__(self, server: Any, depth: int) -> None: ...

    assert bound(Shop, depth="2") == bound(Made(), depth="2") == {"depth": 2}


@pytest.mark.parametrize(
    ("text", "annotation", "default", "value"),
    [
        ("7", int, inspect.Parameter.empty, 7),
        ("7", "int", inspect.Parameter.empty, 7),
        ("7", str, 3, "7"),
        ("7", inspect.Parameter.empty, inspect.Parameter.empty, "7"),
        ("7", inspect.Parameter.empty, None, "7"),
        ("7", inspect.Parameter.empty, 3, 7),
        ("7", inspect.Parameter.empty, 3.0, 7.0),
        ("off", inspect.Parameter.empty, True, False),
        ("none", int | None, None, None),
        ("7", int | None, None, 7),
        ("none", str, "", "none"),
    ],
)
def test_an_argument_is_of_its_parameters_kind(text: str, annotation: Any, default: Any, value: Any) -> None:
    found = host.convert("depth", text, annotation, default)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("kind", [int, float, bool])
def test_an_argument_of_another_kind_is_refused(kind: type) -> None:
    with pytest.raises(host._RefusedError, match=r"^invalid arg\.depth=deep: expected "):
        host.convert("depth", "deep", kind, None)


# ---- handlers ----------------------------------------------------------------------------------------------------


def plain(request: bytes, context: Any) -> bytes:
    return b""


async def coroutine(request: bytes, context: Any) -> bytes:
    return b""


async def stream(request: bytes, context: Any) -> Any:
    yield b""


class Called:
    async def __call__(self, *_: Any) -> bytes:
        return b""


@functools.wraps(coroutine)
def runs_it(request: bytes, context: Any) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("make", "function", "is_async"),
    [
        (grpc.unary_unary_rpc_method_handler, plain, False),
        (grpc.unary_unary_rpc_method_handler, runs_it, False),
        (grpc.unary_unary_rpc_method_handler, coroutine, True),
        (grpc.stream_unary_rpc_method_handler, functools.partial(coroutine), True),
        (grpc.stream_unary_rpc_method_handler, Called(), True),
        (grpc.unary_stream_rpc_method_handler, stream, True),
        (grpc.stream_stream_rpc_method_handler, stream, True),
    ],
)
def test_a_handler_that_only_an_event_loop_can_run_is_told(make: Any, function: Any, is_async: bool) -> None:
    assert host._is_async(make(function)) == is_async


# ---- files and names ---------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package of which a part has been imported."""
    for name in ("shop_till/__init__.py", "shop_till/server.py", "shop_till/later.py", "till_stubs.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_files_of_an_application_are_those_that_it_imported_from_its_folder(shop: Path) -> None:
    importlib.import_module("shop_till.server")
    importlib.import_module("till_stubs")
    found = {file["name"]: file for file in host._Files(str(shop), "shop_till.server:register").imported()}
    assert list(found) == ["shop_till/__init__.py", "shop_till/server.py", "till_stubs.py"]
    content = b"# shop_till/server.py\n"
    assert found["shop_till/server.py"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["shop_till/server.py"]["bytes"] == len(content)


def test_an_installed_applications_files_are_those_of_its_package(shop: Path, tmp_path: Path) -> None:
    importlib.import_module("shop_till.server")
    importlib.import_module("till_stubs")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    found = host._Files(str(elsewhere), "shop_till.server:register").imported()
    assert {file["sha256"] for file in found} == {
        hashlib.sha256((shop / name).read_bytes()).hexdigest()
        for name in ("shop_till/__init__.py", "shop_till/server.py")
    }


def test_libraries_in_an_environment_inside_the_folder_are_not_the_applications(tmp_path: Path) -> None:
    files = host._Files(str(tmp_path), "shop:register")
    assert files.holds(str(tmp_path / "shop.py"))
    assert not files.holds(str(tmp_path / ".venv/lib/python3.11/site-packages/grpc/__init__.py"))
    assert not files.holds(str(tmp_path.parent / "shop.py"))


def test_a_name_that_is_not_there_brings_the_nearest_of_the_folder(shop: Path) -> None:
    names = list(host.modules_in(str(shop)))
    assert sorted(names) == ["shop_till", "shop_till.later", "shop_till.server", "till_stubs"]
    assert host.near("server", names) == "; did you mean shop_till.server?"
    assert host.near("till_stub", names) == "; did you mean till_stubs?"
    assert host.near("quite_another", names) == ""


@pytest.mark.parametrize("text", ["", "shop", "shop:", ":register", "shop.server:register()", "shop-1:x", "a b:c"])
def test_what_is_not_module_and_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected MODULE:NAME"):
        application.check_application(text)
    application.check_application("shop.server:App.register")


@pytest.mark.parametrize("name", application.OF_THE_GREETER)
def test_a_factor_that_an_application_has_not_is_refused(name: str) -> None:
    level: Any = {"handler_wait_ms": "5"}.get(name, 7)
    with pytest.raises(FactorError, match=rf"^invalid server\.{name}="):
        application.check_factors(ServerConfig(**{name: level}))
    application.check_factors(ServerConfig())


def test_the_path_of_an_interpreter_is_not_followed_for_its_environment_is_known_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert application.interpreter("./python") == str(link)
    assert application.interpreter("") == sys.executable
    for missing in ("./none", "no-such-python", str(tmp_path)):
        with pytest.raises(UsageError, match=r"^invalid python="):
            application.interpreter(missing)


def test_the_host_imports_nothing_but_the_standard_library() -> None:
    script = (
        "import sys, runpy; before = set(sys.modules); runpy.run_path(sys.argv[1], run_name='host');"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, host.__file__], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
    assert os.path.basename(host.__file__) == "host.py"
