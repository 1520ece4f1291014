"""What ``grpclab call`` prints: services, messages and answers, as text and as JSON."""

from __future__ import annotations

import json
import shlex
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor, ServiceDescriptor

from grpclab.cli.help_pages import width
from grpclab.load.call_answer import CallAnswer
from grpclab.load.calls.metadata import Pairs
from grpclab.load.calls.outline import (
    NOT_THEIRS,
    example_text,
    message_example,
    method_kind,
    method_name,
    outlines,
)
from grpclab.load.calls.schema import Schema
from grpclab.quantities import count, duration_in, milliseconds
from grpclab.text.printable import printable

DEEPEST, LONGEST = 4, 2000
"""Messages within messages that a template has, and its longest text."""
SHORT = 100
"""The longest request that a command line of an example holds."""
MOST_MESSAGES = 40
"""So many messages are described at most."""

Described = ServiceDescriptor | MethodDescriptor | Descriptor | EnumDescriptor


# ---- services ----------------------------------------------------------------------------------------------------


def service_lines(schema: Schema) -> Iterator[str]:
    """The services with their methods; those of gRPC itself in one line."""
    own = [name for name in schema.services if not name.startswith(NOT_THEIRS)]
    for name in own:
        service = schema.service(name)
        yield name
        yield from _method_lines(service) if service is not None else ["  (the server does not describe this service)"]
        yield ""
    if not own:
        yield from ("no services except gRPC's own", "")
    if others := [name for name in schema.services if name not in own]:
        yield from _filled(f"gRPC's own: {', '.join(others)}")


def _method_lines(service: ServiceDescriptor) -> Iterator[str]:
    column = max((len(method.name) for method in service.methods), default=0) + 2
    for method in service.methods:
        package = f"{method.containing_service.file.package}."
        request, answer = (
            f"{'stream ' if streams else ''}{kind.full_name.removeprefix(package)}"
            for streams, kind in (
                (method.client_streaming, method.input_type),
                (method.server_streaming, method.output_type),
            )
        )
        line = f"  {method.name:<{column}}{request} -> {answer}"
        if len(line) <= width():
            yield line
        else:
            yield from (f"  {method.name}", f"    {request} ->", f"    {answer}")


def services_json(schema: Schema) -> dict[str, Any]:
    """The services and their methods."""
    services = []
    for name in schema.services:
        service = schema.service(name)
        methods = [] if service is None else [_method_json(method) for method in service.methods]
        services.append({"name": name, "methods": methods})
    return {"source": schema.source, "services": services}


def _method_json(method: MethodDescriptor) -> dict[str, Any]:
    return {
        "name": method_name(method),
        "kind": method_kind(method),
        "request": method.input_type.full_name,
        "answer": method.output_type.full_name,
    }


# ---- one thing of a schema ---------------------------------------------------------------------------------------


def described_lines(thing: Described, target: str) -> Iterator[str]:
    """A service, a method, a message or an enum; of a method the command that calls it, too."""
    if isinstance(thing, ServiceDescriptor):
        yield from (f"service {thing.full_name}", *_method_lines(thing))
    elif isinstance(thing, EnumDescriptor):
        yield from (f"enum {thing.full_name}", *(f"  {value.number:>3}  {value.name}" for value in thing.values))
    elif isinstance(thing, Descriptor):
        yield from _message_lines("message", thing)
        yield from _template_lines(thing)
    else:
        yield f"method {method_name(thing)}, {method_kind(thing)}"
        yield ""
        yield from _message_lines("request", thing.input_type)
        yield from _message_lines("answer", thing.output_type)
        yield from _template_lines(thing.input_type)
        example = message_example(thing.input_type, DEEPEST)
        request = json.dumps([example, example] if thing.client_streaming else example)
        short = len(request) <= SHORT
        yield ""
        yield f"to call the method, {'' if short else 'save the template as request.json and '}run:"
        data = shlex.quote(request) if short else "@request.json"
        yield f"  grpclab call {method_name(thing)} {target} --data {data}"


def _message_lines(title: str, kind: Descriptor) -> Iterator[str]:
    for number, message in enumerate(outlines(kind)):
        if number == MOST_MESSAGES:
            yield from ("(to see other messages, run grpclab call describe NAME)", "")
            return
        yield f"{title} {message.name}" if number == 0 else f"  nested message {message.name}"
        indent = "  " if number == 0 else "    "
        name_column = max((len(field.name) for field in message.fields), default=0) + 2
        type_column = min(30, max((len(field.type) for field in message.fields), default=0) + 2)
        for field in message.fields:
            start = f"{indent}{field.number:>3}  {field.name:<{name_column}}{field.type:<{type_column}}"
            yield from _hung(start, field.note)
        if not message.fields:
            yield f"{indent}no fields"
        yield ""


def _template_lines(kind: Descriptor) -> Iterator[str]:
    text = example_text(kind, deepest=DEEPEST, longest=LONGEST, write=lambda value: json_text(value, width() - 2))
    yield "template with a value for each field:"
    yield from textwrap.indent(text, "  ").splitlines()


def _hung(start: str, note: str) -> list[str]:
    """A line with a note behind it, or beneath it where it is long."""
    if not note or len(start) + len(note) <= width():
        return [f"{start}{note}".rstrip()]
    return [start.rstrip(), *_filled(note, " " * 9)]


def _filled(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def described_json(thing: Described) -> dict[str, Any]:
    """The same for programs."""
    if isinstance(thing, ServiceDescriptor):
        return {"service": thing.full_name, "methods": [_method_json(method) for method in thing.methods]}
    if isinstance(thing, EnumDescriptor):
        return {"enum": thing.full_name, "values": {value.name: value.number for value in thing.values}}
    if isinstance(thing, Descriptor):
        return {"message": thing.full_name, **_messages_json(thing)}
    return {**_method_json(thing), **_messages_json(thing.input_type, thing.output_type)}


def _messages_json(*kinds: Descriptor) -> dict[str, Any]:
    messages = {message.name: message for kind in kinds for message in outlines(kind)}
    return {
        "messages": {
            name: [{"name": f.name, "number": f.number, "type": f.type, "note": f.note} for f in message.fields]
            for name, message in messages.items()
        },
        "template": message_example(kinds[0], DEEPEST),
    }


# ---- answers -----------------------------------------------------------------------------------------------------


def json_text(value: Any, columns: int, indent: int = 0) -> str:
    """JSON in so many columns: what fits on a line is on one, at the depth `indent`."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= columns or not isinstance(value, dict | list) or not value:
        return line
    inner, outer = " " * (indent + 2), " " * indent
    if isinstance(value, list):
        parts = [f"{inner}{json_text(one, columns - 1, indent + 2)}" for one in value]
        return "\n".join(["[", ",\n".join(parts), f"{outer}]"])
    parts = []
    for name, one in value.items():
        start = f"{inner}{json.dumps(name, ensure_ascii=False)}: "
        parts.append(start + json_text(one, columns - 1 - len(start) + len(inner), indent + 2))
    return "\n".join(["{", ",\n".join(parts), f"{outer}}}"])


def message_text(message: Any) -> str:
    """A message as JSON, in the columns of the terminal."""
    return json_text(message, width())


def streamed_text(message: Any, arrived_s: float) -> str:
    """A message of a stream behind the time at which it came."""
    return f"{_column(arrived_s)}  {json.dumps(message, ensure_ascii=False)}"


def answer_lines(answer: CallAnswer) -> Iterator[str]:
    """The status of a call, and what else came with it."""
    rows = [("status", answer.status)]
    if answer.text:
        rows.append(("message", printable(answer.text)))
    rows += [("details", detail) for detail in answer.details]
    if answer.streamed:
        rows.append(("messages", f"{len(answer.messages):,}"))
        if answer.arrived_s:
            rows.append(("first", f"after {milliseconds(answer.arrived_s[0])}"))
    rows.append(("time", milliseconds(answer.time_s)))
    rows += [("headers", pair) for pair in _pair_texts(answer.headers)]
    rows += [("trailers", pair) for pair in _pair_texts(answer.trailers)]
    before = ""
    for name, text in rows:
        yield f"{'' if name == before else name:<10}{text}"
        before = name


def _pair_texts(pairs: Pairs) -> list[str]:
    return [f"{key}: {printable(value)}" for key, value in pairs]


def repeated_line(number: int, answer: CallAnswer) -> str:
    """One of several calls on one channel."""
    further = [answer.status] if not answer.text else [answer.status, printable(answer.text, 50)]
    if answer.streamed:
        further.append(count(len(answer.messages), "message"))
    return f"{number:>6}  {_column(answer.time_s)}  {'  '.join(further)}"


def _column(seconds: float) -> str:
    return f"{duration_in(seconds, 'ms', ',.2f'):>12}"


def repeated_summary(answers: Sequence[CallAnswer]) -> str:
    """What the first call took beside the others; nothing for a single one."""
    later = [answer.time_s for answer in answers[1:]]
    if not later:
        return ""
    first, median = answers[0].time_s, statistics.median(later)
    return (
        f"The first call opened the connection and took {milliseconds(first)}; the median of the others was "
        f"{milliseconds(median)}."
    )


def answers_json(target: str, answers: Sequence[CallAnswer]) -> dict[str, Any]:
    """The answers for programs."""
    return {
        "method": answers[0].method,
        "target": target,
        "calls": [
            {
                "status": answer.status,
                "code": answer.code,
                "message": answer.text,
                "details": list(answer.details),
                "headers": [list(pair) for pair in answer.headers],
                "trailers": [list(pair) for pair in answer.trailers],
                "answers": list(answer.messages),
                "arrived_s": list(answer.arrived_s),
                "time_s": answer.time_s,
            }
            for answer in answers
        ],
    }
