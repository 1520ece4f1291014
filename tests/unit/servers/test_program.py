"""The program behind a command: what a shell would have to do is refused, files are told by their hash and version."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.servers.process import program


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("THREADS=4 ./srv --port {port}", "env THREADS=4 ./srv --port {port}"),
        ("cd x && ./srv {port}", "sh -c 'cd x && ./srv {port}'"),
        ("./srv {port} | tee log", "sh -c './srv {port} | tee log'"),
        ("./srv {port} > log", "sh -c './srv {port} > log'"),
        ("./srv {port} &", "sh -c './srv {port} &'"),
        ("$HOME/srv {port}", "sh -c 'exec $HOME/srv {port}'"),
        ('./srv --dir "${HOME}/x" {port}', "sh -c 'exec ./srv --dir \"${HOME}/x\" {port}'"),
        ("~/srv {port}", "sh -c 'exec ~/srv {port}'"),
        ("source env.sh", "sh -c 'source env.sh'"),
    ],
)
def test_what_only_a_shell_understands_is_refused_with_what_to_write_instead(command: str, instead: str) -> None:
    with pytest.raises(UsageError) as caught:
        program.words_of(command)
    assert str(caught.value).endswith(f"write {instead}")


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'cd x && exec ./srv --port {port}'",
        "env THREADS=4 sh -c './srv $PORT' {port}",
        "sh --pattern '^a$' {port}",
        r"sh --price 5\$ a~b {port}",
        "sh --name 'a & b' {port}",
    ],
)
def test_quoted_words_go_to_the_program_as_they_are(command: str) -> None:
    assert program.words_of(command)


@given(st.text(max_size=30).filter(lambda text: "{port}" not in text))
def test_text_that_is_no_command_is_refused_in_one_line(text: str) -> None:
    told = ""
    try:
        program.words_of(text)
    except UsageError as error:
        told = str(error)
    assert told
    assert "\n" not in told


def test_a_file_that_is_not_executable_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "srv.py"
    file.touch()
    with pytest.raises(UsageError, match="is not executable; run chmod"):
        program.words_of(f"{file} {{port}}")


def test_an_interpreter_and_its_script_are_told_by_name_size_hash_and_version(tmp_path: Path) -> None:
    script = tmp_path / "srv.py"
    script.write_text("pass")
    first, second = program.files_of(["env", "A=1", sys.executable, "-u", str(script), "{port}"])
    assert first.version == f"Python {sys.version.split()[0]}"
    assert (second.name, second.bytes) == ("srv.py", 4)
    assert second.sha256 == hashlib.sha256(b"pass").hexdigest()
    assert program.files_of([sys.executable, "-m", "http.server"])[1:] == (), "a module is no file"


def go_binary(compiler: str, module: str) -> bytes:
    """The part of a Go binary that holds its build information."""
    text = b"\x01" * 16 + module.encode() + b"\x02" * 16
    size = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    return (
        b"\x7fELF" + b"\xff Go buildinf:\x08\x02" + bytes(16) + bytes([len(compiler)]) + compiler.encode() + size + text
    )


def test_a_program_that_cannot_be_read_has_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert program.files_of(["sh", "--port", "{port}"]) == ()


def test_a_go_binary_tells_its_compiler_its_module_and_its_commit() -> None:
    module = "path\tshop/srv\nmod\texample.com/shop\tv1.2.3\th1:x=\nbuild\tvcs.revision=0123456789abcdef\n"
    assert program.go_version(go_binary("go1.25.1", module)) == "go1.25.1, example.com/shop v1.2.3, commit 0123456789ab"
    assert program.go_version(go_binary("go1.25.1", "mod\tshop\t(devel)\n" + " " * 200)) == "go1.25.1"


@given(st.binary(max_size=80))
def test_no_other_file_is_taken_for_a_go_binary(content: bytes) -> None:
    told = program.go_version(b"\xff Go buildinf:" + content)
    assert told == "" or told.startswith(("go", "devel"))
    assert program.go_version(content) == ""


@pytest.mark.parametrize(
    ("commands", "names"),
    [
        (["./old --port {port}", "./new --port {port}"], ["old", "new"]),
        (["old/srv {port}", "new/srv {port}"], ["old/srv", "new/srv"]),
        (["./srv --threads 4 {port}", "./srv --threads 64 {port}"], ["srv 4", "srv 64"]),
        (["env THREADS=4 ./srv {port}", "./srv {port}"], ["srv THREADS=4", "srv"]),
        (["python3 -m shop.server {port}", "node x.js {port}"], ["shop.server", "node"]),
        (["./srv {port}", "./srv {port}"], ["srv", "srv"]),
    ],
)
def test_a_default_name_is_the_program_and_what_sets_two_of_one_name_apart(
    commands: list[str], names: list[str]
) -> None:
    assert program.labels(commands) == names


def test_a_command_takes_a_port_or_a_sockets_path() -> None:
    assert program.words_of("sh --listen unix:{socket}") == ["sh", "--listen", "unix:{socket}"]
    with pytest.raises(UsageError, match=r"has both \{port\} and \{socket\}"):
        program.words_of("sh {port} {socket}")


def test_a_program_and_its_script_are_looked_for_in_the_folder_in_which_they_run(tmp_path: Path) -> None:
    server = tmp_path / "srv"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    assert program.words_of("./srv {port}", cwd=str(tmp_path)) == ["./srv", "{port}"]
    assert [file.name for file in program.files_of(["./srv"], str(tmp_path))] == ["srv"]
    (tmp_path / "srv.py").write_text("pass")
    assert program.files_of([sys.executable, "srv.py"], str(tmp_path))[1].bytes == 4
    with pytest.raises(UsageError, match="does not exist"):
        program.words_of("./srv {port}")
    with pytest.raises(UsageError, match=r"^invalid cwd=.*: expected an existing folder"):
        program.words_of("sh {port}", cwd=str(tmp_path / "gone"))


def test_the_program_itself_may_be_an_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no program gone-for-good"):
        program.words_of("{binary} {port}", arguments={"binary": "gone-for-good"})
    assert program.words_of("{binary} {port}", arguments={"binary": "sh"}) == ["sh", "{port}"]
    assert program.identity_of("{binary} {port}", arguments={"binary": "sh"}, cwd=str(tmp_path)).files[0].name == "sh"


def _git(folder: Path, *words: str) -> str:
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org", *words]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()


def test_the_identity_of_a_command_has_the_commit_of_its_folder_and_whether_it_was_changed(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "till", tmp_path / "other"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "srv.py").write_text("pass")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "first")
    command = f"{sys.executable} srv.py {{port}}"
    first = program.identity_of(command, cwd=str(here))
    assert (first.commit, first.dirty) == (_git(tmp_path, "rev-parse", "HEAD"), False)
    (elsewhere / "srv.py").write_text("changed")
    (here / "results").mkdir()
    (here / "results" / "new.json").touch()
    assert program.identity_of(command, cwd=str(here)) == first, "what a study writes is no change of the program"
    (here / "srv.py").write_text("other")
    second = program.identity_of(command, cwd=str(here))
    assert (second.dirty, second.files == first.files) == (True, False)
    assert program.identity_of(command, cwd=str(elsewhere)).commit == first.commit
