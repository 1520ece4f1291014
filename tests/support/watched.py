"""The command line with its measuring replaced by a note of what was asked for: what each command would do."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pandas as pd
import pytest

from grpclab.analysis.judgement import Judgement
from grpclab.analysis.study_plan import StudyPlan
from grpclab.cli import commands
from grpclab.cli.parser import Options
from grpclab.cluster import connection
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.factors.levels import Level
from grpclab.load import bench as bench_module
from grpclab.load import record
from grpclab.load.calls import protofile
from grpclab.load.plan import LoadPlan
from grpclab.profiling import perf, pyspy
from grpclab.servers import targets, tls
from grpclab.servers.process.exposure import ListenAddress
from grpclab.servers.targets import ServerStart
from grpclab.study import comparing, pilot, spread_blocks, stored_comparison
from grpclab.study.model import Manifest
from grpclab.system import repository, virtual_environments
from grpclab.system.repository import Commit
from grpclab.system.transport import PLAINTEXT
from grpclab.system.virtual_environments import VirtualEnvironment
from grpclab.text import credentials
from tests.support.bench_results import result
from tests.support.certificates import Authority
from tests.support.histories import History
from tests.support.scripted_prompts import ScriptedPrompts

Observed = dict[str, Any]


def flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A configuration by factor, a data class or a mapping by key, anything else as it is."""
    if isinstance(value, TrialConfig):
        yield from ((f"{prefix}.{name}", level) for name, level in value.flat().items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f"{prefix}.{f.name}", getattr(value, f.name)) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        yield from ((f"{prefix}.{name}", one) for name, one in value.items())
    else:
        yield prefix, value


class Watched:
    """The commands, with their measuring replaced by a note of what they were asked for."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch, self.folder = patch, folder
        self.seen: Observed = {}
        self.options: Options | None = None
        read = commands.read

        def parsed(words: list[str]) -> Options:
            options = read(words)
            self.options = options
            return options

        patch.setattr(commands, "read", parsed)
        patch.chdir(folder)
        patch.setenv("GRPCLAB_ROOT", str(folder))
        for name in ("GRPC_SERVER_PORT", *filter(None, (factor.env for factor in FACTORS.values()))):
            patch.delenv(name, raising=False)
        patch.delenv("PPROF_ENABLED", raising=False)
        patch.setenv("PPROF_PORT", "0")  # or port 3000 of this machine would decide
        for name in "xy":
            (folder / "results" / name).mkdir(parents=True)
            (folder / "results" / name / "manifest.json").write_text("{}")
        (folder / "request.json").write_text('{"x": 1}')
        (folder / "metadata.txt").write_text("tenant = a  \n# a comment\n")
        (folder / "a.proto").write_text(PROTO)
        (folder / "times.txt").write_text("0\n1\n2\n")
        Authority(folder).issue("client", "client@example.org")
        (folder / "fresh").mkdir()
        tls.create(folder / "made", tls.HOSTS, days=1)
        (folder / "explore.ipynb").write_text("one's own")
        (folder / "bench.toml").write_text("requests = 7\n")
        (folder / "study.toml").write_text(STUDY)
        history = History(folder / "repository")
        history.commit("first", {"a.py": "def b(server): ..."})
        history.git("tag", "v1")
        history.commit("second", {"notes": "none"})
        self._git()
        self._compiled()
        for prepare in (
            self._serve,
            self._bench,
            self._study,
            self._compare,
            self._bisect,
            self._report,
            self._init,
            self._call,
            self._record,
            self._others,
            self._menu,
        ):
            prepare()

    def note(self, **found: Any) -> None:
        for name, value in found.items():
            self.seen.update(flat(name, value))

    def __call__(self, command: str, words: str) -> Observed:
        """What `grpclab COMMAND WORDS` does: see the module's docstring."""
        self.seen, self.options = {}, None
        self.patch.setenv(credentials.VARIABLE, "")
        before = self._there()
        out, err = io.StringIO(), io.StringIO()
        line = [command, *shlex.split(words)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                self.note(code=commands.main(line))
            except SystemExit as end:
                self.note(code=end.code)
        if self.options is not None:
            self.note(quiet=self.options.quiet, verbose=self.options.verbose)
            self.note(tenant_is_secret=credentials.is_secret("tenant"))
        written = {Path(path) for path in self._there() - before}
        self.note(stdout=out.getvalue(), stderr=err.getvalue(), files=sorted(path.name for path in written))
        for path in written:
            path.unlink()
        return self.seen

    def _there(self) -> set[str]:
        """The files and folders in the working folder, without those of the repository."""
        found: set[str] = set()
        for at, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name != "repository"]
            found.update(os.path.join(at, name) for name in (*folders, *files))
        return found

    def _git(self) -> None:
        """The repository stays as it is: what git has once told of it is not asked again."""
        git = repository._git
        known = functools.cache(git)

        def ask(folder: Path, *words: str, **more: Any) -> Any:
            told = words[0] in ("rev-parse", "log", "merge-base", "for-each-ref")
            return known(folder, *words) if told and not more else git(folder, *words, **more)

        self.patch.setattr(repository, "_git", ask)

    def _compiled(self) -> None:
        """The schemas stay as they are, too, and the roots that this machine trusts are one instead of hundreds."""
        known = functools.cache(protofile.compile_file)
        self.patch.setattr(protofile, "compile_file", lambda path, include: known(path, tuple(include)))
        self.patch.setenv("SSL_CERT_FILE", str(self.folder / "ca.pem"))

    def _serve(self) -> None:
        from grpclab.servers.hosting import foreground as hosting
        from grpclab.servers.process import child, foreground
        from grpclab.servers.reference import foreground as reference

        def serve(name: str, settings: dict[str, Level], where: ListenAddress, port: int, **more: Any) -> None:
            self.note(name=name, settings=settings, host=where.host, port=port, **more)

        self.patch.setattr(foreground, "serve_in_foreground", serve)
        self.patch.setattr(hosting, "serve_application", lambda target, *_, **more: self.note(target=target, **more))
        self.patch.setattr(reference, "serve_reference_in_foreground", lambda spec, quiet: self.note(spec=spec))
        self.patch.setattr(child, "configure_logging", lambda level: self.note(log_level=level))
        self.patch.setattr(child, "leave", sys.exit)

    def _bench(self) -> None:
        def measure(target: str, plan: LoadPlan, **more: Any) -> Any:
            self.note(target=target, **vars(plan), **more)
            measured = result([0.1] * 1500)
            return dataclasses.replace(measured, target=target, notes=plan.notes, without_effect=plan.without_effect)

        @contextlib.contextmanager
        def start(order: ServerStart) -> Iterator[SimpleNamespace]:
            self.note(hosted=order.target)
            yield SimpleNamespace(target="127.0.0.1:9", security=PLAINTEXT, descriptors=())

        @contextlib.contextmanager
        def opened(cluster: str, *, allow_remote: bool) -> Iterator[str]:
            yield f"{cluster}, allow_remote={allow_remote}"

        self.patch.setattr(bench_module, "run_bench", measure)
        self.patch.setattr(targets, "start", start)
        self.patch.setattr(connection, "opened", opened)

    def _study(self) -> None:
        from grpclab.report import publish, stored
        from grpclab.study import repeat
        from grpclab.study.runner import Study

        study = SimpleNamespace(summary=lambda: "told", run=lambda write: write("run"), manifest=Manifest())
        study.begin = lambda: study

        def noted(kind: str) -> Callable[..., Any]:
            def make(*given: Any, **more: Any) -> Any:
                if leave := more.pop("leave", None):
                    self.note(allowance=leave.ledger.allowance)
                self.note(**more)
                names = {"file": ("file", "name"), "repeat": ("repeat", "name")}.get(kind, (kind,))
                self.note(**dict(zip(names, given, strict=False)))
                return study

            return make

        @contextlib.contextmanager
        def machines(cluster: str, *, allow_remote: bool) -> Iterator[None]:
            self.note(cluster=cluster, open_scheduler=bool(cluster) and allow_remote)
            yield None

        self.patch.setattr(spread_blocks, "block_machines", machines)
        self.patch.setattr(Study, "prepare", noted("parameters"))
        self.patch.setattr(Study, "planned", noted("parameters"))
        self.patch.setattr(Study, "described", noted("file"))
        self.patch.setattr(repeat, "planned", noted("repeat"))
        self.patch.setattr(repeat, "compared", lambda *_: [])
        self.patch.setattr(
            stored, "load_original", lambda path: SimpleNamespace(manifest=Manifest(), path=path, trusted=False)
        )
        self.patch.setattr(stored, "runs_of", lambda *_: [])
        self._again()
        self.patch.setattr(pilot, "estimate", lambda *_, **__: self.note(foretold=True))
        self.patch.setattr(pilot, "estimate_comparison", lambda *_, **more: self.note(foretold=True, **more))

        from grpclab.report.blocks import Section

        def published(study: Any, allow_mixed: bool = False) -> Any:
            self.note(allow_mixed=allow_mixed)
            found = SimpleNamespace(verdict=Judgement(sentence="It is so."), configurations={})
            parts = [Section(title="Limits", anchor="limits")]
            return SimpleNamespace(path=Path("reports/x.html"), study=found, sections=parts)

        self.patch.setattr(publish, "publish", published)
        for name, told in (("terminal.table", "a table"), ("json.as_json", {})):
            self.patch.setattr(f"grpclab.report.renderers.{name}", lambda *_, told=told: told)

    def _again(self) -> None:
        """Runs that are joined, and studies that are judged by today's rules."""
        from grpclab.study import joint_runs, rejudging

        found = SimpleNamespace(runs=(), lines=list, as_json=dict)

        def join(runs: Any) -> Any:
            self.note(joint=len(runs))
            return found

        def rejudge(study: Any, **more: Any) -> Any:
            self.note(rejudged=True, **more)
            return found

        self.patch.setattr(joint_runs, "join_runs", join)
        self.patch.setattr(rejudging, "rejudge", rejudge)

    def _compare(self) -> None:
        found = SimpleNamespace(
            verdict="inconclusive", conclusion=[], judgement=Judgement(), study="", as_dict=dict, table=pd.DataFrame
        )

        def prepare(sides: Mapping[str, Any], **more: Any) -> Any:
            self._note_sides(sides)
            self.note(**more)
            return SimpleNamespace(plan=StudyPlan(blocks=1), name="x", heading="", run=lambda write: None)

        def stored(words: Any, **more: Any) -> Any:
            self.note(**more)
            return found

        self.patch.setattr(comparing, "prepare", prepare)
        self.patch.setattr(stored_comparison, "compare_stored", stored)
        self.patch.setattr(comparing, "judge", lambda running: found)
        environment = VirtualEnvironment(python=sys.executable)
        self.patch.setattr(virtual_environments, "environment", lambda *_, **__: environment)

    def _note_sides(self, sides: Mapping[str, Any]) -> None:
        for name, side in sides.items():
            self.note(**{f"{name}.config": side.config, f"{name}.call": side.subject})
            self.seen |= {f"{name}.call.target.{part}": value for part, value in vars(side.subject.target).items()}
            target = side.subject.target
            self.seen |= {f"{name}.security": target.security}
            self.seen |= {f"{name}.allowance": target.ledger and target.ledger.allowance}
            self.seen |= {f"{name}.call.name": side.subject.call, f"{name}.label": side.label}
            self.seen |= {f"{name}.call.options": side.subject.data_options}
            self.seen |= {f"{name}.call.check": side.subject.answer_check}

    def _bisect(self) -> None:
        from grpclab.study import bisection

        def measure(steps: bisection.StepOptions, good: Commit) -> None:
            self._note_sides(steps.sides(good, good))
            self.note(**{f"steps.{name}": value for name, value in vars(steps).items() if name != "options"})
            self.seen["steps.start_timeout_s"] = steps.options.start_timeout_s

        def bisect(good: Commit, commits: Sequence[Commit], *_: Any) -> bisection.BisectResult:
            self.seen |= {"good": good, "bad": commits[-1]}
            return bisection.BisectResult(good=good, bad=commits[-1], sentence="It is so.", exit_code=4, steps=())

        self.patch.setattr(bisection.StepOptions, "measure", measure)
        self.patch.setattr(bisection, "bisect", bisect)

    def _report(self) -> None:
        from grpclab.report import site
        from grpclab.report.blocks import Section
        from grpclab.report.renderers import figure_files, terminal
        from grpclab.study.runner import Study

        self.patch.setattr(Study, "stored", lambda folder: self.note(folder=folder))

        def draw(where: Path, study: Any) -> list[Path]:
            self.note(figures=where)
            return []

        def build(where_from: Path, where: Path, **_more: Any) -> Path:
            self.note(site=where.name)
            return where

        def tell(parts: Sequence[Section], *_: int) -> str:
            self.note(sections=[part.anchor for part in parts])
            return ""

        self.patch.setattr(terminal, "sections_text", tell)
        self.patch.setattr(figure_files, "write_figures", draw)
        self.patch.setattr(site, "build", build)

    def _init(self) -> None:
        from grpclab.cli import init
        from grpclab.load.calls.schema import Schema, from_file
        from grpclab.servers.target import Target

        def schema(target: Target) -> tuple[Schema, str]:
            self.note(target=target)
            return from_file(Path("a.proto"), []), ""

        self.patch.setattr(init, "_schema", schema)

    def _call(self) -> None:
        from grpclab.load import service_client
        from grpclab.load.call_answer import CallAnswer
        from grpclab.load.calls.schema import Schema, from_file

        note = self.note

        class Client:
            def __init__(self, source: service_client.ServiceSource) -> None:
                note(source=source)
                note(**{"source.security": source.security, "source.allowance": source.allowance})
                self.target = source.target

            def __enter__(self) -> Client:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def schema(self) -> Schema:
                return from_file(Path("a.proto"), [])

            def calls(self, name: str, data: Any, **more: Any) -> list[CallAnswer]:
                note(**{"called.name": name, "called.data": data})
                note(**{f"called.{key}": repr(value) for key, value in more.items() if key != "watcher"})
                more["watcher"]({"x": 1}, 0.1, streamed=False)
                return [
                    CallAnswer(
                        status="OK",
                        text="",
                        details=(),
                        headers=(),
                        trailers=(),
                        messages=({"x": 1},),
                        arrived_s=(0.1,),
                        time_s=0.1,
                        method=name,
                        streamed=False,
                    )
                ]

        self.patch.setattr(service_client, "ServiceClient", Client)

    def _record(self) -> None:
        note = self.note

        class Recording:
            def __init__(self, port: int, target: str, path: Path, *, calls: int | None = None) -> None:
                note(port=port, to=target, path=str(path), calls=calls)
                path.write_text("")

            def running(self) -> contextlib.AbstractContextManager[None]:
                return contextlib.nullcontext()

            def wait(self, seconds: float | None) -> None:
                note(waited_s=seconds)

            @property
            def summary(self) -> record.RecordingSummary:
                writer = record.CallsWriter(file=io.StringIO(), began_at=0.0, calls=3, by_method=Counter({"a.B/C": 3}))
                return record.RecordingSummary(writer=writer, seconds=1.0, connections=1, unread=Counter())

        self.patch.setattr(record, "CallRecording", Recording)

    def _others(self) -> None:
        from grpclab.cli import findings, profiled
        from grpclab.profiling import processes, threads

        def sample(pids: list[int], *, duration_s: int, rate_hz: int) -> pyspy.PySpyProfile:
            self.note(pids=pids, duration_s=duration_s, rate_hz=rate_hz)
            return pyspy.PySpyProfile(stacks={"SayHello (/x/a.py:1)": 3}, samples=3)

        self.patch.setattr(pyspy, "record", sample)
        self.patch.setattr(perf, "record", lambda pids, **_: perf.PerfProfile(stacks={}, samples=0))
        self.patch.setattr(threads, "read", lambda pids: {})
        self.patch.setattr(threads, "difference", lambda before, after: [])
        self.patch.setattr(processes, "by_pid", lambda pid: [pid])
        self.patch.setattr(profiled, "_server", lambda target: [2])
        found = [
            findings.Finding(name="memory", state="ok", value="much", advice=""),
            findings.Finding(name="load", state="warn", value="9", advice="stop it"),
        ]
        self.patch.setattr(findings, "diagnose", lambda: found)

        def execute(program: str, words: list[str]) -> NoReturn:
            self.note(opened=words)
            raise SystemExit(0)

        self.patch.setattr("os.execv", execute)

    def _menu(self) -> None:
        from grpclab.cli import menu, prompts

        def execute(words: menu.Command, came: Sequence[int]) -> int:
            self.note(typed=words)
            return 0

        self.patch.setattr(menu, "in_terminal", lambda: True)
        self.patch.setattr(menu, "execute", execute)
        self.patch.setattr(prompts, "TerminalPrompts", lambda: ScriptedPrompts("Run benchmark"))


PROTO = """syntax = "proto3";
package a;
message M { int32 x = 1; }
service B { rpc C (M) returns (M); rpc D (M) returns (M); }
"""
STUDY = """
headline = "server.threads=4"
[factors]
server.threads = [4]
"""
