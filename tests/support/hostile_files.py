"""Damaged and hostile reports and stores, generated: from one seed always the same.

``python -m tests.support.hostile_files 500 --seed 1`` makes 500 of them in a temporary folder, reads each in a process
of its own and prints what the kernel says that took; the suite reads a sample. What a kind is called says what is
wrong.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpclab.errors import GrpclabError
from grpclab.report.data import STUDY, TRIALS
from grpclab.report.past import summary
from tests.support.finished import finished
from tests.support.hostile_contents import (
    MB,
    TABLES,
    TEXTS,
    about,
    altered,
    bomb,
    encoded,
    flipped,
    manifest,
    page,
    plan,
    results,
    tables,
    texts,
    trials,
    verdict,
    whole_table,
)

MOST_S, MOST_BYTES = 5.0, 500 * MB
LONGEST_LINE = 1000
"""Of a message: paths of temporary folders are long."""
SECRET = "this stood outside the study"


# ---- reports -----------------------------------------------------------------------------------------------------

Make = Callable[[Path, random.Random], Path]


def _report(content: Callable[[random.Random], bytes]) -> Make:
    def make(folder: Path, rng: random.Random) -> Path:
        path = folder / "sent.html"
        path.write_bytes(content(rng))
        return path

    return make


def _special(kind: str) -> Make:
    """Something else than a file where a file is expected."""

    def make(folder: Path, rng: random.Random) -> Path:
        path = folder / "sent.html"
        special(path, kind, folder)
        return path

    return make


def special(path: Path, kind: str, folder: Path) -> None:
    """Put something at `path` that is no file of a study."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path.symlink_to("/dev/zero")
    elif kind == "a loop":
        path.symlink_to(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a hole":
        with path.open("wb") as file:
            file.truncate(2**40)
    elif kind == "elsewhere":
        outside = folder / "outside"
        outside.write_text(SECRET)
        path.symlink_to(outside)
    elif kind == "the terminal":
        path.symlink_to("/dev/tty")
    elif kind == "this process":
        path.symlink_to("/proc/self/mem")


SPECIAL = ("a pipe", "zeros", "a loop", "a folder", "a hole", "elsewhere", "the terminal", "this process")

_WHOLE = about()


def _reports() -> dict[str, Make]:
    def small(rng: random.Random) -> bytes:
        return whole_table()

    made: dict[str, Make] = {
        "report, whole": _report(lambda rng: page(encoded(_WHOLE), small(rng))),
        "report, bytes": _report(lambda rng: flipped(page(encoded(_WHOLE), small(rng)), rng)),
        "report, bytes of the JSON": _report(lambda rng: page(flipped(encoded(_WHOLE), rng), small(rng))),
        "report, bytes of the table": _report(lambda rng: page(encoded(_WHOLE), flipped(small(rng), rng))),
        "report, bytes of the deflated": _report(
            lambda rng: page(
                flipped(zlib.compress(encoded(_WHOLE)), rng), flipped(zlib.compress(small(rng)), rng), packed=False
            )
        ),
        "report, values": _report(lambda rng: page(encoded(altered(_WHOLE, rng)), small(rng))),
        "report, values of the plan": _report(
            lambda rng: page(encoded(about(manifest=manifest() | {"plan": altered(plan(), rng)})), small(rng))
        ),
        "report, values of the verdict": _report(
            lambda rng: page(encoded(about(verdict=altered(verdict(), rng))), small(rng))
        ),
        "report, values of the summary": _report(lambda rng: page(encoded(_WHOLE), b"", before=_summary(rng))),
        "report, commands": _report(lambda rng: page(encoded(about(manifest=_with_commands(rng))), small(rng))),
        "report, openings": _report(lambda rng: b"<script " * rng.choice((100_000, 5_000_000))),
        "report, elements without an end": _report(lambda rng: f'<script id="{STUDY}">'.encode() * 1_000_000),
        "report, summaries without an end": _report(lambda rng: b'<script id="grpclab-summary">' * 1_000_000),
        "report, attributes": _report(lambda rng: b"<script " + f'id="{STUDY} '.encode() * 2_000_000),
        "report, a large element": _report(
            lambda rng: f'<script id="{STUDY}">'.encode() + b"A" * 30 * MB + f'</script><script id="{TRIALS}">'.encode()
        ),
        "report, a bomb": _report(lambda rng: page(bomb(400 * MB), bomb(400 * MB), packed=False)),
        "report, a bomb of the table": _report(
            lambda rng: page(zlib.compress(encoded(_WHOLE)), bomb(400 * MB), packed=False)
        ),
        "report, too large": _report(lambda rng: b"x" * 60 * MB),
    }
    made |= {f"report, JSON: {kind}": _text_report(kind) for kind in TEXTS}
    made |= {f"report, table: {kind}": _table_report(kind) for kind in TABLES}
    made |= {f"report, {kind}": _special(kind) for kind in SPECIAL}
    return made


def _summary(rng: random.Random) -> str:
    found = (
        encoded(altered(summary(finished(manifest(), trials(), verdict())).written(), rng))
        .decode()
        .replace("<", "\\u003c")
    )
    return f'<script type="application/json" id="grpclab-summary">{found}</script>'


def _text_report(kind: str) -> Make:
    return _report(lambda rng: page(texts(kind, rng), whole_table()))


def _table_report(kind: str) -> Make:
    return _report(lambda rng: page(encoded(_WHOLE), tables(kind, rng)))


def _with_commands(rng: random.Random) -> dict[str, Any]:
    found = manifest()
    subject = rng.choice(
        (
            {"command": "sh -c 'touch pwned; {port}'"},
            {"call": "a.B/C", "proto": "/dev/zero"},
            {"call": "a.B/C", "proto": "x.proto", "proto_path": ["/dev"]},
        )
    )
    found["plan"]["subjects"] = {"few": subject, "many": {}}
    return found


# ---- stores ------------------------------------------------------------------------------------------------------

FILES = ("manifest.json", "verdict.json", "trials.parquet")
OF_A_TRIAL = ("result.json", "latency.parquet", "timeline.parquet", "stacks.folded", "perf.folded", "server.log")


def store(folder: Path) -> Path:
    """A whole study in a folder of results."""
    study = folder / "results" / "tiny"
    study.mkdir(parents=True)
    for name, content in zip(FILES, (encoded(manifest()), encoded(verdict()), whole_table()), strict=True):
        (study / name).write_bytes(content)
    for trial, one in results().items():
        (study / "trials" / trial).mkdir(parents=True)
        for name in OF_A_TRIAL:
            content = encoded(one) if name == "result.json" else whole_table() if name.endswith("parquet") else b""
            (study / "trials" / trial / name).write_bytes(content or b"main;work (a.py:1) 3\n")
    return study


def _store(change: Callable[[Path, random.Random], None]) -> Make:
    def make(folder: Path, rng: random.Random) -> Path:
        study = store(folder)
        change(study, rng)
        return study

    return make


def _put(name: str, content: Callable[[random.Random], bytes]) -> Make:
    """A store with another content in one file; in one of the trials where the name is that of a trial's file."""

    def change(study: Path, rng: random.Random) -> None:
        (_place(study, rng) / name if name in OF_A_TRIAL else study / name).write_bytes(content(rng))

    return _store(change)


def _place(study: Path, rng: random.Random) -> Path:
    return rng.choice(sorted((study / "trials").iterdir()))


def _replaced(name: str, kind: str) -> Make:
    def change(study: Path, rng: random.Random) -> None:
        path = _place(study, rng) / name if name in OF_A_TRIAL else study / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        special(path, kind, study.parent.parent)

    return _store(change)


def _stores() -> dict[str, Make]:
    values: dict[str, Callable[[], Any]] = {
        "manifest.json": manifest,
        "verdict.json": verdict,
        "result.json": lambda: next(iter(results().values())),
    }
    made: dict[str, Make] = {"store, whole": _store(lambda study, rng: None)}
    for name, whole in values.items():
        made[f"store, {name}: values"] = _put(name, lambda rng, whole=whole: encoded(altered(whole(), rng)))  # type: ignore[misc]
        made[f"store, {name}: bytes"] = _put(name, lambda rng, whole=whole: flipped(encoded(whole()), rng))  # type: ignore[misc]
        made |= {
            f"store, {name}: {kind}": _put(name, lambda rng, kind=kind: texts(kind, rng))  # type: ignore[misc]
            for kind in TEXTS
        }
    made["store, trials.parquet: bytes"] = _put("trials.parquet", lambda rng: flipped(whole_table(), rng))
    made |= {
        f"store, trials.parquet: {kind}": _put("trials.parquet", lambda rng, kind=kind: tables(kind, rng))  # type: ignore[misc]
        for kind in TABLES
    }
    for name in (*FILES, *OF_A_TRIAL, ".lock", "trials"):
        made |= {f"store, {name}: {kind}": _replaced(name, kind) for kind in SPECIAL}
    for name in ("stacks.folded", "perf.folded"):
        made[f"store, {name}: bytes"] = _put(name, lambda rng: rng.randbytes(100_000))
        made[f"store, {name}: counts"] = _put(name, lambda rng: b"a;b " + b"9" * 5000 + "\na ²\n".encode() * 1000)
        made[f"store, {name}: deep"] = _put(name, lambda rng: b";".join([b"f"] * 200_000) + b" 1\n")
        made[f"store, {name}: too large"] = _put(name, lambda rng: b"a;b 1\n" * 4_000_000)
    return made | {
        "store, result.json: histogram": _put("result.json", lambda rng: encoded(_with_histogram(rng))),
        "store, manifest.json: commands": _put("manifest.json", lambda rng: encoded(_with_commands(rng))),
        "store, manifest.json: trials": _put("manifest.json", lambda rng: encoded(_with_trials(rng))),
    }


def _with_histogram(rng: random.Random) -> dict[str, Any]:
    found = dict(next(iter(results().values())))
    whole = base64.b64decode(found["histogram"])
    inner = zlib.decompress(whole[8:])
    found["histogram"] = rng.choice(
        (
            base64.b64encode(whole[:8] + bomb(100 * MB)).decode(),
            base64.b64encode(whole[:8] + zlib.compress(inner[:24] + b"\xff" * 16 + inner[40:])).decode(),
            base64.b64encode(whole[:8] + zlib.compress(flipped(inner, rng))).decode(),
            "not base64",
            "A" * 90_000,
        )
    )
    return found


def _with_trials(rng: random.Random) -> dict[str, Any]:
    found = manifest()
    row = found["plan"]["configurations"][0]
    found["plan"] |= rng.choice(
        (
            {"blocks": 2**62},
            {"blocks": 1000, "configurations": [row | {"name": f"c{n}"} for n in range(5000)]},
            {"configurations": [row | {"name": "../../outside"}]},
            {"comparisons": found["plan"]["comparisons"] * 5000},
            {"subjects": {"few": {"command": "x" * 90_000}}},
        )
    )
    return found


KINDS: dict[str, Make] = {**_reports(), **_stores()}


@dataclass(frozen=True)
class Case:
    """A report or a store: which kind it is, and where it lies."""

    kind: str
    path: Path


def case(home: Path, number: int, seed: int, kinds: Mapping[str, Make] | None = None) -> Case:
    """Make the case of this number: every kind in turn, so that those that draw something come more than once.

    It is made in a child of this process, whose memory stays as it is.
    """
    chosen = list((kinds or KINDS).items())
    random.Random(0).shuffle(chosen)  # so that the first few are a sample
    kind, make = chosen[number % len(chosen)]
    home.mkdir()
    pid = os.fork()
    if not pid:
        try:
            make(home, random.Random(f"{seed}-{number}"))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"{kind} cannot be made")
    return Case(kind, home / "sent.html" if kind.startswith("report") else home / "results" / "tiny")


# ---- reading them ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What reading a case took, by the kernel's accounting, and the messages of the errors."""

    kind: str
    lines: list[str]
    cpu_s: float
    peak_bytes: int
    fault: str

    @property
    def wrong(self) -> str:
        """What is not as it must be; "" if all is."""
        if self.fault:
            return self.fault
        if self.cpu_s > MOST_S:
            return f"{self.cpu_s:.1f} s"
        if self.peak_bytes > MOST_BYTES:
            return f"{self.peak_bytes / MB:,.0f} MB"
        bad = [line for line in self.lines if len(line.splitlines()) != 1 or len(line) > LONGEST_LINE]
        return f"not a line: {bad[0][:300]!r}" if bad else ""


def read(case: Case, ways: Mapping[str, Callable[[Path], object]]) -> Reading:
    """Read a case in each of the ways, in a child of this process that has everything imported."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(receiving)
        resource.setrlimit(resource.RLIMIT_CPU, (30, 40))
        resource.setrlimit(resource.RLIMIT_AS, (4000 * MB, 4000 * MB))
        lines: list[str] = []
        fault = ""
        os.chdir(case.path.parent)
        for name, way in ways.items():
            try:
                way(case.path)
            except GrpclabError as error:
                lines.append(str(error))
            except OSError as error:
                if name == "report":  # where a result cannot be written, which the command says in a line of its own
                    lines.append(f"{error.filename}: {error.strerror}")
                else:
                    fault = f"{name}: {error!r}"
            except BaseException as error:
                fault = f"{name}: {type(error).__name__}: {str(error)[:200]}"
        with os.fdopen(sending, "w") as pipe:
            json.dump({"lines": lines, "fault": fault}, pipe)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    found: dict[str, Any] = json.loads(said) if said else {"lines": [], "fault": f"ended with status {status}"}
    return Reading(
        kind=case.kind,
        lines=found["lines"],
        fault=found["fault"],
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )


DRAWN = ("values", "bytes", "histogram", "counts", "deep", "whole", "trials", "commands")
"""Kinds of which something may reach the figures: to draw them takes two seconds."""


def ways(case: Case) -> dict[str, Callable[[Path], object]]:
    """How a report or a store is read: by a script, for a repeat, and by `grpclab report`."""
    from grpclab.report import write_index
    from grpclab.report.publish import publish
    from grpclab.report.stored import finished_studies, load_original, load_study
    from grpclab.study.repeat import planned
    from grpclab.study.runner import Study
    from grpclab.study.stored_values import evaluating

    def loaded(path: Path) -> None:
        found = load_study(path)
        repr(found), found._repr_html_(), found.valid, found.comparisons, found.identity, found.sentence

    def repeated_(path: Path) -> None:
        planned(load_original(path), root=path.parent / "root")

    def indexed(path: Path) -> None:
        write_index(path.parent)

    def published(path: Path) -> None:
        with evaluating(path):
            publish(Study.stored(path), allow_mixed=True)

    def judged(path: Path) -> None:
        with evaluating(path):
            study = Study.stored(path)
            found = study.collect(allow_mixed=True)
            study.judge(found)
            study.artifacts(found)

    if case.kind.startswith("report"):
        return {"load_study": loaded, "repeat": repeated_, "index": indexed}
    return {
        "load_study": loaded,
        "repeat": repeated_,
        "finished": lambda path: finished_studies(path.parent),
        "report": published if any(word in case.kind for word in DRAWN) else judged,
    }


def main() -> None:
    """Make and read a set, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the names of kinds")
    parser.add_argument("--lines", action="store_true", help="print the messages, too")
    options = parser.parse_args()
    whole_table()
    kinds = {name: make for name, make in KINDS.items() if options.only in name}
    readings = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        for number in range(options.count):
            made = case(Path(folder) / f"{number}", number, options.seed, kinds)
            reading = read(made, ways(made))
            readings.append(reading)
            shutil.rmtree(Path(folder) / f"{number}")
            if options.lines:
                print(f"{number:03d} {reading.kind}: {reading.cpu_s:.2f} s", *reading.lines, sep="\n    ", flush=True)
            if reading.wrong:
                print(f"{number:03d} {reading.kind}: {reading.wrong}", flush=True)
    slow = sorted(readings, key=lambda one: one.cpu_s)[-3:]
    large = sorted(readings, key=lambda one: one.peak_bytes)[-3:]
    print(f"{len(readings)} read, {sum(bool(one.wrong) for one in readings)} wrong")
    print("slowest:", ", ".join(f"{one.kind} {one.cpu_s:.2f} s" for one in slow))
    print("largest:", ", ".join(f"{one.kind} {one.peak_bytes / MB:,.0f} MB" for one in large))
    sys.exit(any(one.wrong for one in readings))


if __name__ == "__main__":
    main()
