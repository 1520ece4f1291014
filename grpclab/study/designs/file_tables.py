"""The tables of a study's TOML file beside its factors: ``[target]``, ``[call]`` and ``[[scenario]]``. Pure.

Keys with hyphens and underscores are the same; a key that there is not is refused with the nearest one.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from grpclab.errors import DesignError, invalid

KINDS_OF_TARGETS = ("variant", "app", "command", "address")
"""The keys of ``[target]`` of which there is exactly one."""

WORDS: dict[type, str] = {
    str: "a quoted string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list in brackets",
}

T = TypeVar("T")


def entry(*kinds: type, default: Any, meaning: str) -> Any:
    """A key of the file: the types of its value in TOML, what it is where it is left out, and what it means."""
    return field(default=default, metadata={"kinds": kinds, "meaning": meaning})


def text(meaning: str) -> Any:
    """A key that holds a text, which is empty where it is left out."""
    return entry(str, default="", meaning=meaning)


def table(meaning: str) -> Any:
    """A key that holds a table, which is empty where it is left out."""
    return field(default_factory=dict, metadata={"kinds": (dict,), "meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class TargetTable:
    """``[target]``: the system under test, one of `variant`, `app`, `command` and `address`, and what it needs."""

    variant: str = text("A built-in variant of the greeter: the baseline's server and client.")
    app: str = text("An application that grpclab hosts: MODULE:NAME of the function that registers its servicers.")
    command: str = text(
        "A command that starts a server; {port} in it is replaced by a free port, and {NAME} by the level of arg.NAME."
    )
    address: str = text("HOST:PORT of a server that is already running.")
    app_dir: str = text("The folder that the application's module is imported from.")
    python: str = text("The interpreter that hosts the application; it needs grpcio.")
    cwd: str = text("The folder in which the server runs.")
    ready: str = text(
        "How to tell that a command's server is ready: tcp (it listens), health (its health service "
        "says so) or log:REGEX."
    )
    ready_timeout: str | float = entry(
        str, int, float, default="", meaning="How long the server may take to start: 25s, or a number of seconds."
    )
    prepare: str = text("A command to run before each start.")
    cleanup: str = text("A command to run after each stop.")
    exclusive: bool = entry(
        bool,
        default=False,
        meaning="Whether only one server may run at a time; slices are not interleaved in that case.",
    )
    tls: bool = entry(bool, default=False, meaning="Whether the server speaks TLS.")
    cacert: str = text("A file with the trusted root certificates, in PEM.")
    cert: str = text("A file with the client's certificate, in PEM.")
    key: str = text("A file with the client's private key, in PEM.")
    server_name: str = text("The name in the server's certificate, if it differs from the address.")
    authority: str = text("The authority of calls, if it differs from the address.")
    insecure_skip_verify: bool = entry(
        bool, default=False, meaning="Whether to skip checking the server's certificate."
    )


@dataclass(frozen=True, kw_only=True)
class CallTable:
    """``[call]``: the method that is called, and with what; several ``[[call]]`` take turns."""

    name: str = text("The name of the call in the results of a mix; by default, the method's name.")
    weight: float = entry(
        int, float, default=1.0, meaning="How often the call is made, relative to the others in a mix."
    )
    method: str = text("The method: package.Service/Method.")
    data: Any = entry(dict, list, str, default=None, meaning="The request, or a list of requests to send in turn.")
    data_file: str = text("A file of requests: JSON, JSON lines, CSV with a header, or length-delimited messages.")
    data_format: str = text("The format of data-file, if the file name does not show it: json, jsonl, csv or binary.")
    data_order: str = text("The order in which requests are sent: in-turn, or random from the trial's seed.")
    data_repeat: bool = entry(
        bool, default=False, meaning="Whether to reuse generated requests from the start when they run out."
    )
    check: str = text(
        "An expression that must be true for each answer, e.g. reply.total > 0; otherwise the call counts as failed."
    )
    ignore_fields: Any = entry(str, list, default=None, meaning="Answer fields to ignore when answers are compared.")
    metadata: Any = entry(
        dict,
        list,
        default=None,
        meaning="The metadata to send with each call: a table, or a list of key=value strings.",
    )
    proto: str = text("The schema in a .proto file, if the server has no reflection.")
    proto_path: Any = entry(str, list, default=None, meaning="Folders to search for the schema's imports.")
    protoset: str = text("The schema as a descriptor set, as written by protoc --descriptor_set_out.")


@dataclass(frozen=True, kw_only=True)
class ScenarioTable:
    """``[[scenario]]``: a workload; configurations are compared within each."""

    name: str = text("The name of the workload.")
    set: Mapping[str, Any] = table("Factors that apply to every configuration in this scenario.")
    call: Any = field(
        default_factory=dict,
        metadata={
            "kinds": (dict, list),
            "meaning": "The call in this scenario, or a mix of several calls; missing keys are taken from [call].",
        },
    )


Calls = CallTable | tuple[CallTable, ...]
"""One call, or several that take turns."""


def read_calls(content: Any, where: str) -> Calls:
    """The call in a table, or the calls of several tables. Raises DesignError, one line that names the key."""
    if isinstance(content, dict):
        one = read_table(CallTable, content, where)
        if idle := next((key for key in ("name", "weight") if key in content), None):
            raise DesignError(
                invalid(f"{where}.{idle}", content[idle], "no such key for a single call; it belongs in [[call]]")
            )
        return one
    tables = []
    for number, table in enumerate(content, start=1):
        place = f"{where}[{number}]"
        if not isinstance(table, dict):
            raise DesignError(invalid(place, table, "a table, written [[call]] with two brackets"))
        renamed = {"method" if key == _METHOD_OF_BENCH else key: one for key, one in table.items()}
        tables.append(read_table(CallTable, renamed, place))
    return tuple(tables)


_METHOD_OF_BENCH = "call"
"""The method of one call of a mix, as a configuration of bench names it."""


def read_table(kind: type[T], content: Mapping[str, Any], where: str = "") -> T:
    """The values of a table as one of these classes. Raises DesignError, one line that names the key."""
    return kind(**normal(content, {one.name: one.metadata["kinds"] for one in fields(kind)}, where))  # type: ignore[arg-type]


def normal(content: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]], where: str = "") -> dict[str, Any]:
    """The values by their keys with underscores, each of one of its types. Raises DesignError."""
    found: dict[str, Any] = {}
    prefix = f"{where}." if where else ""
    for written, value in content.items():
        name = written.replace("-", "_")
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, n=1)
            hint = f"did you mean {near[0].replace('_', '-')}?" if where and near else ""
            hint = hint or (f"did you mean {near[0]}?" if near else f"expected one of {','.join(kinds)}")
            raise DesignError(f"unknown key {f'{prefix}{written}'!r}: {hint}")
        if name in found:
            raise DesignError(f"{prefix}{written} appears twice, with a hyphen and with an underscore: keep one")
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and bool not in kinds[name]):
            expected = " or ".join(WORDS[kind] for kind in kinds[name] if kind is not float)
            raise DesignError(invalid(f"{prefix}{written}", value, expected))
        found[name] = value
    return found


def beside(name: str, folder: Path) -> str:
    """The path of a file or folder that the TOML file in `folder` names, as it is seen from here.

    It stays as it is written where that folder is the working folder, and symbolic links are not followed: an
    interpreter of a virtual environment is one.
    """
    if not name or name == "-" or folder.resolve() == Path.cwd() or Path(name).is_absolute():
        return name
    return os.path.normpath(folder.absolute() / Path(name).expanduser())


def program_beside(name: str, folder: Path) -> str:
    """As :func:`beside`, but a name without a slash is looked for on the PATH."""
    return beside(name, folder) if "/" in name else name
