"""Folded stacks as a flamegraph, and in speedscope's format."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.profiling import flamegraph, speedscope

CHROMIUM = Path("/usr/bin/chromium")
FRAME = st.text(st.characters(exclude_characters=";", codec="utf-8"), min_size=1, max_size=12)
STACKS = st.dictionaries(st.lists(FRAME, min_size=1, max_size=6).map(";".join), st.integers(1, 10**9), max_size=8)


@given(STACKS)
def test_what_is_packed_comes_back(stacks: dict[str, int]) -> None:
    assert flamegraph.unpack(flamegraph.pack(stacks)) == stacks


def test_names_of_frames_are_data_and_never_markup() -> None:
    evil = {"</script><img src=x onerror=alert(1)>;\"' x=": 1}
    page = flamegraph.page(evil, heading="<b>", note="a & b")
    assert "<img" not in page
    assert '<h1>&lt;b&gt;</h1>\n<p class="gl-note">a &amp; b</p>' in page
    (packed,) = re.findall(r'data-stacks="([^"]*)"', page)
    assert flamegraph.unpack(packed) == evil


def test_a_page_loads_nothing() -> None:
    page = flamegraph.page({"a": 1}, heading="x")
    assert not re.search(r"(?:src|href)\s*=|https?://", page)


def test_speedscope_gets_every_sample_with_its_files_and_lines() -> None:
    found = speedscope.convert({"main (a.py:1);work (a.py:7)": 3, "main (a.py:1)": 2}, name="one")
    frames = found["shared"]["frames"]
    (profile,) = found["profiles"]
    told = [([frames[i] for i in path], n) for path, n in zip(profile["samples"], profile["weights"], strict=True)]
    main, work = {"name": "main", "file": "a.py", "line": 1}, {"name": "work", "file": "a.py", "line": 7}
    assert told == [([main], 2), ([main, work], 3)]
    assert profile["endValue"] == 5
    assert json.loads(json.dumps(found)) == found


PROBE = """<pre id="found"></pre><script>
addEventListener('load',()=>setTimeout(()=>{
 const shown=()=>[...document.querySelectorAll('.fg-graph button')].map(b=>[b.textContent,b.style.left,b.style.width]);
 const told=()=>document.querySelector('.fg-told').textContent,out={drawn:shown(),told:told()};
 [...document.querySelectorAll('.fg-graph button')].find(b=>b.textContent.startsWith('work')).click();
 out.zoomed=shown();out.focus=document.activeElement.textContent;
 document.querySelector('.fg-graph button').click();out.reset=shown();
 const find=document.querySelector('.fg input');find.value='rest';find.dispatchEvent(new Event('input'));
 out.key=[...document.querySelectorAll('.fg-key li')].map(l=>l.textContent);
 out.colours=[...document.querySelectorAll('.fg-graph button')].map(b=>b.style.background);
 out.search=told();out.marked=[...document.querySelectorAll('.fg-found')].map(b=>b.textContent);
 document.getElementById('found').textContent=JSON.stringify(out)},300))</script>"""


def test_in_a_browser_it_draws_zooms_and_searches(tmp_path: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip("/usr/bin/chromium is missing: apt-get install chromium")
    file = tmp_path / "flame.html"
    stacks = {"main (a.py:1);work (a.py:2);deep (libc.so.6)": 6, "main (a.py:1);rest (a.py:3)": 2}
    file.write_text(flamegraph.page(stacks, heading="x") + PROBE)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=5000")
    done = subprocess.run(
        [str(CHROMIUM), *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    found = json.loads(html.unescape(match[1]))
    assert found["drawn"] == [
        ["all", "0%", "100%"],
        ["main (a.py:1)", "0%", "100%"],
        ["rest (a.py:3)", "0%", "25%"],
        ["work (a.py:2)", "25%", "75%"],
        ["deep (libc.so.6)", "25%", "75%"],
    ]
    assert found["told"].startswith("8 samples")
    assert found["zoomed"][-2:] == [["work (a.py:2)", "0%", "100%"], ["deep (libc.so.6)", "0%", "100%"]]
    assert found["focus"] == "work (a.py:2)", "the keyboard goes on from there"
    assert found["reset"] == found["drawn"]
    assert found["search"] == "25.0% of what is shown"
    assert found["marked"] == ["rest (a.py:3)"]
    assert found["key"] == ["everything else 75.0%", "Python interpreter 25.0%"]
    assert found["colours"][0] == "rgb(228, 228, 228)", "the root is of no family"
    assert found["colours"][2] == "rgb(217, 138, 31)", "Python's, and nothing else"
