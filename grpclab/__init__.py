"""grpclab: performance studies of gRPC services that hold up.

Layout, top to bottom; each floor imports only from floors below it:

    cli                       the command line
    cli_compare, cli_study    commands that judge: compare; study and report
    cli_profile               profile
    cli_notebook              notebook
    cli_bench, cli_reference  the options of bench and of serve reference
    cli_parser                what a mistake on the command line is answered with
    notebook_replication      what the cells of replication.ipynb call
    doctor, notebook          what this machine can measure; what the other notebooks' cells call
    exploring                 what those of explore.ipynb call
    site                      reports and guides as a static site
    guides                    the numbers in the guides
    calibration/              the lab measures itself
    notebook_live             outputs of a notebook that are renewed in place
    publish                   from stored trials to the report
    stored                    a finished study as frames, out of its folder or its report
    report/                   figures and HTML out of tidy frames
    study/                    design, trial, the papermill runner, the store
    analysis/                 pure functions over frames: ratios, intervals, verdicts
    desk/                     the profiling desk, a process beside a server
    profiling/                py-spy, perf, strace, threads; families of work
    effective                 which factors did not take effect
    advertised                what both sides of a connection say first
    load/                     arrivals, gate, recorder, summary (pure); engines, workers, bench
    servers/                  the greeter, its builders, the reference server, the launcher
    link                      the emulated link
    link_relay                its process
    link_model                its behaviour (pure)
    programs                  programs of others as children that end with us
    surroundings              what happened around a measurement, and what it means (pure)
    accounting                what the kernel counts of the machine, before and after
    children, procfs, pacing  child processes; what the kernel says of one; waking up on time
    environment, places       what the machine is; where things are
    variants, channel_args    basic, optimized, the ladder; the one table factor -> channel argument
    config                    the factors
    http2/                    HTTP/2 and gRPC framing without I/O, client and server side (pure)
    temporary                 temporary folders that end with their process
    frames                    data frames in Parquet files, read within bounds
    channels                  every gRPC channel, past the proxies of the environment
    dialling                  the addresses that a target stands for, each of them judged
    extras                    what is installed only with an extra
    arguments                 what programs pass in
    service_time              how long a call takes or waits: a constant or a distribution (pure)
    notebook_html             HTML that keeps its style in the output of a notebook cell
    units, inputs, addresses  times with their units, shares; a user's files; what may stand for HOST:PORT
    interrupts, tether        signals as one exception; a program that the kernel ends with its parent
    bounded                   files that somebody else may have written, read within bounds
    terminal                  standard output and error: the one place where text leaves for a terminal
    notices                   what the reader of a figure should know, as values (pure)
    address_space             how much memory this process may have
    open_files                how many files a process may have open
    errors, status            one root, a tree in its docstring; gRPC's status codes
    printable, redaction      the text of others, made harmless for a terminal; what stands in a secret's place
    generated/                the stubs of proto/greet.proto

Names are loaded when first used: the children of a trial start quickly because of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from grpclab.config import ClientConfig, LinkConfig, LoadConfig, ServerConfig, TrialConfig
    from grpclab.errors import GrpclabError
    from grpclab.load.bench import BenchResult, bench
    from grpclab.servers.launcher import launch
    from grpclab.stored import StoredStudy, load_study
    from grpclab.study.comparing import compare
    from grpclab.study.comparison import CompareResult
    from grpclab.study.parameters import StudyParameters
    from grpclab.study.runner import Study
    from grpclab.study.sides import Side
    from grpclab.variants import BASIC, OPTIMIZED

_HOMES = {
    "BASIC": "variants",
    "BenchResult": "load.bench",
    "ClientConfig": "config",
    "CompareResult": "study.comparison",
    "GrpclabError": "errors",
    "LinkConfig": "config",
    "LoadConfig": "config",
    "OPTIMIZED": "variants",
    "ServerConfig": "config",
    "Side": "study.sides",
    "StoredStudy": "stored",
    "Study": "study.runner",
    "StudyParameters": "study.parameters",
    "TrialConfig": "config",
    "bench": "load.bench",
    "compare": "study.comparing",
    "launch": "servers.launcher",
    "load_study": "stored",
}

__all__ = [
    "BASIC",
    "OPTIMIZED",
    "BenchResult",
    "ClientConfig",
    "CompareResult",
    "GrpclabError",
    "LinkConfig",
    "LoadConfig",
    "ServerConfig",
    "Side",
    "StoredStudy",
    "Study",
    "StudyParameters",
    "TrialConfig",
    "bench",
    "compare",
    "launch",
    "load_study",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"grpclab.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'grpclab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
