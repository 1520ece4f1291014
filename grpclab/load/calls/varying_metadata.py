"""Metadata that differs from call to call: templates in its values, rendered before the load into a file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grpclab.errors import UsageError, invalid
from grpclab.http2.headers import literal_fields
from grpclab.load.calls.metadata import Pairs
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.calls.templates import Template, TemplateValues, is_template, key_of

_VALUE = re.compile(r"(?! )[\x20-\x7e]*(?<! )", re.ASCII)


class VaryingMetadata:
    """The pairs whose values are templates, apart from the others. Raises UsageError for a template that is none."""

    def __init__(self, pairs: Pairs) -> None:
        self.fixed: Pairs = tuple(pair for pair in pairs if not is_template(pair[1]))
        self._varying: Pairs = tuple(pair for pair in pairs if is_template(pair[1]))
        self._templates = [(key, Template(value)) for key, value in self._varying]

    def __bool__(self) -> bool:
        return bool(self._templates)

    def render(self, number: int, values: TemplateValues) -> Pairs:
        """The pairs of one call. Raises UsageError for a value that no header takes."""
        pairs = tuple((key, template.render(number, values)) for key, template in self._templates)
        for key, value in pairs:
            if not _VALUE.fullmatch(value):
                raise UsageError(
                    invalid("--metadata", f"{key}={value!r}", "printable ASCII without leading or trailing spaces")
                )
        return pairs

    def write(self, values: TemplateValues, count: int, *, repeat: bool) -> Payloads:
        """The file of so many calls' pairs, as header blocks: rendered once for a study, see :class:`PayloadFolder`."""

        def blocks() -> Iterator[bytes]:
            for number in range(count):
                yield literal_fields(self.render(number, values))

        known = key_of(values, "".join(value for _, value in self._varying))
        made = PAYLOAD_FOLDER.once(
            ("metadata", self._varying, known, repeat),
            count,
            lambda: (PAYLOAD_FOLDER.write(blocks(), repeat=repeat, planned=count), True),
        )
        assert isinstance(made, Payloads)
        return made
