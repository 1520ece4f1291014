"""``--config FILE``: the options of ``bench`` in TOML or JSON. Pure: the text goes in, words come out.

::

    target = "localhost:50051"
    duration = 10               # the flags' names, with dashes or underscores
    rate = "500:5000:500@5s"
    slo = { p99 = "5ms", errors = "0.1%" }
    metadata = ["tenant=a"]
    [set]                       # factors, as --set takes them
    client.window_kib = 1024

Several tables ``[[call]]`` instead of ``call`` are a mix of calls (:mod:`grpclab.load.calls.mixed_call`), and so is a
list of methods, as ``call = ["shop.Cart/Get=7", "shop.Cart/Add=3"]``.

A configuration of ghz is one, too: see :mod:`grpclab.load.output.ghz_config`. What a value may be is decided where the
flag of that name is read: here each becomes the word, or the words, that would stand on the command line.
"""

from __future__ import annotations

import datetime
import difflib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grpclab.errors import FactorError, UsageError, invalid
from grpclab.factors.config import lookup
from grpclab.load.calls.mixed_call import MixedCall, mixed_calls
from grpclab.load.calls.request import Number, parse
from grpclab.load.output import ghz_config

SET, DATA, TAGS, CALL, MIX = "set", "data", "tags", "call", "mix"
_FINE_TIME = re.compile(r"^[^\"'#\n]*[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}[0-9]*[1-9]", re.ASCII | re.MULTILINE)
"""A time that is no text, of which the reader of TOML would drop decimals."""


@dataclass(frozen=True, kw_only=True)
class BenchFile:
    """`options`: by the flag's name with underscores, a word, words or a switch's state; `settings`: for --set.

    The tables of a mix are the option `mix`. The request in `data` may be any value of TOML, its numbers and times as
    they were written.
    """

    options: dict[str, Any]
    settings: list[str]


def read_bench_file(
    text: str, name: str, *, words: Collection[str], lists: Collection[str], switches: Collection[str]
) -> BenchFile:
    """The options that a file called `name` gives.

    `words`, `lists` and `switches` are the names of the flags that take one word, may be repeated, or take none.
    Raises UsageError, one line that names the file and the key.
    """
    is_json = name.lower().endswith(".json") or (not name.lower().endswith(".toml") and text.lstrip().startswith("{"))
    tables = _json(text, name) if is_json else _toml(text, name)
    tables = ghz_config.translated(tables, name, bare_times=not is_json)
    options: dict[str, Any] = {}
    settings: list[str] = []
    options_known = {*words, *lists, *switches}
    for key, value in tables.items():
        option = key.replace("-", "_")
        where = f"{name}: {key}"
        if option == SET:
            settings = list(_settings(value, where))
        elif option not in options_known:
            names = sorted(option_name.replace("_", "-") for option_name in {*options_known, SET})
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1, cutoff=0)
            raise UsageError(
                f"{name}: unknown key {key!r}; did you mean {near[0]!r}? Keys have the same names as the "
                "`grpclab bench` options"
            )
        elif option in options:
            raise UsageError(f"{where} is given twice, with a dash and with an underscore: keep one")
        elif option in switches:
            if not isinstance(value, bool):
                raise _refused(where, value, "true or false")
            options[option] = value
        elif option in lists:
            options[option] = _words(value, where)
        elif option == CALL and isinstance(value, list):
            if len(value) > 1 and all(isinstance(one, str) for one in value):
                options[option] = _words(value, where)
                continue
            exact = parse(text)[key] if is_json else _exact_value(text, key, where)
            options[MIX] = _mix(value, exact, name)
        elif option == TAGS and isinstance(value, Mapping):  # as JSON: a value may have a comma in it
            options[option] = json.dumps(value)
        elif option == DATA and not isinstance(value, str):
            options[option] = parse(text)[key] if is_json else _exact_value(text, key, where)
        else:
            options[option] = _joined(value, where)
    return BenchFile(options=options, settings=settings)


def _mix(tables: list[Any], exact: list[Any], name: str) -> tuple[MixedCall, ...]:
    """The calls of a mix; `exact` are the tables with the numbers of requests as they were written."""
    try:
        return mixed_calls(tables, exact)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _exact_value(text: str, key: str, where: str) -> Any:
    """A value that holds requests, with its numbers as they were written."""
    if _FINE_TIME.search(text):
        raise UsageError(f"{where}: expected times with at most six decimals; write a more precise one as a string")
    return tomllib.loads(text, parse_float=_exact)[key]


def _exact(word: str) -> Number | float:
    bare = word.replace("_", "").removeprefix("+")
    return float(bare) if bare.lstrip("-") in ("inf", "nan") else Number(bare)


def _toml(text: str, name: str) -> dict[str, Any]:
    if name.lower().endswith((".yaml", ".yml")):
        raise UsageError(invalid("--config", name, "a TOML or JSON file; YAML is not supported"))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(invalid("--config", name, f"TOML or JSON; {' '.join(str(error).split())}")) from None
    except (RecursionError, ValueError):  # an integer of more digits than Python reads
        raise UsageError(invalid("--config", name, "TOML with less nesting and shorter numbers")) from None


def _json(text: str, name: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise UsageError(f"{name}: the key {twice!r} is given twice: keep one")
        return dict(pairs)

    try:
        tables = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UsageError(invalid("--config", name, f"valid JSON; the error is at {where}")) from None
    except UsageError:
        raise
    except (RecursionError, ValueError):  # an integer of more digits than Python reads
        raise UsageError(invalid("--config", name, "JSON with less nesting and shorter numbers")) from None
    if not isinstance(tables, dict):
        raise UsageError(invalid("--config", name, 'an object of options in JSON, e.g. {"requests": 1000}'))
    return {key: value for key, value in tables.items() if value is not None}


def _settings(value: Any, where: str) -> Iterator[str]:
    """``name=level`` words; ``server.window_kib = 1`` is a table in a table for TOML, quoted it is one key."""
    if not isinstance(value, Mapping):
        raise _refused(where, value, "a table of factors, e.g. [set] followed by client.window_kib = 1024")
    for key, level in value.items():
        if isinstance(level, Mapping):
            yield from _settings({f"{key}.{inner}": deeper for inner, deeper in level.items()}, where)
        else:
            try:
                lookup(key)
            except FactorError as error:
                raise UsageError(f"{where}: {error}") from None
            yield f"{key}={_word(level, f'{where}.{key}')}"


def _word(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not value.strip():
        raise UsageError(f"{where} is empty: set a value, or remove it")
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.time):  # how TOML writes 00:01:30
        return value.isoformat()
    raise _refused(where, value, "a number, a string, or true or false")


def _refused(where: str, value: object, expected: str) -> UsageError:
    name, _, key = where.rpartition(": ")
    return UsageError(f"{name}: {invalid(key, value, expected)}")


def _pairs(table: Mapping[str, Any], where: str) -> list[str]:
    return [f"{key}={_word(value, f'{where}.{key}')}" for key, value in table.items()]


def _words(value: Any, where: str) -> list[str]:
    if isinstance(value, Mapping):
        return _pairs(value, where)
    return [_word(part, where) for part in (value if isinstance(value, list) else [value])]


def _joined(value: Any, where: str) -> str:
    """One word; of a table its pairs with commas between, as --slo takes them."""
    if not isinstance(value, Mapping):
        return _word(value, where)
    return ",".join(_pairs(value, where))
