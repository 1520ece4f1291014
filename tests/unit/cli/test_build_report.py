"""The checks of a bench and of a comparison, as a build reads them: JUnit XML, GitHub's annotations and summary."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis import Verdict
from grpclab.cli import build_report
from grpclab.cli.build_report import BuildCheck, BuildReport, as_junit, as_markdown, of_bench, workflow_commands
from grpclab.errors import UsageError
from grpclab.study.comparison import CompareResult
from grpclab.text.printable import printable
from tests.support import judgements
from tests.support.bench_results import UNAVAILABLE, result, thousand

COMMAND = re.compile(r"::(notice|warning|error) title=([^:,\n]*)::([^\n]*)")


def report(*checks: BuildCheck, **more: Any) -> BuildReport:
    parts: dict[str, Any] = {
        "command": "grpclab bench",
        "subject": "a.B/C",
        "warnings": (),
        "table": (("", "value"), ("p50", "1 ms")),
    }
    return BuildReport(checks=checks, **(parts | more))


def check(name: str = "p99=5ms", text: str = "p99 was 9 ms", **more: Any) -> BuildCheck:
    parts: dict[str, Any] = {"outcome": "failed", "kind": "threshold"}
    return BuildCheck(name=name, text=text, **(parts | more))


def outcomes(found: BuildReport) -> dict[str, str]:
    return {check.name: check.outcome for check in found.checks}


def unescaped(text: str) -> str:
    return text.replace("%3A", ":").replace("%2C", ",").replace("%25", "%")


# ---- the checks of a bench ---------------------------------------------------------------------------------------


def test_each_threshold_is_a_check_and_so_is_that_calls_succeed() -> None:
    found = of_bench(thousand(slo="p50=400ms,errors=5%"))
    assert outcomes(found) == {"calls": "passed", "p50=400ms": "failed", "errors=5%": "passed"}
    assert [check.text for check in found.checks] == [
        "990 of 1,000 calls succeeded",
        "p50 was 495.00 ms, 23.7% above the 400ms allowed",
        "errors were 1.00%, within 5%",
    ]
    assert (found.subject, found.command) == ("greet.GreeterService/SayHello at localhost:50051", "grpclab bench")
    assert ("failed", "10") in found.table


def test_a_bench_in_which_every_call_failed_fails_without_a_threshold() -> None:
    found = of_bench(result([0.1] * 5, [UNAVAILABLE] * 5))
    assert outcomes(found) == {"calls": "failed"}
    assert found.checks[0].text.startswith("every call to greet.GreeterService/SayHello failed")


@pytest.mark.parametrize(
    ("more", "text"),
    [({"interrupted": True}, "interrupted"), ({"stopped_because": "p99 was 9 ms"}, "stopped early: p99 was 9 ms")],
)
def test_a_bench_that_did_not_end_as_planned_fails(more: dict[str, Any], text: str) -> None:
    found = of_bench(thousand(slo="p50=600ms", **more))
    assert outcomes(found) == {"calls": "passed", "duration": "failed", "p50=600ms": "passed"}
    assert found.checks[1].text == text


def test_a_load_that_ends_at_a_ceiling_has_ended_as_planned() -> None:
    assert outcomes(of_bench(thousand(stopped_because="--max-calls reached", ceiling=True))) == {"calls": "passed"}


def test_a_bench_says_that_the_generator_was_the_limit() -> None:
    assert any("GENERATOR-BOUND" in warning for warning in of_bench(thousand(busy_share=0.99)).warnings)
    assert of_bench(thousand()).warnings == ()


# ---- the check of a comparison -----------------------------------------------------------------------------------


def compared(verdict: Verdict) -> CompareResult:
    """A comparison of two, with that verdict."""
    trials = judgements.trials({"a": 100.0, "b": 110.0, "a-again": 100.0})
    headline = judgements.entry("a", "b", title="new against old")
    again = judgements.entry("a", "a-again", title="A/A")
    judged = judgements.judged(trials, headline=headline, parts=[], comparisons=[], aa=again)
    judged = replace(judged, headline=replace(judged.headline, verdict=verdict), sentence="So it is.")
    return CompareResult(trials=trials, judgement=judged)


@pytest.mark.parametrize(
    ("verdict", "allowed", "outcome"),
    [
        ("faster", False, "passed"),
        ("equivalent", False, "passed"),
        ("slower", True, "failed"),
        ("inconclusive", False, "failed"),
        ("inconclusive", True, "skipped"),
    ],
)
def test_the_verdict_is_the_check_of_a_comparison(verdict: Verdict, allowed: bool, outcome: str) -> None:
    found = build_report.of_comparison(compared(verdict), allow_inconclusive=allowed)
    assert outcomes(found) == {"new against old": outcome}
    assert (found.checks[0].kind, found.checks[0].text) == (verdict, "So it is.")
    assert found.table[0] == ("", "A", "B", "B / A", "95% interval", "verdict")
    assert len({len(row) for row in found.table}) == 1


# ---- JUnit -------------------------------------------------------------------------------------------------------


def test_junit_counts_its_cases_and_says_why_one_failed() -> None:
    found = of_bench(thousand(slo="p50=400ms,errors=5%"))
    suite = ET.fromstring(as_junit(found)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        **{"tests": "3", "failures": "1"},
        **{"errors": "0", "skipped": "0"},
    }
    assert (suite.get("timestamp"), suite.get("time")) == ("2026-11-23T12:00:00+00:00", "1.000")
    assert [case.get("name") for case in suite.iter("testcase")] == ["calls", "p50=400ms", "errors=5%"]
    (failure,) = suite.iter("failure")
    assert (failure.get("type"), failure.get("message")) == ("threshold", found.checks[1].text)
    assert (suite.findtext("system-out") or "").startswith("calls  1,000\nfailed  10\n")


def test_an_inconclusive_verdict_that_is_allowed_is_skipped() -> None:
    skipped = report(check(outcome="skipped", text="not enough blocks"))
    root = ET.fromstring(as_junit(skipped))
    assert [element.get("message") for element in root.iter("skipped")] == ["not enough blocks"]
    assert [element.get("skipped") for element in root.iter("testsuite")] == ["1"]


@given(st.text(), st.text(), st.text())
def test_any_text_is_read_back_from_junit(name: str, text: str, warning: str) -> None:
    hostile = report(check(name, text), subject=name, warnings=(warning,), table=(("", "value"), (name, text)))
    root = ET.fromstring(as_junit(hostile))
    (case,), (failure,) = root.iter("testcase"), root.iter("failure")
    assert (case.get("name"), failure.get("message")) == (printable(name), printable(text))
    assert (failure.text or "") == printable(text)


# ---- GitHub ------------------------------------------------------------------------------------------------------


def test_each_check_that_failed_is_an_error_and_without_one_there_is_a_notice() -> None:
    lines = list(workflow_commands(of_bench(thousand(slo="p50=400ms,errors=5%"))))
    assert lines == ["::error title=grpclab bench%3A p50=400ms::p50 was 495.00 ms, 23.7%25 above the 400ms allowed"]
    (notice,) = workflow_commands(of_bench(thousand(slo="p50=600ms,errors=5%")))
    assert notice.startswith("::notice title=grpclab bench%3A greet.GreeterService/SayHello at localhost%3A50051::990")
    assert list(workflow_commands(report(check(outcome="skipped")))) == [
        "::warning title=grpclab bench%3A p99=5ms::p99 was 9 ms"
    ]


@given(st.text(), st.text())
def test_no_text_ends_a_workflow_command_or_begins_another(name: str, text: str) -> None:
    (line,) = workflow_commands(report(check(name, text)))
    match = COMMAND.fullmatch(line)
    assert match
    assert unescaped(match[2]) == printable(f"grpclab bench: {name}")
    assert match[3].replace("%25", "%") == printable(text)


def test_the_summary_is_a_title_the_checks_and_a_table() -> None:
    text = as_markdown(of_bench(thousand(slo="p50=400ms,errors=5%")))
    lines = text.splitlines()
    assert lines[0] == "### grpclab bench: greet.GreeterService/SayHello at localhost:50051"
    assert "- ❌ **p50=400ms**: p50 was 495.00 ms, 23.7% above the 400ms allowed" in lines
    assert "- ✅ **calls**: 990 of 1,000 calls succeeded" in lines
    assert "| p50 | 500.00 ms |" in lines
    assert text.endswith("\n\n"), "the next step's summary begins after it"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_adds_markup_to_the_summary(name: str, text: str) -> None:
    hostile = as_markdown(report(check(name, text), check("x", "y"), table=(("", "value"), (name, text))))
    tame = as_markdown(report(check("n", "t"), check("x", "y"), table=(("", "value"), ("n", "t"))))
    assert len(hostile.splitlines()) == len(tame.splitlines())
    assert "<" not in hostile
    cells = next(line for line in hostile.splitlines()[::-1] if line.startswith("|"))
    assert len(re.findall(r"(?<!\\)\|", cells.replace("\\\\", ""))) == 3


# ---- where it goes -----------------------------------------------------------------------------------------------


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    monkeypatch.setenv(build_report.SUMMARY, str(file))
    return file


def test_in_a_workflow_the_build_is_annotated_without_being_asked(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_report.deliver(report(check()), junit=None, github=False)
    assert (capsys.readouterr(), summary.read_text()) == (("", ""), "before\n")
    monkeypatch.setenv(build_report.GITHUB, "true")
    build_report.deliver(report(check()), junit=None, github=False, automatic=False)
    assert summary.read_text() == "before\n"
    build_report.deliver(report(check()), junit=None, github=False)
    out, err = capsys.readouterr()
    assert (out, err.count("::error")) == ("", 1), "standard output belongs to the answer"
    assert summary.read_text().startswith("before\n### grpclab bench: a.B/C")


def test_a_summary_that_cannot_be_written_is_a_line_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(build_report.SUMMARY, str(tmp_path))
    build_report.deliver(report(check()), junit=str(tmp_path / "junit.xml"), github=True)
    assert f"grpclab: cannot write {tmp_path}: Is a directory" in capsys.readouterr().err
    assert ET.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"


def test_the_file_of_junit_is_its_own_and_can_be_written(tmp_path: Path) -> None:
    build_report.check_place(None, "x")
    build_report.check_place(str(tmp_path / "a.xml"), "x", None)
    assert list(tmp_path.iterdir()) == []
    for junit, others in (("-", ()), ("x", ("x",)), (str(tmp_path / "no" / "a.xml"), ())):
        with pytest.raises(UsageError, match=r"--junit|cannot write"):
            build_report.check_place(junit, *others)
