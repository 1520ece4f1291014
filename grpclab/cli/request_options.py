"""The options of the requests of a call: where they come from, and how they are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.call_options import IN_TURN, DataOptions
from grpclab.system.inputs import STDIN, read_text, unreadable

AT = "@"
"""The beginning of a --data that names a file."""
MOST_TEXT_BYTES = 1 << 16
"""A larger file of requests is named in what is stored, not copied."""


def metadata_given(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of --metadata and one for --metadata-file, which is read when the metadata is needed."""
    from grpclab.load.calls.metadata import file_word

    file = given.get("metadata_file")
    return (*given.get("metadata", ()), *([file_word(file)] if file else []))


def schema_file(given: Mapping[str, Any]) -> str | None:
    """The file of --proto or --protoset; None without one. Raises UsageError."""
    if given.get("proto") and given.get("protoset"):
        raise UsageError("--proto and --protoset both specify the schema: remove one of them")
    return given.get("proto") or given.get("protoset")


def data_options(given: Mapping[str, Any], seed: int = 1) -> DataOptions:
    """How the requests are read and sent. Raises UsageError."""
    return DataOptions(
        format=given.get("data_format") or "",
        order=given.get("data_order") or IN_TURN,
        repeat=bool(given.get("data_repeat")),
        seed=seed,
    )


def ignored_fields(text: str | None) -> tuple[str, ...]:
    """The fields of --ignore-fields. Raises UsageError."""
    names = tuple(name.strip() for name in (text or "").split(",")) if text is not None else ()
    if not all(names):
        raise UsageError(invalid("--ignore-fields", text, "field names separated by commas, e.g. time,trace.id"))
    return names


def request_data(given: Mapping[str, Any]) -> Any:
    """The requests that --data or --data-file give: JSON, ``@FILE`` for a file of many, or what a configuration holds.

    None without any. Raises UsageError.
    """
    data, file = given.get("data"), given.get("data_file")
    if data is not None and file is not None:
        raise UsageError("--data and --data-file both specify the request: remove one of them")
    if file is not None:
        return _of_file("--data-file", file, data_options(given))
    if isinstance(data, str) and data.startswith(AT):
        return _of_file("--data", data.removeprefix(AT) or STDIN, data_options(given))
    return data.removeprefix("\ufeff") if isinstance(data, str) else data


def _of_file(option: str, name: str, options: DataOptions) -> Any:
    """The text of one request, or ``@FILE`` where a file holds many: it is read when they are encoded."""
    from grpclab.load.calls.request_data import text_of_file

    format_ = options.format_of(name)
    if name == STDIN:
        return (
            sys.stdin.buffer.read() if format_ == "binary" else text_of_file(read_text(option, name), "standard input")
        )
    try:
        size = os.stat(name).st_size
    except OSError as error:
        raise unreadable(option, name, "a readable file", error) from None
    if format_ == "json" and size <= MOST_TEXT_BYTES:
        return text_of_file(read_text(option, name), name)
    return f"{AT}{os.path.abspath(name)}"
