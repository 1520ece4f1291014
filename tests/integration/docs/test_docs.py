"""The guides in docs/: their numbers are those of the published example, their commands and links are good."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil
import pytest

from grpclab import StoredStudy, load_study
from grpclab.calibration import disturbances
from grpclab.cli.commands import main, read
from grpclab.errors import DesignError
from grpclab.factors.channel_args import client_args, server_args
from grpclab.factors.config import ClientConfig, ServerConfig, parse_settings
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.load.core.recording import RecordedCall, call_line, header_line
from grpclab.report.site import slug, unmarked
from grpclab.servers.process.launcher import RunningServer
from tools.guides import EXAMPLE, Mark, current_text, marks, with_tables

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
GUIDES = sorted(DOCS.rglob("*.md"))
TEXTS = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in GUIDES}
README = (ROOT / "README.md").read_text(encoding="utf-8")
MARKED = [(name, mark) for name, text in [("README.md", README), *TEXTS.items()] for mark in marks(text)]
each = pytest.mark.parametrize("name", TEXTS)


@pytest.fixture(scope="module")
def example() -> StoredStudy:
    """The study inside the published report."""
    try:
        return load_study(ROOT / EXAMPLE)
    except DesignError as error:
        pytest.skip(f"the published example holds no study yet: {error}")


@pytest.mark.parametrize(("name", "mark"), MARKED, ids=[f"{name}:{mark.line}:{mark.what}" for name, mark in MARKED])
def test_a_marked_number_is_the_published_studys(name: str, mark: Mark, example: StoredStudy) -> None:
    try:
        found = current_text(mark.what, example)
    except DesignError:
        assert mark.if_measured
        pytest.skip("the published example is older than this scenario")
    assert found == mark.text, "`make guides` writes the numbers of the guides anew"


@each
def test_the_table_of_a_calibration_is_made_of_the_frame_beside_it(name: str) -> None:
    assert with_tables(TEXTS[name], ROOT / "docs") == TEXTS[name], "`make guides` makes it anew"


def test_every_disturbance_in_the_table_is_marked_or_does_not_matter() -> None:
    assert "calibration: disturbances" in TEXTS["disturbances.md"]
    assert disturbances.UNTOLD not in TEXTS["disturbances.md"]


@pytest.mark.parametrize(
    ("section", "never"),
    [("What helps", {"slower"}), ("What makes no difference", {"faster", "slower"}), ("What hurts", {"faster"})],
)
def test_what_helps_does_nothing_or_hurts_stands_under_its_heading(section: str, never: set[str]) -> None:
    (text,) = re.findall(rf"^## {section}$(.*?)^## ", TEXTS["optimizing.md"], re.MULTILINE | re.DOTALL)
    verdicts = [mark.text for mark in marks(text) if mark.what.startswith("verdict of ")]
    assert verdicts
    assert not never & set(verdicts)


@each
def test_marks_are_whole_and_never_begin_a_line(name: str) -> None:
    text = TEXTS[name]
    assert text.count("<!-- example") == text.count("<!-- /example -->") == len(list(marks(text)))
    # Markdown takes such a line for HTML, as it stands; around a table of a calibration the comment is all of it.
    assert not re.search(r"^\s*<!--(?! /?(?:calibration|features|servers)[^>]*-->$)", text, re.MULTILINE)


def code(language: str) -> list[tuple[str, str]]:
    """The fenced blocks of one language, each with its guide."""
    found = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(name, block) for name, text in TEXTS.items() for block in found.findall(text)]


def commands() -> list[tuple[str, list[str]]]:
    """Every grpclab command in a shell block, in words."""
    lines = [(name, line) for name, block in code("sh") for line in block.replace("\\\n", "").splitlines()]
    found = [(name, shlex.split(line, comments=True)) for name, line in lines]
    return [(name, words[1:]) for name, words in found if words[:1] == ["grpclab"]]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 5


@pytest.mark.parametrize(("name", "words"), commands(), ids=lambda value: str(value)[:60])
def test_the_commands_are_what_grpclab_takes(name: str, words: list[str]) -> None:
    options = read([word for word in words if word != "&"])
    parse_settings(getattr(options, "settings", []))


LOAD = [(name, words) for name, words in commands() if words[0] == "bench" and not {"--call", "--app"} & set(words)]
SMALL = ["--requests", "20", "--warmup", "0", "--concurrency", "4", "--connect-timeout", "60s"]
"""What makes a load small; the last of two equal options counts."""


@pytest.mark.parametrize(("name", "words"), LOAD, ids=lambda value: str(value)[:60])
def test_the_loads_of_the_guides_run_at_small_size(
    name: str, words: list[str], quick_server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    recorded = [RecordedCall(at_s=0.01 * n, method="greet.GreeterService/SayHello", messages=(b"",)) for n in range(20)]
    (tmp_path / "day.calls").write_text(header_line("localhost:1", "") + "".join(map(call_line, recorded)))
    options = [word for word in words[1:] if word != "&" and not word.startswith("localhost:")]
    steps = any("@" in word for word in options)
    rate = ["--rate", "100:200:100@0.2s" if steps else "100"] if "--rate" in options else []
    duration = [] if steps else ["--duration", "0.3"]
    slo = ["--slo", "errors=50%"] if "--slo" in options else []
    assert main(["bench", quick_server.target, *options, *SMALL, *rate, *duration, *slo]) == 0


@pytest.mark.parametrize(("name", "block"), code("python"), ids=lambda value: str(value)[:40])
def test_the_python_is_python(name: str, block: str) -> None:
    ast.parse(block)


def run_block(guide: str, first: str, target: str) -> dict[str, Any]:
    """The names that the Python block with the line `first` defines, run against a server of ours."""
    (block,) = [block for name, block in code("python") if name == guide and first in block]
    namespace: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block.replace("localhost:50051", target), guide, "exec"), namespace)
    return namespace


def test_the_kept_channel_of_the_guide_calls(quick_server: RunningServer) -> None:
    found = run_block("connection-pooling.md", "def slow(", quick_server.target)
    with found["channel"]:
        assert "you" in found["quick"]()
        assert "you" in found["slow"](quick_server.target)


def test_the_pool_of_the_guide_has_as_many_connections_as_it_says(quick_server: RunningServer) -> None:
    made = run_block("connection-pooling.md", "class Pool:", quick_server.target)["Pool"]
    pool = made(quick_server.target, greet_pb2_grpc.GreeterServiceStub, 3)
    try:
        for _ in range(6):
            pool.stub().SayHello(greet_pb2.HelloRequest(name="you"), timeout=60)
        port = int(quick_server.target.rpartition(":")[2])
        found = psutil.Process().net_connections("tcp")
        assert len([c for c in found if c.status == "ESTABLISHED" and c.raddr and c.raddr.port == port]) == 3
    finally:
        pool.close()


def test_the_keepalive_of_the_guide_is_what_the_factors_become() -> None:
    found = run_block("connection-pooling.md", "CLIENT = [", "")
    client = dict(client_args(ClientConfig(keepalive_s=60, keepalive_timeout_s=20)))
    assert dict(found["CLIENT"]).items() <= client.items()
    server = dict(server_args(ServerConfig(keepalive_s=60, keepalive_without_calls=True)))
    assert dict(found["SERVER"]).items() <= server.items()


def test_the_server_of_the_guide_answers() -> None:
    greeter = run_block("optimizing.md", "class Greeter(", "")["Greeter"]()
    assert greeter.SayHello(greet_pb2.HelloRequest(name="you"), None).message == "Hello you!"


def anchors(text: str) -> set[str]:
    return {slug(title.replace("`", "")) for title in re.findall(r"^#{2,6} (.+)$", unmarked(text), re.MULTILINE)}


@each
def test_links_lead_somewhere(name: str) -> None:
    for href in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if href.startswith(("http:", "https:")):
            continue
        path, _, anchor = unquote(href).partition("#")
        target = ((DOCS / name).parent / path).resolve() if path else DOCS / name
        assert target.exists(), href
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text()), href
        if anchor and target.suffix == ".html":
            assert f'id="{anchor}"' in target.read_text(), href


def test_the_guides_are_all_listed() -> None:
    linked = set(re.findall(r"\]\(([\w-]+(?:/README)?\.md)\)", TEXTS["README.md"]))
    assert linked == {name for name in TEXTS if "/" not in name or name.endswith("/README.md")} - {"README.md"}


def test_the_decisions_are_all_listed() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS["decisions/README.md"]))
    assert listed == {path.name for path in (DOCS / "decisions").glob("*.md")} - {"README.md"}


def test_the_readme_fits_on_a_few_screens_and_its_links_lead_somewhere() -> None:
    assert README.count("\n") <= 150
    for href in re.findall(r"\]\(([^)\s#]+)", README):
        assert href.startswith("https:") or (ROOT / href).exists(), href


@each
def test_a_guide_is_short_and_begins_with_its_title(name: str) -> None:
    assert TEXTS[name].startswith("# ")
    assert len(re.sub(r"^\|.*$", "", unmarked(TEXTS[name]), flags=re.MULTILINE).split()) < 1300, "tables left out"


WRITTEN = re.compile(r"(?:papermill \S+| -o| --json| --figures| >) ([\w./-]*[a-z][\w./-]*)")
"""What a command writes, by the option or argument that names it."""


def test_git_ignores_what_the_first_commands_of_a_reader_write(tmp_path: Path) -> None:
    shown = [
        README,
        *(TEXTS[f"{name}.md"] for name in ("first-steps", "load-generator", "studies", "diagnostics-server")),
    ]
    commands = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", "\n".join(shown), re.MULTILINE | re.DOTALL))
    written = {name.removesuffix("/") for name in WRITTEN.findall(commands)}
    assert {"out.ipynb", "result.json", "figures", "cpu.pb.gz"} <= written
    written |= {"sweep.ipynb", "site/index.html", "results/mine/manifest.json", "grpclab-0.1.0-py3-none-any.whl"}
    written |= {f"reports/{name}.html" for name in ("index", "mine", "calibration-own", "replication-2500x6-0a1b2c")}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    (tmp_path / "figures").mkdir()
    asked = [*sorted(written), "README.md", "reports/example.html"]
    found = subprocess.run(
        ["git", "check-ignore", *asked], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout.split()
    assert sorted(found) == sorted(written)
