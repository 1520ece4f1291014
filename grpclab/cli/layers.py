"""What ``grpclab bench`` is asked for: its defaults, above them the file of --config, above it the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from grpclab.cli.option_types import OneOf
from grpclab.cli.options import levels as factor_levels
from grpclab.cli.parser import Flag, Options, is_given
from grpclab.cli.request_options import AT
from grpclab.cli.several_calls import OF_ONE_CALL, gathered
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import parse_settings
from grpclab.system.inputs import STDIN, beside, read_text
from grpclab.text import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from grpclab.factors.levels import Level
    from grpclab.load.output.config_file import BenchFile

ARRIVAL, REPLAY = "load.arrival", "replay:"
"""The factor of the load shape, and the beginning of one that has a file."""


def layered(
    options: Options, file: BenchFile, params: Sequence[click.Parameter]
) -> tuple[dict[str, Any], dict[str, Level]]:
    """The options and the levels of factors: defaults, above them the file of --config, above it the command line."""
    names = [str(param.name) for param in params if param.expose_value]
    given = {name: value for name in names if is_given(value := getattr(options, name))}
    unused = () if options.allow_remote else ("max_rate", "max_calls", "max_time")
    inherited = {name: given[name] for name in options.inherited if name in given and name not in unused}
    flags = {name: value for name, value in given.items() if name not in options.inherited}
    layers = (
        (gathered(inherited), inherited.get("settings", []), "--"),
        (gathered(file.options, in_a_file=True), file.settings, ""),
        (gathered(flags), flags.get("settings", []), "--"),
    )
    found: dict[str, Any] = {}
    levels: dict[str, Level] = {}
    for layer, settings, dashes in layers:
        own = parse_settings(settings)
        if "rate" in layer:
            levels.pop("load.rate_rps", None)
        elif "load.rate_rps" in own:
            found.pop("rate", None)
        found = {**_without_beaten(found, layer), **layer}
        levels |= factor_levels(layer, own, dashes)
    return found, levels


def read_config(path: str | None, params: Sequence[click.Parameter]) -> BenchFile:
    """The options that the file gives; what they may be called is what the command's options are called."""
    from grpclab.load.output.config_file import BenchFile, read_bench_file

    if path is None:
        return BenchFile(options={}, settings=[])
    kinds: dict[str, list[str]] = {"words": [], "lists": [], "switches": []}
    choices: dict[str, OneOf] = {}
    for param in params:
        name = str(param.name)
        if name in ("help", "config", "settings"):
            continue
        switch = isinstance(param, Flag) and param.is_flag
        several = param.multiple and not (isinstance(param, Flag) and param.repeatable)
        kinds["switches" if switch else "lists" if several else "words"].append(name)
        if isinstance(param.type, OneOf):
            choices[name] = param.type
    text = read_text("--config", path)
    credentials.learn_from(text)
    file = read_bench_file(text, path, **kinds)
    if names := file.options.get("redact"):
        credentials.redact(names)
        credentials.learn_from(text)
    if path != STDIN:
        from pathlib import Path  # here: a help has no use for it

        folder = Path(path).parent
        _look_beside(file.options, folder)
        file.settings[:] = [_shape_beside(word, f"{ARRIVAL}=", folder) for word in file.settings]
    for name, allowed in choices.items():
        if name in file.options and not allowed.allows(file.options[name]):
            expected = f"one of {', '.join(allowed.choices)}"
            raise UsageError(f"{path}: {invalid(name, file.options[name], expected)}")
    return file


def _look_beside(options: dict[str, Any], folder: Path) -> None:
    """Let the files that a configuration names lie beside it, not in the working folder."""
    for name in ("proto", "protoset", "data_file", "metadata_file", "cacert", "cert", "key", "app_dir", "cwd"):
        if name in options:
            options[name] = beside(options[name], folder)
    if "arrival" in options:
        options["arrival"] = _shape_beside(options["arrival"], "", folder)
    if "mix" in options:
        options["mix"] = tuple(
            replace(one, data=AT + beside(one.data.removeprefix(AT), folder))
            if isinstance(one.data, str) and one.data.startswith(AT)
            else one
            for one in options["mix"]
        )
    if "proto_path" in options:
        options["proto_path"] = [beside(one, folder) for one in options["proto_path"]]
    data = options.get("data")
    if isinstance(data, list) and isinstance(options.get("call"), list):
        options["data"] = [_data_beside(one, folder) for one in data]
    elif data is not None:
        options["data"] = _data_beside(data, folder)


def _shape_beside(word: str, start: str, folder: Path) -> str:
    """A load shape behind its `start`, of which a replay has a file."""
    replay = f"{start}{REPLAY}"
    return replay + beside(word.removeprefix(replay), folder) if word.startswith(replay) else word


def _data_beside(data: Any, folder: Path) -> Any:
    if isinstance(data, str) and data.startswith(AT):
        return AT + beside(data.removeprefix(AT) or STDIN, folder)
    return data


def _without_beaten(file: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The file's options without those that a flag replaces under another name, or key by key."""
    kept = dict(file)
    for name in ("app", "python", "app_dir", "cwd") if "target" in flags else ("target",) if "app" in flags else ():
        kept.pop(name, None)
    if "call" in flags or "mix" in flags:
        kept.pop("mix", None)
    if "mix" in flags:
        for name in ("call", *OF_ONE_CALL):
            kept.pop(name, None)
    if "data" in flags or "data_file" in flags:
        kept.pop("data", None)
        kept.pop("data_file", None)
    if "metadata" in flags and "metadata" in kept:
        beaten = {word.partition("=")[0] for word in flags["metadata"]}
        flags["metadata"][:0] = [word for word in kept["metadata"] if word.partition("=")[0] not in beaten]
    return kept
