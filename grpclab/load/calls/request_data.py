"""The requests of a call, read from whatever gives them: JSON, lines of JSON, CSV, length-delimited messages, Python.

:func:`read_requests` makes a :class:`RequestSource` of it, whose items are trees (:mod:`grpclab.load.calls.request`)
or the bytes of messages. One request and a plain list repeat; a template, a callable and an iterator give another
request for each call.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.binary_requests import MessageCheck, delimited
from grpclab.load.calls.call_options import RANDOM, RECORDED, DataOptions
from grpclab.load.calls.data_file import DataFile
from grpclab.load.calls.descriptors import schema_digest
from grpclab.load.calls.encoding import encoder
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.calls.request import Number, from_python, parse, symbols
from grpclab.load.calls.templates import Template, TemplateValues, is_template, key_of
from grpclab.system.inputs import decode

_LISTS = ("google.protobuf.ListValue", "google.protobuf.Value")
"""Messages whose own JSON may be a list."""
_NUMBER = re.compile(r"-?\d+")
_TYPE_NAME = re.compile(r'"@type"\s*:\s*"[^"]*/([A-Za-z_][\w.]*)"')
_EXTENSION = re.compile(r'"\[([A-Za-z_][\w.]*)\]"\s*:')

Made = tuple[Any, str | int]
"""A tree or the bytes of a message, and where it stands, for errors: its index in a list, or words."""


@dataclass(frozen=True, kw_only=True)
class RequestSource:
    """Requests before they are encoded.

    `items` are the trees, or bytes, in order. `endless` items differ from call to call, and as many are taken as calls
    are planned; `repeats` tells whether the load may begin again after the last.
    """

    items: Iterator[Made]
    endless: bool = False
    repeats: bool = True
    file: str = ""
    """The file of JSON that they come from, for errors; "" where their places name it, or there is none."""


_FILES: dict[str, str] = {}
"""The files whose text this process has read as one request or a list, by their text."""
_MOST_FILES = 16


def text_of_file(text: str, name: str) -> str:
    """The text, of which errors will say that it is the file's."""
    while len(_FILES) >= _MOST_FILES:
        del _FILES[next(iter(_FILES))]
    _FILES[text] = name
    return text


def read_requests(data: Any, kind: Descriptor, options: DataOptions, values: TemplateValues) -> RequestSource:
    """The requests that `data` gives, for messages of a kind. Raises UsageError."""
    return _Reader(kind, options, values).read(data)


class _Reader:
    def __init__(self, kind: Descriptor, options: DataOptions, values: TemplateValues) -> None:
        self._kind, self._options, self._values = kind, options, values
        self._listed = kind.full_name not in _LISTS

    def read(self, data: Any) -> RequestSource:
        if isinstance(data, str | DataFile):
            return self._written(data)
        if isinstance(data, bytes | bytearray):
            return _messages(bytes(data), "standard input")
        if isinstance(data, Sequence | np.ndarray) and self._listed:
            return _of_trees([from_python(item) for item in data], self._values, self._options)
        if callable(data):
            return RequestSource(items=_called(data), endless=True, repeats=self._options.repeat)
        if isinstance(data, Iterator):
            given = ((_made(item), _at(number)) for number, item in enumerate(data))
            return RequestSource(items=given, endless=True, repeats=self._options.repeat)
        return _of_trees([from_python(data)], self._values, self._options, one=True)

    def _written(self, data: str | DataFile) -> RequestSource:
        file = DataFile.of(data) if isinstance(data, str) else data
        if file is None:
            return self._text(str(data), _FILES.get(str(data), ""), self._options.format or "json")
        name, format_ = str(file.path), self._options.format_of(file.path.name)
        if format_ == "binary":
            return _messages(file.content, name)
        if format_ == RECORDED:
            raise UsageError(invalid("--data-file", name, "requests of one method: a recording has methods of its own"))
        return self._text(decode("--data-file", name, file.content), name, format_)

    def _text(self, text: str, name: str, format_: str) -> RequestSource:
        if format_ == "binary":
            raise UsageError(invalid("--data-format", format_, "a file of messages: give it with --data-file"))
        if format_ == "csv":
            rows = _rows(text, name or "data", self._kind)
            places = [where for _, where in rows]
            return _of_trees([tree for tree, _ in rows], self._values, self._options, places=places)
        if format_ == "jsonl":
            return self._lines(text, name or "data")
        if is_template(text):
            return _rendered([(Template(text), name)], self._values, self._options)
        tree = _parsed(text, name)
        several = isinstance(tree, list) and self._listed
        trees = tree if several else [tree]
        return replace(_of_trees(trees, self._values, self._options, one=not several), file=name)

    def _lines(self, text: str, name: str) -> RequestSource:
        lines = [(line, f"line {at} of {name}") for at, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if any(is_template(line) for line, _ in lines):
            return _rendered([(Template(line), where) for line, where in lines], self._values, self._options)
        return RequestSource(items=((_parsed(line, where), where) for line, where in lines))


def symbols_in(data: Any, options: DataOptions) -> list[str]:
    """The names of messages that requests mention, for reflection; those of what differs from call to call are unknown.

    Raises UsageError for JSON that is none.
    """
    if callable(data) or isinstance(data, Iterator | bytes | bytearray):
        return []
    if not isinstance(data, str):
        return symbols(from_python(data))
    if file := DataFile.of(data):
        return _mentioned(file.content.decode(errors="replace"))
    return _mentioned(data) if options.format not in ("", "json") or is_template(data) else symbols(parse(data))


def _mentioned(text: str) -> list[str]:
    names = dict.fromkeys([*_TYPE_NAME.findall(text), *_EXTENSION.findall(text)])
    return [name for name in names if not name.startswith("google.protobuf.")]


def encoded(
    data: Any,
    kind: Descriptor,
    pool: DescriptorPool,
    options: DataOptions,
    values: TemplateValues,
    *,
    planned: int,
) -> bytes | Payloads:
    """The one request that `data` gives, or the file of its many; `planned` of those that differ from call to call.

    JSON and files are encoded once for a study: by their content, the schema and the options. Raises UsageError.
    """
    if not isinstance(data, str):
        return _encoded(read_requests(data, kind, options, values), kind, pool, options, planned)[0]
    file = DataFile.of(data)
    content = data.encode("utf-8", "surrogatepass") if file is None else file.content
    text = content.decode(errors="replace")
    key: tuple[object, ...] = (
        data if file is not None else "",  # the end of its name says the format, and errors name it
        hashlib.sha256(content).digest(),
        schema_digest(kind, pool, _mentioned(text)),
        options,
        key_of(values, text),
        planned if options.order == RANDOM and is_template(text) else 0,  # else the first ones are always the same
    )

    def encode() -> tuple[bytes | Payloads, bool]:
        return _encoded(read_requests(file or data, kind, options, values), kind, pool, options, planned)

    return PAYLOAD_FOLDER.once(key, planned, encode)


def _encoded(
    source: RequestSource, kind: Descriptor, pool: DescriptorPool, options: DataOptions, planned: int
) -> tuple[bytes | Payloads, bool]:
    """The same, and whether it is endless."""
    encode, check = encoder(kind, pool), MessageCheck(kind)

    def messages() -> Iterator[bytes]:
        for tree, where in itertools.islice(source.items, planned if source.endless else None):
            try:
                place = (None, where) if isinstance(where, int) else None
                yield check(tree) if isinstance(tree, bytes) else encode(tree, place)
            except UsageError as error:
                places = [where if isinstance(where, str) else "", source.file]
                raise _placed(error, " of ".join(filter(None, places))) from None

    made = messages()
    first = list(itertools.islice(made, 2))
    if len(first) == 1 and not source.endless:
        return first[0], False
    shuffled_by = options.seed if options.order == RANDOM else None
    written = PAYLOAD_FOLDER.write(
        itertools.chain(first, made),
        repeat=source.repeats,
        shuffled_by=shuffled_by,
        planned=planned if source.endless else None,
    )
    return written, source.endless


def _messages(content: bytes, name: str) -> RequestSource:
    return RequestSource(items=iter(delimited(content, name)))


def _at(number: int) -> str:
    """A request by its number, which is that of ``{{.RequestNumber}}``: the first has 0."""
    return f"request number {number:,}"


def _placed(error: UsageError, where: str) -> UsageError:
    """The error with its place."""
    return UsageError(f"{error} ({where})" if where else str(error))


def _called(function: Callable[..., Any]) -> Iterator[Made]:
    """The requests of a callable, which is given the number of each, from 0."""
    for number in itertools.count():
        yield _made(function(number)), _at(number)


def _made(value: Any) -> Any:
    """What a program gives as one request: the bytes of its message, JSON as a text, or values."""
    if isinstance(value, bytes):
        return value
    return parse(value) if isinstance(value, str) else from_python(value)


def _parsed(line: str, where: str) -> Any:
    try:
        return parse(line)
    except UsageError as error:
        raise _placed(error, where) from None


def _rendered(templates: Sequence[tuple[Template, str]], values: TemplateValues, options: DataOptions) -> RequestSource:
    """JSON that is rendered anew for each call."""

    def items() -> Iterator[Made]:
        for number, (template, where) in enumerate(itertools.cycle(templates)):
            place = ", ".join(filter(None, [_at(number), where]))
            yield _parsed(template.render(number, values), place), place

    return RequestSource(items=items(), endless=True, repeats=options.repeat)


def _of_trees(
    trees: Sequence[Any],
    values: TemplateValues,
    options: DataOptions,
    *,
    one: bool = False,
    places: Sequence[str] = (),
) -> RequestSource:
    """Trees, whose texts may be templates; `one` of them is called "data" in errors; `places` are in words."""
    if not any(_has_templates(tree) for tree in trees):
        return RequestSource(
            items=iter([(tree, "" if one else places[at] if places else at) for at, tree in enumerate(trees)])
        )

    def items() -> Iterator[Made]:
        for number, (tree, where) in enumerate(itertools.cycle(zip(trees, places or [""] * len(trees), strict=True))):
            yield _filled(tree, number, values), ", ".join(filter(None, [_at(number), where]))

    return RequestSource(items=items(), endless=True, repeats=options.repeat)


def _has_templates(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(_has_templates(inner) for inner in tree.values())
    if isinstance(tree, list):
        return any(map(_has_templates, tree))
    return isinstance(tree, str) and is_template(tree)


def _filled(tree: Any, number: int, values: TemplateValues) -> Any:
    if isinstance(tree, dict):
        return {key: _filled(inner, number, values) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [_filled(inner, number, values) for inner in tree]
    return Template(tree).render(number, values) if isinstance(tree, str) and is_template(tree) else tree


# ---- files -------------------------------------------------------------------------------------------------------


def _rows(text: str, name: str, kind: Descriptor) -> list[tuple[Any, str]]:
    """The rows of CSV: the header has names of fields, ``price.units`` for one inside; an empty cell is not set.

    Each has its place behind it, ``line 3 of FILE``.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(rows, [])]
        if not any(header) or len(set(header)) < len(header):
            raise UsageError(invalid("--data-file", name, "a header of CSV with names of fields, each once"))
        columns = [(column.split("."), _field(kind, column.split("."))) for column in header]
        trees = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                expected = f"{len(header)} cells in line {rows.line_num}, as in its header; it has {len(row)}"
                raise UsageError(invalid("--data-file", name, expected))
            tree: dict[str, Any] = {}
            for (parts, field), cell in zip(columns, row, strict=True):
                if cell:
                    inner = tree
                    for part in parts[:-1]:
                        inner = inner.setdefault(part, {})
                    inner[parts[-1]] = _cell(cell, field)
            trees.append((tree, f"line {rows.line_num} of {name}"))
    except csv.Error as error:
        raise UsageError(invalid("--data-file", name, f"CSV; line {rows.line_num}: {error}")) from None
    return trees


def _field(kind: Descriptor, parts: Sequence[str]) -> FieldDescriptor | None:
    """The field of a column; None where there is none, which the encoder tells."""
    field: FieldDescriptor | None = None
    inside: Descriptor | None = kind
    for part in parts:
        by_json = {one.json_name: one for one in inside.fields} if inside is not None else {}
        field = by_json.get(part) or (inside.fields_by_name.get(part) if inside is not None else None)
        if field is None:
            return None
        inside = field.message_type
    return field


def _cell(cell: str, field: FieldDescriptor | None) -> Any:
    """The value of a cell: text where the field takes it, else JSON."""
    if field is None or is_template(cell):
        return cell
    if field.is_repeated or (field.message_type is not None and cell[0] in '{["-0123456789tf'):
        try:
            return parse(cell) if cell[0] in "[{" or not field.is_repeated else cell
        except UsageError:
            return cell
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"true": True, "1": True, "false": False, "0": False}.get(cell.strip().lower(), cell)
    if field.enum_type is not None and _NUMBER.fullmatch(cell):
        return Number(cell)
    return cell
