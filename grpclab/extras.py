"""What is installed only with an extra of this package."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from grpclab.errors import MissingDependencyError


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turns a missing import into one line that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"this command needs {error.name}, which is not installed: pip install 'grpclab[{extra}]'"
        ) from None
