"""What is noted of a configuration while it is measured, alone or beside others: before the load, and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import MeasurementError
from grpclab.link.emulation import RunningLink
from grpclab.load.core import failures
from grpclab.load.engines.engine import client_settings
from grpclab.load.peer_probe import server_settings
from grpclab.load.run import LoadRun
from grpclab.profiling.profiler import Look
from grpclab.study import profile_window
from grpclab.study.server_programs import change_of, program_at_end_of, program_of
from grpclab.study.set_up import SetUp
from grpclab.study.trial_result import TrialResult
from grpclab.system import procfs


def note_start(result: TrialResult, up: SetUp, expected: StoredProgram | None) -> None:
    """Before any load: the server's program, and what both sides advertise on a connection of its own.

    The server is asked itself, not through the emulated link. Raises MeasurementError where another program than
    `expected` is behind it.
    """
    server = up.server
    result.prepare_s = server.prepare_s
    if not result.subject.target.own:
        result.program = program_of(server, result.subject)
        if change := change_of(expected, result.program):
            raise MeasurementError(change)
    said = server_settings(server.target, server.security)
    result.note_effects(said, client_settings(result.config), threaded=bool(server.threaded))


def note_load(
    result: TrialResult,
    up: SetUp,
    run: LoadRun,
    looks: Mapping[str, Look],
    *,
    opened: procfs.Usage,
    closed: procfs.Usage,
    samples: Sequence[procfs.Usage],
) -> None:
    """After the load: its figures, what the server used for it, and why they do not count, if they do not."""
    result.note_connections(up.connections())
    result.threads_per_call = looks["proc"].threads
    result.looks = {name: look for name, look in looks.items() if name not in profile_window.WITH_COLUMNS}
    result.note_run(run, opened, closed, samples)
    result.note_mix(run, up.generator.call)
    result.note_answers(run.answers, up.generator.call)
    result.note_compression(run, up.generator.call)
    result.metrics |= looks["proc"].metrics
    result.metrics["connections"] = sum(result.connections_by_process)
    result.metrics["server_processes"] = len(up.server.pids)
    result.metrics |= up.stand_ins.metrics()
    result.notices += up.stand_ins.notices()
    result.invalid_reason = (
        run.stopped_because if run.ran_out or run.ceiling else _why_invalid(result, up.generator.workers)
    )
    if up.link is not None:
        _note_passed(result, up.link)


def note_calls(result: TrialResult, up: SetUp) -> None:
    """All calls that were sent, when there will be no more."""
    result.metrics["calls_made"] = up.generator.calls_made


def note_evidence(result: TrialResult, evidence: profile_window.Evidence) -> None:
    """What the profilers saw after the measured time."""
    result.evidence = evidence
    result.metrics |= evidence.metrics
    result.looks |= evidence.others


def note_end(result: TrialResult, up: SetUp) -> None:
    """When the server has been stopped: an application has then told what its calls imported."""
    result.program = program_at_end_of(up.server, result.subject) or result.program
    result.cleanup_s = up.server.cleanup_s
    result.notices += up.server.notices
    result.valid = not result.invalid_reason


def _note_passed(result: TrialResult, link: RunningLink) -> None:
    """Note the connections, pings and GOAWAYs that passed over the link until the window was over."""
    traffic = link.traffic()
    result.goaways = dict(traffic.goaways)
    result.metrics |= {
        "link_connections": traffic.connections,
        "link_client_pings": traffic.client_pings,
        "link_server_pings": traffic.server_pings,
        "link_goaways": sum(traffic.goaways.values()),
    }


def _why_invalid(result: TrialResult, workers: int) -> str:
    """The reason why what was measured cannot be used, or nothing."""
    metrics, client = result.metrics, result.config.client
    if not metrics["requests"]:
        return "no call started in the measured window: raise max_trial_s"
    if result.config.link.idle_timeout_s is not None:
        return ""  # that calls fail, and that connections are given up, is what is measured
    if metrics["errors"] == metrics["requests"]:
        return f"every call failed: {failures.sentence(result.failures)}"
    wanted = client.connections if client.pooling == "pool" else workers
    if client.pooling != "per_call" and metrics["connections"] != wanted:
        return f"{wanted} TCP connections were requested, but {metrics['connections']:g} were counted"
    return ""
