"""Libraries that only an extra of this package installs, and the command that installs it."""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
from collections.abc import Iterator

from grpclab.errors import MissingDependencyError

NAME = "grpclab"


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation: from the clone, the wheel or the repository it came from."""
    import json  # long to import, and every server's process imports this module
    from importlib import metadata

    try:
        source = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        source = {}
    return f"pip install {_requirement(extra, source)}"


def _requirement(extra: str, source: dict[str, dict[str, object]] | dict[str, str]) -> str:
    """The requirement for pip; `source` is direct_url.json (PEP 610), empty for a package of an index."""
    from urllib.parse import unquote, urlsplit

    url, folder = str(source.get("url") or ""), source.get("dir_info")
    if isinstance(folder, dict):
        editable = "-e " if folder.get("editable") else ""
        return f"{editable}{shlex.quote(f'{unquote(urlsplit(url).path)}[{extra}]')}"
    vcs = source.get("vcs_info")
    if isinstance(vcs, dict):
        url = f"{vcs.get('vcs')}+{url}@{vcs.get('commit_id')}"
    return f"'{NAME}[{extra}] @ {url}'" if url else f"'{NAME}[{extra}]'"


def needs(what: str, package: str, extra: str) -> MissingDependencyError:
    """The error of what needs a package that is not installed."""
    return MissingDependencyError(f"{what} needs {package}, which is not installed: {install_command(extra)}")


def is_installed(module: str) -> bool:
    """Whether a module can be imported; its parents are."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turns a missing import into one line that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise needs("this command", str(error.name), extra) from None
