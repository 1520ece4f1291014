"""The program behind a server's command: whether it can be started, which file it is, and a short name for it.

A command is split into words as a shell would do, but no shell runs it: what only a shell understands is refused
with the words that mean the same without one. Files are read, never run; the one exception is ``--version`` of a
well-known interpreter. Relative paths are those of the folder in which the command runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grpclab.errors import UsageError, invalid
from grpclab.servers.process import filling

PORT, SOCKET = "{port}", "{socket}"
"""What becomes a free port in a command, and the path of a Unix socket."""
VERSION_TIMEOUT_S = 5.0
MOST_LABEL = 40
"""Characters of a default label."""

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")
_LANGUAGES = ("python", "pypy", "node", "nodejs", "ruby", "perl", "php", "java", "dotnet", "deno", "bun")
_INTERPRETER = re.compile(rf"({'|'.join([*_LANGUAGES, *_SHELLS])})[0-9.]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATOR = re.compile(r"&&|\|\||>>|[|;&<>`]|\$\(")
_EXPANSION = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})|(?:(?<=\s)|(?<==)|^)~(?=[/\w]|\s|$)")
_BUILTINS = ("cd", "export", "source", ".", "exec", "ulimit", "eval")
_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE, _GO_HEADER = 2, 32


@dataclass(frozen=True, kw_only=True)
class ProgramFile:
    """A file that a command runs. `version` is "" where the file does not tell one."""

    name: str
    bytes: int
    sha256: str
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """The identity of a server's program: its files, and the versions of what runs them."""

    files: tuple[ProgramFile, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """``python``, ``grpcio``, ``protobuf`` of an application."""
    commit: str = ""
    """The git commit of the folder in which a command runs; "" where that is in no repository."""
    dirty: bool | None = None
    """Whether tracked files of that folder differ from the commit; None where nobody can tell."""


def identity_of(command: str, *, arguments: Mapping[str, str] | None = None, cwd: str = "") -> ServerProgram:
    """What a command would run now, with the arguments of its plan, in the folder `cwd`."""
    from grpclab.system.environment import git_state  # not in a server's process, which starts faster

    try:
        words = filling.filled_words(command, arguments or {})
    except ValueError:
        words = []
    top = _repository(Path(cwd or "."))
    git = git_state(top, only=Path(cwd or ".").resolve()) if top else None
    return ServerProgram(
        files=files_of(words, cwd=cwd) if words else (),
        commit=(git.commit if git else None) or "",
        dirty=git.dirty if git else None,
    )


def _repository(folder: Path) -> Path | None:
    """The top of the git repository in which a folder lies."""
    folder = folder.resolve()
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)


def words_of(
    command: str,
    name: str = "command",
    *,
    arguments: Mapping[str, str] | None = None,
    cwd: str = "",
    built: bool = False,
) -> list[str]:
    """The words of a command that can be started in the folder `cwd`; `name` is the option that gave it.

    `arguments` are filled in, the port is not. Raises UsageError, one line, for shell syntax, a missing ``{port}`` or
    ``{socket}``, and a program or folder that is not there; one given by its path need not be there before it is
    `built`.
    """
    words = plain_words(command, name)
    places = [place for place in (PORT, SOCKET) if place in command]
    if not places or not words:
        raise _refusal(
            command, name, f"the command has no port; write {PORT} in place of the server's port{_unix(command)}"
        )
    if len(places) > 1:
        raise _refusal(
            command, name, f"the command has both {PORT} and {SOCKET}; keep the one on which the server answers calls"
        )
    if not (built and "/" in program_words(words)[0]):
        require_program(command, name, arguments=arguments, cwd=cwd)
    return filling.filled(words, arguments or {})


def require_program(command: str, name: str, *, arguments: Mapping[str, str] | None = None, cwd: str = "") -> None:
    """Raise UsageError, one line, for a command of which no shell is needed, and whose program is not there."""
    words = filling.filled(plain_words(command, name), arguments or {})
    if cwd and not Path(cwd).is_dir():
        raise UsageError(invalid("cwd", cwd, "an existing folder"))
    if not words:
        raise _refusal(command, name, "the command has no program")
    _require_program(command, name, program_words(words)[0], cwd)


def plain_words(command: str, name: str) -> list[str]:
    """The words of a command. Raises UsageError, one line, for shell syntax and open quotes."""
    _refuse_shell(command, name)
    try:
        return shlex.split(command)
    except ValueError:
        fault = "the command has an unclosed quote or ends with a backslash"
        raise _refusal(command, name, fault) from None


def _refusal(command: str, name: str, why: str) -> UsageError:
    return UsageError(f"invalid {name}={shlex.quote(' '.join(command.split()))}: {why}")


def _refuse_shell(command: str, name: str) -> None:
    command = " ".join(command.split())
    expanded = re.sub(r"'[^']*'|\\.", "_", command)  # a shell expands between double quotes, too
    plain = re.sub(r'"[^"]*"', "_", expanded)
    first = command.partition(" ")[0]
    if _ASSIGNMENT.match(first):
        raise _refusal(
            command, name, f"the command is not run in a shell, so {first} cannot be set like this; write env {command}"
        )
    match = _OPERATOR.search(plain) or _EXPANSION.search(expanded)
    if match or first in _BUILTINS:
        word = match[0] if match else first
        whole = command if first in _BUILTINS or _OPERATOR.search(plain) else f"exec {command}"
        raise _refusal(
            command,
            name,
            f"the command is not run in a shell, which would interpret {word!r}; write sh -c {shlex.quote(whole)}",
        )


def _unix(command: str) -> str:
    if re.search(r"unix:|\.sock\b", command):
        return f", or {SOCKET} in place of the path of its Unix socket"
    return ""


def program_words(words: Sequence[str]) -> list[str]:
    """The words from the program on: without ``env`` and the variables that it sets."""
    if os.path.basename(words[0]) != "env":
        return list(words)
    at = 1
    while at < len(words) and (_ASSIGNMENT.match(words[at]) or words[at] in ("-i", "-", "-u", "--")):
        at += 2 if words[at] == "-u" else 1
    return list(words[at:] or words)


def _require_program(command: str, name: str, program: str, cwd: str) -> None:
    if _executable(program, cwd):
        return
    if "/" not in program:
        raise _refusal(command, name, f"there is no program {program} on the PATH; install it, or write its full path")
    path = Path(cwd, program)
    if path.is_dir():
        raise _refusal(command, name, f"{program} is a folder; add the name of the program")
    if path.exists():
        raise _refusal(
            command, name, f"{program} is not executable; run chmod +x on it, or put its interpreter before it"
        )
    raise _refusal(command, name, f"{program} does not exist; the working folder is {Path(cwd).absolute()}")


def _executable(program: str, cwd: str) -> str | None:
    """The file that a program's name stands for in a folder."""
    return shutil.which(os.path.join(cwd, program) if "/" in program else program)


def files_of(words: Sequence[str], cwd: str = "") -> tuple[ProgramFile, ...]:
    """The executable that a command runs and, behind an interpreter, the script, with their SHA-256."""
    words = program_words(words)
    executable = _executable(words[0], cwd)
    if executable is None:
        return ()
    interpreter = bool(_INTERPRETER.fullmatch(os.path.basename(words[0])))
    files = [_file(Path(executable), version=_interpreter_version(executable) if interpreter else None)]
    if interpreter and (script := _script(words, cwd)):
        files.append(_file(Path(cwd, script), version=""))
    return tuple(file for file in files if file is not None)


def _file(path: Path, *, version: str | None) -> ProgramFile | None:
    """`version` None: the file itself may tell one. None for a program that may be run and not read."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    known = go_version(content) if version is None else version
    return ProgramFile(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), version=known)


def _interpreter_version(path: str) -> str:
    try:
        run = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = (run.stdout.strip() or run.stderr.strip()).splitlines()
    return lines[0].strip()[:80] if lines and run.returncode == 0 else ""


def _script(words: Sequence[str], cwd: str = "") -> str | None:
    """The file that an interpreter runs; None for a module, an expression, and where no word is a file."""
    for word in words[1:]:
        if word in ("-m", "-c", "-e"):
            return None
        if Path(cwd, word).is_file():
            return word
    return None


def go_version(content: bytes) -> str:
    """The build of a Go binary: the compiler's version, then the module's or its commit. "" for other files.

    The layout is that of ``debug/buildinfo`` since Go 1.18: 32 bytes of header, then two strings, each after its
    length as a varint; the second is the text of ``go version -m`` between two marks of 16 bytes.
    """
    at = content.find(_GO_MAGIC)
    while at >= 0:
        if len(content) > at + _GO_HEADER and content[at + 15] & _GO_INLINE:
            compiler, end = _varint_text(content, at + _GO_HEADER)
            if compiler.startswith("go") or compiler.startswith("devel"):
                return ", ".join([compiler, *_go_module(_varint_text(content, end)[0])])
        at = content.find(_GO_MAGIC, at + 1)
    return ""


def _varint_text(content: bytes, at: int) -> tuple[str, int]:
    """The text at an offset, and where it ends."""
    length = shift = 0
    while at < len(content) and shift < 32:
        byte = content[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return content[at : at + length].decode("utf-8", "replace"), at + length


def _go_module(text: str) -> list[str]:
    """The module with its version, and the commit."""
    parts = [f"{m[1]} {m[2]}" for m in re.finditer(r"(?m)^mod\t(\S+)\t(\S+)", text) if m[2] != "(devel)"]
    parts += [f"commit {m[1][:12]}" for m in re.finditer(r"(?m)^build\tvcs\.revision=(\w+)", text)]
    return parts


# ---- names -------------------------------------------------------------------------------------------------------


def labels(commands: Sequence[str]) -> list[str]:
    """A short name for each command: its program or script, and where two have the same, what sets them apart."""
    split = [_split(command) for command in commands]
    names = [_name(words, long=False) for words in split]
    if len(set(names)) == len(names):
        return names
    longer = [_name(words, long=True) for words in split]
    names = longer if len(set(longer)) == len(longer) else names
    apart = [[word for word in words[1:] if any(word not in other for other in split)] for words in split]
    if len(set(names)) < len(names):
        names = [" ".join([name, *words]) for name, words in zip(names, apart, strict=True)]
    return [_cut(name) for name in names]


def _split(command: str) -> list[str]:
    words = [word for word in shlex.split(command) if PORT not in word and SOCKET not in word]
    env = [word for word in words if _ASSIGNMENT.match(word)]
    program = program_words(words) if words else [command]
    return [*program, *(word for word in env if word not in program)]


def _name(words: Sequence[str], *, long: bool) -> str:
    program = os.path.basename(words[0])
    path = words[0]
    if program in _SHELLS and "-c" in words[:-1]:
        return _cut(words[words.index("-c") + 1])
    if _INTERPRETER.fullmatch(program):
        if (script := _script(words)) is not None:
            path = script
        elif "-m" in words[:-1]:
            return words[words.index("-m") + 1]
    parts = Path(path).parts
    return _cut("/".join(parts[-2:] if long else parts[-1:]))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_LABEL else f"{text[: MOST_LABEL - 1].rstrip()}…"
