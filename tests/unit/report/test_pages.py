"""HTML out of templates: values are escaped and harmless, and cells keep what a viewer without our style must show."""

from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import Markup

from grpclab.report.tables import Table, badge, bold
from grpclab.text import pages


def rendered(tmp_path: Path, source: str, value: object) -> str:
    (tmp_path / "t.html.j2").write_text(source)
    return pages.rendered(tmp_path, "t.html.j2", value=value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("a\x00b\x1b[31m", "ab[31m"),
        (" a\n  b ", " a b "),
        (Markup("<b>made</b>"), "<b>made</b>"),
        (3, "3"),
        ("95% of 12 ms", "95% of 12\N{NO-BREAK SPACE}ms"),
        ("2 servers, 3 msgs", "2 servers, 3 msgs"),
        ("", ""),
    ],
)
def test_a_value_is_text_and_harmless(tmp_path: Path, value: object, shown: str) -> None:
    assert rendered(tmp_path, "{{ value }}", value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run `a <b>` or `c`", "run <code>a &lt;b&gt;</code> or <code>c</code>"),
        ("one ` alone <i>", "one ` alone &lt;i&gt;"),
    ],
)
def test_commands_in_a_sentence_are_code(tmp_path: Path, text: str, shown: str) -> None:
    assert rendered(tmp_path, "{% from 'pieces.html.j2' import prose %}{{ prose(value) }}", text) == shown


def test_text_among_pieces_stays_text(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ value | shown }}", ["<b>", None, [Markup("<i>x</i>")]]) == "&lt;b&gt;<i>x</i>"


def test_what_an_untrusted_notebook_keeps_is_enough_to_read_a_table() -> None:
    table = Table(header=["a", "b", "c"], rows=[["x", badge("faster"), bold("1")]], label="l", numeric={2})
    page, cell = table.rendered(), table.rendered(in_cell=True)
    assert "style=" not in page
    assert '<th scope="col" style="text-align:left;vertical-align:top">a</th>' in cell
    assert '<td class="gl-num" style="text-align:right;vertical-align:top"><b>1</b></td>' in cell
    assert '<span class="gl-badge gl-faster" style="border-radius:99px;padding:1px 9px;background-color:#11774a' in cell
