"""``grpclab menu``: choose a task and its options, see the command, and run it."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from grpclab.cli.help_pages import HelpTable
from grpclab.cli.parser import LabCommand, Options, show_page
from grpclab.errors import GrpclabError, MissingDependencyError, UsageError
from grpclab.factors.defaults import DEFAULT_PORTS, MEANINGS
from grpclab.system import interrupts
from grpclab.system.optional import needs_extra
from grpclab.system.paths import project_root, stored_studies
from grpclab.system.subprocesses import module_command

PROGRAM = "grpclab"
"""The word of a command that stands for this program."""
SERVER = f"localhost:{DEFAULT_PORTS['optimized']}"
QUIT = "Quit"
TOKEN_BYTES = 24


class Prompts(Protocol):
    """The one who is asked. Both raise KeyboardInterrupt or EOFError where an answer is refused."""

    def choose(self, question: str, answers: Mapping[str, str], default: str) -> str:
        """One of the answers; each has a label that is shown."""
        ...

    def ask(self, question: str, default: str) -> str:
        """A text on one line."""
        ...


Command = Sequence[str]
"""The words of a command, as a user would type them."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """An entry of the menu: `commands` asks what has to be known, and returns what is then run, in this order."""

    summary: str
    commands: Callable[[Prompts], Sequence[Command]]


# ---- the tasks ---------------------------------------------------------------------------------------------------


def _build(_prompts: Prompts) -> list[Command]:
    """Check the machine; in a clone, generate the stubs as well."""
    root = project_root()
    stubs = [["make", "-C", str(root), "stubs"]] if (root / "proto" / "greet.proto").is_file() else []
    return [[PROGRAM, "doctor"], *stubs]


def _serve(prompts: Prompts) -> list[Command]:
    port = prompts.ask("Port", str(DEFAULT_PORTS["optimized"]))
    answers = {"true": "yes, on http://127.0.0.1:3000", "false": "no (they cost throughput)"}
    diagnostics = prompts.choose("With profiles and metrics?", answers, "true")
    return [["env", f"PPROF_ENABLED={diagnostics}", PROGRAM, "serve", "optimized", "--port", port]]


def _bench(prompts: Prompts) -> list[Command]:
    address = prompts.ask("Address of the server", SERVER)
    requests = prompts.ask("Calls", "2500")
    concurrency = prompts.ask("Calls in flight", "50")
    return [[PROGRAM, "bench", address, "--requests", requests, "--concurrency", concurrency]]


def _docker(prompts: Prompts) -> list[Command]:
    file = project_root() / "deploy" / "compose.yaml"
    if not file.is_file():
        raise UsageError(f"{file} does not exist: run the menu in a clone of grpclab, which has deploy/")
    answers = {
        "": "both servers and the diagnostics dashboard",
        "load": "both servers, the dashboard, and a load generator that runs once",
        "monitoring": "both servers and the dashboard, plus Prometheus with its alerts, and Grafana",
    }
    profile = prompts.choose("What do you want to start?", answers, "")
    chosen = ["--profile", profile] if profile else []
    compose = ["docker", "compose", "--file", str(file), *chosen, "up", "--build"]
    if not os.environ.get("PPROF_TOKEN"):  # Prometheus and the dashboard's reader have to know it
        compose = ["env", f"PPROF_TOKEN={secrets.token_urlsafe(TOKEN_BYTES)}", *compose]
    return [compose]


def _flamegraph(prompts: Prompts) -> list[Command]:
    address = prompts.ask("Address of a server on this machine", SERVER)
    duration = prompts.ask("Time", "5s")
    file = prompts.ask("File", "flame.html")
    return [[PROGRAM, "profile", "--server", address, "--duration", duration, "--output", file]]


def _compare(prompts: Prompts) -> list[Command]:
    answers = {name: f"{name}: {meaning}" for name, meaning in MEANINGS.items()}
    baseline = prompts.choose("A, the baseline", answers, "basic")
    candidate = prompts.choose("B, the candidate", answers, "optimized")
    setting = prompts.ask("A factor that B changes, e.g. server.threads=4 (optional)", "")
    effect = prompts.ask("Smallest effect of interest", "5%")
    changed = ["--b-set", setting] if setting else []
    return [[PROGRAM, "compare", baseline, candidate, *changed, "--min-effect", effect]]


def _study(prompts: Prompts) -> list[Command]:
    with needs_extra("study"):
        from grpclab.study.parameters import DESIGNS

        answers = {name: f"{name}: {design.question}" for name, design in DESIGNS.items()}
    design = prompts.choose("Which study?", answers, "quick")
    steps = {"": "yes", "--plan": "no: only estimate how long it would take and what it could detect"}
    step = prompts.choose("Measure now?", steps, "")
    return [[PROGRAM, "study", "--design", design, *filter(None, [step])]]


def _call(prompts: Prompts) -> list[Command]:
    answers = {
        "demo": "make three calls to a built-in server",
        "list": "list the methods of a server",
        "": "call a method",
    }
    what = prompts.choose("What do you want to see?", answers, "demo")
    if what == "demo":
        return [[PROGRAM, "call", what]]
    address = prompts.ask("Address of the server", SERVER)
    if what == "list":
        return [[PROGRAM, "call", what, address]]
    method = prompts.ask("Method", "greet.GreeterService/SayHello")
    data = prompts.ask("Request, in JSON", '{"name": "world"}')
    return [[PROGRAM, "call", method, address, "--data", data]]


def _report(prompts: Prompts) -> list[Command]:
    results = project_root() / "results"
    newest = sorted(stored_studies(), key=lambda name: (results / name / "manifest.json").stat().st_mtime, reverse=True)
    if not newest:
        raise UsageError(f"{results} has no studies yet: run a study or a comparison first")
    study = prompts.choose("Which study? The newest comes first", {name: name for name in newest}, newest[0])
    return [[PROGRAM, "report", study]]


TASKS: dict[str, Task] = {
    "Build all": Task(summary="check this machine; in a clone, generate the stubs", commands=_build),
    "Run optimized server": Task(summary="with profiles and metrics", commands=_serve),
    "Run benchmark": Task(summary="load-test a running server", commands=_bench),
    "Docker setup": Task(summary="both servers in containers, optionally with monitoring", commands=_docker),
    "Generate flamegraph": Task(summary="profile a running server", commands=_flamegraph),
    "Compare": Task(summary="is B faster than A, and by how much?", commands=_compare),
    "Study": Task(summary="measure many configurations and write a report", commands=_study),
    "Call": Task(summary="explore a service and call its methods", commands=_call),
    "Report": Task(summary="rebuild the report of a stored study", commands=_report),
}
"""The entries of the menu, by their titles."""


# ---- the menu ----------------------------------------------------------------------------------------------------


def run(options: Options) -> int:
    """Show the menu until the user leaves it; returns the exit code."""
    if not in_terminal():
        show_page(click.Context(COMMAND))
        return 2
    with needs_extra("menu"):
        from grpclab.cli.prompts import TerminalPrompts

    prompts = TerminalPrompts()
    chosen = next(iter(TASKS))
    while (chosen := _chosen(prompts, chosen)) != QUIT:
        try:
            _carry_out(TASKS[chosen].commands(prompts), _passed_on(options))
        except interrupts.Interrupted:  # by SIGTERM or SIGHUP
            raise
        except (KeyboardInterrupt, EOFError):  # in a question
            continue
        except GrpclabError as error:
            print(f"grpclab: {error}", file=sys.stderr)
    return 0


def _chosen(prompts: Prompts, default: str) -> str:
    """The title of a task, or QUIT, which Ctrl-D means as well."""
    labels = {title: f"{title}: {task.summary}" for title, task in TASKS.items()} | {QUIT: f"{QUIT} (Ctrl-D)"}
    try:
        return prompts.choose("What do you want to do?", labels, default)
    except EOFError:
        return QUIT


def in_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _passed_on(options: Options) -> list[str]:
    """The options of the menu, for the commands that it types."""
    switches = [f"--{name}" for name in ("quiet", "verbose") if getattr(options, name)]
    return [*switches, *(word for name in options.redact for word in ("--redact", name))]


def _carry_out(commands: Sequence[Command], further: Sequence[str]) -> None:
    """Show and run each command, up to the first that fails. `further` goes to those of this program."""
    for words in commands:
        typed = [*words, *(further if PROGRAM in words else [])]
        with interrupts.left_to_child() as came:
            print(f"\n$ {shlex.join(typed)}\n", flush=True)
            code = execute(typed, came)
        print(f"\nexit code {code}\n" if code else "", flush=True)
        if code:
            return


def execute(words: Command, came: Sequence[int] = ()) -> int:
    """Run a command in this terminal; returns its exit code, 128 and the number of the signal that ended it.

    `came` are the signals that the command is to have when it has been started. Raises MissingDependencyError where its
    program is not installed.
    """
    program = next(word for word in words if word != "env" and "=" not in word)
    if program != PROGRAM and shutil.which(program) is None:
        raise MissingDependencyError(f"{program} is not installed, or not on the PATH")
    at = words.index(program)
    real = module_command(PROGRAM) if program == PROGRAM else [program]
    started = [*words[:at], *real, *words[at + 1 :]]
    with interrupts.deferred(), subprocess.Popen(started) as child:
        for number in came:
            child.send_signal(number)
        try:
            with interrupts.raised():
                code = child.wait()
        except KeyboardInterrupt:  # by SIGTERM or SIGHUP, which nobody else sends to the command
            child.terminate()
            raise
    return code if code >= 0 else 128 - code


COMMAND = LabCommand(
    "menu",
    run,
    summary="choose what to run from a menu",
    usage="grpclab menu [options]",
    description="Choose a task and answer its questions; grpclab then shows the command and runs it. Ctrl-C stops a "
    "running command or cancels a question; at the menu itself, it exits. Options are passed on to the command.",
    terms=lambda: [
        HelpTable(title="tasks", meanings={title: task.summary for title, task in TASKS.items()}, column=24)
    ],
    groups=[],
)
