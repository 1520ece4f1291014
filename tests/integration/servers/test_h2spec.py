"""h2spec, a conformance suite of HTTP/2, against the reference server: what passed once passes always.

It is run with requests of gRPC's: POST, gRPC's headers, and an empty message where a request would end with its
headers. h2spec has no option for that, so it is built from its source with two changes.
"""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support.go_programs import changed_go_program, changed_path, long_until_built

MODULE, VERSION = "github.com/summerwind/h2spec", "v2.2.1+incompatible"
NEEDS = ("github.com/fatih/color v1.19.0", "github.com/spf13/cobra v1.10.2", "golang.org/x/net v0.62.0")
CHANGES = {
    "spec/util.go": (
        ('HeaderField(":method", "GET"),', 'HeaderField(":method", "POST"),'),
        (
            'HeaderField(":authority", authority),\n',
            'HeaderField(":authority", authority),\n'
            '\t\tHeaderField("te", "trailers"),\n\t\tHeaderField("content-type", "application/grpc"),\n',
        ),
    ),
    "spec/connection.go": (
        (
            "\treturn conn.framer.WriteHeaders(p)\n",
            "\tif p.EndStream && p.EndHeaders && p.StreamID%2 == 1 && !conn.server && !conn.opened[p.StreamID] {\n"
            "\t\tif conn.opened == nil {\n\t\t\tconn.opened = map[uint32]bool{}\n\t\t}\n"
            "\t\tconn.opened[p.StreamID] = true\n\t\tp.EndStream = false\n"
            "\t\tif err := conn.framer.WriteHeaders(p); err != nil {\n\t\t\treturn err\n\t\t}\n"
            "\t\treturn conn.framer.WriteData(p.StreamID, true, make([]byte, 5))\n\t}\n"
            "\tif conn.opened == nil {\n\t\tconn.opened = map[uint32]bool{}\n\t}\n\tconn.opened[p.StreamID] = true\n"
            "\treturn conn.framer.WriteHeaders(p)\n",
        ),
        ("\tserver bool\n", "\tserver bool\n\topened map[uint32]bool\n"),
    ),
}
CASES = 146
_TABLE = "RFC 7541, 6.3: a table larger than SETTINGS_HEADER_TABLE_SIZE, which is 0 here, is a decoding error"
EXPLAINED = {
    "generic/5/14": _TABLE,
    "generic/5/15": _TABLE,
    "http2/6.10/1": "RFC 7541, 2.3.3: an index beyond the table, which is empty here, is a decoding error",
}
"""The cases that do not pass, and why that is right: h2spec acknowledges the table's size and does not keep to it."""


pytestmark = long_until_built(changed_path(MODULE, VERSION, "cmd/h2spec"))


@pytest.fixture(scope="module")
def h2spec() -> Path:
    return changed_go_program(MODULE, VERSION, "cmd/h2spec", CHANGES, NEEDS)


def outcomes(program: Path, port: int, report: Path, *sections: str) -> dict[str, str]:
    """What became of each case, by the section and its number there."""
    command = [str(program), "-h", "127.0.0.1", "-p", str(port), "-P", "/greet.GreeterService/SayHello", "--strict"]
    subprocess.run([*command, "-j", str(report), *sections], capture_output=True, timeout=120, check=False)
    found: dict[str, str] = {}
    text = re.sub(r"[\0-\x08\x0b\x0c\x0e-\x1f]", "", report.read_text(errors="replace"))  # it quotes frames as they are
    for suite in ET.fromstring(text):
        for number, case in enumerate(suite, 1):
            bad = next((part.tag for part in case), "passed")
            found[f"{suite.get('package')}/{number}"] = bad
    return found


@pytest.fixture(scope="module")
def found(h2spec: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with launch_reference(ReferenceSpec(max_concurrent_streams=100, pacing="timer")) as server:
        return outcomes(h2spec, server.port, tmp_path_factory.mktemp("h2spec") / "report.xml")


def test_every_case_passes_but_those_that_are_explained(found: dict[str, str]) -> None:
    assert {case: outcome for case, outcome in found.items() if outcome != "passed"} == dict.fromkeys(
        EXPLAINED, "error"
    )


def test_all_cases_were_run(found: dict[str, str]) -> None:
    assert len(found) == CASES


def test_the_documentation_names_what_does_not_pass() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "reference-server.md").read_text()
    for case, reason in EXPLAINED.items():
        assert case in text
        assert reason.partition(":")[0] in text
