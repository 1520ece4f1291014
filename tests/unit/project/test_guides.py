"""The numbers in the guides: how they are marked, what they should say, and how they are written anew."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from grpclab import load_study
from grpclab.analysis import Interval
from grpclab.errors import DesignError
from grpclab.report.site import guide, unmarked
from grpclab.report.stored import StoredStudy
from tests.support import stored_studies, synthetic
from tools import guides
from tools.numbers import estimate

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    folder = tmp_path_factory.mktemp("lab") / "made"
    return load_study(stored_studies.as_folder(synthetic.full_study(), folder))


def test_marks_are_found_with_their_lines() -> None:
    text = "# A\n\nIt is <!-- example: b against a -->1.20× (1.10 to 1.30)<!-- /example --> here,\nnot <!-- this -->.\n"
    (mark,) = guides.marks(text)
    assert mark == guides.Mark(what="b against a", text="1.20× (1.10 to 1.30)", line=3)
    assert unmarked(text) == "# A\n\nIt is 1.20× (1.10 to 1.30) here,\nnot .\n"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((3.72, 2.82, 4.9), "3.7× (2.8 to 4.9)"),
        ((0.855, 0.75, 0.974), "0.85× (0.75 to 0.97)"),
        ((123.4, 99.6, 150.2), "123× (100 to 150)"),
    ],
)
def test_a_ratio_has_as_many_digits_as_matter(numbers: tuple[float, float, float], said: str) -> None:
    assert estimate(*numbers) == said


@pytest.mark.parametrize(
    ("column", "numbers", "said"),
    [
        ("server_cpu_per_call_s", (535e-6, 485e-6, 586e-6), "535 µs (485 to 586)"),
        ("server_kernel_share", (0.437, 0.396, 0.478), "44% (40 to 48)"),
        ("throughput_rps", (1400.2, 1178.0, 1665.0), "1,400 requests/s (1,178 to 1,665)"),
        ("syscalls_per_call", (7.49, 7.37, 7.61), "7.5 (7.4 to 7.6)"),
        ("latency_p99_s", (0.0551, 0.05, 0.06), "55 ms (50 to 60)"),
        ("latency_max_s", (1.5, 1.2, 1.8), "1.5 s (1.2 to 1.8)"),
    ],
)
def test_an_amount_has_the_unit_of_its_column(column: str, numbers: tuple[float, float, float], said: str) -> None:
    mean, low, high = numbers
    assert guides.amount(column, Interval(mean=mean, low=low, high=high, blocks=6)) == said


def test_a_mark_says_what_the_study_holds(study: StoredStudy) -> None:
    headline = study.verdict["headline"]
    shown = estimate(headline["ratio"], headline["ci_low"], headline["ci_high"])
    assert guides.current_text("optimized against basic", study) == shown
    assert guides.current_text("verdict of optimized against basic", study) == "faster"
    assert guides.current_text("server_cpu_per_call_s of basic-c64", study) == "318 µs (315 to 322)"
    assert guides.current_text("throughput_rps of optimized-c64", study).endswith(")")


@pytest.mark.parametrize("what", ["optimized against nothing", "verdict of nothing", "nonsense of basic-c64"])
def test_a_mark_of_what_the_study_does_not_hold_is_refused(what: str, study: StoredStudy) -> None:
    with pytest.raises(DesignError, match=what):
        guides.current_text(what, study)


def test_a_number_that_is_not_measured_yet_stays_until_it_is(study: StoredStudy) -> None:
    later = "<!-- example, if measured: optimized against nothing -->3.5x<!-- /example -->"
    (mark,) = guides.marks(later)
    assert mark.if_measured
    assert guides.refreshed(later, study) == later
    now = later.replace("nothing", "basic")
    assert guides.current_text("optimized against basic", study) in guides.refreshed(now, study)
    with pytest.raises(DesignError):
        guides.refreshed(later.replace(", if measured", ""), study)


def test_one_block_has_no_interval_to_tell(tmp_path: Path) -> None:
    lonely = load_study(stored_studies.as_folder(synthetic.full_study(blocks=1), tmp_path / "lonely"))
    with pytest.raises(DesignError, match="fewer than 2 blocks"):
        guides.current_text("throughput_rps of basic-c64", lonely)


def test_the_guides_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    made = synthetic.full_study()
    stored_studies.as_report(made, tmp_path / "reports" / "example.html")
    guide = tmp_path / "docs" / "a.md"
    guide.parent.mkdir()
    guide.write_text("# A\n\nSo: <!-- example: optimized against basic -->?<!-- /example -->.\n")
    assert guides.main([]) == 0
    shown = estimate(*(made.verdict["headline"][key] for key in ("ratio", "ci_low", "ci_high")))
    assert guide.read_text() == f"# A\n\nSo: <!-- example: optimized against basic -->{shown}<!-- /example -->.\n"
    assert capsys.readouterr().out == f"a.md:3: optimized against basic: ? -> {shown}\n"
    assert guides.main([]) == 0
    assert capsys.readouterr().out == ""


def test_without_a_study_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    assert guides.main([]) == 2
    assert capsys.readouterr().err.startswith("grpclab: cannot read")


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_no_table_of_a_guide_has_a_column_without_a_name(path: Path) -> None:
    html = guide(path.stem, path.read_text(encoding="utf-8"), lambda href: href).html
    assert not re.findall(r"<th[^>]*>\s*</th>", html)


# ---- tables of a calibration -----------------------------------------------------------------------------------


def test_a_table_is_made_of_the_newest_frame_and_kept_beside_the_guides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setitem(guides.TABLES, "disturbances", lambda frame: f"| {frame['said'].iloc[0]} |")
    stored_studies.as_report(synthetic.full_study(), tmp_path / "reports" / "example.html")
    measured = tmp_path / "results" / "calibration" / "disturbances.parquet"
    measured.parent.mkdir(parents=True)
    pd.DataFrame({"said": ["", "b"]}).to_parquet(measured)
    guide = tmp_path / "docs" / "a.md"
    guide.parent.mkdir()
    around = "# A\n\n<!-- calibration: disturbances -->\n{}\n<!-- /calibration -->\n"
    guide.write_text(around.format("| old |\n| older |"))
    assert guides.main([]) == 0
    assert guide.read_text() == around.format("|  |"), "an empty text stays one"
    measured.unlink()
    assert guides.main([]) == 0
    assert guide.read_text() == around.format("|  |")


@pytest.mark.parametrize(
    ("what", "rows"), [("nonsense", "{}"), ("disturbances", None), ("disturbances", "{"), ("disturbances", '{"a": 1}')]
)
def test_a_table_that_cannot_be_made_is_one_line(what: str, rows: str | None, tmp_path: Path) -> None:
    if rows is not None:
        (tmp_path / f"{what}.jsonl").write_text(rows)
    with pytest.raises(DesignError, match=what):
        guides.table(what, tmp_path)
