"""Every number of a report against the trials inside it, recomputed by a few lines that know nothing of grpclab."""

from __future__ import annotations

import base64
import io
import itertools
import math
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup, Tag
from scipy import stats

from tests.support import full_plan
from tests.support.pages import plain_spaces

UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "%": 0.01, "points": 1.0}
NUMBER = re.compile(r"([+\-−]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s?(µs|ms|s|%|points)\b|\s?(%))?")


# ---- the script ---------------------------------------------------------------------------------------------------


def level(trials: pd.DataFrame, configuration: str, metric: str) -> tuple[float, float, float]:
    """Geometric mean over blocks and its 95% t interval."""
    logs = np.log(trials[(trials.configuration == configuration) & trials.valid][metric])
    return interval(logs)


def interval(logs: pd.Series[float]) -> tuple[float, float, float]:
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return math.exp(logs.mean()), math.exp(logs.mean() - half), math.exp(logs.mean() + half)


def logs_of(trials: pd.DataFrame, metric: str, baseline: str, candidate: str) -> pd.Series[float]:
    """ln(candidate / baseline) in each block that has both."""
    a, b = (
        trials[(trials.configuration == name) & trials.valid].set_index("block")[metric]
        for name in (baseline, candidate)
    )
    logs: pd.Series[float] = (b / a).dropna().map(math.log)
    return logs


def sign_flip(logs: pd.Series[float]) -> float:
    """The share of all ways to turn the signs that are at least as far from 0."""
    means = [abs(np.mean(signs * logs.to_numpy())) for signs in itertools.product((1, -1), repeat=len(logs))]
    return float(np.mean([mean >= abs(logs.mean()) - 1e-12 for mean in means]))


def holm(p_values: list[float]) -> list[float]:
    order, worst = np.argsort(p_values), 0.0
    found = [0.0] * len(p_values)
    for rank, at in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[at]))
        found[at] = worst
    return found


# ---- what is shown ------------------------------------------------------------------------------------------------


def shown(text: str) -> list[tuple[float, float]]:
    """Every number in a text in base units, with half of its last digit."""
    found = []
    for match in NUMBER.finditer(text):
        word = match[1].replace(",", "").replace("−", "-")
        unit = UNITS.get(match[2] or match[3] or "", 1.0)
        mantissa = word.partition("e")[0]
        digits = len(mantissa.partition(".")[2])
        scale = 10.0 ** int(word.partition("e")[2] or 0)
        found.append((float(word) * unit, 0.5001 * 10.0**-digits * unit * scale))
    return found


def assert_shows(text: str, *values: float) -> None:
    """The numbers in a text are these, each as exact as it is written."""
    numbers = shown(text)
    assert len(numbers) == len(values), (text, values)
    for (number, half), value in zip(numbers, values, strict=True):
        slack = max(half, 0.006 * abs(value) if abs(value) < 0.1 or abs(value) >= 1000 else 0)
        assert abs(number - value) <= slack, (text, number, value)


@pytest.fixture(scope="module")
def page(nightly_report: Path) -> BeautifulSoup:
    return BeautifulSoup(plain_spaces(nightly_report.read_text()), "html.parser")


@pytest.fixture(scope="module")
def trials(page: BeautifulSoup) -> pd.DataFrame:
    """trials.parquet as it lies in the page."""
    packed = page.find(id="grpclab-trials")
    assert isinstance(packed, Tag)
    return pd.read_parquet(io.BytesIO(zlib.decompress(base64.b64decode(packed.text))))


def rows(page: BeautifulSoup, label: str) -> list[list[Tag]]:
    lines = page.select(f"[aria-label='{label}'] > table > tbody > tr:not(.gl-group)")
    assert lines
    return [line.select(":scope > th, :scope > td") for line in lines]


def alt(page: BeautifulSoup, start: str) -> str:
    (found,) = (str(div["aria-label"]) for div in page.select("[role=img]") if str(div["aria-label"]).startswith(start))
    return found


METRICS = {
    "throughput": "throughput_rps",
    "p50 latency": "latency_p50_s",
    "p90 latency": "latency_p90_s",
    "p99 latency": "latency_p99_s",
}
CONFIGURATIONS = {f"{v}-c{c}": (v, c) for v in ("basic", "optimized") for c in full_plan.CONCURRENCY}


def test_every_comparison(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    told = []
    for name, ratio, between, verdict, p_cell, blocks in rows(page, "Every comparison"):
        sides = name.find("small")
        assert isinstance(sides, Tag)
        metric, candidate, baseline = re.fullmatch(r"(.*?), (.+) against (.+)", sides.text).groups()  # type: ignore[union-attr]
        logs = logs_of(trials, METRICS[metric], baseline, candidate)
        mean, low, high = interval(logs)
        assert_shows(ratio.find("b").text.rstrip("×"), mean)  # type: ignore[union-attr]
        assert_shows(between.text, low, high)
        assert int(blocks.text) == len(logs)
        if len(logs) < 6:  # too few for a verdict: no p, and no part in the family
            assert (p_cell.text, verdict.text) == ("–", "inconclusive")
            continue
        headline = (baseline, candidate, metric) == ("basic-c64", "optimized-c64", "throughput")
        aa = candidate == "basic-c64-again"
        family = "alone" if headline or aa else metric
        raw = sign_flip(logs) if headline else float(stats.ttest_1samp(logs, 0).pvalue)
        told.append((family, raw, p_cell.text, mean, low, high, metric, verdict.text))
    for family in {line[0] for line in told}:
        mine = [line for line in told if line[0] == family]
        adjusted = [line[1] for line in mine] if family == "alone" else holm([line[1] for line in mine])
        for (_, _, p, mean, low, high, metric, judged), value in zip(mine, adjusted, strict=True):
            if p.startswith("<"):
                assert value < shown(p)[0][0]
            else:
                assert_shows(p, value)
            beyond = (low > 1 and mean > 1.05) or (high < 1 and mean < 0.95)
            more = (mean > 1) == (metric == "throughput")
            expected = "inconclusive"
            if beyond and value < 0.05:
                expected = "faster" if more else "slower"
            elif low > 0.95 and high < 1.05:
                expected = "equivalent"
            assert judged == expected


def test_every_configuration(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    for name, _, mean, between, valid in rows(page, "Configurations"):
        configuration = name.find("code").text  # type: ignore[union-attr]
        value, low, high = level(trials, configuration, "throughput_rps")
        assert_shows(mean.find("b").text.removesuffix(" requests/s"), value)  # type: ignore[union-attr]
        assert_shows(between.text, low, high)
        mine = trials[trials.configuration == configuration]
        assert valid.text == f"{mine.valid.sum()} of {len(mine)}"


def test_the_first_screen(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    logs = logs_of(trials, "throughput_rps", "basic-c64", "optimized-c64")
    mean, low, high = interval(logs)
    levels, errors = page.select("#answer .gl-card")
    assert_shows(
        levels.select_one(".gl-big").text,  # type: ignore[union-attr]
        *(level(trials, name, "throughput_rps")[0] for name in ("basic-c64", "optimized-c64")),
    )
    pair = trials[trials.valid & trials.configuration.isin(["basic-c64", "optimized-c64"])]
    good = trials[trials.valid]
    assert_shows(errors.find("div").text, pair.errors.sum())  # type: ignore[union-attr]
    assert f"of {int(pair.requests.sum()):,} calls failed" in errors.text
    assert f"{int(good.errors.sum()):,} of {int(good.requests.sum()):,} calls failed in the whole study" in errors.text
    sentence = page.select_one(".gl-verdict")
    assert sentence
    told = re.search(r"optimized has ([\d.]+)× the throughput of basic", sentence.text)
    assert told
    assert_shows(told[1], mean)
    line = page.select_one(".gl-confidence")
    assert line
    agree = int((logs > 0).sum())
    told = re.search(r"95% interval ([\d.]+) to ([\d.]+); faster in (\d+) of (\d+) blocks", line.text)
    assert told
    assert_shows(" ".join(told.groups()), low, high, agree, len(logs))
    sure = page.select_one("#certainty .gl-reasons")
    assert sure
    found = re.search(r"faster in (\d+) of (\d+) blocks, with ratios from ([\d.]+)× to ([\d.]+)×", sure.text)
    assert found
    assert_shows(" ".join(found.groups()), agree, len(logs), math.exp(logs.min()), math.exp(logs.max()))
    assert f"once in {round(1 / sign_flip(logs))} studies" in sure.text
    aa = interval(logs_of(trials, "throughput_rps", "basic-c64", "basic-c64-again"))
    found = re.search(r"against itself, the baseline gave ([\d.]+)× \(95% interval ([\d.]+) to ([\d.]+)\)", sure.text)
    assert found
    assert_shows(" ".join(found.groups()), *aa)


def test_the_parts(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    pairs = [("basic-c64", "client-only"), ("client-only", "optimized-c64"), ("basic-c64", "optimized-c64")]
    for card, pair in zip(page.select("#sides .gl-card"), pairs, strict=True):
        mean, low, high = interval(logs_of(trials, "throughput_rps", *pair))
        assert_shows(card.select_one(".gl-big").text.partition("×")[0], mean)  # type: ignore[union-attr]
        assert_shows(card.select_one("small").text, 0.95, low, high)  # type: ignore[union-attr]


@pytest.mark.parametrize(("metric", "what"), [(metric, what) for what, metric in METRICS.items()])
def test_the_curves(page: BeautifulSoup, trials: pd.DataFrame, metric: str, what: str) -> None:
    # One picture for the throughput, one with a panel for each percentile.
    over = "requests per second against load.concurrency"
    first, mine = (over, over) if what == "throughput" else ("p50 latency", what)
    told = alt(page, f"Line chart of {first}. ").partition(f"Line chart of {mine}. ")[2].partition("Line chart")[0]
    found = 0
    for line in told.split(";"):
        variant, _, values = line.strip().partition(": ")
        for value, at in re.findall(r"([\d.,]+ (?:requests/s|µs|ms|s)) at (\d+)", values):
            assert_shows(value.removesuffix(" requests/s"), level(trials, f"{variant}-c{at}", metric)[0])
            found += 1
    assert found == 10


def test_the_ladder(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    told = alt(page, "Waterfall")
    steps = {
        "channel reuse": ("basic-c64", "reuse"),
        "connection pool": ("reuse", "pool"),
        "asyncio server": ("pool", "asyncio"),
        "asyncio on uvloop": ("pool", "uvloop"),
        "room for 10,000 threads": ("pool", "threads"),
        "HTTP/2 settings": ("threads", "optimized-c64"),
    }
    product = 1.0
    for title, pair in steps.items():
        found = re.search(rf"{re.escape(title)} ([\d.]+)× \(([\d.]+) to ([\d.]+)\), (kept|rejected)", told)
        assert found, title
        values = interval(logs_of(trials, "throughput_rps", *pair))
        assert_shows(" ".join(found.groups()[:3]), *values)
        product *= values[0] if found[4] == "kept" else 1
    end = re.search(r"all together ([\d.]+)×", told)
    assert end
    assert_shows(end[1], product)


def test_the_forest_and_the_sweeps(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    titles = [name.find("small").text for name, *_ in rows(page, "Every comparison")]  # type: ignore[union-attr]
    told = " ".join(str(div["aria-label"]) for div in page.select("[role=img]") if "Forest" in str(div["aria-label"]))
    found = re.findall(r"([\d.]+)× \(([\d.]+) to ([\d.]+)\), (?:faster|slower|equivalent|inconclusive)", told)
    assert len(found) == len(titles)
    expected = []
    for sides in titles:
        metric, candidate, baseline = re.fullmatch(r"(.*?), (.+) against (.+)", sides).groups()  # type: ignore[union-attr]
        expected.append(interval(logs_of(trials, METRICS[metric], baseline, candidate)))
    for numbers, values in zip(sorted(found, key=lambda f: float(f[0])), sorted(expected), strict=True):
        assert_shows(numbers[0], values[0])
    sweep = alt(page, "Dot plot, pool size")
    for label in ("1", "2", "8", "16"):
        one = re.search(rf"\b{label} ([\d.]+)× \(95% interval ([\d.]+) to ([\d.]+)\)", sweep)
        assert one
        pair = ("optimized-c64", f"pool-{label}")
        assert_shows(" ".join(one.groups()), *interval(logs_of(trials, "throughput_rps", *pair)))


def test_the_engines(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    names = iter(["basic-c64", "basic-c64-wire", "optimized-c64", "optimized-c64-wire"])
    for engine, throughput, ratio, _, server, client in rows(page, "Engines")[:4]:
        name = next(names)
        assert engine.text.startswith("wire" if name.endswith("wire") else "grpcio")
        mean, low, high = level(trials, name, "throughput_rps")
        assert_shows(throughput.find("b").text, mean)  # type: ignore[union-attr]
        assert_shows(throughput.find("small").text, low, high)  # type: ignore[union-attr]
        assert_shows(server.text, level(trials, name, "server_cpu_per_call_s")[0])
        assert_shows(client.text, level(trials, name, "client_cpu_per_call_s")[0])
        if name.endswith("wire"):
            values = interval(logs_of(trials, "throughput_rps", name.removesuffix("-wire"), name))
            assert_shows(ratio.text.replace("×", " "), *values)


def test_the_windows(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    found = 0
    for direction in ("downloads", "uploads"):
        (told,) = re.findall(
            rf"Line chart, {direction}[^:]*: (.*?)\.(?: Line| Engine|$)", alt(page, "Line chart, down")
        )
        for value, label in re.findall(r"([\d.,]+) MB/s at ([\w ]+)", told):
            size, _, unit = label.partition(" ")
            key = size if not unit else str(int(size) * (1024 if unit == "MiB" else 1))
            mean = level(trials, f"{direction}-{key}", "throughput_rps")[0]
            assert_shows(value, mean * full_plan.RESPONSE_BYTES / 1e6)
            found += 1
    assert found == 2 * (len(full_plan.WINDOWS_KIB) + 1)


def test_the_timeline(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    good = trials[trials.valid].sort_values("started_at")
    logs = np.log(good.throughput_rps)
    relative = logs - logs.groupby(good.configuration).transform("mean")
    half = len(good) // 2
    (told,) = [f.text for f in page.select("#timeline figcaption")]
    found = re.search(r"changed by ([+\-−\d.]+)%; single trials vary by about ([\d.]+)%", told)
    assert found
    drift = math.exp(relative.iloc[half:].mean() - relative.iloc[:half].mean()) - 1
    assert_shows(found[1].replace("+", ""), 100 * drift)
    assert_shows(found[2], 100 * (math.exp(relative.std(ddof=1)) - 1))


def test_the_profile(page: BeautifulSoup, trials: pd.DataFrame) -> None:
    lines = {name.text: cells for name, *cells in rows(page, "Kernel accounting and system calls")}
    for name, column in {
        "CPU time per request": "server_cpu_per_call_s",
        "kernel, share of the CPU time": "server_kernel_share",
        "system calls per request": "syscalls_per_call",
    }.items():
        for cell, side in zip(lines[name], ("basic-c64", "optimized-c64"), strict=False):
            values = trials[(trials.configuration == side) & trials.valid][column].dropna()
            assert_shows(next(iter(cell.stripped_strings)), float(values.mean()))
