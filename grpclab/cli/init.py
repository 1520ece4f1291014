"""``grpclab init``: a study of a service of one's own as a TOML file, out of what the service says of itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.cli import target_options
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.errors import UsageError, invalid

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

    from grpclab.load.calls.schema import Schema
    from grpclab.servers.target import Target

FILE = "threads.toml"
DEEPEST, LONGEST = 2, 400
"""Messages within messages that an example has, and its longest text."""

DESCRIPTION = """Write a TOML file for a study of your own service, with a method, an example request and factors.

grpclab gets the list of methods from the reflection service of a running server (ADDRESS), or by briefly hosting an
application (--app MODULE:NAME). Edit the request so that your service accepts it, then run
`grpclab study --file FILE`."""
EPILOG = """examples:
  grpclab init localhost:50051 --call shop.v1.Till/Pay
  grpclab init --app shop.server:register --file pay.toml"""


def run(options: Options) -> int:
    """Write the file; returns the exit code."""
    path = Path(options.file)
    if path.exists():
        expected = "the name of a new file, but this file already exists; remove it or choose another name"
        raise UsageError(invalid("--file", options.file, expected))
    if bool(options.target) == bool(options.app):
        raise UsageError("expected either grpclab init ADDRESS or grpclab init --app MODULE:NAME")
    from grpclab.servers.target import Address, App

    app = App(options.app, app_dir=options.app_dir or "", python=options.python or "") if options.app else None
    target = app or Address(options.target)
    target_options.refuse_unused(options, [target])
    schema, implementation = _schema(target)
    method = _method(schema, options.call)
    try:
        path.write_text("\n".join([*lines(target, method, path.name, implementation), ""]), encoding="utf-8")
    except OSError as error:
        raise UsageError(invalid("--file", options.file, f"a writable file ({error.strerror})")) from None
    if not options.quiet:
        print(f"wrote {path}, a study of {_name(method)}; edit its request so that the service accepts it, then run")
        print(f"grpclab study --file {path}")
        others = [name for name in _names(schema) if name != _name(method)]
        if others:
            print(f"other methods (--call): {', '.join(others)}", file=sys.stderr)
    return 0


def _schema(target: Target) -> tuple[Schema, str]:
    """What a target says of itself, and the implementation of the server that an application needs, if any."""
    from grpclab.factors.config import ServerConfig
    from grpclab.load.calls.schema import from_descriptors, services_at
    from grpclab.servers import targets
    from grpclab.servers.targets import ServerStart

    targets.check(target, "--app" if target.app else "ADDRESS")
    if target.address:
        return services_at(target.address, security=target.security)[0], ""
    try:
        with targets.start(ServerStart(config=ServerConfig(), target=target)) as server:
            return from_descriptors(server.descriptors), ""
    except UsageError as error:
        if "async" not in str(error):
            raise
        with targets.start(ServerStart(config=ServerConfig(implementation="asyncio"), target=target)) as server:
            return from_descriptors(server.descriptors), "asyncio"


def _methods(schema: Schema) -> list[MethodDescriptor]:
    """The methods that can be called, unary ones first."""
    from grpclab.load.calls.outline import methods_of

    return sorted(methods_of(schema), key=lambda one: (one.client_streaming, one.server_streaming))


def _names(schema: Schema) -> list[str]:
    return [_name(method) for method in _methods(schema)]


def _name(method: MethodDescriptor) -> str:
    from grpclab.load.calls.outline import method_name

    return method_name(method)


def _method(schema: Schema, call: str | None) -> MethodDescriptor:
    """The method that was asked for, else the first. Raises UsageError."""
    methods = _methods(schema)
    if not methods:
        raise UsageError(f"{schema.source} has no methods")
    if call is None:
        return methods[0]
    chosen = next((method for method in methods if _name(method) == call.removeprefix("/")), None)
    if chosen is None:
        raise UsageError(invalid("--call", call, f"one of {', '.join(_names(schema))}"))
    return chosen


# ---- the file ----------------------------------------------------------------------------------------------------


def lines(target: Target, method: MethodDescriptor, file: str, implementation: str = "") -> list[str]:
    """The lines of the file."""
    from grpclab.load.calls.outline import example_text

    kind = "app" if target.app else "address"
    what = "more connections"
    if target.app:
        what = "more processes" if implementation else "more threads"
    text = [
        f"# grpclab study --file {file}",
        f"question = {_toml(f'Would {what} make {_name(method)} faster?')}",
        "[target]",
        f"{kind} = {_toml(target.text)}",
        *(f"{name.replace('_', '-')} = {_toml(v)}" for name in ("app_dir", "python") if (v := getattr(target, name))),
        "[call]",
        f"method = {_toml(_name(method))}",
        f"data = {example_text(method.input_type, deepest=DEEPEST, longest=LONGEST, write=_toml)}",
    ]
    if target.address:
        connections = ('"client.connections" = 1', "[factors]", '"client.connections" = [2, 4]')
        return [*text, "[set]", '"client.pooling" = "pool"', *connections]
    if implementation:
        return [
            *text,
            "[set]",
            f'"server.implementation" = "{implementation}"',
            '"client.pooling" = "pool"',  # one connection would reach one process only
            '"client.connections" = 8',
            "[factors]",
            '"server.processes" = [1, 2]',
        ]
    return [*text, "[factors]", '"server.threads" = [4, 16, 64]', '"server.implementation" = ["sync", "asyncio"]']


def _toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


COMMAND = LabCommand(
    "init",
    run,
    summary="write a TOML file for a study of your own service",
    usage="grpclab init ADDRESS|--app MODULE:NAME [options]",
    description=DESCRIPTION,
    epilog=EPILOG,
    beats={"target": ("app", "python", "app_dir")},
    groups=[
        OptionGroup(
            title="the service",
            members=[
                Operand("target", "ADDRESS", "HOST:PORT of a running server with reflection"),
                *target_options.target_flags(
                    leave_out=("cmd", "address", "cwd", "ready", "prepare", "cleanup", "security")
                ),
                Flag(
                    "--call",
                    metavar="PKG.SERVICE/METHOD",
                    help="the method to call (default: the first unary method)",
                ),
            ],
        ),
        OptionGroup(
            members=[Flag("--file", metavar="FILE", default=FILE, help=f"the file to write (default: {FILE})")],
        ),
    ],
)
