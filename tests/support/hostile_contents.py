"""What damaged and hostile files hold: a whole study, and what is done to its JSON, its page and its tables."""

from __future__ import annotations

import base64
import copy
import functools
import io
import json
import random
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from grpclab.load.core.summary import histogram
from grpclab.report.data import STUDY, TRIALS, parquet
from grpclab.study.designs.design import comparison
from grpclab.study.stored_values import written
from tests.support import stored_studies
from tests.support.stored_studies import plan_of_two, result, row_of

MB = 1_000_000

HOSTILE: tuple[Any, ...] = (
    *(None, [], {}, "", "text", True, 0, -1, 2**62, 10**400, 1e308, -1.5, [None], [[]], {"": None}),
    *("\x1b[2J\x07", "\u202e", "a\nb", "\ud800", "../../../etc/passwd", "<script>", "x" * 200_000),
    *([0] * 20_000, {str(n): n for n in range(20_000)}),
)
"""Values that stand in for others."""


# ---- a whole study -----------------------------------------------------------------------------------------------


def plan(blocks: int = 3) -> dict[str, Any]:
    """Two configurations, with a second comparison and a profile."""
    median = written(comparison("many against few", "tiny", "few", "many", metric="latency_p50_s"))
    return plan_of_two(blocks=blocks) | {"comparisons": [median], "profiled": ["few"]}


def manifest() -> dict[str, Any]:
    """Of a study in blocks of two."""
    return stored_studies.manifest(
        plan(),
        machine={"host": "elsewhere", "cores": 2},
        versions={"grpcio": "1.85.1"},
        git={"commit": "0123456789abcdef", "dirty": False},
        cores={"server": [0], "generator": [1], "shared": False},
    )


def verdict() -> dict[str, Any]:
    """As verdict.json holds it."""
    judged = written(comparison("many against few", "tiny", "few", "many")) | {
        **{"ratio": 2.0, "ci_low": 1.9, "ci_high": 2.1, "p_value": 0.03, "p_adjusted": 0.03, "delta": 0.05},
        **{"blocks": 6, "verdict": "faster", "limited_by": [], "note": ""},
    }
    return {
        **{"schema_version": 2, "sentence": "It is faster.", "headline": judged, "comparisons": [judged], "aa": None},
        **{"warnings": ["a warning"], "limits": []},
    }


@functools.cache
def results() -> dict[str, dict[str, Any]]:
    """result.json of each trial."""
    made = {}
    for block in range(3):
        for order, name in enumerate(("few", "many")):
            trial = f"{block:02d}-{order:03d}-{name}"
            made[trial] = result(trial, throughput_rps=1000.0 * (order + 1) + block, requests=2500.0, errors=0.0)
            made[trial]["histogram"] = histogram(np.full(2500, 0.001 * (order + 1)))
            made[trial]["measured_on"] = manifest()["identity"]
    return made


@functools.cache
def trials() -> pd.DataFrame:
    """A row a trial."""
    return pd.DataFrame([row_of(one) for one in results().values()])


@functools.cache
def whole_table() -> bytes:
    """trials.parquet."""
    return parquet(trials())


def encoded(value: Any) -> bytes:
    """JSON as a study stores it."""
    return json.dumps(value).encode()


def page(about: bytes, table: bytes, *, before: str = "", packed: bool = True) -> bytes:
    """A report that holds these two parts."""
    parts = [zlib.compress(part, 1) if packed else part for part in (about, table)]
    elements = [
        f'<script type="application/octet-stream" id="{name}">{base64.b64encode(part).decode()}</script>'
        for name, part in zip((STUDY, TRIALS), parts, strict=True)
    ]
    return f"<!DOCTYPE html><html>{before}<body>{''.join(elements)}</body></html>".encode()


def about(**changed: Any) -> dict[str, Any]:
    """What a report holds beside the trials."""
    found = {"schema_version": 1, "manifest": manifest(), "verdict": verdict(), "details": {}, "markdown": ""}
    return found | changed


# ---- what is done to it ------------------------------------------------------------------------------------------


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Some bytes of it changed, or its end cut off."""
    found = bytearray(content)
    if rng.random() < 0.3:
        return bytes(found[: rng.randrange(len(found))])
    for _ in range(rng.choice((1, 3, 30))):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def altered(value: Any, rng: random.Random) -> Any:
    """A JSON value with one or a few of its parts replaced or gone."""
    made = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 4))):
        places: list[tuple[Any, Any]] = []
        waiting = [made]
        while waiting:
            one = waiting.pop()
            items = list(one.items() if isinstance(one, dict) else enumerate(one))
            places += [(one, key) for key, _ in items]
            waiting += [item for _, item in items if isinstance(item, (dict, list))]
        if not places:
            break
        one, key = rng.choice(places)
        if rng.random() < 0.3:
            del one[key]
        else:
            one[key] = copy.deepcopy(rng.choice(HOSTILE))
    return made


def nested(depth: int) -> bytes:
    """JSON of lists in lists."""
    return b"[" * depth + b"]" * depth


def bomb(size: int) -> bytes:
    """Zeros, deflated."""
    packing: Any = zlib.compressobj(1)
    return b"".join([*(packing.compress(bytes(MB)) for _ in range(size // MB)), packing.flush()])


def table(columns: Mapping[str, Any], **how: Any) -> bytes:
    """A Parquet file."""
    out: Any = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out, **{"compression": "NONE", "write_statistics": False, **how})
    return bytes(out.getvalue().to_pybytes())


def repeated(text: str, rows: int) -> Any:
    """One text in many rows, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype="int32")), pa.array([text]))


def texts(kind: str, rng: random.Random) -> bytes:
    """JSON that is hard to read, of some kind."""
    made: dict[str, Callable[[], bytes]] = {
        "deep": lambda: nested(200_000),
        "deep objects": lambda: b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        "deep within bounds": lambda: b'{"manifest":' + nested(60) + b"}",
        "empty lists": lambda: b"[" + b"[]," * 4_000_000 + b"[]]",
        "small objects": lambda: b"[" + b'{"":0},' * 1_500_000 + b"{}]",
        "short texts": lambda: b"[" + b'"ab",' * 3_000_000 + b'""]',
        "numbers": lambda: b"[" + b"1," * 6_000_000 + b"1]",
        "one text": lambda: b'"' + "\N{GRINNING FACE}".encode() + b"x" * 15_000_000 + b'"',
        "too large": lambda: b'"' + b"x" * 20_000_000 + b'"',
        "an open text of escapes": lambda: b'"' + rb"\"" * 4_000_000,
        "a long number": lambda: b'{"seed":' + b"9" * 100_000 + b"}",
        "no number": lambda: b'{"seed": NaN, "blocks": Infinity}',
        "too large a number": lambda: b'{"seed": 1e999}',
        "not UTF-8": lambda: b'{"study": "\xff\xfe"}',
        "UTF-16": lambda: json.dumps(manifest()).encode("utf-16"),
        "NUL": lambda: bytes(1000),
        "empty": lambda: b"",
        "spaces": lambda: b" " * 1000,
        "a list": lambda: b"[]",
        "an object": lambda: b"{}",
        "null": lambda: b"null",
        "a text": lambda: b'"text"',
        "only a version": lambda: b'{"schema_version": 1}',
        "another version": lambda: b'{"schema_version": "\\u001b[2J9"}',
        "half": lambda: encoded(manifest())[: rng.randrange(1, 900)],
    }
    return made[kind]()


TEXTS = (
    *("deep", "deep objects", "deep within bounds", "empty lists", "small objects", "short texts", "numbers"),
    *("one text", "too large", "an open text of escapes", "a long number", "no number", "too large a number"),
    *("not UTF-8", "UTF-16", "NUL", "empty", "spaces", "a list", "an object", "null", "a text"),
    *("only a version", "another version", "half"),
)


def tables(kind: str, rng: random.Random) -> bytes:
    """A Parquet file that is hard to read, of some kind."""
    whole = whole_table()
    made: dict[str, Callable[[], bytes]] = {
        "many rows": lambda: table({"a": pa.nulls(50 * MB, pa.int8())}),
        "one text in many rows": lambda: table({"a": repeated("x" * MB, 90_000)}, store_schema=False),
        "prefixes": lambda: table(
            {"a": ["x" * 100_000] * 500},
            use_dictionary=False,
            column_encoding={"a": "DELTA_BYTE_ARRAY"},
            data_page_size=2**30,
        ),
        "many columns": lambda: table({str(n): [1] for n in range(3000)}),
        "many cells": lambda: table({str(n): pa.nulls(90_000, pa.int8()) for n in range(60)}),
        "many row groups": lambda: table({"a": list(range(3000))}, row_group_size=1),
        "many short texts": lambda: table({"a": [str(n) for n in range(99_000)]}, use_dictionary=False),
        "zstd": lambda: table({"a": [bytes(50 * MB).decode()]}, compression="ZSTD"),
        "gzip": lambda: table({"a": [bytes(50 * MB).decode()]}, compression="GZIP"),
        "brotli": lambda: table({"a": [bytes(20 * MB).decode()]}, compression="BROTLI"),
        "snappy": lambda: table({"a": [bytes(200 * MB).decode()]}, compression="SNAPPY", use_dictionary=False),
        "snappy within bounds": lambda: table({"a": [bytes(60 * MB).decode()]}, compression="SNAPPY"),
        "lists": lambda: table({"a": [[1, 2], [3]]}),
        "times": lambda: table({"a": [pd.Timestamp("2026-01-01")]}),
        "binary": lambda: table({"a": [b"\xff"]}),
        "an index of its own": lambda: _with_index(2**62),
        "a long footer": lambda: whole[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1",
        "a footer of nothing": lambda: whole[:-8] + bytes(4) + b"PAR1",
        "no rows": lambda: table({"a": []}),
        "other columns": lambda: table({"block": ["x", "\x1b[2J"], "valid": [1.5, 2.5]}),
        "marks only": lambda: b"PAR1" + bytes(4) + b"PAR1",
        "empty": lambda: b"",
        "text": lambda: b"no parquet" * 100,
        "another footer": lambda: whole[:-4000] + flipped(whole[-4000:-8], rng) + whole[-8:],
    }
    return made[kind]()


TABLES = (
    *("many rows", "one text in many rows", "prefixes", "many columns", "many cells", "many row groups"),
    *("many short texts", "zstd", "gzip", "brotli", "snappy", "snappy within bounds", "lists", "times", "binary"),
    *("an index of its own", "a long footer", "a footer of nothing", "no rows", "other columns", "marks only"),
    *("empty", "text", "another footer"),
)


def _with_index(stop: int) -> bytes:
    """A file whose note for pandas names an index of any length."""
    index = {"kind": "range", "name": None, "start": 0, "stop": stop, "step": 1}
    note = {"index_columns": [index], "columns": [], "column_indexes": [], "pandas_version": "2.2.0"}
    made = pa.table({"a": [1]}).replace_schema_metadata({"pandas": json.dumps(note)})
    out = io.BytesIO()
    pq.write_table(made, out)
    return out.getvalue()
