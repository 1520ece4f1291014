"""Data frames in Parquet files: read in this thread and out of memory, those of others within bounds.

A thread of pyarrow that still reads from a Python file while the interpreter ends aborts the process, so nothing here
reads through one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.errors import DesignError
from grpclab.system.untrusted import MIB, size_text

MOST_BYTES = 16 * MIB
COMPRESSED_BYTES = 4 * MIB
"""Snappy makes at most 21 bytes of one."""
FOOTER_BYTES = MIB // 2
MOST_ROWS = 100_000
MOST_COLUMNS = 1000
MOST_CELLS = 2_000_000
TEXT_BYTES = 32 * MIB
"""All texts of a file, written out for each row: a dictionary in the file may hold one for many rows."""

_MAGIC = b"PAR1"
_CODECS = ("UNCOMPRESSED", "SNAPPY")


def read_own(path: Path) -> pd.DataFrame:
    """The frame in a Parquet file that this program wrote. Raises DesignError if it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _to_pandas(pq.read_table(pa.BufferReader(path.read_bytes()), use_threads=False, pre_buffer=False))
    except pa.ArrowException:
        raise DesignError(f"{path} is damaged: remove it, and measure again") from None


def from_parquet(content: bytes) -> pd.DataFrame:
    """The frame in the bytes of a Parquet file of anyone's. Raises ValueError for what is damaged or out of bounds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_shape(content)
    try:
        source = pa.BufferReader(content)
        file = pq.ParquetFile(source, pre_buffer=False, thrift_container_size_limit=10 * MOST_COLUMNS)
        texts = _checked(file)
        # Texts stay as the file's dictionaries until it is known how much they are in full.
        table = pq.ParquetFile(source, read_dictionary=texts, pre_buffer=False).read(use_threads=False)
        table.validate(full=True)
        return _to_pandas(_written_out(table))
    except (pa.ArrowException, OSError, MemoryError, OverflowError):
        raise ValueError("is not a readable Parquet file") from None


def _require_shape(content: bytes) -> None:
    """Check the bytes before pyarrow reads them: their number, and that of the footer."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"is larger than {size_text(MOST_BYTES)}")
    if len(content) < 12 or content[:4] != _MAGIC or content[-4:] != _MAGIC:
        raise ValueError("is not a Parquet file")
    if int.from_bytes(content[-8:-4], "little") > FOOTER_BYTES:
        raise ValueError(f"has a footer of more than {size_text(FOOTER_BYTES)}")


def _checked(file: Any) -> list[str]:
    """The columns of text. Raises ValueError for too many rows or columns, another type, another compression."""
    import pyarrow as pa

    about = file.metadata
    rows, columns = about.num_rows, about.num_columns
    for number, most, things in (
        (rows, MOST_ROWS, "rows"),
        (columns, MOST_COLUMNS, "columns"),
        (rows * columns, MOST_CELLS, "cells"),
        (about.num_row_groups, MOST_COLUMNS, "row groups"),
    ):
        if not 0 <= number <= most:
            raise ValueError(f"has {number:,} {things}: at most {most:,} are supported")
    groups = [about.row_group(at) for at in range(about.num_row_groups)]
    if sum(group.num_rows for group in groups) != rows or any(group.num_rows < 0 for group in groups):
        raise ValueError("has a wrong number of rows")
    codecs = {group.column(at).compression for group in groups for at in range(group.num_columns)}
    if unknown := sorted(codecs - set(_CODECS)):
        raise ValueError(f"is compressed with {unknown[0]}: expected {' or '.join(_CODECS)}")
    if "SNAPPY" in codecs and about.serialized_size + sum(_packed(group) for group in groups) > COMPRESSED_BYTES:
        raise ValueError(f"has more than {size_text(COMPRESSED_BYTES)} of compressed data")
    if len(set(file.schema_arrow.names)) < columns:
        raise ValueError("has two columns with the same name, or nested columns")
    texts = []
    for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True):
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts.append(name)
        elif not (_is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            raise ValueError(f"has a column of {kind}: expected numbers, strings, true or false")
    return texts


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _packed(group: Any) -> int:
    return sum(group.column(at).total_compressed_size for at in range(group.num_columns))


def _written_out(table: Any) -> Any:
    """The table with its texts in full. Raises ValueError if they are too long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for at, kind in enumerate(table.schema.types):
        if pa.types.is_dictionary(kind):
            for chunk in table.column(at).chunks:
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                total += pc.sum(lengths.cast(pa.int64())).as_py() or 0
    if total > TEXT_BYTES:
        raise ValueError(f"has more than {size_text(TEXT_BYTES)} of text")
    plain = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(plain))


def _to_pandas(table: Any) -> pd.DataFrame:
    # pandas' own note in the schema can name an index of any length, and says nothing else that is needed here.
    frame: pd.DataFrame = table.replace_schema_metadata(None).to_pandas(use_threads=False)
    return frame
