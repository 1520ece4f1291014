"""The answer to a single call: its status, its messages as JSON has them, and the metadata that came with them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import MeasurementError
from grpclab.load.calls.metadata import Pairs
from grpclab.load.calls.schema import Schema
from grpclab.status import STATUS_NAMES
from grpclab.text import credentials


@dataclass(frozen=True, kw_only=True)
class CallAnswer:
    """The answer to one call.

    `messages` are the messages as JSON values, with the field names of the ``.proto`` file. `arrived_s` are the times
    from the start of the call until each message arrived, and `time_s` is the time until its status, in seconds.
    """

    status: str
    text: str
    details: tuple[str, ...]
    headers: Pairs
    trailers: Pairs
    messages: tuple[Any, ...]
    arrived_s: tuple[float, ...]
    time_s: float
    method: str
    """``package.Service/Method``."""
    streamed: bool
    """Whether the method answers with a stream."""

    @property
    def ok(self) -> bool:
        """Whether the status is OK."""
        return self.status == "OK"

    @property
    def code(self) -> int:
        """The number of the status."""
        return STATUS_NAMES.index(self.status)


class AnswerDecoder:
    """Messages of a kind, from bytes to what JSON has; as text where one holds a message of an unknown type."""

    def __init__(self, kind: Descriptor, known: Schema) -> None:
        self._name = kind.full_name
        self._class: type[Message] = GetMessageClass(kind)
        self._pool = known.pool

    def __call__(self, content: bytes) -> Any:
        """Return the message. Raises MeasurementError for bytes that are none of this type."""
        try:
            message = self._class.FromString(content)
        except DecodeError:
            raise MeasurementError(
                f"the server's answer ({len(content):,} bytes) is not a valid {self._name}: use the server's own "
                ".proto file (--proto FILE)"
            ) from None
        try:
            return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=self._pool)
        except (TypeError, ValueError, json_format.Error):  # it holds an Any of a type that is not known here
            return text_format.MessageToString(message, as_one_line=True, descriptor_pool=self._pool)


def shown_pairs(metadata: Sequence[tuple[str, str | bytes]] | None) -> Pairs:
    """Metadata for people: values in base64 that are bytes, and no credentials."""
    return tuple(
        (key, credentials.MASK if credentials.is_secret(key) else _shown(value)) for key, value in metadata or ()
    )


def _shown(value: str | bytes) -> str:
    return base64.b64encode(value).decode("ascii").rstrip("=") if isinstance(value, bytes) else value
