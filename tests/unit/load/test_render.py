"""What a bench result looks like for people: in a terminal, in a notebook, and while it is being made."""

from __future__ import annotations

import dataclasses
import io
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from grpclab.factors.levels import Level
from grpclab.load.calls.method import CallSpec
from grpclab.load.output import chart
from grpclab.load.output.progress import EncodingLine, ProgressLine, progress_text
from grpclab.load.output.render import behind, one_line, render
from grpclab.load.run import LoadProgress
from grpclab.quantities import milliseconds, percent_of
from grpclab.status import ENDED_BY_CLIENT
from grpclab.system.interference import SERVER, Interference
from grpclab.system.terminal import ERASE
from tests.support.bench_results import ghz_json, open_loop, rate_run, result, schedule, thousand

# ---- the summary for people ----------------------------------------------------------------------------------


def test_the_summary_shows_counts_throughput_latencies_and_errors() -> None:
    lines = [line.split() for line in render(thousand()).splitlines()]
    assert ["calls", "1,000"] in lines
    assert ["succeeded", "990", "99.0%"] in lines
    assert ["failed", "10", "1.0%"] in lines
    assert ["throughput", "990.0", "requests/s"] in lines
    assert ["p99", "990.00", "ms"] in lines
    assert ["UNAVAILABLE", "7", "0.7%"] in lines
    assert ["DEADLINE_EXCEEDED", "3", "0.3%"] in lines
    assert str(thousand()) == render(thousand())


def test_what_happened_around_the_window_stands_under_the_figures_with_its_remedy() -> None:
    around = Interference(seconds=10.0, stopped_s={SERVER: 1.0}, clock_step_s=3600.0)
    measured = result([0.01] * 99, interference=around)
    last = [line.strip() for line in render(measured).splitlines()[-2:]]
    assert last == [f"{notice.severity}: {notice}" for notice in around.notices]
    assert [line.partition(":")[0] for line in last] == ["warning", "note"]
    html = measured._repr_html_().replace("\xa0", " ")
    assert f'<li class="gb-warn">{around.notices[0]}</li>' in html
    assert f"<li>{around.notices[1]}</li>" in html


@pytest.mark.parametrize(("latency_s", "short"), [(0.0297, True), (2.0, False)])
def test_a_window_below_a_second_says_so_beside_its_throughput(latency_s: float, short: bool) -> None:
    measured = result([latency_s] * 99)
    (line,) = (line for line in render(measured).splitlines() if line.split()[:1] == ["throughput"])
    assert ("only 29.7 ms" in line) == short
    assert line.endswith("use -z 1s to measure for a second" if short else "requests/s")
    assert ("only 29.7 ms" in one_line(measured)) == short
    assert ("only 29.7\xa0ms" in measured._repr_html_()) == short
    assert bool(ghz_json(measured)["grpclab"]["short_window"]) == short


def test_how_many_calls_the_missing_percentiles_need_is_said_once() -> None:
    lines = [line.split() for line in render(result([0.01] * 99)).splitlines()]
    assert ["p50", "10.00", "ms"] in lines
    words = [
        "needs",
        "1,000",
        "calls",
        "(10",
        "beyond",
        "it),",
        "but",
        "there",
        "were",
        "99:",
        "raise",
        "-n",
        "(--requests)",
    ]
    assert ["p90", "-"] in lines
    assert ["p95", "-"] in lines
    assert ["p99", "-", *words] in lines


def test_a_load_bounded_by_time_is_to_last_longer_for_more_percentiles() -> None:
    timed = result([0.01] * 99, levels={"load.requests": None, "load.duration_s": 5.0})
    assert "there were 99: raise --duration (-z)" in render(timed)


def test_a_replay_has_more_calls_where_its_recording_is_longer(tmp_path: Path) -> None:
    times = tmp_path / "times.txt"
    times.write_text("\n".join(str(number / 10) for number in range(99)))
    levels: dict[str, Level] = {"load.requests": None, "load.duration_s": 9.9, "load.arrival": f"replay:{times}"}
    short = result([0.01] * 99, levels=levels | {"load.rate_rps": 10.0})
    assert "there were 99: replay a longer recording" in " ".join(render(short).split())


def test_a_limited_run_says_so_beside_its_figures() -> None:
    assert "GENERATOR-BOUND" in render(thousand(busy_share=0.91))
    per_call = render(thousand(busy_share=0.91, levels={"client.pooling": "per_call"}))
    assert "client-cpu" in per_call
    assert "GENERATOR-BOUND" not in per_call
    calm = render(thousand(busy_share=0.90))
    assert "GENERATOR-BOUND" not in calm
    assert "client-cpu" not in calm


def test_a_rate_of_which_no_call_was_due_was_not_missed() -> None:
    run = rate_run(100, [0.01] * 10)
    cut = dataclasses.replace(run, planned=0, summary=dataclasses.replace(run.summary, window_s=0.0))
    assert behind(cut) == ""


def test_a_run_without_a_call_is_rendered_without_figures() -> None:
    text = render(result([]))
    assert "nan" not in text
    assert "too few calls to judge" in text


def test_an_interrupted_run_and_the_spread_of_connections_are_told() -> None:
    text = render(thousand(interrupted=True, by_process=(3, 1)))
    assert "interrupted" in text
    assert "by server process 3/1" in text
    assert "by server process" not in render(thousand(by_process=(4,)))


@pytest.mark.parametrize(
    ("pooling", "words"), [("per_call", "one channel per call"), ("shared", "one channel"), ("pool", "a pool of 3")]
)
def test_the_first_line_names_the_client(pooling: str, words: str) -> None:
    text = render(thousand(levels={"client.pooling": pooling, "client.connections": 3}))
    assert words in text.splitlines()[0]


def test_latencies_below_a_millisecond_are_told_to_the_microsecond() -> None:
    assert [milliseconds(s) for s in (0.0000871, 0.001, 1.5, math.nan)] == ["0.087 ms", "1.00 ms", "1,500.00 ms", "-"]


def test_a_few_failures_among_many_calls_are_never_0_percent() -> None:
    assert [percent_of(part, 100_000) for part in (0, 2, 100, 50_000)] == ["0.0%", "0.002%", "0.1%", "50.0%"]
    assert percent_of(0, 0) == "-"


def test_p999_is_shown_where_there_are_calls_enough() -> None:
    assert "p99.9" not in render(result([0.01] * 9999))
    assert ["p99.9", "10.00", "ms"] in [line.split() for line in render(result([0.01] * 10_000)).splitlines()]


def test_a_call_of_ones_own_is_named_in_full() -> None:
    call = CallSpec(path="/shop.v1.Cart/Get", payload=b"")
    assert render(result([0.1], call=call)).startswith("shop.v1.Cart/Get at localhost:50051: 50 in flight, engine wire")


def test_the_reasons_of_a_limited_run_are_told() -> None:
    text = render(open_loop(100.0, [0.01] * 200, limits=("7 of 200 calls had not been sent", "and another")))
    assert "GENERATOR-BOUND, not the server's limit: 7 of 200 calls had not been sent; and another" in text


# ---- open loop, schedule, streams, thresholds ------------------------------------------------------------------


def test_an_open_loop_shows_offered_and_achieved_and_both_latencies() -> None:
    late = np.where(np.arange(2000) < 30, 0.2, 0.0)
    lines = [line.split() for line in render(open_loop(1000.0, 0.0105 + late, late)).splitlines()]
    assert "1,000/s," in lines[0]
    assert ["offered", "1,000.0", "requests/s", "2,000", "calls", "were", "due"] in lines
    assert ["throughput", "995.0", "requests/s"] in lines
    assert ["p50", "10.50", "ms", "10.50", "ms"] in lines
    assert ["p99", "210.50", "ms", "10.50", "ms"] in lines
    assert ["sent", "late", "0.000", "ms", "at", "p50;", "p99", "200.00", "ms,", "at", "most", "200.00", "ms"] in lines


def test_what_got_in_the_way_is_told_only_if_it_did() -> None:
    quiet = render(open_loop(1000.0, [0.01] * 200))
    for word in ("held", "lost", "max_in_flight", "GENERATOR"):
        assert word not in quiet
    loud = render(open_loop(1000.0, [0.01] * 200, held=1234, bound_hits=5, connections_lost=2, outage_s=0.75))
    assert "1,234   calls waited because of the peer's limit" in loud
    assert "5   calls waited with 10,000 already in flight" in loud
    assert "2   connections, closed by the server or broken; there was no connection for 0.75 s" in loud
    others = render(open_loop(1000.0, [0.01] * 200, connections_lost=1))
    assert "1   connection, closed by the server or broken\n" in others


def test_a_schedule_is_a_table_with_its_knee_and_no_percentiles_of_all() -> None:
    steps = [rate_run(rate, [0.001] * 2000) for rate in (500.0, 1000.0)]
    steps.append(rate_run(1500.0, np.linspace(0.001, 2, 2000), limits=("the generator was busy",)))
    text = render(schedule(*steps))
    lines = [line.split() for line in text.splitlines()]
    assert "3 rates from 500 to 1,500/s" in text
    assert ["500", "500.0", "1.00", "ms", "1.00", "ms", "0.000", "ms", "0"] in lines
    (limited,) = [line for line in lines if line[:1] == ["1,500"]]
    assert limited[-1] == "generator-bound"
    assert "kept up with 1,000/s; at 1,500/s, the generator was the limit" in text
    assert "1,500/s is generator-bound: the generator was busy" in text
    assert "p95" not in text


def test_a_stream_shows_when_its_first_message_came_and_the_gaps_between_them() -> None:
    lines = [line.split() for line in render(result([0.5] * 20, first_s=[0.2] * 20, gap_s=[0.1] * 80)).splitlines()]
    shown = lines[lines.index(["messages", "100"]) :]
    first, gap = (shown.index(title.split()) for title in ("time to the first message", "gap between messages"))
    assert ["p50", "200.00", "ms"] in shown[first:gap]
    assert ["p50", "100.00", "ms"] in shown[gap:]


def test_streams_that_the_client_ends_are_told() -> None:
    text = render(result([0.5] * 20, [ENDED_BY_CLIENT] * 20, first_s=[0.2] * 20))
    assert "20   streams that the client cancelled as planned" in text
    assert "errors by status" not in text


def test_streams_of_one_message_have_no_gaps() -> None:
    text = render(result([0.5] * 20, first_s=[0.2] * 20))
    assert "time to the first message" in text
    assert "gap" not in text


def test_thresholds_notes_and_early_ends_come_last() -> None:
    text = render(thousand(slo="p50=400ms,errors=5%", notes=("look here",), stopped_because="p50 was too high"))
    assert text.splitlines()[-4:] == [
        "  slo NOT MET: p50 was 495.00 ms, 23.7% above the 400ms allowed",
        "  slo met: errors were 1.00%, within 5%",
        "  stopped early: p50 was too high",
        "  note: look here",
    ]


def test_repr_is_one_line() -> None:
    assert repr(thousand()) == (
        "<BenchResult greet.GreeterService/SayHello at localhost:50051: 1,000 calls, 990.0 requests/s,"
        " p99 990.00 ms, 10 failed>"
    )
    steps = [rate_run(rate, [0.001] * 200) for rate in (50.0, 100.0)]
    assert repr(schedule(*steps)).endswith("400 calls, no knee: the server kept up with every rate up to 100/s>")


# ---- in a notebook ---------------------------------------------------------------------------------------------


class Card(HTMLParser):
    """Reads a card: its tags balanced, its attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html.replace("\xa0", " "))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f" {data}"


def test_the_card_stands_alone_and_keeps_to_itself() -> None:
    html = open_loop(1000.0, np.linspace(0.001, 0.1, 2000))._repr_html_()
    card = Card(html)
    assert "script" not in card.tags
    assert {"src", "href", "id"}.isdisjoint(name for name, _ in card.attributes)
    assert "url(" not in html


def test_the_card_shows_headline_table_and_picture() -> None:
    card = Card(thousand()._repr_html_())
    for words in ("990 requests/s", "990.00 ms p99", "10 failed", "p90 900.00 ms", "UNAVAILABLE: 7 calls, 0.7%"):
        assert words in " ".join(card.text.split())
    assert card.tags.count("svg") == 1
    assert ("aria-label", "Latency by percentile: p50 500.00 ms, slowest 1,000.00 ms") in card.attributes


def test_the_card_says_what_limits_the_figures() -> None:
    text = " ".join(Card(open_loop(10.0, [0.1] * 99, limits=("busy",), slo="p50=1ms")._repr_html_()).text.split())
    assert "GENERATOR-BOUND, not the server's limit: busy" in text
    assert "slo not met: p50 was 100.00 ms, 100.0× the 1ms allowed" in text


def test_the_card_escapes_what_others_wrote() -> None:
    evil = '<img src=x onerror="alert(1)">'
    case = thousand(call=CallSpec(path=f"/{evil}", payload=b""), notes=(evil,), stopped_because=evil, slo="p50=1ms")
    html = case._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html
    assert "img" not in Card(html).tags


def test_the_card_of_a_schedule_shows_the_knee_and_marks_the_generators_limit_hollow() -> None:
    steps = [rate_run(rate, np.linspace(0.001, 0.01, 2000)) for rate in (500.0, 1000.0, 1500.0)]
    steps.append(rate_run(2000.0, [1.0] * 2000, limits=("busy",)))
    html = schedule(*steps)._repr_html_()
    card = Card(html)
    assert "1,500 requests/s sustained" in " ".join(card.text.split())
    assert html.count("<circle") == 8
    assert html.count("gb-full") - html.partition("</style>")[0].count("gb-full") == 6
    assert "hollow: the generator" in card.text


@pytest.mark.parametrize("calls", [0, 1, 19, 20])
def test_few_calls_make_a_card_without_nonsense(calls: int) -> None:
    for html in (result([0.01] * calls)._repr_html_(), open_loop(100.0, [0.01] * calls)._repr_html_()):
        assert "nan" not in Card(html).text
        assert html.count("<svg") == (calls >= 20)


def test_the_ticks_of_a_latency_axis_are_round_and_few() -> None:
    assert chart.log_ticks(0.0009, 0.011) == pytest.approx([0.001, 0.002, 0.005, 0.01])
    assert chart.log_ticks(1e-5, 10) == pytest.approx([10.0**n for n in range(-5, 2)])
    assert len(chart.log_ticks(0.010, 0.021)) >= 3


def test_the_ticks_of_the_rates_have_the_first_and_the_last() -> None:
    assert [text for _, text in chart.rate_ticks([500.0, 1000.0])] == ["500", "1,000"]
    ticks = [rate for rate, _ in chart.rate_ticks([float(rate) for rate in range(100, 5001, 100)])]
    assert (ticks[0], ticks[-1]) == (100, 5000)
    assert len(ticks) <= chart.TICKS_AT_MOST


# ---- while it runs ---------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


SEEN = LoadProgress(elapsed_s=2.0, calls=3000, errors=4, latency_p99_s=0.00231)


def test_the_line_tells_how_it_is_going() -> None:
    assert progress_text(SEEN) == "2.0 s  3,000 calls  1,500/s  4 failed  p99 2.31 ms"
    assert progress_text(SEEN, "2 of 3: 1,500/s", 5.0, 9000) == (
        "2 of 3: 1,500/s  2.0 of 5 s  3,000 of 9,000 calls  1,500/s  4 failed  p99 2.31 ms"
    )
    few = LoadProgress(elapsed_s=2.0, calls=3, errors=0, latency_p99_s=math.nan)
    assert progress_text(few) == "2.0 s  3 calls  1.5/s  0 failed"
    before = LoadProgress(elapsed_s=-0.3, calls=0, errors=0, latency_p99_s=math.nan)
    assert progress_text(before, "1 of 3: 500/s") == "1 of 3: 500/s  warming up"


def test_the_line_is_written_over_and_erased() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal, duration_s=None, requests=None)
    line.erase()
    assert terminal.getvalue() == ""
    line.show("", SEEN)
    line.show("", SEEN)
    line.erase()
    line.erase()
    assert terminal.getvalue() == 2 * (ERASE + progress_text(SEEN)) + ERASE


def test_the_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    ProgressLine(terminal, duration_s=None, requests=None).show("", SEEN)
    elapsed, calls, *_ = progress_text(SEEN).split("  ")
    assert terminal.getvalue() == f"{ERASE}{elapsed}  {calls}", "there is no room for a third figure"


def test_there_is_no_line_without_a_terminal_or_when_quiet() -> None:
    assert ProgressLine(Terminal(), duration_s=None, requests=None).active
    assert not ProgressLine(Terminal(), duration_s=None, requests=None, quiet=True).active
    assert not ProgressLine(io.StringIO(), duration_s=None, requests=None).active


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_encoding_is_told_after_a_second_once_where_there_is_no_terminal() -> None:
    stream, clock = io.StringIO(), _Clock()
    line = EncodingLine(stream, clock)
    line.show(1000, 100_000)
    clock.now = 0.9
    line.show(9000, 100_000)
    assert stream.getvalue() == ""
    for clock.now in (1.0, 2.0, 3.0):
        line.show(10_000, 100_000)
    line.end()
    told = "encoding requests before the run: 10,000 of 100,000, about 9 s left"
    assert stream.getvalue() == f"grpclab: {told}\n"
    line.show(1, None)
    assert stream.getvalue().count("\n") == 1, "what is encoded next has its own second"


def test_on_a_terminal_the_line_of_encoding_is_written_over_and_erased() -> None:
    terminal, clock = Terminal(), _Clock()
    line = EncodingLine(terminal, clock)
    for clock.now, done in ((0.0, 1000), (1.0, 2000), (1.1, 3000), (1.6, 4000)):
        line.show(done, None)
    line.end()
    line.end()
    told = "encoding requests before the run: "
    assert terminal.getvalue() == f"{ERASE}{told}2,000{ERASE}{told}4,000{ERASE}"
