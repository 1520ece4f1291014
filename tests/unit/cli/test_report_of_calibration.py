"""``grpclab report`` on a stored calibration: its report and short forms, rebuilt, and its goals in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grpclab.cli import commands
from tests.support import calibration_frames


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stored calibration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    calibration_frames.stored(tmp_path)
    return tmp_path


def test_the_report_of_a_calibration_is_rebuilt(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["report", "calibration-own", "--section", "memory"]) == 0
    shown = capsys.readouterr().out
    told = json.loads((lab / "reports" / "calibration-own.json").read_text())
    assert told["sentence"] in " ".join(shown.split())
    assert "Memory over a long run" in shown
    assert "Measured and true latency\n=" not in shown, "a section that was not asked for"
    assert {path.suffix for path in (lab / "reports").iterdir()} == {".html", ".md", ".json"}


def test_by_its_folder_too_and_json_and_quiet_print_nothing_else(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["report", "results/calibration-own", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((lab / "reports" / "calibration-own.json").read_text())
    assert commands.main(["report", "calibration-own", "-q"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        told["sentence"],
        f"report: {lab / 'reports' / 'calibration-own.html'}",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--rejudge"], "--rejudge needs a study: results/calibration-own is a calibration"),
        (["--figures", "here"], "--figures needs a study"),
        (["--section", "memry"], "did you mean memory?"),
    ],
)
def test_what_only_a_study_has_is_refused(
    lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert commands.main(["report", "calibration-own", *words]) == 2
    assert reason in capsys.readouterr().err
    assert not (lab / "reports").exists()
