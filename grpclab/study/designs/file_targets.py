"""The target and the calls of a study's TOML file: what they name by a path lies beside the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from grpclab.errors import DesignError, UsageError, invalid
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.own import OF_THE_TARGET, PYTHON
from grpclab.load.calls.call_options import DataOptions
from grpclab.load.calls.data_file import file_reference
from grpclab.load.calls.metadata import metadata_words
from grpclab.load.calls.request import json_text
from grpclab.load.calls.request_data import text_of_file
from grpclab.load.plan import check_call
from grpclab.quantities import in_unit
from grpclab.servers.placement import placed, settled
from grpclab.servers.target import Target
from grpclab.servers.targets import require_call
from grpclab.study.designs.file_tables import CallTable, TargetTable, beside, program_beside, read_table
from grpclab.study.designs.study_file import StudyFile
from grpclab.study.target import Subject
from grpclab.system.inputs import read_text, unreadable
from grpclab.system.transport import Security, security_of

MOST_TEXT_BYTES = 64 * 1024
"""A longer request stays in its file, and a plan names that."""


def target_of(table: TargetTable | None, folder: Path) -> Target:
    """The target that ``[target]`` describes; the built-in greeter without one. Raises UsageError."""
    if table is None or table.variant:
        return Target()
    here = "" if folder.resolve() == Path.cwd() else str(folder.absolute())
    try:
        return Target(
            app=table.app,
            command=table.command,
            address=table.address,
            app_dir=beside(table.app_dir, folder) or (here if table.app else ""),
            python=program_beside(table.python, folder),
            cwd=beside(table.cwd, folder) or (here if table.command else ""),
            ready=table.ready,
            ready_timeout_s=_seconds(table.ready_timeout),
            prepare=table.prepare,
            cleanup=table.cleanup,
            security=_security(table, folder),
        )
    except DesignError:
        raise
    except UsageError as error:
        raise DesignError(f"target: {error}") from None


def _seconds(given: str | float) -> float | None:
    if given == "":
        return None
    try:
        return in_unit(str(given), "s")
    except ValueError:
        raise DesignError(invalid("target.ready-timeout", given, "a time, e.g. 25s or 1m30s")) from None


def _security(table: TargetTable, folder: Path) -> Security:
    return security_of(
        tls=table.tls,
        cacert=beside(table.cacert, folder),
        cert=beside(table.cert, folder),
        key=beside(table.key, folder),
        server_name=table.server_name,
        authority=table.authority,
        insecure_skip_verify=table.insecure_skip_verify,
        dashes="",
    )


# ---- the call ----------------------------------------------------------------------------------------------------


def merged(call: CallTable | None, own: Mapping[str, Any]) -> CallTable | None:
    """The call of a scenario: what its own table leaves out is that of ``[call]``. Raises DesignError."""
    if not own:
        return call
    table = read_table(CallTable, own, "scenario.call")
    if call is None:
        return table
    given = {name.replace("-", "_") for name in own}
    data = {one.name for one in fields(CallTable) if one.name.startswith("data")}
    given |= data if given & data or "method" in given else set()  # a request belongs to its method
    return replace(call, **{one.name: getattr(table, one.name) for one in fields(CallTable) if one.name in given})


def subject_of(
    target: Target, call: CallTable | None, folder: Path, named: Collection[str], config: TrialConfig
) -> Subject | None:
    """The server and the call of a scenario; None for our own greeter's.

    `named` are the factors of the file, of which the target has to have each. Raises UsageError.
    """
    table = call or CallTable()
    if table.data is not None and table.data_file:
        raise DesignError("call: data and data-file both specify the request: remove one of them")
    if table.proto and table.protoset:
        raise DesignError("call: proto and protoset both specify the schema: remove one of them")
    schema = beside(table.proto or table.protoset, folder)
    paths = tuple(beside(path, folder) for path in _texts("call.proto-path", table.proto_path))
    data = table.data if isinstance(table.data, str | None) else json_text(table.data)
    if table.data_file:
        data = _of_file(beside(table.data_file, folder), DataOptions(format=table.data_format))
    needing = ("data", "data_file", "check", "ignore_fields", "proto", "protoset")
    idle = [name for name in needing if getattr(table, name) not in (None, "")]
    if idle and not table.method:
        raise DesignError(f"call: {idle[0].replace('_', '-')} needs a method: package.Service/Method")
    check_call(table.method or None, named, data=data, proto=schema or None, proto_path=paths)
    subject = Subject(
        target=target,
        call=table.method,
        data=data,
        metadata=metadata_words(table.metadata or ()),
        proto=schema or None,
        proto_path=paths,
        data_format=table.data_format,
        data_order=table.data_order,
        data_repeat=table.data_repeat,
        answer_check=table.check,
        ignore_fields=tuple(_texts("call.ignore-fields", table.ignore_fields)),
    )
    levels = config.flat()
    subject.check_factors({name: levels[name] for name in named})
    replace(subject, target=placed(target, config.own).target).check()
    require_call(target, table.method, "call.method")
    return None if subject == Subject() else subject


def _of_file(name: str, options: DataOptions) -> str:
    """The text of one request, or what stands for a file of many. Raises UsageError."""
    try:
        size = Path(name).stat().st_size
    except OSError as error:
        raise unreadable("call.data-file", name, "a readable file", error) from None
    if options.format_of(name) == "json" and size <= MOST_TEXT_BYTES:
        return text_of_file(read_text("call.data-file", name), name)
    return file_reference(name)


def _texts(name: str, value: Any) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value or []
    if not all(isinstance(text, str) for text in texts):
        raise DesignError(invalid(name, value, "quoted strings"))
    return texts


# ---- revisions, packages, interpreters -------------------------------------------------------------------------------


def placed_beside(file: StudyFile, target: Target, folder: Path) -> StudyFile:
    """The file with the levels of the target's own factors as :func:`seen_from` gives them.

    ``[target]`` may give the interpreter of the baseline. Raises UsageError for an interpreter that cannot be run, a
    revision that there is not, and what is no requirement.
    """
    from grpclab.servers.hosting.application import interpreter

    given = dict(seen_from(file.set, target, folder))
    if PYTHON in file.factors and PYTHON not in given and file.target and file.target.python:
        given[PYTHON] = program_beside(file.target.python, folder)
    factors = dict(file.factors)
    for name in set(OF_THE_TARGET) & set(factors):
        factors[name] = tuple(seen_from({name: level}, target, folder)[name] for level in factors[name])
    for level in factors.get(PYTHON, ()):
        interpreter(str(level), PYTHON)
    scenarios = tuple(replace(one, set=seen_from(one.set, target, folder)) for one in file.scenario)
    return replace(file, set=given, factors=factors, scenario=scenarios)


def seen_from(levels: Mapping[str, Level], target: Target, folder: Path) -> Mapping[str, Level]:
    """The levels of some factors: an interpreter as it is seen from here, a revision with its commit, and requirements
    in their normal form."""
    here = {name: program_beside(str(level), folder) if name == PYTHON else level for name, level in levels.items()}
    return settled(target, here, folder)
