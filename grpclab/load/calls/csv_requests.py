"""Requests in CSV: a row for each, whose cells are JSON where the field takes no text."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.request import Number, parse
from grpclab.load.calls.templates import is_template
from grpclab.quantities import count

_NUMBER = re.compile(r"-?\d+")


def rows(text: str, name: str, kind: Descriptor) -> list[tuple[Any, str]]:
    """The rows of CSV: the header has names of fields, ``price.units`` for one inside; an empty cell is not set.

    Each has its place behind it, ``line 3 of FILE``.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(rows, [])]
        if not any(header) or len(set(header)) < len(header):
            raise UsageError(invalid("--data-file", name, "a CSV header with unique field names"))
        for first, second in itertools.permutations(header, 2):
            if second.startswith(f"{first}."):
                expected = f"a CSV header with either {first} or {second}, since {first} contains {second}"
                raise UsageError(invalid("--data-file", name, expected))
        columns = [(column.split("."), _field(kind, column.split("."))) for column in header]
        trees = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                expected = (
                    f"{count(len(header), 'cell')} in line {rows.line_num}, as in the header, but there are {len(row)}"
                )
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
