"""A git repository: its revisions, its history, worktrees of it, and the identity of files that are not committed.

Nothing here touches the files, the index or the branches of a user's checkout. Worktrees lie in temporary folders and
end with this process; those of a process that was killed are removed by the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from grpclab.errors import StorageError, UsageError, invalid
from grpclab.system import interrupts
from grpclab.system.paths import project_root
from grpclab.system.temporary import PREFIX, TemporaryFolder
from grpclab.text.printable import printable

SHORT = 12
"""Digits of an id in a label; git adds some where these are not unique."""
CHECKOUT = "worktree"
"""The revision that is the user's checkout as it is, changes that are not committed included."""
LONGEST_REASON = 200

_SETTLED = re.compile(r"(?:(?P<name>.+)@)?(?P<id>[0-9a-f]{12,64})")
_ID = re.compile(r"[0-9a-f]{40,64}")
_ELSEWHERE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES"),
)
"""Variables by which a git that started this process, for a hook, points to its own repository."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit: its full id, and the first line of its message; or a checkout, whose id is its label."""

    id: str
    subject: str = ""

    @property
    def short(self) -> str:
        """The beginning of its id."""
        return CHECKOUT if self.is_checkout else self.id[:SHORT]

    @property
    def is_checkout(self) -> bool:
        """Whether it is no commit, but a checkout as it is."""
        return self.id.startswith(f"{CHECKOUT}@")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A revision that has been looked up: `name` as it was given, `label` with the beginning of its id.

    `commit` is the full id of the commit, of a checkout (`is_checkout`) that of its HEAD. A label is a revision, too:
    of the same commit, whatever its name has become, or of a checkout with the same files.
    """

    name: str
    label: str
    commit: str
    is_checkout: bool = False
    dirty: bool = False
    """Whether the files of a checkout differ from its commit."""


@dataclass(frozen=True)
class Repository:
    """The git repository whose checkout has its top at this folder, which :meth:`around` finds."""

    top: Path

    @classmethod
    def around(cls, folder: Path) -> Repository:
        """The repository in which a folder lies. Raises UsageError: the words for what is wrong with the folder."""
        found = _git(folder, "rev-parse", "--show-toplevel")
        if found.returncode:
            raise UsageError(f"{folder} is not in a git repository ({_reason(found)})")
        return cls(Path(found.stdout.rstrip("\n")))

    def revision(self, text: str, called: str) -> Revision:
        """Look a revision up: anything that git knows as a commit, ``worktree``, or a label.

        `called` is the option or the factor that names it. Raises UsageError, one line.
        """
        settled = _SETTLED.fullmatch(text)
        if text == CHECKOUT or (settled and settled["name"] == CHECKOUT):
            return self._checkout(text, called)
        if settled and settled["name"] and (commit := self._find(settled["id"])):
            return Revision(name=settled["name"], label=text, commit=commit)
        commit = self.commit(text, called).id
        short = _git(self.top, "rev-parse", f"--short={SHORT}", commit).stdout.strip() or commit
        label = short if commit.startswith(text) else f"{text}@{short}"
        return Revision(name=text, label=label, commit=commit)

    def _checkout(self, text: str, called: str) -> Revision:
        files, head = self.files_id(), self._find("HEAD") or ""
        label = f"{CHECKOUT}@{files[:SHORT]}"
        if text not in (CHECKOUT, label):
            expected = f"the files of {self.top} as they were when the study was stored; they are now {label}"
            raise UsageError(invalid(called, text, expected))
        committed = _git(self.top, "rev-parse", "--verify", "--quiet", "HEAD^{tree}").stdout.strip()
        return Revision(name=CHECKOUT, label=label, commit=head, is_checkout=True, dirty=files != committed)

    def commit(self, text: str, called: str) -> Commit:
        """The commit that a revision names. Raises UsageError, one line with the nearest name."""
        if not (found := self._find(text)):
            expected = f"a commit, a tag or a branch of {self.top}{self._shallow()}"
            raise UsageError(invalid(called, text, expected, self.names))
        shown = _git(self.top, "log", "--max-count=1", "--format=%s", found, "--")
        return Commit(id=found, subject=printable(shown.stdout))

    def changes(self, called: str) -> Commit | None:
        """The checkout as it is, as what follows its commit; None where it is that commit. Raises UsageError."""
        found = self.revision(CHECKOUT, called)
        return Commit(id=found.label, subject="changes that are not committed") if found.dirty else None

    @property
    def names(self) -> list[str]:
        """The names of its branches and tags."""
        return _git(self.top, "for-each-ref", "--format=%(refname:short)").stdout.split()

    def _find(self, text: str) -> str:
        """The id of the commit; "" for none. A revision that looks like an option is none."""
        if text.startswith("-") or not text.strip():
            return ""
        found = _git(self.top, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}").stdout.strip()
        return found if _ID.fullmatch(found) else ""  # a range is several

    def _shallow(self) -> str:
        """What to do where the clone holds a part of the history; "" where it holds all."""
        found = _git(self.top, "rev-parse", "--is-shallow-repository").stdout.strip()
        return " (this clone is shallow: `git fetch --unshallow` fetches the rest)" if found == "true" else ""

    def after(self, first: Commit, last: Commit, called: str) -> list[Commit]:
        """The commits that follow the `first` up to the `last`, the oldest first: of a merge itself, not its branch.

        Each has the `first` in its history: where that lies on a branch, the merge of the branch is the first of them.

        `called` is the option that names the first. Raises UsageError where the last does not descend from it.
        """
        if first.id == last.id:
            raise UsageError(invalid(called, first.short, f"an earlier commit than {last.short}, which it is itself"))
        if _git(self.top, "merge-base", "--is-ancestor", first.id, last.id).returncode:
            raise UsageError(invalid(called, first.short, f"an ancestor of {last.short}{self._shallow()}"))
        between = f"{first.id}..{last.id}"
        after = set(_git(self.top, "rev-list", "--ancestry-path", between, "--").stdout.split())
        listed = _git(self.top, "log", "--first-parent", "--reverse", "--format=%H %s", between, "--").stdout
        found = [(line[: len(last.id)], line[len(last.id) :]) for line in listed.splitlines()]
        return [Commit(id=id_, subject=printable(subject)) for id_, subject in found if id_ in after]

    def files_id(self) -> str:
        """The id of the tree that a commit of all files in the checkout would have.

        Files that git ignores are left out, and untracked ones that a run brings: bytecode, results and reports.
        Nothing is written into the repository. Raises UsageError where a file cannot be read.
        """
        with TemporaryFolder() as folder:
            index, objects = folder / "index", folder / "objects"
            objects.mkdir()
            with contextlib.suppress(FileNotFoundError):  # there is none before the first `git add`
                # With its time: git then compares the content of files that changed in that second.
                shutil.copy2(self._path("index"), index)
            own = {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._path("objects")),
            }
            untracked = [".", ":(exclude,glob)**/__pycache__/**", *self._outputs()]
            for words in (("add", "--update"), ("add", "--all", "--", *untracked), ("write-tree",)):
                done = _git(self.top, *words, environ=own)
                if done.returncode:
                    raise UsageError(f"the files of {self.top} cannot be read: {_reason(done)}")
            return done.stdout.strip()

    def _outputs(self) -> list[str]:
        """What keeps the folders that results go to apart, where they lie in the checkout."""
        root = project_root()
        if not root.is_relative_to(self.top):
            return []
        return [f":(exclude,literal){(root / name).relative_to(self.top)}" for name in ("results", "reports")]

    def _path(self, name: str) -> Path:
        return self.top / _git(self.top, "rev-parse", "--git-path", name).stdout.rstrip("\n")


def _git(folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, without hooks and monitors of the repository, and settings that add to what it prints.

    Raises UsageError where there is no git.
    """
    settings = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "log.showSignature=false")
    command = ["git", *(word for one in settings for word in ("-c", one)), "-C", str(folder), *words]
    inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**inherited, "LC_ALL": "C", **(environ or {})},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("git is not on the PATH: revisions need it") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line by which git says why it failed."""
    lines = [line.removeprefix("fatal: ").removeprefix("error: ") for line in done.stderr.splitlines() if line.strip()]
    fatal = [line for line in done.stderr.splitlines() if line.startswith("fatal: ")]
    line = fatal[0].removeprefix("fatal: ") if fatal else lines[-1] if lines else f"exit code {done.returncode}"
    return printable(line, LONGEST_REASON)


# ---- worktrees -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Worktree:
    path: Path
    temporary: TemporaryFolder


class Worktrees:
    """The worktrees of this process, one for each commit; they end with it, or with the block of :meth:`in_use`."""

    def __init__(self) -> None:
        self._made: dict[tuple[Path, str], _Worktree] = {}
        self._users = 0
        self._owner = 0
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Remove the worktrees when the block ends, or the outermost of several."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self.clear()

    def folder(self, repository: Repository, commit: str) -> Path:
        """The top of a worktree of this commit, the same one until it is removed. Raises StorageError."""
        key = repository.top, commit
        with self._lock:
            if key not in self._made:
                self._made[key] = _added(repository, commit)
                if self._owner != os.getpid():
                    self._owner = os.getpid()
                    atexit.register(self.clear)  # after the temporary folder's own: it runs before that
            return self._made[key].path

    def clear(self) -> None:
        """Remove all worktrees. Safe to call twice, and in a forked copy of their owner, where it does nothing."""
        if self._owner != os.getpid():
            return
        with self._lock, interrupts.deferred():
            while self._made:
                (top, _), made = self._made.popitem()
                _remove(top, made)


def _added(repository: Repository, commit: str) -> _Worktree:
    made = _Worktree(path=Path(), temporary=TemporaryFolder())  # which removes what killed processes have left
    try:
        _forget_abandoned(repository)
        made = _Worktree(path=made.temporary.path / (repository.top.name or "checkout"), temporary=made.temporary)
        done = _git(repository.top, "worktree", "add", "--quiet", "--detach", str(made.path), commit)
        if done.returncode:
            advice = "if the disk is full, set TMPDIR to a folder with more space"
            raise StorageError(f"cannot create a worktree of {commit[:SHORT]}: {_reason(done)}; {advice}")
    except BaseException:
        with interrupts.deferred():
            _remove(repository.top, made)
        raise
    return made


def _remove(top: Path, made: _Worktree) -> None:
    if made.path.name:
        with contextlib.suppress(UsageError, OSError):  # a repository that is gone
            _git(top, "worktree", "remove", "--force", str(made.path))
    made.temporary.remove()


def _forget_abandoned(repository: Repository) -> None:
    """Take worktrees of ours whose folders are gone, since their process was killed, out of the repository's list."""
    for line in _git(repository.top, "worktree", "list", "--porcelain").stdout.splitlines():
        path = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and path.parent.name.startswith(PREFIX) and not path.exists():
            _git(repository.top, "worktree", "remove", "--force", str(path))


WORKTREES = Worktrees()


@functools.cache
def repository_of(folder: Path) -> Repository:
    """As :meth:`Repository.around`, asked once for each folder."""
    return Repository.around(folder)


def revision_of(repository: Repository, text: str, called: str) -> Revision:
    """As :meth:`Repository.revision`; what a label stands for does not change, and is looked up once."""
    return _labelled(repository, text, called) if _SETTLED.fullmatch(text) else repository.revision(text, called)


@functools.cache
def _labelled(repository: Repository, label: str, called: str) -> Revision:
    return repository.revision(label, called)
