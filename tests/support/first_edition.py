"""What the first edition stored, and what was said of it: the guard of the house's rebuilding.

``tests/data/first_edition/`` holds studies, measured results and reports as grpclab wrote them before its second
edition, and under ``said/`` what every command said of them. Run as a program, this module says it again and writes it
there, and ``git diff`` shows what has changed; with a folder as its argument it writes there, with the whole reports
and with what only the machine can say on which the studies were measured.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import grpclab as package
from grpclab.cli import commands
from grpclab.study.collection import LATER_FACTORS

HOME = Path(package.__file__).resolve().parent.parent
STORED = HOME / "tests" / "data" / "first_edition"
SAID = STORED / "said"

FINISHED = ("quick", "threads", "commands", "desk", "replication", "idle")
"""The studies that are stored; beside them lies ``cut``, which Ctrl-C ended."""

PAIRS = (
    "compare results/quick:basic-c64 results/quick:optimized-c64 --json -",
    "compare results/quick:optimized-c64 results/quick:basic-c64 --min-effect 1%",
    "compare results/threads:baseline results/threads:threads-4",
    "compare results/commands:a results/commands:b --allow-inconclusive",
    "compare results/quick:basic-c64 results/threads:baseline",
)

Say = Callable[[Path], str]


@contextlib.contextmanager
def unpacked() -> Iterator[Path]:
    """A project folder that holds what was stored; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="first-edition-") as folder:
        root = Path(folder).resolve()
        unpack(root)
        yield root


def unpack(root: Path) -> None:
    """Lay what was stored into a project folder."""
    for archive in sorted(STORED.glob("*.tar.xz")):
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter="data")


# ---- what is said --------------------------------------------------------------------------------------------------


def normal(text: str, root: Path) -> str:
    """The text without what differs from one run to the next: folders, dates, versions."""
    text = text.replace(str(root), "ROOT").replace(str(HOME), "HOME")
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z|[+-]\d\d:\d\d)?", "DATE", text)
    return re.sub(r"grpclab \d+\.\d+\S*", "grpclab VERSION", text)


def grpclab(root: Path, words: list[str]) -> str:
    """What ``grpclab WORDS`` says in that project folder, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"GRPCLAB_ROOT": str(root), "COLUMNS": "100", "NO_COLOR": "1"}
    with (
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(root),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = commands.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    said = f"$ grpclab {' '.join(words)}\n{out.getvalue()}"
    if err.getvalue():
        said += f"[standard error]\n{err.getvalue()}"
    return normal(f"{said}[exit {code}]\n", root)


def lines(root: Path, *commands: str) -> str:
    """What several commands say."""
    return "\n".join(grpclab(root, command.split()) for command in commands)


def report(root: Path, name: str) -> str:
    """What ``grpclab report NAME`` says and writes: the text of the HTML, the Markdown, the JSON."""
    said = [grpclab(root, ["report", name, "--json", "-"])]
    said += [normal((root / "reports" / f"{name}{suffix}").read_text(), root) for suffix in (".md", ".json")]
    said.append(normal(text_of((root / "reports" / f"{name}.html").read_text()), root))
    return "\n----\n".join(said) + "\n"


def frames(root: Path, source: str) -> str:
    """What ``load_study`` makes of a folder or a report."""
    study = package.load_study(root / source)
    return "\n".join(
        [
            f"load_study({source})",
            f"sentence: {study.sentence}",
            f"identity: {sorted(study.identity)}",
            f"trials: {study.trials.shape}, {digest(study.trials.to_csv())}; valid: {study.valid.shape}",
            *(f"  {name}: {kind}" for name, kind in study.trials.dtypes.items()),
            study.comparisons.to_csv(),
        ]
    )


def measured(root: Path) -> str:
    """What `bench` stored as JSON and as CSV, which scripts rely on: the names in it."""
    said = []
    for path in sorted((root / "bench").glob("*.json")):
        said += [path.name, *sorted(names(json.loads(path.read_text())))]
    said += [f"{path.name}: {path.read_text().splitlines()[0]}" for path in sorted((root / "bench").glob("*.csv"))]
    return "\n".join(said) + "\n"


def names(value: object, above: str = "") -> Iterator[str]:
    """The path of every value in a JSON object; those of a list's items are one."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from names(item, f"{above}.{key}")
    elif isinstance(value, list):
        yield from dict.fromkeys(name for item in value for name in names(item, f"{above}[]"))
    else:
        yield f"{above}: {type(value).__name__}"


def executed(root: Path, name: str, **parameters: object) -> str:
    """The outputs of a notebook that papermill has run on what is stored."""
    out = root / f"{name}.out.ipynb"
    words = [word for key, value in parameters.items() for word in ("-p", key, str(value))]
    source = HOME / "notebooks" / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", str(source), str(out), "--no-progress-bar", *words]
    environment = {**os.environ, "GRPCLAB_ROOT": str(root), "PYTHONWARNINGS": "ignore"}
    for inherited in ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS"):
        environment.pop(inherited, None)
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=240, check=False)
    said = [f"$ papermill {name}.ipynb {' '.join(words)}\n[exit {run.returncode}]"]
    for cell in json.loads(out.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            html = "".join(data.get("text/html", ()))
            said.append(text_of(html) if html else "".join(output.get("text", data.get("text/plain", ()))))
    return normal("\n".join(said) + "\n", root)


def without_numbers(text: str) -> str:
    """A text of fresh measurements: each number, and each row of numbers, has become N."""
    return re.sub(r"N(?:[\s,./:×–-]*N)+", "N", re.sub(r"\d+(?:[.,]\d+)*", "N", text))


def without_later_factors(text: str) -> str:
    """What is said of the factors, as a line and as JSON, without factors and servers that came later."""
    for name in map(re.escape, LATER_FACTORS):
        text = re.sub(rf"(?m)^{name} .*\n +.*\n", "", text)
        text = re.sub(rf' \{{\n  "name": "{name}",\n(?:  .*\n)+ \}},\n', "", text)
    text = re.sub(r'(?m)("sync",\n +"asyncio"),\n(?: +".*\n)+', r"\1\n", text)
    return re.sub(r"\bsync\|asyncio\|[\w|-]+", "sync|asyncio", text)


SAYINGS: dict[str, Say] = {
    "compare": lambda root: lines(root, *PAIRS),
    "factors": lambda root: without_later_factors(
        lines(root, "factors", "factors --json -", "factors --tonic", "notebook")
    ),
    "bench": measured,
    **{f"report-{name}": functools.partial(report, name=name) for name in (*FINISHED, "cut")},
    **{
        f"load_study-{source.replace('/', '-')}": functools.partial(frames, source=source)
        for source in ("results/quick", "results/commands", "first/threads.html", "first/desk.html")
    },
    "explore": lambda root: executed(root, "explore", study="quick", other="threads"),
}
"""All that is said of what was stored, by the name of its file under ``said/``."""

SAME_MACHINE: dict[str, Say] = {
    "sweep": lambda root: executed(
        root, "sweep", study="quick", design="quick", requests=200, blocks=6, max_trial_s=0.3, rtt_ms=5.0
    ),
    "replication": lambda root: executed(
        root, "replication", study="replication", requests=200, blocks=2, max_trial_s=0.3, rtt_ms=5.0
    ),
    "trial": lambda root: without_numbers(executed(root, "trial", requests=60, duration_s=0.2, profile=False)),
    "calibration": lambda root: without_numbers(executed(root, "calibration", only="echo", rounds=1, scale=0.05)),
    "repeat": lambda root: without_numbers(
        grpclab(root, ["study", "--repeat", "threads", "--study", "again", "--plan"])
    ),
}
"""What can be said only where it was measured, or measures anew."""


# ---- plain text of HTML --------------------------------------------------------------------------------------------


class _Text(HTMLParser):
    """The words of a page in their order, one element a line; not its styles, scripts and packed data.

    A warning is one line, whatever stands inside.
    """

    SILENT = frozenset({"script", "style"})
    TOLD = frozenset({"title", "aria-label", "alt", "class", "href", "id"})

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._silent = 0
        self._among_warnings = False
        self._goes_on = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        if tag in ("ul", "li"):
            self._among_warnings = ("class", "gl-warnings") in attrs or (tag == "li" and self._among_warnings)
            self._goes_on = False
        for name, value in attrs:
            if name in self.TOLD and value and len(value) < 400:
                self.lines.append(f"<{tag} {name}={' '.join(value.split())}>")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self.SILENT
        self._among_warnings &= tag != "ul"

    def handle_data(self, data: str) -> None:
        if not self._silent and (words := " ".join(data.split())):
            if self._among_warnings and self._goes_on:
                words = f"{self.lines.pop()} {words}"
            self.lines.append(words[:2000])
            self._goes_on = True


def text_of(page: str) -> str:
    """The words of an HTML page; the names that are made of a figure's bytes have become P."""
    parser = _Text()
    parser.feed(page)
    return re.sub(r"\bp[0-9a-f]{8}-", "P-", "\n".join(parser.lines))


def digest(text: str) -> str:
    """A short mark that changes with any byte."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    """Say everything again: into ``said/``, or all of it into the folder that is named."""
    into = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SAID
    into.mkdir(parents=True, exist_ok=True)
    with unpacked() as root:
        for name, say in (SAYINGS | (SAME_MACHINE if into != SAID else {})).items():
            (into / f"{name}.txt").write_text(say(root))
            print(name, flush=True)
        if into != SAID:
            shutil.copytree(root / "reports", into / "reports", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
