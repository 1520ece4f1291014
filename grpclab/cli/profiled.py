"""What ``grpclab profile`` does: both passes, the figures for people and programs, the files."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpclab.cli.output import LateFiles, require_writable
from grpclab.cli.parser import Options
from grpclab.errors import MeasurementError, TargetError, UsageError, invalid
from grpclab.profiling import families, flamegraph, perf, pprof, processes, pyspy, speedscope, threads
from grpclab.profiling.stacks import at_work, readable
from grpclab.quantities import time_option
from grpclab.system import terminal
from grpclab.system.dialling import loopback_target
from grpclab.system.listeners import listening_at

LONGEST_S = 600
MOST_FUNCTIONS = 10
FEW_SAMPLES = 5
"""Of so few, none is no surprise."""
Writer = Callable[[Mapping[str, int], Options], bytes]


def run(options: Options) -> int:
    """Profile, print, write. Raises UsageError, TargetError, MeasurementError."""

    if (options.pid is None) == (options.server is None):
        given = "neither was" if options.pid is None else "both were"
        raise UsageError(f"expected either --pid N or --server HOST:PORT; {given} given")
    options.duration = _whole_seconds(options.duration)
    _check("--rate", options.rate, 1, 1000)
    writers = [(path, _writer(path)) for path in options.output]
    for where in (*map(str, options.output), options.json):
        require_writable(where)
    pids = processes.by_pid(options.pid) if options.pid is not None else _server(options.server)
    passes = 2 if shutil.which("perf") else 1
    with _pass(options, f"1 of {passes}: py-spy samples {_some(pids)} for {options.duration} s"):
        began, before = time.monotonic(), threads.read(pids)
        python = pyspy.record(pids, duration_s=options.duration, rate_hz=options.rate)
        threads_used = threads.difference(before, threads.read(pids))
        took_s = time.monotonic() - began
    gone = processes.ended(pids)
    if not python.stacks and gone:
        raise MeasurementError(f"{_some(gone)} ended before py-spy took a sample: profile a process that runs longer")
    if not python.stacks and python.note != pyspy.IDLE_NOTE:
        raise MeasurementError(python.note)
    native = perf.PerfProfile(note="the process ended before perf started") if gone == pids else _by_perf(options, pids)
    figures = Figures(pids=pids, python=python, native=native, threads_used=threads_used, gone=gone, took_s=took_s)
    working = at_work(python.stacks)
    files = LateFiles()
    for path, writer in writers:  # files first: standard output may be read by `head`
        files.write_bytes(path, writer(working, options))
    if options.json:
        files.write(options.json, [json.dumps(_as_json(options, figures), indent=1), "\n"])
    if options.json != "-":
        print("\n".join(_lines(options, figures)))
        if not options.quiet:
            print("".join(f"written: {path}\n" for path, _ in writers if path not in files.lost), end="")
    files.end()
    return 0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The profiles of some processes: py-spy's, which took `took_s`, and perf's; `gone` ended meanwhile."""

    pids: Sequence[int]
    python: pyspy.PySpyProfile
    native: perf.PerfProfile
    threads_used: Sequence[threads.ThreadUse]
    gone: Sequence[int]
    took_s: float


def _by_perf(options: Options, pids: Sequence[int]) -> perf.PerfProfile:
    """perf's pass. Where it has no samples, what the processes used in it says why, not what they used before."""
    if shutil.which("perf") is None:
        return perf.PerfProfile(note=perf.MISSING_ADVICE)
    with _pass(options, f"2 of 2: perf samples {_some(pids)} for {options.duration} s"):
        before = threads.read(pids)
        native = perf.record(pids, duration_s=options.duration, rate_hz=options.rate)
        cpu_s = threads.total(threads.difference(before, threads.read(pids))).cpu_s
    if native.samples or native.note == perf.PERMISSION_ADVICE:
        return native
    if cpu_s * options.rate < FEW_SAMPLES:
        note = f"the processes ran for only {cpu_s:.2f} s of perf's {options.duration} s, too little for a sample"
        return dataclasses.replace(native, note=f"{note}: keep the server under load for both passes")
    return dataclasses.replace(native, note=f"{native.note}, though the processes ran for {cpu_s:.2f} s of perf's time")


def _some(pids: Sequence[int]) -> str:
    return f"{len(pids)} process{'es' if len(pids) > 1 else ''} ({', '.join(map(str, pids))})"


@contextlib.contextmanager
def _pass(options: Options, line: str) -> Iterator[None]:
    """Say on standard error what is done while the block runs, on a terminal with the seconds that have passed."""
    if options.quiet:
        yield
        return
    print(f"grpclab: {line} ...", file=sys.stderr, flush=True)
    over = threading.Event()
    ticking = threading.Thread(target=_tick, args=(over, options.duration), daemon=True)
    if sys.stderr.isatty():
        ticking.start()
    try:
        yield
    finally:
        over.set()
        if ticking.is_alive():
            ticking.join()
            terminal.erase(sys.stderr)


def _tick(over: threading.Event, duration_s: int) -> None:
    from grpclab.load.output.progress import with_bar

    for second in itertools.count():
        terminal.erase(sys.stderr)
        passed = min(second, duration_s)
        print(
            with_bar(f"{passed} of {duration_s} s", passed / duration_s, sys.stderr),
            end="",
            file=sys.stderr,
            flush=True,
        )
        if over.wait(1):
            return


def _whole_seconds(word: str) -> int:
    """The seconds of a duration, which py-spy and perf take whole. Raises UsageError."""
    duration_s = time_option("--duration", word)
    if not duration_s.is_integer() or not 1 <= duration_s <= LONGEST_S:
        raise UsageError(invalid("--duration", word, f"whole seconds from 1 to {LONGEST_S}, e.g. 30s or 1m30s"))
    return int(duration_s)


def _check(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UsageError(invalid(option, value, f"a whole number from {least} to {most}"))


def _server(target: str) -> list[int]:
    """The processes that listen at a target of this machine. Raises UsageError, or TargetError where there are none."""
    _, port = loopback_target(target)
    pids = listening_at(target)
    if not pids:
        where = f"on port {port}" if port else f"at {target}"
        raise TargetError(
            f"found no process listening {where} that you have permission to inspect: start the server, or use --pid"
        )
    return processes.by_port(pids, target)


def _writer(path: Path) -> Writer:
    for ending, writer in _WRITERS.items():
        if path.name.endswith(ending):
            if not path.parent.is_dir():
                raise UsageError(f"--output {path}: there is no folder {path.parent}")
            return writer
    raise UsageError(f"--output {path}: its extension is not one of {', '.join(_WRITERS)}")


def _html(stacks: Mapping[str, int], options: Options) -> bytes:
    note = f"{_name(options)}: active Python threads, sampled by py-spy at {options.rate} Hz for {options.duration} s."
    return flamegraph.page(
        stacks, heading=f"{sum(stacks.values()):,} samples of active threads", note=note, handler=options.handler
    ).encode()


def _folded(stacks: Mapping[str, int], _options: Options) -> bytes:
    return "".join(f"{stack} {count}\n" for stack, count in sorted(readable(stacks).items())).encode(errors="replace")


def _speedscope(stacks: Mapping[str, int], options: Options) -> bytes:
    return json.dumps(speedscope.convert(readable(stacks), name=_name(options))).encode(errors="replace")


def _pprof(stacks: Mapping[str, int], options: Options) -> bytes:
    started = time.time_ns() - options.duration * 10**9
    return pprof.cpu(readable(stacks), rate_hz=options.rate, duration_s=options.duration, time_ns=started)


_WRITERS: dict[str, Writer] = {
    ".html": _html,
    ".folded": _folded,
    ".speedscope.json": _speedscope,
    ".pb.gz": _pprof,
}


def _name(options: Options) -> str:
    return f"process {options.pid}" if options.pid is not None else f"server {options.server}"


def _work(stacks: Mapping[str, int], handler: str) -> tuple[dict[str, float], float]:
    """Shares of the samples at work by family, the greatest first, and the share of all that waited."""
    shares = families.shares(stacks, handler=handler)
    wait = shares.pop(families.WAIT)
    work = {name: share / (1 - wait) for name, share in shares.items() if share}
    return dict(sorted(work.items(), key=lambda item: -item[1])), wait


def _self_shares(stacks: Mapping[str, int]) -> dict[str, float]:
    """The leaves of the samples at work, the most frequent first."""
    total, counts = sum(stacks.values()), dict[str, int]()
    for stack, samples in stacks.items():
        leaf = stack.rpartition(";")[2]
        counts[leaf] = counts.get(leaf, 0) + samples
    return {leaf: count / total for leaf, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST_FUNCTIONS]}


def _as_json(options: Options, figures: Figures) -> dict[str, Any]:
    python, native = figures.python, figures.native
    work, wait = _work(python.stacks, options.handler)
    return {
        "pids": list(figures.pids),
        "ended": list(figures.gone),
        "duration_s": options.duration,
        "py_spy": {"samples": python.samples, "errors": python.errors, "note": python.note, "wait": wait, "work": work},
        "perf": {
            "samples": native.samples,
            "lost": native.lost,
            "note": native.note,
            "kernel_share": native.kernel_share if native.samples else None,
            "work": _work(native.stacks, options.handler)[0],
        },
        "threads": [{"name": use.comm, "user_s": use.user_s, "kernel_s": use.kernel_s} for use in figures.threads_used],
        "on_top": _self_shares(readable(at_work(python.stacks))),
    }


def _lines(options: Options, figures: Figures) -> list[str]:
    """The figures for people."""
    python, native = figures.python, figures.native
    whole = threads.total(figures.threads_used)
    some = f"{'process' if len(figures.pids) == 1 else 'processes'} {', '.join(map(str, figures.pids))}"
    kernel = 100 * whole.kernel_share if whole.cpu_s else 0
    cores = whole.cpu_s / options.duration
    lines = [f"{some}, {options.duration} s: {cores:.2f} cores used, {kernel:.0f}% of that in the kernel"]
    if figures.gone:  # what it had used went with it
        lines = [
            f"{some}: {_some(figures.gone)} ended within {figures.took_s:.0f} s, so these figures cover only the time "
            "until then"
        ]
    lines += [
        f"  {use.comm:<18}{use.cpu_s / options.duration:>6.2f} cores" for use in figures.threads_used if use.cpu_s > 0
    ]
    for name, stacks, samples, note in (
        ("py-spy, Python threads", python.stacks, python.samples, python.note),
        ("perf, every thread, afterwards", native.stacks, native.samples, native.note),
    ):
        work, wait = _work(stacks, options.handler)
        lines += ["", f"{name}: {samples:,} samples, {100 * wait:.0f}% of them waiting" if samples else name]
        lines += [f"  {family:<18}{100 * share:>5.1f}%" for family, share in work.items()]
        lines += [f"  {note}"] if note else []
    top = _self_shares(readable(at_work(python.stacks)))
    if top:
        lines += [
            "",
            "functions at the top of Python stacks:",
            *(f"  {100 * share:>5.1f}%  {leaf}" for leaf, share in top.items()),
        ]
    return lines
