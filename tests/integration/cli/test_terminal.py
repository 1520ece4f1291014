"""What leaves for a terminal: no text of others moves its cursor, sets its title or passes for a line of ours."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.cli import commands
from grpclab.errors import GrpclabError
from grpclab.factors.config import TrialConfig
from grpclab.load.output.progress import ProgressLine
from grpclab.load.run import LoadProgress
from grpclab.study.trial_progress import outcome, say
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.terminal import ERASE, erase, guarded
from grpclab.text import credentials
from grpclab.text.printable import harmless, printable
from tests.support import hostile_server, stored_studies, synthetic
from tests.support.hostile_server import FORGED, HOSTILE
from tests.support.stored_studies import hostile_trials

SERVER = str(Path(hostile_server.__file__))
ALLOWED = {"\n", "\t"}


def assert_harmless(text: str) -> None:
    """No control or formatting character but the ends of lines and tabs, and no line that others made."""
    assert {c for c in text if not c.isprintable() and not c.isspace()} == set()
    assert {c for c in text if ord(c) < 32} <= ALLOWED
    assert [line for line in text.splitlines() if line.startswith(FORGED)] == []


# ---- the stream --------------------------------------------------------------------------------------------------


@given(st.text())
def test_what_is_left_of_any_text_has_no_control_characters_and_stays_the_same(text: str) -> None:
    left = harmless(text)
    assert all(c.isprintable() or c.isspace() for c in left)
    assert {c for c in left if ord(c) < 32} <= ALLOWED
    assert harmless(left) == left
    assert printable(text).isprintable() or any(c == "\u3000" or c.isspace() for c in printable(text))


def test_layout_stays_and_what_a_terminal_obeys_goes() -> None:
    assert harmless("a\tb\nc  d\r\n") == "a\tb\nc  d\n"
    assert harmless("\x1b[31mred\x1b[0m \x9b2J ü – 中") == "[31mred[0m 2J ü – 中"
    assert harmless("50 %\rdone\u2028next") == "50 % done next"


def watched(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written on standard output and standard error from now on."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_everything_printed_while_guarded_is_harmless_and_afterwards_is_not_our_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = watched(monkeypatch)
    with guarded():
        print(HOSTILE)
        print("x", file=sys.stderr)
        sys.stdout.writelines([HOSTILE, "\n"])
    assert_harmless(screen.getvalue().replace(FORGED, ""))
    assert "\x1b" not in screen.getvalue()
    assert sys.stdout is screen
    print("\x1b")
    assert screen.getvalue().endswith("\x1b\n")


def test_the_sequence_of_our_own_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch)
    screen.isatty = lambda: True  # type: ignore[method-assign]
    with guarded():
        erase(sys.stderr)
        line = ProgressLine(sys.stderr, duration_s=None, requests=None)
        line.show("", LoadProgress(elapsed_s=-1, calls=0, errors=0, latency_p99_s=0.0))
        line.erase()
    assert screen.getvalue() == f"{ERASE}{ERASE}warming up{ERASE}"


def test_a_closed_stream_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with guarded():
        assert sys.stdout is None
        print("nowhere")


def test_the_progress_of_a_study_holds_no_secret_where_nothing_is_guarded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(credentials, "_KNOWN", credentials._Known())
    credentials.learn("tOken-9f8e7d6c")
    say("the server said tOken-9f8e7d6c\x1b[2J")
    assert capsys.readouterr().out == "the server said redacted[2J\n"


def test_what_the_encoding_lacks_is_written_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_ = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(bytes_, encoding="ascii"))
    with guarded():
        print("ü", flush=True)
    assert bytes_.getvalue() == b"\\xfc\n"


def test_errors_in_a_notebook_and_trials_are_one_harmless_line() -> None:
    failed = TrialResult(identity=TrialIdentity(), config=TrialConfig(), started_at="", invalid_reason=HOSTILE)
    for text in (GrpclabError(HOSTILE)._render_traceback_()[0], outcome(failed)):
        assert "\n" not in text
        assert_harmless(text)


# ---- the commands ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a hostile server listens."""
    with subprocess.Popen(
        [sys.executable, SERVER, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def hostile(value: Any) -> Any:
    """Titles, labels and sentences of a stored study as somebody hostile would write them."""
    if isinstance(value, dict):
        words = ("title", "question", "sentence", "note", "baseline_label", "candidate_label", "again", "host")
        return {k: HOSTILE if k in words and isinstance(v, str) else hostile(v) for k, v in value.items()}
    return [hostile(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a hostile study in results/, a report that starts a server by its command, and a configuration."""
    folder = tmp_path_factory.mktemp("hostile")
    made = synthetic.small_study()
    manifest, verdict = hostile(made.manifest), hostile(made.verdict)
    bad = synthetic.MadeStudy(**{**vars(made), "manifest": manifest, "verdict": verdict})
    hostile_trials(stored_studies.as_folder(bad, folder / "results" / "sent"), manifest["plan"])
    name = manifest["plan"]["configurations"][0]["name"]
    bad.manifest["plan"]["subjects"] = {name: {"command": HOSTILE}}
    stored_studies.as_report(bad, folder / "sent.html")
    (folder / "bench.toml").write_text(f"target = {json.dumps(HOSTILE)}\n")
    return folder


ONCE = ("-n", "20", "--warmup", "0")
FAILING = f"{sys.executable} {SERVER}"
DYING = f"env DIE=1 {FAILING}"
WORD = HOSTILE.replace("\x00", "")
COMMANDS: dict[str, tuple[str, ...]] = {
    "bench": ("bench", "{target}", *ONCE),
    "bench, grpcio": ("bench", "{target}", *ONCE, "--engine", "grpcio"),
    "bench, JSON": ("bench", "{target}", *ONCE, "--json", "-", "-q"),
    "bench, reflection": ("bench", "{target}", "--call", "shop.Cart/Get"),
    "bench, reflection, verbose": ("bench", "{target}", "--call", "shop.Cart/Get", "-v"),
    "bench, a foreign file": ("bench", "--config", "bench.toml"),
    "compare, a server that dies": ("compare", "--a-cmd", f"{DYING} {{port}}", "--b-cmd", f"{DYING}  {{port}}"),
    "compare, a server that fails": ("compare", "--a-cmd", f"{FAILING} {{port}}", "--b-cmd", f"{FAILING}  {{port}}"),
    "compare, stored": ("compare", "results/sent", "results/sent:a", "--allow-mixed"),
    "bisect": ("bisect", "--good", WORD, "--bad", WORD, "--app", "a:b", "--app-dir", "/"),
    "study": ("study", "--repeat", "sent.html"),
    "report": ("report", "sent", "--allow-mixed"),
    "profile": ("profile", "--server", "{target}", "--duration", "1s"),
    "certs": ("certs", WORD, "--renew"),
    "doctor": ("doctor",),
    "notebook": ("notebook", WORD),
    "serve": ("serve", WORD),
    "factors": ("factors", "--json", WORD),
    "usage": ("bench", "--format", WORD),
    "unknown": (f"--{WORD}",),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_passes_on_what_a_terminal_obeys(
    name: str, root: Path, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(root))
    if name == "doctor":  # which names such a variable
        monkeypatch.setenv(f"GRPC_{WORD.replace('=', '-')}", "1")
    monkeypatch.chdir(root)
    words = [word.replace("{target}", f"localhost:{port}") for word in COMMANDS[name]]
    if words[1:2] == ["--a-cmd"]:
        words += [*ONCE, "--blocks", "2", "--call", "shop.Cart/Get"]
    with contextlib.suppress(SystemExit):
        commands.main(words)
    written = "".join(capfd.readouterr())
    assert written
    assert_harmless(written)
