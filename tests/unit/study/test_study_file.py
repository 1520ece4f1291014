"""The TOML file of a study of one's own service: targets, calls, scenarios, own factors, the headline."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from grpclab.analysis import Comparison
from grpclab.errors import DesignError, MeasurementError, UsageError
from grpclab.study import pilot
from grpclab.study.designs.file_design import FileDesign, design, read
from grpclab.study.runner import Study
from grpclab.study.sides import Side
from tools import schemas

SCHEMA = jsonschema.Draft4Validator(schemas.schema(schemas.STUDY_FILE))
TILL = """
question = "Would more threads help our till?"
[target]
app = "shop.server:register"
[call]
method = "shop.v1.Till/Pay"
data = {id = 7}
[factors]
"server.threads" = [4, 16, 64]
"server.implementation" = ["sync", "asyncio"]
"""


def planned(text: str, folder: Path = Path()) -> FileDesign:
    content = tomllib.loads(text)
    assert [error.message for error in SCHEMA.iter_errors(content)] == []
    return design(content, folder)


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as refused:
        design(tomllib.loads(text))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def settings(found: FileDesign, name: str) -> dict[str, Any]:
    return {k: v for k, v in found.plan.configuration(name).settings.items() if not k.startswith("load.")}


def test_an_application_with_its_call_is_planned_and_the_headline_is_the_end_of_the_first_factor() -> None:
    found = planned(TILL)
    assert found.plan.names == [
        "baseline",
        "threads-4",
        "threads-16",
        "threads-64",
        "implementation-asyncio",
        "baseline-again",
    ]
    headline = found.plan.headline
    assert headline is not None
    assert (headline.baseline, headline.candidate) == ("baseline", "threads-64")
    assert "server.threads=64" in found.note
    assert set(found.subjects) == set(found.plan.names) == set(found.plan.subjects)
    stored = found.plan.subjects["threads-16"]
    assert (stored.app, stored.call, stored.data) == ("shop.server:register", "shop.v1.Till/Pay", '{"id": 7}')


def test_keys_with_hyphens_and_underscores_are_the_same() -> None:
    one = """
min-effect = "3%"
headline = "server.threads=4"
[target]
app = "m:f"
[call]
method = "a.B/C"
[factors]
server.threads = [4]
client.window-kib = [64]
[set]
client.adaptive-window = false"""
    two = one.replace("-", "_")
    assert planned(one) == planned(two)
    assert "appears twice" in refusal(f'min_effect="4%"\n{one}')


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ('app = "m:f"', "`grpclab init --app m:f` lists"),
        ('address = "localhost:1"', "`grpclab init localhost:1` lists"),
        ('command = "true {port}"', "of the command's server"),
    ],
)
def test_a_target_of_ones_own_needs_a_method(target: str, told: str) -> None:
    text = f"[target]\n{target}\n[factors]\nload.concurrency = [1, 2]"
    assert refusal(text).startswith("call.method is missing: expected a method of")
    assert told in refusal(text)
    assert planned(f'{text}\n[call]\nmethod = "a.B/C"').plan.subjects["baseline"].call == "a.B/C"


def test_a_target_is_exactly_one_thing() -> None:
    wrong = {
        'variant = "basic"\n[target]\napp = "m:f"': "variant cannot be combined with [target]",
        "[target]": "expected exactly one of variant, app, command, address",
        '[target]\napp = "m:f"\ncommand = "true {port}"': "expected exactly one of",
        '[target]\nap = "m:f"': "unknown key 'target.ap': did you mean app?",
        "[target]\napp = 7": "invalid target.app=7: expected a quoted string",
        '[target]\napp = "m"': "invalid app=m: expected MODULE:NAME",
        '[target]\naddress = "localhost:1"\npython = "python3"': "target: python requires an",
        '[target]\ncommand = "true {port}"\nready-timeout = "soon"': "invalid target.ready-timeout=soon",
    }
    for table, told in wrong.items():
        text = f"{table}\n[factors]\nclient.connections = [1, 2]"
        assert told in refusal(text)


def test_a_variant_may_be_the_target() -> None:
    new = planned('[target]\nvariant = "optimized"\n[factors]\nserver.threads = [4]')
    assert new == planned('variant = "optimized"\n[factors]\nserver.threads = [4]')
    assert new.subjects == {}


def test_own_factors_have_their_first_level_or_that_of_set_in_the_baseline() -> None:
    text = """
[target]
command = "true {port} {threads}"
[call]
method = "a.B/C"
[factors]
arg.threads = [4, 16, 64]
"env.GOMAXPROCS" = [1, "none"]
"""
    found = planned(text)
    assert settings(found, "baseline") == {"arg.threads": "4", "env.GOMAXPROCS": "1"}
    assert settings(found, "GOMAXPROCS-none") == {"arg.threads": "4", "env.GOMAXPROCS": "none"}
    assert found.plan.names[:2] == ["baseline", "threads-16"]
    assert found.plan.headline is not None
    assert found.plan.headline.title == "arg.threads=64 against the baseline"
    found = planned(f"{text.replace('}', '} {x}')}[set]\narg.threads = 16\narg.x = 'a b'\nenv.Y = true")
    assert settings(found, "baseline") == {"arg.threads": "16", "arg.x": "a b", "env.GOMAXPROCS": "1", "env.Y": "true"}


def test_levels_with_blanks_are_quoted_in_titles_and_in_the_headline() -> None:
    found = planned("""
headline = "arg.mode='very fast'"
[target]
command = "true {port} {mode}"
[call]
method = "a.B/C"
[factors]
arg.mode = ["", "very fast", "very-fast"]""")
    assert found.plan.names == ["baseline", "mode-very-fast", "mode-very-fast-2", "baseline-again"]
    assert found.plan.headline is not None
    assert found.plan.headline.candidate == "mode-very-fast"
    assert settings(found, "mode-very-fast")["arg.mode"] == "very fast"


@pytest.mark.parametrize(
    ("target", "factor", "told"),
    [
        (
            'command = "true {port}"',
            "server.threads = [4]",
            "invalid server.threads=4: server.threads is a factor of grpclab's own",
        ),
        ('command = "true {port}"', 'target.python = ["python3"]', "invalid target.python="),
        ('address = "localhost:1"', "server.threads = [4]", "is already running"),
        ('address = "localhost:1"', "arg.x = [4]", "invalid arg.x=4: arg.x"),
        ('address = "localhost:1"', "env.X = [4]", "is already running"),
        ('app = "m:f"', "server.handler_work_us = [4]", "invalid server.handler_work_us="),
        ('app = "m:f"', "load.request_bytes = [4]", "invalid load.request_bytes="),
        ('variant = "basic"', "arg.x = [1]", "invalid arg.x=1: arg.x sets part of a command"),
    ],
)
def test_a_factor_that_the_target_does_not_have_is_refused(target: str, factor: str, told: str) -> None:
    assert told in refusal(f"[target]\n{target}\n[factors]\n{factor}")


@pytest.mark.parametrize("name", ["arg.1a", "arg.a-b", "env.", "target.pythons"])
def test_a_name_that_no_own_factor_can_have_is_refused(name: str) -> None:
    assert "factors: unknown factor" in refusal(f'[target]\napp = "m:f"\n[factors]\n"{name}" = [1]')


def test_scenarios_are_compared_each_within_itself_and_the_headline_names_one() -> None:
    text = """
headline = "scenario=list server.threads=64"
[target]
app = "shop.server:register"
[call]
method = "shop.v1.Till/Pay"
metadata = {tenant = "a"}
[[scenario]]
name = "pay"
[[scenario]]
name = "list"
set = {load = {concurrency = 4}}
call = {method = "shop.v1.Till/List", data = {page = 1}}
[factors]
server.threads = [4, 64]"""
    found = planned(text)
    names = ["baseline", "threads-4", "threads-64"]
    assert found.plan.names == [*(f"pay-{n}" for n in names), *(f"list-{n}" for n in names), "list-baseline-again"]
    assert found.plan.headline is not None
    assert (found.plan.headline.scenario, found.plan.headline.candidate) == ("list", "list-threads-64")
    compared = [(one.scenario, one.baseline, one.candidate) for one in found.plan.comparisons]
    assert compared == [
        ("pay", "pay-baseline", "pay-threads-4"),
        ("pay", "pay-baseline", "pay-threads-64"),
        ("list", "list-baseline", "list-threads-4"),
    ]
    pay, other = found.plan.subjects["pay-threads-4"], found.plan.subjects["list-baseline-again"]
    assert (pay.call, pay.data, pay.metadata) == ("shop.v1.Till/Pay", None, ("tenant=a",))
    assert (other.call, other.data, other.metadata) == ("shop.v1.Till/List", '{"page": 1}', ("tenant=a",))
    assert found.plan.configuration("list-threads-4").config.load.concurrency == 4
    for headline in ("scenario=pay server.threads=64", "scenario=list server.threads=4"):
        again = planned(text.replace("scenario=list server.threads=64", headline)).plan
        assert again.headline is not None
        assert (
            again.headline.title
            == f"{headline.split()[1]} in {headline.split()[0].partition('=')[2]} against the baseline"
        )
    assert "expected scenario=pay or scenario=list in it" in refusal(text.replace("scenario=list ", ""))
    assert "headline is missing" in refusal(text.partition("\n[target]")[2].join(["[target]", ""]))
    assert "a unique name" in refusal(text.replace('"pay"', '"list"'))


def test_paths_lie_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "one.json").write_text('{"id": 1}')
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    file = tmp_path / "x.toml"
    file.write_text("""
[target]
app = "m:f"
app-dir = "code"
[call]
method = "a.B/C"
data-file = "one.json"
[factors]
"target.python" = ["./python", "python3"]
""")
    found = read(file)
    stored = found.plan.subjects["baseline"]
    assert (stored.app_dir, stored.data) == (str(tmp_path / "code"), '{"id": 1}')
    assert settings(found, "baseline") == {"target.python": str(python)}, "a link is not followed"
    assert found.plan.configuration(found.plan.names[1]).config.own["target.python"] == "python3"
    monkeypatch.chdir(tmp_path)
    assert read(Path("x.toml")).plan.subjects["baseline"].app_dir == "code", "as it is written, from the same folder"
    file.write_text(file.read_text().replace("./python", "./gone"))
    with pytest.raises(UsageError, match=r"invalid target\.python=.*gone"):
        read(file)


def test_the_parts_of_a_call_belong_together() -> None:
    base = '[target]\ncommand = "true {port}"\n[factors]\nload.concurrency = [1, 2]\n[call]\n'
    assert "data and data-file" in refusal(f'{base}method = "a.B/C"\ndata = {{}}\ndata-file = "x"')
    assert "proto and protoset" in refusal(f'{base}method = "a.B/C"\nproto = "a"\nprotoset = "b"')
    assert "call: data needs a method" in refusal(f"{base}data = {{}}")
    assert "invalid call.data-file=gone.json" in refusal(f'{base}method = "a.B/C"\ndata-file = "gone.json"')


def test_the_arguments_of_a_command_have_their_places_before_anything_is_measured() -> None:
    base = '[target]\ncommand = "true {port} {threads}"\nprepare = "true {rows}"\n[call]\nmethod = "a.B/C"\n[factors]\n'
    assert planned(f"{base}arg.threads = [1, 2]\n[set]\narg.rows = 5").plan.names[0] == "baseline"
    assert "invalid arg.thread=" in refusal(f"{base}arg.thread = [1, 2]")
    assert "invalid arg.port=" in refusal(f"{base}arg.port = [1, 2]")


def test_threads_of_an_asyncio_application_may_act_and_those_of_our_greeter_cannot() -> None:
    text = '[target]\n{}\n[set]\nserver.implementation = "asyncio"\n[factors]\nserver.threads = [4, 16]'
    found = planned(text.format('app = "m:f"\n[call]\nmethod = "a.B/C"'))
    assert [one.without_effect for one in found.plan.configurations] == [{}] * 4
    assert "server.threads has no effect" in refusal(text.format('variant = "basic"'))


def test_a_file_whose_name_is_taken_is_named_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "readme.toml"
    file.write_text("[factors]\nserver.threads = [4]\n")
    with pytest.raises(
        DesignError, match=r"invalid study=readme: .* README, .*; choose another one with --study " r"NAME$"
    ):
        Study.described(file, root=tmp_path)
    assert Study.described(file, "mine", root=tmp_path).name == "mine"


def test_a_pilot_measures_the_target_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.toml"
    file.write_text(TILL)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "server.py").write_text("def register(server): ...\n")
    study = Study.described(file, root=tmp_path)
    measured: list[Side] = []

    def piloted(sides: Mapping[str, Side], **_: object) -> Comparison:
        measured.extend(sides.values())
        raise MeasurementError("enough")

    monkeypatch.setattr(pilot, "piloted", piloted)
    with pytest.raises(MeasurementError):
        pilot.estimate(study, lambda _: None, progress=lambda _: None)
    assert [side.subject.app for side in measured] == ["shop.server:register"] * 2


def test_a_file_of_many_requests_stays_a_file(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    text = (
        '[target]\napp = "m:f"\n[factors]\nserver.threads = [4]\n[call]\nmethod = "a.B/C"\ndata-file = "many.jsonl"\n'
    )
    stored = planned(f'{text}data-order = "random"\ndata-repeat = true', tmp_path).plan.subjects["baseline"]
    assert (stored.data, stored.data_order, stored.data_repeat) == (f"@{tmp_path / 'many.jsonl'}", "random", True)
    assert "invalid --data-order=up" in refusal(
        f'{text.replace("many.jsonl", str(tmp_path / "many.jsonl"))}data-order = "up"'
    )
