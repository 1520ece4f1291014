"""The reference of the documentation: commands, Python, factors and files, generated from the code.

:func:`pages` returns them as Markdown by the name of their page; :mod:`tools.docs_site` puts them into the site. The
table of metrics has a page of its own in docs/ (:mod:`tools.metrics_page`).
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from grpclab.factors.config import FACTORS, SECTIONS
from grpclab.factors.levels import Factor, format_level
from grpclab.factors.own import PYTHON, own_factor
from tools import schemas

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
"""Columns of the terminal in which the help is shown."""
ROOMS = {
    "grpclab": "The functions and classes for scripts and notebooks.",
    "grpclab.analysis": "Pure functions over data frames, which the report itself uses.",
    "grpclab.testing": "Helpers for testing a plug-in.",
}
"""The modules whose public names are the Python API, with a sentence on each."""
SECTIONS_SAY = {
    "server": "The server under test.",
    "client": "The channels of the load generator.",
    "load": "The load that the load generator sends.",
    "link": "The emulated network path.",
}
FILES_SAY = {
    "study-file": "The TOML file for `grpclab study --file` ([guide](../your-own-service.md#the-file)).",
    "manifest": "`results/STUDY/manifest.json`: the plan, the versions and the machine of a study.",
    "verdict": "`results/STUDY/verdict.json`: the headline and every comparison.",
    "result": "`result.json`: the measurements of one trial.",
}


def pages() -> dict[str, str]:
    """Every page as Markdown, by its path below docs/."""
    return {
        "reference/commands.md": commands(),
        "reference/python.md": python(),
        "reference/factors.md": factors(),
        "reference/files.md": files(),
    }


# ---- commands ------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its help, as the command itself prints it."""
    program = help_of("")
    names = command_names(program)
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(help_of, names))
    parts = [f"## grpclab {name}\n\n{_fenced(text)}" for name, text in zip(names, texts, strict=True)]
    beginning = "# Commands\n\nEach command prints its help with `--help`. You can also run `python -m grpclab`.\n\n"
    return beginning + _fenced(program) + "\n" + "\n".join(parts)


def help_of(command: str) -> str:
    """What ``grpclab COMMAND --help`` prints without colours; the program's own help without a command."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    words = [sys.executable, "-m", "grpclab", *command.split(), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout


def command_names(program: str) -> list[str]:
    """The names of the commands, out of the help of the program."""
    listed = program.lower().partition("commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^\W{1,4}([a-z]+) {2,}", listed, re.MULTILINE)


def _fenced(text: str) -> str:
    return f"```text\n{text.strip()}\n```\n"


# ---- Python --------------------------------------------------------------------------------------------------------


def python() -> str:
    """The public names of each room, with signatures and docstrings."""
    parts = ["# Python API\n\nNames are loaded when they are first used, so `import grpclab` is quick.\n"]
    for room, said in ROOMS.items():
        module = importlib.import_module(room)
        parts.append(f"\n## {room}\n\n{said}\n")
        parts += [_entry(room, name, getattr(module, name)) for name in module.__all__]
    return "\n".join(parts)


def _entry(room: str, name: str, found: Any) -> str:
    if inspect.ismodule(found):
        return f"### {name}\n\nA module. {markdown(inspect.getdoc(found) or '')}\n"
    if typing.get_args(found):
        return f"### {name}\n\nOne of {', '.join(f'`{level}`' for level in typing.get_args(found))}.\n"
    if not callable(found):
        return f"### {name}\n\nA value of `{type(found).__name__}`.\n"
    lines = [
        f"### {name}\n",
        f"```python\n{_signature(room, name, found)}\n```\n",
        markdown(inspect.getdoc(found) or ""),
    ]
    if inspect.isclass(found):
        lines += ["", *_members(found)]
    return "\n".join(lines) + "\n"


def _signature(room: str, name: str, found: Any) -> str:
    """A signature, a parameter on a line where it would be long."""
    kind = "class " if inspect.isclass(found) else "async def " if inspect.iscoroutinefunction(found) else "def "
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return f"{kind}{room}.{name}"
    if inspect.isclass(found):
        signature = signature.replace(return_annotation=signature.empty)
    text = _plain(f"{kind}{room}.{name}{signature}")
    if len(text) <= WIDTH:
        return text
    stars = ["*"] if any(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values()) else []
    shown: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and stars:
            shown.append(stars.pop())
        shown.append(_plain(str(parameter)))
    returns = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    return f"{kind}{room}.{name}(\n" + "".join(f"    {each},\n" for each in shown) + f"){_plain(returns)}"


def _plain(text: str) -> str:
    """A signature without the quotes of postponed annotations and the addresses of default objects."""
    text = re.sub(r": '([^']*)'", r": \1", re.sub(r"-> '([^']*)'", r"-> \1", text))
    return re.sub(r"<factory>|<[^<>]+ at 0x[0-9a-f]+>", "...", text)


def _members(found: type) -> Iterator[str]:
    """The public methods and properties that a class defines itself, with the first sentence of each."""
    for name, member in vars(found).items():
        inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        doc = inspect.getdoc(inner) if inspect.isfunction(inner) or isinstance(member, property) else None
        if name.startswith("_") or not doc:
            continue
        call = "" if isinstance(member, property) else "()"
        yield f"- `{name}{call}`: {markdown(doc.partition(chr(10) * 2)[0]).replace(chr(10), ' ')}"


def markdown(docstring: str) -> str:
    """A docstring as Markdown: its roles and double backticks as code, its literal blocks fenced."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    block = re.compile(r"::\n\n((?: {4}.*\n?|\n)+)")
    return block.sub(lambda m: ":\n\n```text\n" + inspect.cleandoc(m[1]).rstrip() + "\n```\n\n", text + "\n").rstrip()


# ---- factors -------------------------------------------------------------------------------------------------------


def factors() -> str:
    """The table of factors, by section."""
    parts = [
        "# Factors\n\nSet these factors with `--set FACTOR=LEVEL` in commands, or under `[set]` and `[factors]` in\n"
        "study files. Each factor is a column of `trials.parquet`. `grpclab factors` prints the same list.\n"
    ]
    for section in SECTIONS:
        rows = [_factor_row(one) for one in FACTORS.values() if one.section == section]
        parts.append(
            f"\n## {section}\n\n{SECTIONS_SAY.get(section, '')}\n\n{_table('factor|meaning|levels|default', rows)}"
        )
    own = [own_factor("arg.NAME"), own_factor("env.NAME"), own_factor(PYTHON)]
    rows = [(f"`{one.dotted}`", _cell(one.meaning), "text", "") for one in own]
    parts.append(f"\n## Your own\n\nFactors that you define.\n\n{_table('factor|meaning|levels|default', rows)}")
    return "".join(parts)


def _factor_row(one: Factor) -> tuple[str, ...]:
    levels = one.range_text.partition("; default")[0]
    return f"`{one.dotted}`", _cell(one.meaning), _cell(levels), f"`{format_level(one.default)}`"


def _table(heads: str, rows: list[tuple[str, ...]]) -> str:
    names = heads.split("|")
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


# ---- files ---------------------------------------------------------------------------------------------------------


def files() -> str:
    """The files that have a schema, key by key."""
    parts = [
        "# Files and schemas\n\nThe JSON Schemas are installed with the package, in `grpclab/study/schemas/`. The\n"
        "columns of `trials.parquet` are [factors](factors.md) and [metrics](../metrics.md).\n"
    ]
    for name in ("study-file", *schemas.FILES):
        schema = schemas.schema(name)
        parts.append(f"\n## {name}\n\n{FILES_SAY[name]} Schema: `{name}.json`.\n\n{_properties(schema)}")
        for title, inner in schema.get("$defs", {}).items():
            if inner.get("properties"):
                parts.append(
                    f"\n### {name}: {title}\n\n{_cell(markdown(inner.get('description', '')))}\n\n{_properties(inner)}"
                )
    return "".join(parts)


def _properties(schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    known = schema["properties"]
    rows = [
        (f"`{name}`", _kind(one), "yes" if name in required else "", _cell(str(one.get("description", ""))))
        for name, one in known.items()
        if not ("_" in name and name.replace("_", "-") in known)
    ]
    described = any(row[3] for row in rows)
    return _table(
        "key|type|required|meaning" if described else "key|type|required", [row[: 3 + described] for row in rows]
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a value, in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{level}`" for level in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return kind if isinstance(kind, str) else " or ".join(kind)
