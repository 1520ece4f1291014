"""``grpclab call``: what a service offers, and single calls of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from grpclab.cli.completion import offering
from grpclab.cli.options import (
    allowance_given,
    call_options,
    remote_group,
    security_given,
    security_group,
    whole,
)
from grpclab.cli.output import require_writable, show, write
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options, is_given
from grpclab.cli.request_options import data_options, metadata_given, request_data, schema_file
from grpclab.errors import UsageError, invalid
from grpclab.quantities import time_option

if TYPE_CHECKING:
    from grpclab.cli.call_text import Described
    from grpclab.load.call_answer import CallAnswer
    from grpclab.load.calls.schema import Schema
    from grpclab.load.service_client import ServiceClient, ServiceSource

TARGET = "localhost:50051"
LIST, DESCRIBE, DEMO = "list", "describe", "demo"
EXPECTED = "list, describe NAME, demo, or a method as package.Service/Method"
OF_CALLS = ("data", "data_file", "data_format", "repeat", "deadline")
"""Options that only calls have."""
NOT_HERE = ("call", "data_order", "data_repeat", "check")
"""Options of a load's call that a single call has not."""

DESCRIPTION = """List a service's methods, describe a message with a template to fill in, or make single calls.

The schema comes from the server's reflection service, or from --proto or --protoset. You can shorten a method name to
its last part, e.g. Place for shop.Orders/Place, if no other method ends the same way. Messages that the server streams
are printed as they arrive. To stream messages to the server, pass them as a list in --data."""
EPILOG = """examples:
  grpclab call demo    three calls of a built-in server
  grpclab call list localhost:50051
  grpclab call describe shop.Orders/Place localhost:50051
  grpclab call shop.Orders/Place localhost:50051 --data '{"customer": "ada"}'
  grpclab call shop.Orders/Place localhost:50051 --data @order.json --repeat 10
  grpclab call shop.Orders/Watch localhost:50051 -q | jq .total

Fields have the same names as in the .proto file, both in requests and in answers. Fields that have their default value
are left out, as usual in protobuf's JSON. With -q, only the answers are printed, one message per line.

Exit codes: 0 every call ended with OK, 1 a call ended with another status, 2 invalid option or unknown name, 3 no
server responded, 130 Ctrl-C."""


HINTS = {"--call": "pass the method as an argument, as in grpclab call package.Service/Method ADDRESS"}
"""What to type instead of options that other commands have."""


def run(options: Options) -> int:
    """Do what the first word says; returns the exit code."""
    if options.what is None:
        raise UsageError(f"nothing to call: expected {EXPECTED}")
    if ":" in options.what:  # the address first, as grpcurl has it; alone it is one to list
        first = next((word for word in options.names if ":" not in word), LIST)
        options.names = [options.what, *(word for word in options.names if word != first)]
        options.what = first
    name, target = _words(options)
    require_writable(options.json)
    if options.what == DEMO:
        return _demo(options, [*name, *target])
    used = next((option for option in OF_CALLS if options.insists_on(option)), None)
    if options.what in (LIST, DESCRIBE) and used:
        raise UsageError(f"--{used.replace('_', '-')} only works with a call: grpclab call METHOD ADDRESS")
    if options.what == DESCRIBE and not name:
        raise UsageError("grpclab call describe needs the name of a service, a method or a message")
    if options.what != DESCRIBE and name:
        raise UsageError(invalid("ADDRESS", name[0], f"HOST:PORT or unix:PATH, e.g. {TARGET}"))
    from grpclab.load.service_client import ServiceClient

    with ServiceClient(_source(options, target[0] if target else "")) as client:
        if options.what == LIST:
            return _list(client, options)
        if options.what == DESCRIBE:
            return _describe(client, name[0], options)
        return _call(client, options.what, options)


def _words(options: Options) -> tuple[list[str], list[str]]:
    """The names and the addresses among the words behind the first: an address has a colon. Raises UsageError."""
    names = [word for word in options.names if ":" not in word]
    targets = [word for word in options.names if ":" in word]
    for words, what in ((names, "name"), (targets, "address")):
        if len(words) > 1:
            raise UsageError(f"expected one {what}, but both {words[0]} and {words[1]} are given")
    return names, targets


def _source(options: Options, target: str) -> ServiceSource:
    """The server that the options name, and where its schema comes from. Raises UsageError."""
    from grpclab.load.service_client import ServiceSource
    from grpclab.system.transport import UNVERIFIED

    given = {name: value for name, value in vars(options).items() if is_given(value)}
    security = security_given(given)
    proto = schema_file(given)
    if options.proto_path and proto is None:
        raise UsageError("--proto-path applies only to a .proto file: add --proto FILE")
    if not security.verify and not options.quiet:
        print(f"grpclab: {UNVERIFIED}", file=sys.stderr)
    wait = given.get("connect_timeout")
    return ServiceSource(
        target=target or TARGET,
        called="" if options.what in (LIST, DESCRIBE) else options.what,
        security=security,
        allowance=allowance_given(given),
        metadata=metadata_given(given),
        proto=proto,
        proto_path=options.proto_path,
        connect_timeout_s=None if wait is None else time_option("--connect-timeout", wait),
    )


# ---- services and messages ---------------------------------------------------------------------------------------


def _list(client: ServiceClient, options: Options) -> int:
    from grpclab.cli import call_text

    schema = client.schema()
    _print(options, call_text.service_lines(schema), call_text.services_json(schema))
    if not options.quiet and options.json != "-":
        print(f"grpclab call describe NAME {client.target} shows a method's fields and a template", file=sys.stderr)
    return 0


def _describe(client: ServiceClient, name: str, options: Options) -> int:
    from grpclab.cli import call_text

    thing = _named(client.schema(), name)
    _print(options, call_text.described_lines(thing, client.target), call_text.described_json(thing))
    return 0


def _named(schema: Schema, name: str) -> Described:
    """The service, message, enum or method of this name. Raises UsageError."""
    from grpclab.load.calls.outline import named_method

    bare = name.strip("/").replace("/", ".")
    for find in (schema.service, schema.pool.FindMessageTypeByName, schema.pool.FindEnumTypeByName):
        try:
            found = find(bare)
        except KeyError:
            continue
        if found is not None:
            return found
    service, _, method = bare.rpartition(".")
    return schema.method(service, method) if schema.service(service) else named_method(schema, name)


def _print(options: Options, lines: Iterable[str], content: Any) -> None:
    """Print the lines, and write the JSON where it is asked for: on standard output instead of them."""
    if options.json:
        write(options.json, [json.dumps(content, indent=2, ensure_ascii=False), "\n"])
    if options.json != "-":
        print("\n".join(lines).rstrip("\n"))


# ---- calls -------------------------------------------------------------------------------------------------------


def _call(client: ServiceClient, name: str, options: Options) -> int:
    from grpclab.load.service_client import MOST_CALLS

    given = {name: value for name, value in vars(options).items() if is_given(value)}
    repeat = 1 if options.repeat is None else whole("--repeat", options.repeat)
    if not 1 <= repeat <= MOST_CALLS:
        expected = f"1 to {MOST_CALLS:,} calls; use grpclab bench for more"
        raise UsageError(invalid("--repeat", options.repeat, expected))
    deadline_s = None if options.deadline is None else time_option("--deadline", options.deadline)
    printer = _Printer(repeat=repeat, quiet=bool(options.quiet), silent=options.json == "-")
    data, data_given = request_data(given), data_options(given)
    try:
        for answer in client.calls(
            name,
            data,
            options=data_given,
            repeat=repeat,
            deadline_s=deadline_s,
            watcher=printer.message,
            keep_on_interrupt=True,
        ):
            printer.answer(answer)
    finally:  # after Ctrl-C as well
        printer.end()
        if options.json and printer.answers:
            from grpclab.cli.call_text import answers_json

            content = answers_json(client.target, printer.answers)
            write(options.json, [json.dumps(content, indent=2, ensure_ascii=False), "\n"])
    return 0 if all(answer.ok for answer in printer.answers) else 1


class _Printer:
    """Prints answers as they come: messages, then what came with them; of several calls the time of each."""

    def __init__(self, *, repeat: int, quiet: bool, silent: bool) -> None:
        self.answers: list[CallAnswer] = []
        self._repeat, self._quiet, self._silent = repeat, quiet, silent
        self._last: Any = None

    def message(self, message: Any, arrived_s: float, *, streamed: bool) -> None:
        from grpclab.cli import call_text

        if self._silent:
            return
        if self._quiet:
            print(json.dumps(message, ensure_ascii=False), flush=True)
        elif streamed and self._repeat == 1:
            print(call_text.streamed_text(message, arrived_s), flush=True)
        elif not streamed and (not self.answers or message != self._last):
            print(call_text.message_text(message), flush=True)
        self._last = message

    def answer(self, answer: CallAnswer) -> None:
        from grpclab.cli import call_text

        self.answers.append(answer)
        if self._silent:
            return
        if self._quiet:
            if not answer.ok:
                print(f"grpclab: the call ended with {answer.status}: {answer.text}", file=sys.stderr)
        elif self._repeat == 1:
            show("\n".join([*([""] if answer.messages else []), *call_text.answer_lines(answer)]))
        else:
            show(call_text.repeated_line(len(self.answers), answer))
            sys.stdout.flush()

    def end(self) -> None:
        from grpclab.cli import call_text

        if len(self.answers) > 1 and not self._quiet and not self._silent:
            show(f"\n{call_text.repeated_summary(self.answers)}")


# ---- the demonstration -------------------------------------------------------------------------------------------


def _demo(options: Options, words: list[str]) -> int:
    """Three calls of a built-in server: one; ten on one channel; a stream."""
    from grpclab.factors.config import ServerConfig
    from grpclab.load.service_client import ServiceClient, ServiceSource
    from grpclab.servers.process.launcher import launch

    ours = ("what", "names", "quiet", "verbose", "redact")
    names = [param.name for param in COMMAND.params if param.name not in (*ours, "help")]
    if unused := words or [f"--{name}".replace("_", "-") for name in names if name and options.insists_on(name)]:
        raise UsageError(f"grpclab call demo takes no {unused[0]}: it starts and calls its own server")
    with launch(ServerConfig(implementation="asyncio", stream_messages=5, stream_interval_ms=100.0)) as server:
        steps = (
            ("A single call, with its answer, status and time.", "SayHello", 1),
            ("Ten calls on one channel; the first one opens the connection.", "SayHello", 10),
            ("A stream, with each message printed as it arrives.", "SayHelloStream", 1),
        )
        for number, (title, method, repeat) in enumerate(steps):
            more = f" --repeat {repeat}" if repeat > 1 else ""
            if not options.quiet:
                print(f"{chr(10) if number else ''}{title}")
                print(f"""$ grpclab call {method} {server.target} --data '{{"name": "world"}}'{more}\n""", flush=True)
            printer = _Printer(repeat=repeat, quiet=bool(options.quiet), silent=False)
            with ServiceClient(ServiceSource(target=server.target)) as client:
                for answer in client.calls(method, {"name": "world"}, repeat=repeat, watcher=printer.message):
                    printer.answer(answer)
            printer.end()
    if not options.quiet:
        print("\nTo look at your own server, run grpclab call list HOST:PORT")
    return 0


def _groups() -> list[OptionGroup]:
    call = OptionGroup(
        title="what to look at",
        members=[
            Operand("what", "WHAT", EXPECTED, offer=offering(lambda: (LIST, DESCRIBE, DEMO))),
            Operand("names", "NAME|ADDRESS", f"HOST:PORT or unix:PATH on this machine (default: {TARGET})", many=True),
        ],
    )
    sent = OptionGroup(
        title="the call",
        members=[
            *(flag for flag in call_options(mix=False) if flag.name not in NOT_HERE),
            Flag("--repeat", metavar="N", help="make N calls in sequence on one channel, and print the time of each"),
            Flag("--deadline", metavar="TIME", help="time limit for each call (default: none)"),
            Flag(
                "--connect-timeout",
                metavar="TIME",
                help="how long to wait for the server (default: 5 s for a response)",
            ),
        ],
    )
    output = OptionGroup(
        members=[
            Flag(
                "--json",
                metavar="FILE",
                help="write the result as JSON; use - for standard output, which then contains nothing else",
            )
        ]
    )
    return [call, sent, security_group("security"), remote_group("a server on another machine"), output]


COMMAND = LabCommand(
    "call",
    run,
    summary="list a service's methods, describe a message, or make a single call",
    usage="grpclab call list|describe NAME|METHOD|demo [ADDRESS] [options]",
    description=DESCRIPTION,
    epilog=EPILOG,
    hints=HINTS,
    groups=_groups(),
)
