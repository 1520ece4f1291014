"""The figures of a report as files of their own."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from grpclab.report.renderers.figure_files import write_figures
from tests.support import synthetic


def test_every_figure_is_there_as_svg_and_png(tmp_path: Path) -> None:
    made = synthetic.small_study()
    for part in ("curves", "windows", "sweeps"):
        del made.manifest["plan"][part]  # the figures that are left are drawn in a fraction of the time
    study = made.finished(histograms=synthetic.material(made)["histograms"])
    written = write_figures(tmp_path / "figures", study)
    names = [path.name for path in written]
    assert names == sorted(names)
    assert names[0].startswith("01-")
    assert any("latency-by-percentile" in name for name in names)
    for path in written:
        assert ElementTree.fromstring(path.read_text()).tag.endswith("svg")
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "figures").iterdir())) == 2 * len(written)
