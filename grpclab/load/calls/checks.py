"""What is looked for in an answer: a check by an expression, and what of it may vary.

The expression is one of simpleeval: ``reply.total > 0 and reply.state == 2``. `reply` is the message of the answer, of
a stream each of its messages; fields have the names of the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.call_options import AnswerKind
from grpclab.load.calls.schema import advice
from grpclab.system.optional import needs

MOST_KNOWN = 4096
"""So many different answers are remembered with what the check said."""
MOST_FIELDS, MOST_DEPTH = 32, 3
_HASH_BYTES = 8


def _message_class(kind: AnswerKind) -> type[Message]:
    pool = DescriptorPool()
    for file in kind.files:
        pool.Add(FileDescriptorProto.FromString(file))
    return GetMessageClass(pool.FindMessageTypeByName(kind.name))


# ---- the check ---------------------------------------------------------------------------------------------------


def answer_check(expression: str, answer: AnswerKind | None) -> Callable[[bytes], str]:
    """The function that says what is wrong with a message of an answer, or nothing. Raises UsageError."""
    try:
        import simpleeval
    except ModuleNotFoundError:
        raise needs("--check", "simpleeval", "check") from None
    if answer is None:
        raise UsageError("--check requires --call")
    kind = _message_class(answer)
    evaluator = simpleeval.EvalWithCompoundTypes()
    known: dict[bytes, str] = {}

    def holds(reply: Message) -> bool:
        evaluator.names = {"reply": reply}
        return bool(evaluator.eval(expression, previously_parsed=parsed))

    try:
        parsed = evaluator.parse(expression)
        holds(kind())
    except ArithmeticError:
        pass  # of an empty answer
    except IndexError:
        pass
    except Exception as error:  # what simpleeval refuses, and what is no Python
        field = getattr(error, "attr", "")
        names = [one.name for one in kind.DESCRIPTOR.fields]
        expected = (
            f"the fields of {answer.name} are {advice(str(field), names)}"
            if field
            else getattr(error, "msg", str(error))
        )
        raise UsageError(invalid("--check", expression, f"an expression like 'reply.total > 0'; {expected}")) from None

    def fault(message: bytes) -> str:
        if message in known:
            return known[message]
        try:
            text = "" if holds(kind.FromString(message)) else f"the answer does not pass --check {expression!r}"
        except DecodeError:
            text = f"the answer is not a valid {answer.name}"
        except Exception as error:
            text = f"--check {expression!r} cannot be evaluated for the answer: {error}"
        if len(known) < MOST_KNOWN:
            known[message] = text
        return text

    return fault


# ---- what is compared --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ReadAnswer:
    """An answer as it is compared: its hash, and those of its fields, by their dotted names."""

    digest: str
    fields: dict[str, str]


class AnswerReader:
    """Reads answers of a kind without the fields that vary by nature. Raises UsageError for one that there is not."""

    def __init__(self, kind: AnswerKind, ignored: Sequence[str] = ()) -> None:
        self._class = _message_class(kind)
        self._ignored = [path.split(".") for path in ignored]
        for path in self._ignored:
            _check_path(_kind_of(self._class), path)

    def read(self, messages: Sequence[bytes]) -> ReadAnswer:
        """Return the messages of an answer as they are compared: those that cannot be decoded by their bytes."""
        contents: list[bytes] = []
        fields: dict[str, str] = {}
        for number, content in enumerate(messages):
            try:
                message = self._class.FromString(content)
            except DecodeError:
                contents.append(content)
                continue
            for path in self._ignored:
                _clear(message, path)
            contents.append(message.SerializeToString(deterministic=True))
            start = "" if len(messages) == 1 else f"[{number}]."
            for name, value in _fields(message, start, 0):
                if len(fields) < MOST_FIELDS:
                    fields[name] = _hash(value)
        parts = b"".join(len(content).to_bytes(4, "big") + content for content in contents)
        return ReadAnswer(digest=_hash(parts), fields=fields)


def _kind_of(message: type[Message]) -> Descriptor:
    kind: Any = message.DESCRIPTOR
    return cast("Descriptor", kind)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_HASH_BYTES).hexdigest()


def _check_path(kind: Descriptor | None, path: Sequence[str]) -> None:
    for part in path:
        names = list(kind.fields_by_name) if kind is not None else []
        if kind is None or part not in kind.fields_by_name:
            whose = f"{kind.full_name}, which has {advice(part, names)}" if kind is not None else "a message"
            raise UsageError(invalid("--ignore-fields", ".".join(path), f"a field of {whose}"))
        kind = _inside(kind.fields_by_name[part])


def _inside(field: FieldDescriptor) -> Descriptor | None:
    """The message that a field holds, of a map its values'."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inside: Descriptor | None = kind.fields_by_name["value"].message_type
        return inside
    return kind


def _clear(message: Any, path: Sequence[str]) -> None:
    """Clear a field, in every element where it lies in a list or a map."""
    name, rest = path[0], path[1:]
    if not rest:
        type(message).ClearField(message, name)
        return
    field = type(message).DESCRIPTOR.fields_by_name[name]
    value = getattr(message, name)
    if field.is_repeated:
        is_map = field.message_type.GetOptions().map_entry
        for inner in list(value.values() if is_map else value):
            _clear(inner, rest)
    elif type(message).HasField(message, name):
        _clear(value, rest)


def _fields(message: Any, start: str, depth: int) -> Iterator[tuple[str, bytes]]:
    for field, value in type(message).ListFields(message):
        if field.message_type is not None and not field.is_repeated and depth < MOST_DEPTH:
            yield from _fields(value, f"{start}{field.name}.", depth + 1)
        else:
            only = type(message)()
            if field.is_repeated:
                type(only).MergeFrom(only, message)
                for other, _ in type(only).ListFields(only):
                    if other.number != field.number:
                        type(only).ClearField(only, other.name)
                content = type(only).SerializeToString(only, deterministic=True)
            else:
                content = repr(value).encode()
            yield f"{start}{field.name}", content
