"""What a notebook renews in place, without a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from grpclab.notebook import live
from grpclab.notebook.live import Output, TrialProgress, note, papermill_output, report_link
from grpclab.report.blocks import FigureBlock, Folded, Section, Shown
from grpclab.report.sections.warnings import ListedWarnings
from grpclab.report.tables import Paragraph


class Kept(Output):
    """Keeps all it was asked to show."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Shown] = []
        self.cells = 0

    def show(self, what: Shown) -> None:
        self.cells += 1
        self.shown.append(what)

    def update(self, what: Shown) -> None:
        self.shown.append(what)


def study(trials: int, *, stored: int = 0, invalid: int = -1) -> tuple[Kept, Kept, list[str]]:
    """A study with that many trials: what stands at its progress, what on top, and the lines of the terminal."""
    here, top, terminal = Kept(), Kept(), list[str]()
    progress = TrialProgress(total=trials, stored=stored, output=here, elsewhere=top, terminal=terminal.append)
    for at in range(stored, trials):
        progress.write(f"[{at + 1}/{trials}] {'INVALID: the server died' if at == invalid else '9 requests/s'}")
    progress.end()
    return here, top, terminal


def test_a_long_study_takes_one_output_and_few_lines_of_the_terminal() -> None:
    here, top, terminal = study(216)
    assert (here.cells, top.cells) == (1, 0)
    assert len(terminal) <= 11
    assert terminal[0].startswith("[1/216]")
    assert terminal[-1].startswith("[216/216]")


def test_while_it_runs_the_latest_trials_are_shown_and_at_the_end_all_are_folded() -> None:
    here, _, _ = study(20)
    running, end = (BeautifulSoup(shown.html, "html.parser") for shown in (here.shown[10], here.shown[-1]))
    assert [len(told.get_text().splitlines()) for told in running.select("pre")] == [TrialProgress.LATEST]
    assert [bar["value"] for bar in running.select("progress")] == ["10"]
    assert [len(told.get_text().splitlines()) for told in end.select("details pre")] == [20]
    assert repr(here.shown[-1]) == "20 of 20 trials, measured"


def test_an_invalid_trial_is_told_at_once_and_stays() -> None:
    here, _, terminal = study(100, invalid=42)
    assert [line for line in terminal if "INVALID" in line] == ["[43/100] INVALID: the server died"]
    assert "the server died" in repr(here.shown[-1])


def test_the_top_says_how_far_the_study_is_stored_trials_included() -> None:
    _, top, _ = study(100, stored=90)
    assert repr(top.shown[0]) == "90 of 100 trials, measuring"
    assert repr(top.shown[-1]) == "100 of 100 trials, measured"


def test_a_study_that_is_stopped_says_so() -> None:
    here = Kept()
    progress = TrialProgress(total=9, stored=0, output=here, elsewhere=Output(), terminal=lambda line: None)
    progress.end()
    assert repr(here.shown[-1]).startswith("0 of 9 trials, stopped")


def test_an_output_that_was_never_shown_is_not_updated() -> None:
    Output().update(note("nowhere"))


@pytest.mark.parametrize(
    ("command", "written"),
    [
        ("/v/bin/python /v/bin/papermill in/sweep.ipynb out/mine.ipynb -p study x", "/w/out/mine.ipynb"),
        ("python -m papermill a.ipynb /t/b.ipynb", "/t/b.ipynb"),
        ("papermill a.ipynb -", None),
        ("python -m jupyter nbconvert --execute a.ipynb b.ipynb", None),
        ("", None),
    ],
)
def test_the_notebook_that_papermill_writes_stands_in_its_command(command: str, written: str | None) -> None:
    found = papermill_output(command.split(), Path("/w"))
    assert found == (Path(written) if written else None)


def test_a_link_to_the_report_leads_there_from_the_notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(live, "notebook_folder", lambda: tmp_path / "books")
    link = BeautifulSoup(report_link(tmp_path / "reports" / "a study.html").html, "html.parser")
    assert [there["href"] for there in link.select("a")] == ["../reports/a%20study.html"]
    assert str(tmp_path / "reports" / "a study.html") in link.get_text()


def test_jupyters_server_says_where_the_notebook_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/books/mine.ipynb")
    assert live.notebook_folder() == Path("/home/me/books")


def test_folded_sections_tell_their_title_and_their_first_caption() -> None:
    def figure(caption: str) -> FigureBlock:
        made = {"title": "t", "above": "", "alt": "a", "how_to_read": "h"}
        return FigureBlock(draw=lambda _f, _n: None, wide_height_in=1, narrow_height_in=1, caption=caption, **made)

    folded = Folded(
        sections=[
            Section(title="Latency", anchor="latency", data=[figure("A < B, twice."), figure("second")]),
            Section(title="Warnings", anchor="warnings", data=ListedWarnings(texts=("one", "two"))),
            Section(title="<b>", data=Paragraph(text="plain")),
        ],
        unfolded=("latency",),
    )
    page = BeautifulSoup(folded.rendered(), "html.parser")
    assert [" ".join(s.get_text().split()) for s in page.select(".gl-fold > summary")] == [
        *("Latency A < B, twice.", "Warnings (2)", "<b>")
    ]
    assert [fold.has_attr("open") for fold in page.select(".gl-fold")] == [True, False, False]
