"""A user's files: where they are looked for, and their text whatever encoding a mark announces."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.system.inputs import beside, decode, read_text

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")  # each but the first writes its mark


@given(st.text().filter(lambda text: "\0" not in text and not text.startswith("\ufeff")), st.sampled_from(ENCODINGS))
def test_a_text_is_read_as_it_was_meant(text: str, encoding: str) -> None:
    assert decode("--data-file", "x", text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_either_order_of_bytes_is_read_after_its_mark(encoding: str) -> None:
    assert decode("--data-file", "x", "\ufeff{}é".encode(encoding)) == "{}é"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": "\xe9"}', "text in UTF-8, or UTF-16 with its byte order mark: byte 7 is 0xe9"),
        (b"\xef\xbb\xbfab\xff", "text in UTF-8: byte 5 is 0xff"),
        ("{}".encode("utf-16-le"), "text in UTF-8, or UTF-16 with its byte order mark: byte 1 is 0x00"),
        (b"\xff\xfea", "text in UTF-16: byte 2 is 0x61"),
    ],
)
def test_bytes_that_are_no_text_are_told_with_their_place(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "ask.json").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_text("--data-file", tmp_path / "ask.json")
    assert str(refused.value) == f"invalid --data-file={tmp_path}/ask.json: expected {told}"


def test_a_file_that_is_not_there_is_told_with_the_folder_that_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, folder in (("ask.json", tmp_path), ("in/ask.json", tmp_path / "in"), ("/no/ask.json", Path("/no"))):
        with pytest.raises(UsageError, match=rf"^invalid --data-file={name}: expected .* in {folder} \(No such file"):
            read_text("--data-file", name)


def test_standard_input_is_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("{}".encode("utf-16"))))
    assert read_text("--data-file", "-") == "{}"


def test_what_a_file_names_lies_beside_it() -> None:
    assert beside("ask.json", Path("a/b")) == "a/b/ask.json"
    assert beside("/c/ask.json", Path("a/b")) == "/c/ask.json"
    assert beside("~/ask.json", Path("a/b")) == str(Path.home() / "ask.json")
    assert beside("-", Path("a/b")) == "-"
