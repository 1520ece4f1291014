"""The requests of a call, read from whatever gives them: JSON, lines of JSON, CSV, length-delimited messages, Python.

:func:`read_requests` makes a :class:`RequestSource` of it, whose items are trees (:mod:`grpclab.load.calls.request`)
or the bytes of messages. One request and a plain list repeat; a template, a callable and an iterator give another
request for each call.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.errors import UsageError, invalid
from grpclab.http2.messages import prefixed
from grpclab.load.calls.binary_requests import MessageCheck, messages_in
from grpclab.load.calls.call_options import RANDOM, RECORDED, DataOptions, StreamData
from grpclab.load.calls.csv_requests import rows
from grpclab.load.calls.data_file import DataFile
from grpclab.load.calls.descriptors import schema_digest
from grpclab.load.calls.encoding import encoder
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.calls.request import Place, from_python, parse, symbols
from grpclab.load.calls.templates import Template, TemplateValues, is_template, key_of
from grpclab.system.inputs import decode

_LISTS = ("google.protobuf.ListValue", "google.protobuf.Value")
"""Messages whose own JSON may be a list."""
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


def read_requests(
    data: Any, kind: Descriptor, options: DataOptions, values: TemplateValues, streams: StreamData | None = None
) -> RequestSource:
    """The requests that `data` gives, for messages of a kind. Raises UsageError.

    With `streams` a request may be a list: the messages that the client streams in one call.
    """
    return _Reader(kind, options, values, streams).read(data)


class _Reader:
    def __init__(
        self, kind: Descriptor, options: DataOptions, values: TemplateValues, streams: StreamData | None
    ) -> None:
        self._kind, self._options, self._values, self._streams = kind, options, values, streams
        self._listed = kind.full_name not in _LISTS
        self._dynamic = streams is not None and streams.dynamic

    def read(self, data: Any) -> RequestSource:
        source = self._source(data)
        if self._dynamic and not source.endless:
            expected = "data with templates, e.g. {{newUUID}}, to fill in for each message"
            raise UsageError(invalid("load.stream_dynamic", "true", expected))
        return source

    def _source(self, data: Any) -> RequestSource:
        if isinstance(data, str | DataFile):
            return self._written(data)
        if isinstance(data, bytes | bytearray):
            return self._messages(bytes(data), "standard input")
        if isinstance(data, Sequence | np.ndarray) and (self._listed or self._streams is not None):
            return self._list([from_python(item) for item in data])
        if callable(data):
            return RequestSource(items=_called(data), endless=True, repeats=self._options.repeat)
        if isinstance(data, Iterator):
            given = ((_made(item), _at(number)) for number, item in enumerate(data))
            return RequestSource(items=given, endless=True, repeats=self._options.repeat)
        return self._trees([from_python(data)], one=True)

    def _written(self, data: str | DataFile) -> RequestSource:
        file = DataFile.of(data) if isinstance(data, str) else data
        if file is None:
            return self._text(str(data), _FILES.get(str(data), ""), self._options.format or "json")
        name, format_ = str(file.path), self._options.format_of(file.path.name)
        if format_ == "binary":
            return self._messages(file.content, name)
        if format_ == RECORDED:
            raise UsageError(
                invalid("--data-file", name, "requests for one method, but a recording has its own methods")
            )
        return self._text(decode("--data-file", name, file.content), name, format_)

    def _text(self, text: str, name: str, format_: str) -> RequestSource:
        if format_ == "binary":
            raise UsageError(invalid("--data-format", format_, "a file of messages, given with --data-file"))
        if format_ == "csv":
            found = rows(text, name or "data", self._kind)
            return self._list([tree for tree, _ in found], places=[where for _, where in found], file=name)
        if format_ == "jsonl":
            return self._lines(text, name or "data")
        if is_template(text):
            return self._rendered([(Template(text), name)])
        tree = _parsed(text, name)
        if isinstance(tree, list) and (self._listed or self._streams is not None):
            return self._list(tree, file=name)
        return replace(self._trees([tree], one=True), file=name)

    def _lines(self, text: str, name: str) -> RequestSource:
        lines = [(line, f"line {at} of {name}") for at, line in enumerate(text.split("\n"), start=1) if line.strip()]
        if any(is_template(line) for line, _ in lines):
            return self._rendered([(Template(line), where) for line, where in lines])
        return RequestSource(items=((_parsed(line, where), where) for line, where in lines))

    def _messages(self, content: bytes, name: str) -> RequestSource:
        found = messages_in(content, name, self._kind)
        if self._streams is None:
            return RequestSource(items=iter(found))
        return RequestSource(items=iter([([message for message, _ in found], "")]), file=name)

    def _list(self, trees: Sequence[Any], *, places: Sequence[str] = (), file: str = "") -> RequestSource:
        """What a list stands for: requests in turn; where the client streams, the messages of one call, or where all of
        it are lists, those of several."""
        if self._streams is not None and not (self._listed and trees and all(isinstance(one, list) for one in trees)):
            return replace(self._trees([list(trees)], one=True), file=file)
        return replace(self._trees(trees, places=places), file="" if places else file)

    def _rendered(self, templates: Sequence[tuple[Template, str]]) -> RequestSource:
        """JSON that is rendered anew for each call."""

        def request(number: int, template: Template, where: str) -> Made:
            place = ", ".join(filter(None, [_at(number), where]))
            return self._filled_in(lambda part: _parsed(template.render(number, self._values, part), place)), place

        items = (request(number, *one) for number, one in enumerate(itertools.cycle(templates)))
        return RequestSource(items=items, endless=True, repeats=self._options.repeat)

    def _trees(self, trees: Sequence[Any], *, one: bool = False, places: Sequence[str] = ()) -> RequestSource:
        """Trees, whose texts may be templates; `one` of them is called "data" in errors; `places` are in words."""
        if not any(_has_templates(tree) for tree in trees):
            return RequestSource(
                items=iter([(tree, "" if one else places[at] if places else at) for at, tree in enumerate(trees)])
            )

        def request(number: int, tree: Any, where: str) -> Made:
            filled = self._filled_in(lambda part: _filled(tree, number, self._values, part))
            return filled, ", ".join(filter(None, [_at(number), where]))

        of_each = zip(trees, places or [""] * len(trees), strict=True)
        items = (request(number, *one) for number, one in enumerate(itertools.cycle(of_each)))
        return RequestSource(items=items, endless=True, repeats=self._options.repeat)

    def _filled_in(self, fill: Callable[[int], Any]) -> Any:
        """A request whose templates `fill` fills in; of a stream with dynamic messages each message by itself."""
        first = fill(0)
        if not self._dynamic:
            return first
        assert self._streams is not None
        listed = first if isinstance(first, list) else [first]
        total = self._streams.messages if self._streams.messages is not None and listed else len(listed)
        filled = listed[:1]
        for part in range(1, total):
            tree = fill(part)
            filled.append(tree[part % len(listed)] if isinstance(tree, list) else tree)
        return filled


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
    streams: StreamData | None = None,
) -> bytes | Payloads:
    """The one request that `data` gives, or the file of its many; `planned` of those that differ from call to call.

    With `streams` each request is the messages of one call, each with its prefix. JSON and files are encoded once for a
    study: by their content, the schema and the options. Raises UsageError.
    """
    if not isinstance(data, str):
        source = read_requests(data, kind, options, values, streams)
        return _encoded(source, kind, pool, options, planned=planned, streams=streams)[0]
    file = DataFile.of(data)
    content = data.encode("utf-8", "surrogatepass") if file is None else file.content
    text = content.decode(errors="replace")
    key: tuple[object, ...] = (
        data if file is not None else "",  # the end of its name says the format, and errors name it
        hashlib.sha256(content).digest(),
        schema_digest(kind, pool, _mentioned(text)),
        options,
        streams,
        key_of(values, text),
        planned if options.order == RANDOM and is_template(text) else 0,  # else the first ones are always the same
    )

    def encode() -> tuple[bytes | Payloads, bool]:
        source = read_requests(file or data, kind, options, values, streams)
        return _encoded(source, kind, pool, options, planned=planned, streams=streams)

    return PAYLOAD_FOLDER.once(key, planned, encode)


def _encoded(
    source: RequestSource,
    kind: Descriptor,
    pool: DescriptorPool,
    options: DataOptions,
    *,
    planned: int,
    streams: StreamData | None,
) -> tuple[bytes | Payloads, bool]:
    """The same, and whether it is endless."""
    encode, check = encoder(kind, pool), MessageCheck(kind)

    def message(tree: Any, place: Place) -> bytes:
        return check(tree) if isinstance(tree, bytes) else encode(tree, place)

    def stream(tree: Any, place: Place) -> bytes:
        if not isinstance(tree, list):
            return prefixed(message(tree, place))
        return b"".join(prefixed(message(one, (place, at))) for at, one in enumerate(tree))

    content = message if streams is None else stream

    def messages() -> Iterator[bytes]:
        for tree, where in itertools.islice(source.items, planned if source.endless else None):
            try:
                yield content(tree, (None, where) if isinstance(where, int) else None)
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
        framed=streams is not None,
    )
    return written, source.endless


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


def _has_templates(tree: Any) -> bool:
    if isinstance(tree, dict):
        return any(_has_templates(inner) for inner in tree.values())
    if isinstance(tree, list):
        return any(map(_has_templates, tree))
    return isinstance(tree, str) and is_template(tree)


def _filled(tree: Any, number: int, values: TemplateValues, part: int) -> Any:
    if isinstance(tree, dict):
        return {key: _filled(inner, number, values, part) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [_filled(inner, number, values, part) for inner in tree]
    return Template(tree).render(number, values, part) if isinstance(tree, str) and is_template(tree) else tree
