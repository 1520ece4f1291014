"""The programs behind the servers of a study: read when it begins and at every start, so that a change is noticed.

Of an application they are the files that its process imported from its folder, of a command its executable and script
with the state of git, of a running server what its reflection says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Hashable, Mapping

from grpclab.analysis.study_plan import StoredFile, StoredProgram, StudyPlan
from grpclab.errors import TargetError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.metadata import for_grpcio, parse_metadata
from grpclab.load.calls.method import greeting
from grpclab.load.calls.schema import Schema, from_descriptors, services_at
from grpclab.servers import targets
from grpclab.servers.placement import placed
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.process.program import ServerProgram, identity_of
from grpclab.study.target import Subject
from grpclab.system.transport import Security

LONGEST_NAME = 64
"""Of a study."""
NAME_DIGITS = 6
REFLECTION = "reflection"
"""The name under which a running server's description of itself is kept, as if it were a file."""


def servers_of(plan: StudyPlan, subjects: Mapping[str, Subject] | None = None) -> dict[str, StoredProgram]:
    """The programs of a plan by configuration; an application is started for it, once under each interpreter.

    That start is the rehearsal of the study, too: an application looks at the arguments of all its configurations.
    `subjects` are those of the plan, with the secrets that a stored one does not hold. Raises UsageError, ServerError;
    the first also for a call that an application does not have.
    """
    groups: dict[Hashable, dict[str, Subject]] = {}
    for name, stored in plan.subjects.items():
        subject = (subjects or {}).get(name) or Subject.of(stored)
        target, order = subject.target, subject.order(plan.configuration(name).config)
        if not target.own:
            key = targets.rehearsed_as(order) if target.app else (target, tuple(sorted(order.own.items())))
            groups.setdefault(key, {})[name] = subject
    found: dict[str, StoredProgram] = {}
    for group in groups.values():
        program, descriptors = _program_of_all(plan, group)
        for name, subject in group.items():
            if subject.target.app:
                check_method(subject, plan.configuration(name).config, descriptors)
            found[name] = program
    return {name: found[name] for name in plan.subjects if name in found}


def _program_of_all(plan: StudyPlan, group: Mapping[str, Subject]) -> tuple[StoredProgram, tuple[bytes, ...]]:
    """The program of configurations that have the same, and what an application tells of its services."""
    orders = [subject.order(plan.configuration(name).config) for name, subject in group.items()]
    subject = next(iter(group.values()))
    if command := subject.target.command:
        cwd = placed(subject.target, orders[0].own).target.cwd
        return _stored(identity_of(command, arguments=_arguments(orders[0].own), cwd=cwd), subject), ()
    with targets.rehearsal(orders) if subject.target.app else targets.start(orders[0]) as server:
        return program_of(server, subject), server.descriptors


def check_method(subject: Subject, config: TrialConfig, descriptors: tuple[bytes, ...]) -> None:
    """Raise UsageError where an application, by its `descriptors`, does not have the method that is called."""
    if not descriptors or subject.proto:
        return  # what it has is not known, or is said by a file
    schema = from_descriptors(descriptors)
    if subject.has_call and not (subject.call or subject.mix):
        return  # a recording may have calls of what is not there
    names = [one.method for one in subject.mix] or [subject.call or greeting(config.load).path]
    try:
        for name in names:
            service, _, method = name.strip("/").rpartition("/")
            schema.method(service, method)
    except UsageError:
        if subject.has_call:
            raise
        has = ", ".join(f"{one}/{name}" for one in schema.services for name in _methods(schema, one))
        raise UsageError(
            f"no method to call was given for {subject.app}: add --call (or, in a study file, set method under "
            f"[call]); available methods: {has}"
        ) from None


def _methods(schema: Schema, service: str) -> list[str]:
    return sorted(schema.pool.FindServiceByName(service).methods_by_name)


def _arguments(own: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("arg."): level for name, level in own.items() if name.startswith("arg.")}


def program_of(server: RunningServer, subject: Subject) -> StoredProgram:
    """The program behind a server that has just been started, or reached."""
    if not subject.target.address:
        return _stored(server.program, subject)
    return StoredProgram(address=subject.target.address, files=_described(server.target, server.security, subject))


def program_at_end_of(server: RunningServer, subject: Subject) -> StoredProgram | None:
    """The same of an application that has ended: with what was imported by a call; None where that is not known."""
    return None if server.program_at_end is None else _stored(server.program_at_end, subject)


def _stored(program: ServerProgram, subject: Subject) -> StoredProgram:
    return StoredProgram(
        command=subject.target.command,
        app=subject.target.app,
        files=tuple(StoredFile(**vars(file)) for file in program.files),
        versions=dict(program.versions),
        commit=program.commit,
        dirty=program.dirty,
    )


def _described(target: str, security: Security, subject: Subject) -> tuple[StoredFile, ...]:
    """The digest of what a server's reflection says; nothing where it has none."""
    content = b""
    with contextlib.suppress(UsageError, TargetError):
        metadata = for_grpcio(parse_metadata(subject.metadata))
        _, files = services_at(target, metadata=metadata, security=security, ledger=subject.target.ledger)
        content = b"".join(files)
    if not content:
        return ()
    return (StoredFile(name=REFLECTION, bytes=len(content), sha256=hashlib.sha256(content).hexdigest()),)


def with_programs(name: str, servers: Mapping[str, StoredProgram]) -> str:
    """An automatic name with six digits of the programs' identity; the name alone where that is not known.

    Of a command only the files count: its words may be secret.
    """
    programs = {
        json.dumps([sorted((f.name, f.sha256) for f in one.files), dict(one.versions), one.commit, one.dirty])
        for one in servers.values()
        if one.files or one.commit
    }
    if not programs:
        return name
    digits = hashlib.sha256("\n".join(sorted(programs)).encode()).hexdigest()[:NAME_DIGITS]
    return f"{name[: LONGEST_NAME - NAME_DIGITS - 1]}-{digits}"


def change_of(before: StoredProgram | None, now: StoredProgram) -> str:
    """The difference of a server's program from what it was when the study began, in words; "" for none.

    A file that only one of the two has may be one that is imported later, or for some levels only: it is no change.
    """
    if before is None:
        return ""
    first, second = ({file.name: file.sha256 for file in one.files} for one in (before, now))
    changed = [name for name in sorted(set(first) & set(second)) if first[name] != second[name]]
    changed += [
        f"{name} ({before.versions[name]}, now {now.versions[name]})"
        for name in sorted(set(before.versions) & set(now.versions))
        if before.versions[name] != now.versions[name]
    ]
    if before.commit and now.commit and before.commit != now.commit:
        changed.append(f"the git commit ({before.commit[:12]}, now {now.commit[:12]})")
    elif None not in (before.dirty, now.dirty) and before.dirty != now.dirty:
        changed.append("the files that git tracks")
    return f"the server's program has changed since the study started: {', '.join(changed)}" if changed else ""
