"""Where a server runs: at a revision of its repository (``target.rev``), with packages of its own
(``target.requirements``).

A revision is a git worktree in a temporary folder; the folders of the target are those inside it. The packages are a
virtual environment, whose interpreter hosts the application. Levels are looked up once, when a measurement is planned:
a plan holds ``main@3f2a91c0d5e6``, which stays what it is when the branch moves on.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.errors import UsageError, invalid
from grpclab.factors.levels import Level
from grpclab.factors.own import PYTHON, REQUIREMENTS, REVISION, OwnLevels
from grpclab.servers.leave import on_standard_error
from grpclab.servers.target import Target
from grpclab.system.repository import WORKTREES, Repository, Revision, repository_of, revision_of

if TYPE_CHECKING:
    from grpclab.system.virtual_environments import VirtualEnvironment

AT_A_REVISION = ("app", "command")
"""The kinds of targets that have a folder, and so a revision."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A target with its folders and interpreter as the levels of its own factors want them.

    `commit` and `dirty` are the state of its repository and `versions` those of the packages that were required, for
    the identity of its program. `checkout` is the user's checkout, where a revision is measured in its place, else "".
    """

    target: Target
    own: OwnLevels
    commit: str = ""
    dirty: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    checkout: str = ""


def settled(target: Target, levels: Mapping[str, Level], folder: Path = Path()) -> dict[str, Level]:
    """The levels with a revision as its label and requirements in their normal form; all others as they are.

    A file of requirements lies in `folder`. Levels that the target does not have stay as they are, too. Raises
    UsageError, one line.
    """
    found = dict(levels)
    if isinstance(text := levels.get(REVISION), str) and target.kind in AT_A_REVISION:
        found[REVISION] = _revision(_repository(target, text), text).label
    if isinstance(text := levels.get(REQUIREMENTS), str) and target.kind == "app":
        from grpclab.system import virtual_environments  # most targets need none

        requirements = virtual_environments.requirements_of(text, REQUIREMENTS, folder)
        found[REQUIREMENTS] = virtual_environments.requirements_text(requirements)
    return found


def placed(target: Target, own: Mapping[str, str]) -> Placement:
    """The target where its own factors put it: a worktree is made, which ends with this process, and an environment.

    Raises UsageError for a revision that does not have the target, StorageError where there is no room, and what
    :func:`grpclab.system.virtual_environments.environment` raises.
    """
    found = Placement(target=target, own=OwnLevels(own))
    if REVISION in own and target.kind in AT_A_REVISION:
        repository = _repository(target, own[REVISION])
        revision = _revision(repository, own[REVISION])
        if revision.is_checkout:
            found = replace(found, commit=revision.commit, dirty=revision.dirty)
        else:
            inside = _at(target, repository, revision)
            found = replace(found, target=inside, commit=revision.commit, dirty=False, checkout=str(repository.top))
    if REQUIREMENTS in own and target.kind == "app":
        from grpclab.servers.hosting.application import interpreter

        made = _environment(interpreter(own.get(PYTHON) or target.python), own[REQUIREMENTS])
        found = replace(found, own=OwnLevels({**found.own, PYTHON: made.python}), versions=made.versions)
    return found


@functools.cache
def _environment(python: str, text: str) -> VirtualEnvironment:
    from grpclab.system import virtual_environments

    requirements = virtual_environments.requirements_of(text, REQUIREMENTS)
    return virtual_environments.environment(python, requirements, tell=on_standard_error)


def repository_of_target(target: Target) -> Repository:
    """The repository in which a target's folder lies. Raises UsageError: the words for what is wrong."""
    folder = (target.app_dir or target.cwd) if target.app else target.cwd
    return repository_of(Path(folder or os.curdir).resolve())


def _repository(target: Target, text: str) -> Repository:
    try:
        return repository_of_target(target)
    except UsageError as error:
        raise UsageError(invalid(REVISION, text, f"a target in a git repository; {error}")) from None


def _revision(repository: Repository, text: str) -> Revision:
    return revision_of(repository, text, REVISION)


def _at(target: Target, repository: Repository, revision: Revision) -> Target:
    """The target with its folders in a worktree of the revision. Raises UsageError where it is not there."""
    worktree = WORKTREES.folder(repository, revision.commit)

    def inside(folder: str) -> str:
        there = Path(folder or os.curdir).resolve()
        if not there.is_relative_to(repository.top):
            return str(there)
        relative = there.relative_to(repository.top)
        if not (worktree / relative).is_dir():
            expected = f"a revision that has the folder {relative}, in which {target.text} runs"
            raise UsageError(invalid(REVISION, revision.label, expected))
        return str(worktree / relative)

    cwd = inside(target.cwd)
    if not target.app:
        return replace(target, cwd=cwd)
    app_dir = inside(target.app_dir or target.cwd)
    _require_module(target.app, Path(app_dir), revision)
    return replace(target, cwd=cwd, app_dir=app_dir)


def _require_module(app: str, folder: Path, revision: Revision) -> None:
    """Raise UsageError where an application's module is not there: another one of that name would be measured."""
    parts = app.partition(":")[0].split(".")
    if _has_module(folder, parts):
        return
    beside = sorted(one.name for one in folder.iterdir() if one.is_dir() and _has_module(one, parts))
    hint = f"; {beside[0]} has it; did you mean --app-dir {beside[0]}?" if beside else ""
    expected = f"a revision with the module {'.'.join(parts)}, which is not in the application's folder there{hint}"
    raise UsageError(invalid(REVISION, revision.label, expected))


def _has_module(folder: Path, parts: list[str]) -> bool:
    path = folder.joinpath(*parts)
    return path.is_dir() or path.with_name(f"{path.name}.py").is_file()
