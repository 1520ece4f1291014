"""The JSON Schemas of what a study stores: ``make guides`` writes grpclab/study/schemas/ anew from the model."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from grpclab.analysis import Judgement
from grpclab.factors.levels import Level
from grpclab.study import model, stored_values

FOLDER = Path(model.__file__).resolve().parent / "schemas"
FILES = {"manifest": model.Manifest, "verdict": Judgement, "result": model.StoredResult}
"""The classes by the name of the file in a study's folder, which is that of the schema, too."""
WORDS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(name: str) -> dict[str, Any]:
    """The schema of a file. Null stands for anything that is unknown, but not in a list."""
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


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [found, {"type": "null"}]} if found else found


def text(name: str) -> str:
    """The content of a schema's file."""
    return json.dumps(schema(name), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in FILES:
        (FOLDER / f"{each}.json").write_text(text(each), encoding="utf-8")
