"""The programs of a study's servers: a configuration is measured with one, from its first trial to its last. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import DesignError
from grpclab.study.model import StoredResult


class ProgramWatch:
    """Compares the program of each new trial with that of the configuration's stored trials."""

    def __init__(self, results: Mapping[str, StoredResult]) -> None:
        """`results` are the trials that are stored already."""
        self._first: dict[str, StoredProgram] = {}
        self._measured: set[str] = set()
        for result in sorted(results.values(), key=lambda one: (one.block, one.order)):
            if result.valid and result.program:
                self._first.setdefault(result.configuration, result.program)

    def change(self, result: StoredResult) -> str:
        """Why a trial that was measured now does not belong to the study; "" where it does.

        Raises DesignError where the program changed before this run, so that it measures something else.
        """
        if not result.program:
            return ""
        known = self._first.setdefault(result.configuration, result.program)
        if not (difference := differing(known, result.program)):
            self._measured.add(result.configuration)
            return ""
        reason = f"the program of {result.configuration} changed during the study: {difference}"
        if result.configuration not in self._measured:
            raise DesignError(f"{reason}; start a new study with --study, or restore the program")
        return reason


Programs = Mapping[str, StoredProgram]
"""Those of a study, by configuration."""


def changed_programs(before: Programs | None, now: Programs | None) -> str:
    """What makes the programs of a study other ones, in words; "" where nothing does, or that is not known."""
    before, now = before or {}, now or {}
    words = (differing(before[name], now[name]) for name in sorted(set(before) & set(now)))
    return "; ".join(dict.fromkeys(word for word in words if word))


def differing(before: StoredProgram, after: StoredProgram) -> str:
    """What makes two programs different ones, in words; "" where they are the same, or one of them is not known.

    A file that only one of two applications has is no difference: a call may import it, which only one trial made.
    """
    first, second = (
        {name: _digests(one, name) for name in {file.name for file in one.files}} for one in (before, after)
    )
    several = set(first) & set(second) if before.app or not (first and second) else set(first) | set(second)
    if names := sorted(name for name in several if first.get(name) != second.get(name)):
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{', '.join(names[:3])}{more} {'is a different file' if len(names) == 1 else 'are different files'}"
    versions = sorted({*before.versions, *after.versions})
    if other := [name for name in versions if before.versions.get(name) != after.versions.get(name)]:
        words = (f"{name} {before.versions.get(name)} is now {after.versions.get(name)}" for name in other)
        return ", ".join(words) if before.versions and after.versions else ""
    if before.commit and after.commit and before.commit != after.commit:
        return f"its commit {before.commit[:12]} is now {after.commit[:12]}"
    if None not in (before.dirty, after.dirty) and before.dirty != after.dirty:
        return (
            "it has new uncommitted changes to tracked files"
            if after.dirty
            else "its uncommitted changes to tracked files are gone"
        )
    return ""


def _digests(program: StoredProgram, name: str) -> set[str]:
    """The contents of a file: several where the processes of a server read it before and after a change."""
    return {file.sha256 for file in program.files if file.name == name}
