"""The calls of a mix as a user gives them and a plan stores them: ``[[call]]`` tables. Pure.

::

    [[call]]
    name = "pay"                 # of its figures; the method's by default
    method = "shop.v1.Till/Pay"
    weight = 70                  # 1 by default
    data = {id = 7}              # or data-file = "orders.jsonl"

    [[call]]
    method = "shop.v1.Till/List"
    weight = 30
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.call_options import MARK, DataOptions
from grpclab.load.calls.metadata import metadata_words

MOST_CALLS = 100
"""The most calls of a mix."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class MixedCall:
    """One call of a mix; `data` is a JSON string, Python values, or ``@FILE``. Raises UsageError."""

    name: str = ""
    weight: float = 1.0
    method: str = ""
    data: Any = None
    data_format: str = ""
    data_order: str = ""
    data_repeat: bool = False
    check: str = ""
    ignore_fields: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise UsageError(invalid("weight", f"{self.weight:g}", "a number above 0"))
        if self.name and not _NAME.fullmatch(self.name):
            expected = "at most 40 characters: letters, digits, '_', '-', or '.', not starting with '-' or '.'"
            raise UsageError(invalid("name", self.name, expected))
        if self.options().is_recorded(self.data):
            raise UsageError(
                invalid("data-file", self.data[1:], "requests for one call, since a mix cannot contain a recording")
            )

    def options(self, seed: int = 1) -> DataOptions:
        """How the call's requests are read and sent. Raises UsageError."""
        order = self.data_order or DataOptions.order
        return DataOptions(format=self.data_format, order=order, repeat=self.data_repeat, seed=seed)


KEYS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "weight": (int, float),
    "method": (str,),
    "data": (dict, list, str),
    "data_file": (str,),
    "data_format": (str,),
    "data_order": (str,),
    "data_repeat": (bool,),
    "check": (str,),
    "metadata": (dict, list, str),
}
"""The keys of a table, and the types of their values; ``call`` is ``method`` as well."""
OF_ANSWERS: Mapping[str, tuple[type, ...]] = {"ignore_fields": (list, str)}
"""Additional keys of a table if answers are compared."""
_EXPECTED = {"weight": "a number", "data_repeat": "true or false", "data": "a table, a list or a string"}


def named(calls: Sequence[MixedCall]) -> tuple[MixedCall, ...]:
    """Return the calls of a mix, each with a name, by default that of its method. Raises UsageError.

    A number is added if several methods have the same name.
    """
    if not 1 <= len(calls) <= MOST_CALLS:
        raise UsageError(invalid("call", f"{len(calls)} tables", f"1 to {MOST_CALLS} calls in a mix"))
    for number, call in enumerate(calls, start=1):
        if not call.method:
            raise UsageError(f"call[{number}].method is missing: expected package.Service/Method")
    own = [call.name for call in calls if call.name]
    if twice := next((name for name, times in Counter(own).items() if times > 1), None):
        raise UsageError(invalid("call.name", twice, "a different name for each call"))
    short = [re.sub(r"\W", "_", re.split(r"[./]", call.method)[-1])[:30] for call in calls]
    return tuple(
        replace(call, name=call.name or _unused(name, own, short, number))
        for number, (call, name) in enumerate(zip(calls, short, strict=True), start=1)
    )


def _unused(name: str, own: Sequence[str], short: Sequence[str], number: int) -> str:
    return name if short.count(name) == 1 and name not in own else f"{name}-{number}"


def mixed_calls(
    tables: Sequence[Any], exact: Sequence[Any] | None = None, *, compared: bool = False
) -> tuple[MixedCall, ...]:
    """Return the calls of ``[[call]]`` tables. `exact` are the same tables with numbers as they were written, for
    requests. `compared` says whether their answers are compared.

    Raises UsageError, which names the table and the key.
    """
    calls = []
    keys = {**KEYS, **(OF_ANSWERS if compared else {})}
    for number, (content, written) in enumerate(zip(tables, exact or tables, strict=True), start=1):
        table = _table(content, f"call[{number}]", keys)
        if "ignore_fields" in table:
            names = table["ignore_fields"]
            table["ignore_fields"] = (names,) if isinstance(names, str) else tuple(map(str, names))
        table["metadata"] = metadata_words([given] if isinstance(given := table.get("metadata"), str) else given)
        if not isinstance(table.get("data"), str | None):
            table["data"] = written["data"]
        if file := table.pop("data_file", None):
            table["data"] = f"{MARK}{file}"
        calls.append(MixedCall(**table))
    return named(calls)


def _table(content: Any, where: str, keys: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return the values of one table by its keys with underscores. Raises UsageError, which names the key."""
    if not isinstance(content, Mapping):
        raise UsageError(invalid(where, content, "a table, written [[call]] with two brackets"))
    found: dict[str, Any] = {}
    for written, value in content.items():
        key = written.replace("-", "_")
        key = "method" if key == "call" else key
        if key not in keys:
            import difflib  # here: only a mistake needs it

            near = difflib.get_close_matches(key, keys, n=1)
            known = ", ".join(one.replace("_", "-") for one in keys)
            hint = f"did you mean {near[0].replace('_', '-')}?" if near else f"expected one of {known}"
            raise UsageError(f"unknown key {f'{where}.{written}'!r}: {hint}")
        if key in found:
            raise UsageError(f"{where}.{written} is given twice: keep one")
        if not isinstance(value, keys[key]) or (isinstance(value, bool) and key != "data_repeat"):
            raise UsageError(invalid(f"{where}.{written}", value, _EXPECTED.get(key, "a string in quotes")))
        found[key] = value
    if "data" in found and "data_file" in found:
        raise UsageError(f"{where}: data and data-file both specify the request: remove one of them")
    return found
