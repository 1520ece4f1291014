"""The JSON Schemas of what a study stores, and of the TOML file that describes one.

``make guides`` writes grpclab/study/schemas/ anew from the model and the table of factors.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from grpclab.analysis import Judgement, fewest_blocks
from grpclab.factors.config import FACTORS, SECTIONS
from grpclab.factors.levels import NAME_PATTERNS, Factor, Level
from grpclab.factors.own import OF_THE_TARGET, is_own, own_factor
from grpclab.factors.variants import VARIANTS
from grpclab.study import model, stored_values
from grpclab.study.designs.file_tables import KINDS_OF_TARGETS, CallTable, ScenarioTable, TargetTable
from grpclab.study.designs.study_file import GRIDS, MOST_BLOCKS, StudyFile

FOLDER = Path(model.__file__).resolve().parent / "schemas"
FILES = {"manifest": model.Manifest, "verdict": Judgement, "result": model.StoredResult}
"""The classes by the name of the file in a study's folder, which is that of the schema, too."""
STUDY_FILE = "study-file"
"""The schema of the TOML file that describes a study, whatever that is called."""
NAMES = (*FILES, STUDY_FILE)
WORDS = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}


def schema(name: str) -> dict[str, Any]:
    """The schema of that name."""
    return _study_file() if name == STUDY_FILE else _stored(name)


def _stored(name: str) -> dict[str, Any]:
    """The schema of a stored file. Null stands for anything that is unknown, but not in a list."""
    classes: dict[str, Any] = {}
    top = _object(FILES[name], classes)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": dict(sorted(classes.items()))}


def _object(kind: Any, classes: dict[str, Any]) -> dict[str, Any]:
    hints = stored_values.fields_of(kind)
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    return {
        "title": kind.__name__,
        "description": " ".join((inspect.getdoc(kind) or "").split()),
        "type": "object",
        "properties": {
            name: _schema(hint, classes) if name in required else _or_null(_schema(hint, classes))
            for name, hint in hints.items()
        },
        **({"required": required} if required else {}),
    }


def _schema(kind: Any, classes: dict[str, Any]) -> dict[str, Any]:
    if kind is Any:
        return {}
    if kind == Level:
        return {"type": ["string", "number", "boolean", "null"]}
    if get_origin(kind) is UnionType:
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], classes)}
    if get_origin(kind) is Mapping:
        return {"type": "object", "additionalProperties": _or_null(_schema(get_args(kind)[1], classes))}
    if is_dataclass(kind):
        name = str(getattr(kind, "__name__", ""))
        if name not in classes:
            classes[name] = {}
            classes[name] = _object(kind, classes)
        return {"$ref": f"#/$defs/{name}"}
    return {"type": WORDS[str if get_origin(kind) is Literal else kind]}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def _study_file() -> dict[str, Any]:
    """The schema of a TOML file, in draft 4, which every editor of TOML reads."""
    levels = _by_factor(lambda level: level)
    target = _table(TargetTable, {"variant": {"enum": list(VARIANTS)}})
    one = _table(CallTable, {})
    call = {**one, "type": ["object", "array"], "items": one}
    narrower: dict[str, dict[str, Any]] = {
        "variant": {"enum": list(VARIANTS)},
        "target": {**target, "oneOf": [{"required": [name]} for name in KINDS_OF_TARGETS]},
        "call": call,
        "scenario": {
            "items": {
                **_table(ScenarioTable, {"set": {"$ref": "#/properties/set"}, "call": {"$ref": "#/properties/call"}}),
                "required": ["name"],
            }
        },
        "grid": {"enum": list(GRIDS)},
        "blocks": {"minimum": fewest_blocks(), "maximum": MOST_BLOCKS},
        "seed": {"minimum": 0},
        "set": levels,
        "factors": _by_factor(
            lambda level: {"description": level["description"], "type": "array", "minItems": 1, "items": level}
        ),
    }
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": StudyFile.__name__,
        "description": "A study of your own, for grpclab study --file FILE",
        "type": "object",
        "required": ["factors"],
        "not": {"required": ["variant", "target"]},
        "additionalProperties": False,
        "properties": _entries(StudyFile, narrower),
    }


def _table(kind: Any, narrower: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of a table of the file."""
    return {"type": "object", "additionalProperties": False, "properties": _entries(kind, narrower)}


def _entries(kind: Any, narrower: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The keys of a table, those of several words with hyphens and with underscores."""
    found: dict[str, Any] = {}
    for one in fields(kind):
        types = [WORDS[each] for each in one.metadata["kinds"]]
        types = [each for each in types if each != "integer" or "number" not in types]
        schema = {
            "description": one.metadata["meaning"],
            "type": types[0] if len(types) == 1 else types,
            **({} if one.default in (None, "", (), False, MISSING) else {"default": one.default}),
            **narrower.get(one.name, {}),
        }
        found |= dict.fromkeys(dict.fromkeys((one.name.replace("_", "-"), one.name)), schema)
    return found


def _by_factor(of: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """A table of factors, ``[set.server]`` or ``set.server.threads``; a dotted name in quotes is taken, too."""
    sections = {
        section: {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: of(_level(one))
                for one in FACTORS.values()
                if one.section == section
                for name in dict.fromkeys((one.name, one.name.replace("_", "-")))
            },
        }
        for section in SECTIONS
    }
    own = {name: of(_level(own_factor(f"{name}.NAME"))) for name in ("arg", "env")}
    sections |= {
        name: {"type": "object", "additionalProperties": False, "patternProperties": {r"^[A-Za-z_]\w*$": level}}
        for name, level in own.items()
    }
    targets = {name.partition(".")[2]: of(_level(own_factor(name))) for name in OF_THE_TARGET}
    sections["target"] = {"type": "object", "additionalProperties": False, "properties": targets}
    dotted = {rf"^({'|'.join(SECTIONS)})\.[\w-]+$": {"description": "A factor by its dotted name."}}
    dotted |= {rf"^{name}\.[A-Za-z_]\w*$": level for name, level in own.items()}
    dotted |= {rf"^target\.{name}$": level for name, level in targets.items()}
    return {"properties": sections, "patternProperties": dotted, "additionalProperties": False}


def _level(factor: Factor) -> dict[str, Any]:
    """The levels that a factor takes; a text may be ``none``, a number with its unit, or true and false as words."""
    bounds = {"minimum": factor.minimum, "maximum": factor.maximum}
    if factor.registry is not None:  # another package may register more
        kind: dict[str, Any] = {"anyOf": [{"enum": list(factor.choices)}, {"type": "string"}]}
    elif factor.choices:
        kind = {"enum": list(factor.choices)}
    elif factor.statuses:
        kind = {"type": "string"}
    elif is_own(factor.dotted):
        kind = {"type": ["string", "number", "boolean"]}
    elif factor.naming:
        kind = {"type": "string", "pattern": f"^{NAME_PATTERNS[factor.naming].pattern}$"}
    elif factor.kind is bool:
        kind = {"type": ["boolean", "string", "integer"]}
    else:
        kind = {"type": ["number", "string"], **{key: bound for key, bound in bounds.items() if bound is not None}}
    default = {} if factor.default is None else {"default": factor.default}
    return {"description": f"{factor.meaning}: {factor.range_text}", **kind, **default}


def text(name: str) -> str:
    """The content of a schema's file."""
    return json.dumps(schema(name), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in NAMES:
        (FOLDER / f"{each}.json").write_text(text(each), encoding="utf-8")
