"""grpclab: reliable performance studies of gRPC services.

The rooms of the house, top to bottom; each floor imports only from floors below it:

    cli           the command line: one module a command
    notebook      what the cells of the notebooks call, one module a notebook
    calibration   the lab measures itself: one experiment, one module
    testing       what the tests of a plug-in need: a virtual clock, a server with faults
    report        a study as frames, figures, HTML, Markdown; the site
    study         the designs, a trial, the runner that executes one notebook for each trial, the store
    analysis      pure functions over frames: ratios, intervals, verdicts, limits, claims
    diagnostics   the pprof and metrics server beside a server
    profiling     py-spy, perf, strace, threads; families of work, flamegraphs
    load          the load generator: its pure core, what a call sends, the engines, their workers, outputs
    servers       the greeter, the reference server, a server as a process
    link          the emulated network path
    factors       the table of factors, channel arguments, variants, which factors took effect
    http2         HTTP/2 and gRPC framing without I/O, client and server side
    cluster       processes on many machines, on Dask: the workers of a cluster, and who measures there
    system        child processes, files, the terminal, the kernel's accounting, signals
    metrics       the table of metrics: what every column of a trial means that is no factor
    quantities    times and shares read from text, and every number as text: for a terminal, a page, an axis
    errors        one root, a tree in its docstring
    status        gRPC's status codes
    text          the text of others made harmless, secrets taken out of it
    generated     the stubs of proto/greet.proto

The docstring of each room is its map. Names are loaded when first used: the children of a trial start quickly because
of it.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

__version__ = "0.1.0"

if TYPE_CHECKING:
    from grpclab.errors import GrpclabError as GrpclabError
    from grpclab.factors.config import ClientConfig as ClientConfig
    from grpclab.factors.config import LinkConfig as LinkConfig
    from grpclab.factors.config import LoadConfig as LoadConfig
    from grpclab.factors.config import ServerConfig as ServerConfig
    from grpclab.factors.config import TrialConfig as TrialConfig
    from grpclab.factors.variants import BASIC as BASIC
    from grpclab.factors.variants import OPTIMIZED as OPTIMIZED
    from grpclab.load.bench import bench as bench
    from grpclab.load.bench_result import BenchResult as BenchResult
    from grpclab.load.call_answer import CallAnswer as CallAnswer
    from grpclab.load.service_client import call as call
    from grpclab.notebook import explore as explore
    from grpclab.notebook.calibration import CalibrationNotebook as CalibrationNotebook
    from grpclab.notebook.replication import ReplicationNotebook as ReplicationNotebook
    from grpclab.notebook.sweep import SweepNotebook as SweepNotebook
    from grpclab.notebook.trial import TrialNotebook as TrialNotebook
    from grpclab.report.stored import StoredStudy as StoredStudy
    from grpclab.report.stored import load_study as load_study
    from grpclab.servers.process.launcher import launch as launch
    from grpclab.servers.target import Address as Address
    from grpclab.servers.target import App as App
    from grpclab.servers.target import Command as Command
    from grpclab.servers.target import Target as Target
    from grpclab.study.comparing import compare as compare
    from grpclab.study.comparison import CompareResult as CompareResult
    from grpclab.study.parameters import StudyParameters as StudyParameters
    from grpclab.study.runner import Study as Study
    from grpclab.study.sides import Side as Side
    from grpclab.system.transport import Security as Security
    from grpclab.system.transport import security_of as security_of

_HOMES = {
    "Address": "servers.target",
    "App": "servers.target",
    "BASIC": "factors.variants",
    "BenchResult": "load.bench_result",
    "CallAnswer": "load.call_answer",
    "CalibrationNotebook": "notebook.calibration",
    "ClientConfig": "factors.config",
    "Command": "servers.target",
    "CompareResult": "study.comparison",
    "GrpclabError": "errors",
    "LinkConfig": "factors.config",
    "LoadConfig": "factors.config",
    "OPTIMIZED": "factors.variants",
    "ReplicationNotebook": "notebook.replication",
    "Security": "system.transport",
    "ServerConfig": "factors.config",
    "Side": "study.sides",
    "StoredStudy": "report.stored",
    "Study": "study.runner",
    "StudyParameters": "study.parameters",
    "SweepNotebook": "notebook.sweep",
    "Target": "servers.target",
    "TrialConfig": "factors.config",
    "TrialNotebook": "notebook.trial",
    "bench": "load.bench",
    "call": "load.service_client",
    "compare": "study.comparing",
    "launch": "servers.process.launcher",
    "load_study": "report.stored",
    "security_of": "system.transport",
}

_MODULES = {"explore": "notebook.explore"}
"""Modules that are imported from here as one name."""

__all__ = list(_HOMES | _MODULES)

_ALIASES = {
    "grpclab.analysis.replication": "grpclab.analysis.claims.replication",
    "grpclab.calibration.notebook": "grpclab.notebook.calibration",
    "grpclab.exploring": "grpclab.notebook.explore",
    "grpclab.notebook_replication": "grpclab.notebook.replication",
}
"""Modules that notebooks of the first edition import or name, and where they are now; until 1.0."""


class _Aliases:
    """Imports a module under the name that it had in the first edition.

    Of no class of ``importlib.abc``, which takes longer to import than all else here.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, cast("Any", self)) if fullname in _ALIASES else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ALIASES[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # the import system has just set that of the alias


sys.meta_path.append(_Aliases())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"grpclab.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"grpclab.{_MODULES[name]}")
    raise AttributeError(f"module 'grpclab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
