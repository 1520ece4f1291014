"""A ``.proto`` file and what it imports, made into descriptors by protoc.

protoc wants the folders below which imports lie (its ``-I``). They are given, or found where an import makes them
plain: ``shop/v1/till.proto`` that imports ``common/coin.proto`` lies below the folder that holds both. Each folder is
handed to protoc as a link in a temporary folder, since ``:`` and ``=`` in a path mean something to it.
"""

from __future__ import annotations

import codecs
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from grpclab.errors import MissingDependencyError, UsageError, invalid
from grpclab.load.calls.descriptors import WELL_KNOWN, Files, add, complete, well_known
from grpclab.system.subprocesses import module_command
from grpclab.system.temporary import TemporaryFolder

MOST_FILES = 2000
"""Files that are looked through for a type that is not imported."""

_WARNING = re.compile(r"warning:|^WARNING:|^\[libprotobuf WARNING|^[IW]\d{4} ")
"""The lines of protoc, and of the log below it, that are no errors."""
_LEXEMES = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[\w.]+|\S""", re.DOTALL)
_NOT_DEFINED = re.compile(r'(?:(?P<where>.+?)(?::\d+:\d+)?: )?"(?P<type>[\w.]+)" is not defined\.')
_NOT_IMPORTED = re.compile(
    r'"(?P<type>[\w.]+)" seems to be defined in "(?P<file>[^"]+)", which is not imported by "(?P<by>[^"]+)"'
)
_NOT_FOUND = re.compile(r"(?P<file>\S.*): File not found\.")


def compile_file(path: Path, include: Sequence[Path]) -> bytes:
    """The descriptor set of a file and its imports, which lie below `include`, its own folder, or one found for them.

    Raises UsageError, OSError where it cannot be read, and MissingDependencyError without a compiler.
    """
    compiler = _compiler(path)
    file = Path(os.path.abspath(path))
    roots, known_files = find_roots(file, [Path(os.path.abspath(folder)) for folder in include])
    at = next(number for number, root in enumerate(roots) if file.is_relative_to(root))
    name = file.relative_to(roots[at])
    if any((root / name).exists() for root in roots[:at]):  # protoc would take that one
        roots.insert(0, roots.pop(at))
        at = 0
    with TemporaryFolder() as folder:
        for number, root in enumerate(roots):
            (folder / f"r{number}").symlink_to(root, target_is_directory=True)
        (folder / "known.binpb").write_bytes(FileDescriptorSet(file=known_files.values()).SerializeToString())
        command = [*compiler, *(f"--proto_path=r{number}" for number in range(len(roots))), "--include_imports"]
        command += ["--descriptor_set_in=known.binpb", "--descriptor_set_out=made.binpb", f"r{at}/{name}"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if run.returncode:
            why = _explained(run.stderr, file, roots, compiler)
            raise UsageError(invalid("--proto", path, f"a schema that compiles; {why}"))
        return (folder / "made.binpb").read_bytes()


def _compiler(path: Path) -> list[str]:
    """The command that starts protoc. Raises MissingDependencyError."""
    if importlib.util.find_spec("grpc_tools") is not None:
        return module_command("grpc_tools.protoc")
    if protoc := shutil.which("protoc"):
        return [os.path.abspath(protoc)]
    raise MissingDependencyError(
        f"--proto {path} needs a compiler: run pip install grpcio-tools or apt install protobuf-compiler, or use a "
        "descriptor set created elsewhere with `protoc --include_imports --descriptor_set_out=FILE.binpb`"
    )


def find_roots(file: Path, include: Sequence[Path]) -> tuple[list[Path], Files]:
    """The folders in which protoc has to look, in its order, and the well-known files that lie in none of them.

    Paths are absolute. An import that lies below none of `include` and not beside the file is looked for from each
    folder above the file that imports it.
    """
    roots, known_files = list(include), Files()
    rest, done = [file], {file}
    while rest:
        by = rest.pop()
        for name in imports(by):
            candidates = [*roots, file.parent, by.parent, *by.parent.parents]
            root = next((folder for folder in candidates if (folder / name).is_file()), None)
            if root is None:
                add(known_files, well_known(name))
                continue
            if root not in roots and root != file.parent:
                roots.append(root)
            if root / name not in done:
                done.add(root / name)
                rest.append(root / name)
    complete(known_files)
    return list(dict.fromkeys([*roots, file.parent])), known_files


def imports(file: Path) -> list[str]:
    """The names that a file imports. Raises UsageError where it is not in UTF-8, the only encoding of such files."""
    words = _words(file)
    names = []
    for at, word in enumerate(words):
        if word == "import" and (at == 0 or words[at - 1] in (";", "}")):
            named = [quoted for quoted in words[at + 1 : at + 3] if quoted[0] in "\"'"]
            names += [quoted[1:-1] for quoted in named[:1]]
    return [name for name in names if name.isprintable() and not name.startswith("/")]  # others no file can have


def _words(file: Path) -> list[str]:
    """The file in words and marks, without comments."""
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(
            invalid("--proto", file, "UTF-8 text, the only encoding for .proto files; this file is UTF-16")
        )
    words = _LEXEMES.findall(content.decode("utf-8-sig", errors="replace"))
    return [word for word in words if not word.startswith(("//", "/*"))]


# ---- what protoc says, in the words of somebody who can mend it ------------------------------------------------------


def _explained(output: str, file: Path, roots: Sequence[Path], compiler: Sequence[str]) -> str:
    lines = [re.sub(r"^r\d+/", "", line.strip()) for line in output.splitlines()]
    lines = [line for line in lines if line and not _WARNING.search(line)]
    first = lines[0] if lines else "protoc did not say why it failed"
    if lost := _NOT_FOUND.fullmatch(first):
        by = next((line.partition(":")[0] for line in lines if f'Import "{lost["file"]}"' in line), file.name)
        where = ", ".join(str(root) for root in roots)
        return (
            f'{by} imports "{lost["file"]}", which is not in {where};'
            " use --proto-path to add the folder that this path is relative to"
        )
    if match := _NOT_IMPORTED.search(first):
        return _import_line(match["by"], match["type"], match["file"])
    if match := _NOT_DEFINED.fullmatch(first):
        by = match["where"] or file.name
        homes = _home(match["type"], by, file, roots)
        return _import_line(by, match["type"], homes) if homes else first
    if len(compiler) == 1 and "edition" in _words(file)[:1]:
        return f"{first}; this protoc may be too old for protobuf editions; run pip install grpcio-tools"
    return first


def _import_line(by: str, type_: str, home: str) -> str:
    return f'{by} uses {type_} without importing it; add the line import "{home}";'


def _home(type_: str, by: str, file: Path, roots: Sequence[Path]) -> str | None:
    """The name by which the file that defines a type is imported, where one can be found."""
    using = next((root / by for root in roots if (root / by).is_file()), file)
    package = _package(_words(using))
    scopes = [package.rsplit(".", cut)[0] if cut else package for cut in range(package.count(".") + 1)]
    candidates = [f"{scope}.{type_}".lstrip(".") for scope in (*scopes, "")]
    for name in candidates:
        if name in WELL_KNOWN:
            return WELL_KNOWN[name]
    for root, neighbour in _nearby(roots):
        words = _words(neighbour)
        start = _package(words) + "."
        defined = {
            (start + words[at + 1]).lstrip(".") for at, word in enumerate(words[:-1]) if word in ("message", "enum")
        }
        if any(name == kind or name.startswith(kind + ".") for name in candidates for kind in defined):
            return neighbour.relative_to(root).as_posix()
    return None


def _nearby(roots: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """The ``.proto`` files below the folders, a bounded number."""
    looked = 0
    for root in roots:
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "node_modules")
            for name in sorted(names):
                looked += 1
                if looked > MOST_FILES:
                    return
                if name.endswith(".proto"):
                    yield root, Path(folder, name)


def _package(words: Sequence[str]) -> str:
    return next((words[at + 1] for at, word in enumerate(words[:-1]) if word == "package"), "")
