"""The target, the calls and the workloads of a study's TOML file: what they name by a path lies beside the file."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from grpclab.errors import DesignError, UsageError, invalid
from grpclab.factors.config import TrialConfig, setting_word
from grpclab.factors.defaults import LOAD
from grpclab.factors.levels import Level
from grpclab.factors.own import OF_THE_TARGET, PYTHON, is_own
from grpclab.factors.variants import VARIANTS
from grpclab.load.calls.call_options import MARK, DataOptions
from grpclab.load.calls.data_file import file_reference
from grpclab.load.calls.metadata import metadata_words
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.load.calls.mixed_call import named as with_names
from grpclab.load.calls.request import json_text
from grpclab.load.calls.request_data import text_of_file
from grpclab.load.core.shapes import with_recorded_load
from grpclab.load.plan import check_call
from grpclab.quantities import in_unit
from grpclab.servers.placement import placed, settled
from grpclab.servers.target import Target
from grpclab.servers.targets import require_call
from grpclab.study.designs.file_tables import (
    Calls,
    CallTable,
    ScenarioTable,
    TargetTable,
    beside,
    program_beside,
    read_calls,
)
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


def merged(call: Calls | None, own: Any) -> Calls | None:
    """The call of a scenario: what its own table leaves out is that of ``[call]``. Raises DesignError."""
    if not own:
        return call
    table = read_calls(own, "scenario.call")
    if not isinstance(call, CallTable) or not isinstance(table, CallTable):  # a mix has nothing to be left out of
        return table
    given = {name.replace("-", "_") for name in own}
    data = {one.name for one in fields(CallTable) if one.name.startswith("data")}
    given |= data if given & data or "method" in given else set()  # a request belongs to its method
    return replace(call, **{one.name: getattr(table, one.name) for one in fields(CallTable) if one.name in given})


def subject_of(
    target: Target, call: Calls | None, folder: Path, named: Collection[str], config: TrialConfig
) -> Subject | None:
    """The server and the call of a scenario; None for our own greeter's.

    `named` are the factors of the file, of which the target has to have each. Raises UsageError.
    """
    if isinstance(call, tuple):
        subject = _mixed(target, call, folder)
        method = call[0].method
    else:
        table = call or CallTable()
        method = table.method or ("those of the recording" if _is_recorded(table) else "")
        subject = Subject(
            target=target,
            call=table.method,
            data=_data(table, folder, "call"),
            metadata=metadata_words(table.metadata or ()),
            **_schema(table, folder),
            data_format=table.data_format,
            data_order=table.data_order,
            data_repeat=table.data_repeat,
            answer_check=table.check,
            ignore_fields=tuple(_texts("call.ignore-fields", table.ignore_fields)),
        )
    data = None if method and not subject.call else subject.data
    check_call(method or None, named, data=data, proto=subject.proto, proto_path=subject.proto_path)
    levels = config.flat()
    subject.check_factors({name: levels[name] for name in named})
    replace(subject, target=placed(target, config.own).target).check()
    require_call(target, method, "call.method")
    return None if subject == Subject() else subject


def _mixed(target: Target, tables: Sequence[CallTable], folder: Path) -> Subject:
    """The subject whose calls take turns. Raises UsageError."""
    schemas = [_schema(table, folder) for table in tables]
    given = [schema for schema in schemas if any(schema.values())]
    if any(schema != given[0] for schema in given):
        raise DesignError("call: proto, protoset and proto-path apply to all calls of a mix, so set them only once")
    calls = [
        MixedCall(
            name=table.name,
            weight=float(table.weight),
            method=table.method,
            data=_data(table, folder, f"call[{number}]"),
            data_format=table.data_format,
            data_order=table.data_order,
            data_repeat=table.data_repeat,
            check=table.check,
            ignore_fields=tuple(_texts(f"call[{number}].ignore-fields", table.ignore_fields)),
            metadata=metadata_words(table.metadata or ()),
        )
        for number, table in enumerate(tables, start=1)
    ]
    return Subject(target=target, mix=with_names(calls), **(given[0] if given else {}))


def _schema(table: CallTable, folder: Path) -> dict[str, Any]:
    """The file of the schema of a call, and the folders of its imports, by the names that a subject has for them."""
    if table.proto and table.protoset:
        raise DesignError("call: proto and protoset both specify the schema: remove one of them")
    paths = tuple(beside(path, folder) for path in _texts("call.proto-path", table.proto_path))
    return {"proto": beside(table.proto or table.protoset, folder) or None, "proto_path": paths}


def _is_recorded(table: CallTable) -> bool:
    """Whether the call is a recording, which has methods of its own."""
    return DataOptions(format=table.data_format).is_recorded(
        f"{MARK}{table.data_file}" if table.data_file else table.data
    )


def _data(table: CallTable, folder: Path, where: str) -> str | None:
    """The request of a call as a text, or what stands for a file of many. Raises DesignError."""
    if table.data is not None and table.data_file:
        raise DesignError(f"{where}: data and data-file both specify the request: remove one of them")
    needing = ("data", "data_file", "check", "ignore_fields", "proto", "protoset")
    idle = [name for name in needing if getattr(table, name) not in (None, "")]
    if idle and not table.method and not _is_recorded(table):
        raise DesignError(f"{where}: {idle[0].replace('_', '-')} needs a method: package.Service/Method")
    if table.data_file:
        return _of_file(beside(table.data_file, folder), DataOptions(format=table.data_format))
    return table.data if isinstance(table.data, str | None) else json_text(table.data)


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


# ---- workloads ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A scenario of a file: its baseline, the levels that are compared with it, and what is measured."""

    name: str
    base: TrialConfig
    """The baseline, without what its load shape has recorded."""
    given: Collection[str]
    """The factors that the file sets in the baseline."""
    folder: Path
    """That of the file."""
    wanted: Sequence[Mapping[str, Level]]
    subject: Subject | None
    words: str
    """What follows a title, where there are several scenarios."""

    def config_of(self, levels: Mapping[str, Level]) -> TrialConfig:
        """The baseline with other levels; a replay has the rate and the calls of its recording. Raises UsageError."""
        return with_recorded_load(self.base.replace(levels), {*self.given, *levels}, self.folder)

    @functools.cached_property
    def start(self) -> TrialConfig:
        """The baseline."""
        return self.config_of({})

    @property
    def hosted(self) -> bool:
        """Whether its server is an application."""
        return self.subject is not None and bool(self.subject.app)

    @functools.cached_property
    def configs(self) -> list[TrialConfig]:
        """The baseline, and the others in the order of the file."""
        return list(dict.fromkeys([self.start, *map(self.config_of, self.wanted)]))

    def title(self, config: TrialConfig) -> str:
        """What is changed in a configuration."""
        changed = config.differences(self.start)
        return " ".join(setting_word(name, level) for name, level in changed.items()) + self.words

    @property
    def longest_s(self) -> float:
        """The length of a window at most, for the estimate of the time left; a guess where only calls bound it."""
        load = self.start.load
        if load.duration_s is None and load.rate_rps is not None and load.requests is not None:
            return load.requests / load.rate_rps
        return load.duration_s or 10.0


def workload_of(file: StudyFile, target: Target, scenario: ScenarioTable, folder: Path) -> Workload:
    """The workload of a scenario of the file. Raises UsageError."""
    start = (VARIANTS[file.variant] if file.variant else TrialConfig()).replace(LOAD)
    start = start.replace(file.set).replace(scenario.set)
    # An own factor has no default: without a level in [set] its first one is the baseline's.
    first = {name: levels[0] for name, levels in file.factors.items() if is_own(name) and name not in start.own}
    if file.grid == "full":
        first = {name: levels[0] for name, levels in file.factors.items()}
    start = start.replace(first)
    given = {*file.set, *scenario.set, *first}
    if file.grid == "full":
        wanted = [dict(zip(file.factors, levels, strict=True)) for levels in itertools.product(*file.factors.values())]
    else:
        wanted = [{name: level} for name, levels in file.factors.items() for level in levels]
    call = merged(file.call, scenario.call)
    named = {*file.set, *scenario.set, *file.factors}
    return Workload(
        name=scenario.name,
        base=start,
        given=given,
        folder=folder,
        wanted=wanted,
        subject=subject_of(target, call, folder, named, start.replace({n: of[0] for n, of in file.factors.items()})),
        words=f" in {scenario.name}" if len(file.scenario) > 1 else "",
    )
