"""A study once more: the same plan under a new name, on this machine, held against the original."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis import Judgement
from grpclab.cli import commands as cli
from grpclab.cli import study as cli_study
from grpclab.errors import DesignError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.report.data import Packed
from grpclab.report.stored import load_original
from grpclab.servers.target import Target
from grpclab.study import repeat
from grpclab.study.comparing_study import ComparingStudy
from grpclab.study.designs import compare_design
from grpclab.study.documents import manifest_document, write_json
from grpclab.study.model import StoredOriginal
from grpclab.study.repeat import Original, compared, planned
from grpclab.study.runner import Study
from grpclab.study.sides import Side
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest, read_verdict
from grpclab.study.target import Subject
from tests.support import stored_studies
from tests.support.plans import document
from tests.support.stored_studies import plan_of_two, result

IDENTITY = {"host": "elsewhere", "grpcio": "1.85.1"}
HEADLINE = {"ratio": 2.0, "ci_low": 1.9, "ci_high": 2.1, "blocks": 6, "verdict": "faster"}
REFERENCE = f"{sys.executable} -m grpclab serve reference --port {{port}} --service-time constant:"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*, blocks: int = 1) -> dict[str, Any]:
    """Two configurations, 50 calls or 2 s each."""
    load: dict[str, Level] = {"load.engine": "wire", "load.requests": 50, "load.duration_s": 0.3, "load.warmup_s": 0.05}
    return plan_of_two({**load, "client.pooling": "shared"}, blocks=blocks)


def manifest(**changed: Any) -> dict[str, Any]:
    return stored_studies.manifest(plan(), **changed)


def store(root: Path, found: dict[str, Any], verdict: dict[str, Any] | None = None) -> Path:
    folder = root / "results" / str(found["study"])
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", found)
    if verdict is not None:
        write_json(folder / "verdict.json", verdict)
    return folder


def report(root: Path, found: dict[str, Any], verdict: dict[str, Any]) -> Path:
    path = root / "sent.html"
    path.write_text(Packed(manifest=found, trials=pd.DataFrame({"block": [0]}), verdict=verdict).elements())
    return path


# ---- where the original comes from -------------------------------------------------------------------------------


def test_a_folder_its_manifest_and_a_report_are_the_same_original(root: Path) -> None:
    verdict = {"headline": HEADLINE}
    folder = store(root, manifest(), verdict)
    for source in (folder, folder / "manifest.json", report(root, manifest(), verdict)):
        found = load_original(source)
        assert (found.manifest, found.verdict) == (read_manifest(manifest()), read_verdict(verdict))
        assert found.trusted is (source != root / "sent.html")


def test_a_study_that_was_never_judged_can_be_repeated(root: Path) -> None:
    folder = store(root, manifest())
    assert load_original(folder).verdict == Judgement()
    (folder / "verdict.json").write_text("[")
    assert load_original(folder).verdict == Judgement()


# ---- what is planned ---------------------------------------------------------------------------------------------


def test_the_repeat_has_the_plan_and_the_order_but_surroundings_of_its_own(root: Path) -> None:
    folder = store(root, manifest())
    again = planned(load_original(folder))
    assert again.name == "tiny-repeat"
    assert [t.name for t in again.trials] == [t.name for t in Study.stored(folder).trials]
    original = read_manifest(manifest())
    for key in ("plan", "seed", "design", "question"):
        assert getattr(again.manifest, key) == getattr(original, key)
    assert again.manifest.identity["host"] != "elsewhere"
    assert again.manifest.created_at > "2026-11-20T09:00"
    assert again.manifest.repeats == StoredOriginal(
        study="tiny", created_at="2026-11-20T09:00:00+00:00", identity=IDENTITY
    )
    assert again.manifest.again == "grpclab study --repeat results/tiny-repeat/manifest.json"
    assert again.manifest.parameters == {"study": "tiny-repeat", "seed": 7, "max_trial_s": 0.2}
    assert not again.store.folder.exists()


def test_one_that_was_cut_off_goes_on_and_a_finished_one_is_followed_by_the_next(root: Path) -> None:
    original = load_original(store(root, manifest()))
    first = planned(original).begin()
    assert planned(original).name == "tiny-repeat", "nothing of it is measured yet"
    for trial in first.trials:
        with first.store.writing(trial.name) as folder:
            write_json(folder / "result.json", result(trial.name, valid=False))
    assert planned(original).name == "tiny-repeat-2"
    planned(original).begin()
    assert planned(original).name == "tiny-repeat-2"
    assert planned(load_original(first.store.folder)).name == "tiny-repeat-3", "the repeat of a repeat"
    assert planned(original, "mine").name == "mine"


def test_a_cut_off_repeat_of_another_machine_or_study_is_left_alone(root: Path) -> None:
    original = load_original(store(root, manifest()))
    begun = manifest_document(planned(original).begin().store.folder)
    path = root / "results" / "tiny-repeat" / "manifest.json"
    write_json(path, begun | {"identity": IDENTITY})
    assert planned(original).name == "tiny-repeat-2"
    write_json(path, begun | {"repeats": {"study": "tiny", "created_at": "another day"}})
    assert planned(original).name == "tiny-repeat-2"
    write_json(path, {key: value for key, value in begun.items() if key != "repeats"})
    assert planned(original).name == "tiny-repeat-2"


def test_a_long_name_stays_a_name(root: Path) -> None:
    assert planned(load_original(store(root, manifest(study="x" * 64)))).name == f"{'x' * 57}-repeat"


def commands(a: str, b: str, **subject: Any) -> dict[str, Any]:
    """A manifest of `grpclab compare` with two commands."""
    config = TrialConfig().replace({"load.requests": 50, "load.duration_s": 0.3, "load.warmup_s": 0.05})
    sides = {
        name: Side(label=name, config=config, subject=Subject(target=Target(command=command), **subject))
        for name, command in (("a", a), ("b", b))
    }
    made = document(compare_design.plan(sides, blocks=2, delta=0.05))
    parameters = {"study": "tiny", "blocks": 2, "seed": 1}
    return manifest(plan=made, design="compare", parameters=parameters, again="grpclab compare --a-cmd x --b-cmd y")


def test_a_comparison_is_repeated_as_one(root: Path) -> None:
    again = planned(load_original(store(root, commands(f"{REFERENCE}1ms", f"{REFERENCE}2ms"))), consent=True)
    assert isinstance(again, ComparingStudy)
    assert again.CONTINUES == "the same command"
    assert "about" in again.summary()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            commands("/no/such/server {port}", "sh {port}"),
            "cannot be repeated here: /no/such/server, which starts the server of a",
        ),
        (commands("sh {port}", "sh {port}", call="a.B/C", proto="gone.proto"), "gone.proto, which describes its call"),
    ],
)
def test_a_comparison_whose_servers_are_gone_says_so(found: dict[str, Any], told: str, root: Path) -> None:
    with pytest.raises(DesignError, match=told):
        planned(load_original(store(root, found)), consent=True)


def test_commands_that_came_with_a_report_are_not_started(root: Path) -> None:
    path = report(root, commands("sh -c 'touch pwned; {port}'", "sh {port}"), {})
    for consent in (False, True):
        with pytest.raises(DesignError, match=r"run the command yourself: grpclab compare --a-cmd x --b-cmd y$"):
            planned(load_original(path), consent=consent)
    assert planned(load_original(report(root, manifest(), {}))).name == "tiny-repeat"


@pytest.mark.parametrize(
    "subject",
    [
        {"proto": "/dev/zero"},
        {"proto_path": ["/"]},
        {"data": "@/dev/zero"},
        {"app": "shop.server:register"},
        {"app": "shop.server:register", "python": "/tmp/python", "prepare": "touch pwned"},
        {"address": "localhost:22"},
        {"security": {"cacert": "/dev/zero"}},
    ],
)
def test_what_a_report_names_is_not_opened_imported_or_loaded(subject: dict[str, Any], root: Path) -> None:
    made = plan() | {"subjects": {"few": {"call": "a.B/C"} | subject}}
    with pytest.raises(
        DesignError, match="open files that its author chose: read its manifest, then run the command yourself"
    ):
        planned(load_original(report(root, manifest(plan=made), {})), consent=True)


@pytest.mark.parametrize("factor", ["env.LD_PRELOAD", "target.python", "arg.threads"])
def test_variables_and_interpreters_that_a_report_names_are_not_taken(factor: str, root: Path) -> None:
    made = plan()
    made["configurations"][0]["settings"] = {**made["configurations"][0]["settings"], factor: "/tmp/x"}
    with pytest.raises(DesignError, match="run the command yourself"):
        planned(load_original(report(root, manifest(plan=made), {})), consent=True)


def test_the_description_of_a_call_must_be_a_file(root: Path) -> None:
    os.mkfifo(root / "pipe.proto")
    for name in (str(root / "pipe.proto"), "/dev/zero"):
        made = commands("sh {port}", "sh {port}", call="a.B/C", proto=name)
        (root / "results").mkdir(exist_ok=True)
        with pytest.raises(DesignError, match="which describes its call, is not a file"):
            planned(load_original(store(root, made | {"study": Path(name).name})), consent=True)


def sealed(root: Path) -> Path:
    """The study of two commands that this user began here."""
    found = commands(f"{sys.executable} -c '' {{port}}", "sh {port}")
    made = Store(root / "results" / "tiny")
    made.open(read_manifest(found | {"servers": {}}))
    return made.folder


def test_commands_that_this_user_recorded_here_need_no_consent(root: Path) -> None:
    original = load_original(sealed(root))
    assert original.foreign() == []
    assert planned(original).name == "tiny-repeat"


@pytest.mark.parametrize("change", ["another command", "another key", "no seal", "a key that others can read"])
def test_commands_of_another_user_or_machine_need_consent(
    change: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = root / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    path = sealed(root) / "manifest.json"
    found = json.loads(path.read_text())
    if change == "another command":
        found["plan"]["subjects"]["a"]["command"] = "sh -c 'touch pwned; {port}'"
    elif change == "no seal":
        del found["seal"]
    elif change == "another key":
        (state / "grpclab" / "key").write_bytes(bytes(32))
    else:
        (state / "grpclab" / "key").chmod(0o644)
    path.write_text(json.dumps(found))
    original = load_original(path)
    assert [line.partition(":")[0] for line in original.foreign()] == ["a", "b"]
    with pytest.raises(DesignError, match="--yes"):
        planned(original)
    assert planned(original, consent=True).name == "tiny-repeat"
    assert not (root / "pwned").exists()


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in plan().items() if name != key}


def renamed(name: object) -> dict[str, Any]:
    made = plan()
    made["configurations"][0]["name"] = name
    return made


def with_settings(settings: object) -> dict[str, Any]:
    made = plan()
    made["configurations"][0]["settings"] = settings
    return made


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema_version": 9}, "has schema version 9; this grpclab reads version 1"),
        ({"plan": None}, "does not contain a usable plan: plan is missing"),
        ({"plan": without("headline")}, "headline is missing"),
        ({"plan": without("blocks")}, "blocks is missing"),
        ({"plan": plan() | {"blocks": 0}}, "blocks=0"),
        ({"plan": plan() | {"blocks": 2**62}}, f"blocks={2**62}"),
        ({"plan": plan() | {"blocks": "many"}}, "blocks='many'"),
        ({"plan": plan() | {"profiled": ["nobody"]}}, "profiles 'nobody'"),
        ({"plan": plan() | {"configurations": "text"}}, "does not contain a usable plan"),
        ({"plan": plan() | {"configurations": plan()["configurations"] * 2}}, "two configurations have the same name"),
        ({"plan": renamed("../../elsewhere")}, "'../../elsewhere' is not a valid name of a configuration"),
        ({"plan": renamed("other")}, "its headline names 'few', which is not one of its configurations"),
        ({"plan": with_settings({"server.speed": 9})}, "server.speed"),
        ({"plan": with_settings(7)}, "does not contain a usable plan"),
        ({"plan": plan() | {"subjects": {"few": 7}}}, "does not contain a usable plan"),
        ({"seed": "x"}, "seed='x'"),
        ({"parameters": [7]}, "does not contain a usable plan"),
        ({"parameters": {"max_trial_s": "long"}}, "does not contain a usable plan"),
        ({"plan": plan() | {"delta": "much"}}, "does not contain a usable plan"),
        ({"plan": plan() | {"comparisons": 7}}, "does not contain a usable plan"),
        ({"study": "a/b"}, "invalid study=a/b-repeat: expected"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(changed: dict[str, Any], told: str, root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        planned(load_original(report(root, manifest(**changed), {})))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (root / "results").exists()


# ---- the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--repeat", "nowhere"], "no study at nowhere: expected results/STUDY, its manifest.json, or a report"),
        (["--repeat", "."], "no study in .: manifest.json is missing"),
        (["--repeat", "x.html"], "no study can be read from x.html"),
        (
            ["--repeat", "x.html", "--blocks", "9"],
            "--blocks cannot be combined with --repeat, which measures the plan of x.html",
        ),
        (["--repeat", "x.html", "--file", "x.toml"], "--file cannot be combined with --repeat"),
        (["--json", "no/such"], "cannot write no/such"),
    ],
)
def test_bad_input_is_one_line_and_2(
    words: list[str], told: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "x.html").write_text("<p>not a report</p>")
    assert cli.main(["study", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


@pytest.mark.parametrize(("design", "kind"), [("compare", "a comparison"), ("file", "a study of your own server")])
def test_a_plan_does_not_go_with_the_repeat_of_what_brings_its_server(
    design: str, kind: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store(root, commands("sh {port}", "sh {port}") | {"design": design})
    assert cli.main(["study", "--repeat", str(folder), "--plan"]) == 2
    assert (
        f"--plan cannot be combined with --repeat of {kind}, whose number of blocks is already known"
        in capsys.readouterr().err
    )


def test_without_a_terminal_foreign_commands_are_refused_and_yes_goes_on(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store(root, commands("sh -c 'touch pwned; {port}'", "sh {port}"))
    assert cli.main(["study", "--repeat", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "touch pwned" in err
    assert "--yes" in err
    assert [path.name for path in root.iterdir()] == ["results"]

    def begin(study: Study) -> Study:
        raise InterruptedError(study.name)

    monkeypatch.setattr(Study, "begin", begin)
    assert cli.main(["study", "--repeat", str(folder), "--yes"]) == 3
    assert "tiny-repeat" in capsys.readouterr().err, "the repeat was about to begin"


@pytest.mark.parametrize(("answer", "goes_on"), [("y", True), ("", False), ("no", False)])
def test_at_a_terminal_the_commands_are_shown_and_asked_for(
    answer: str, goes_on: bool, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store(root, commands("sh -c 'touch pwned; {port}'", "sh {port}"))
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    original = load_original(folder)
    assert cli_study._agreed(original) is goes_on
    assert "a: command sh -c 'touch pwned; {port}'" in capsys.readouterr().out


def test_a_study_is_measured_once_more_and_held_against_the_original(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store(root, manifest(), {"headline": HEADLINE})
    before = (folder / "manifest.json").read_bytes()
    assert cli.main(["study", "--repeat", str(folder / "manifest.json"), "--json", "out.json"]) == 0
    out = capsys.readouterr().out
    assert "2 configurations × 1 blocks = 2 trials, order drawn from seed 7" in out
    results = [json.loads(p.read_text()) for p in (root / "results" / "tiny-repeat").glob("trials/*/result.json")]
    assert [result["valid"] for result in results] == [True, True]
    assert "tiny (2026-11-20)  2.00× (95% interval 1.90 to 2.10), 6 blocks: faster" in out
    assert "tiny-repeat (now)  no ratio" in out
    assert "so the two results cannot be combined" in out
    assert "host elsewhere and " in out
    assert "many against few" in out
    for name in ("tiny-repeat.html", "tiny-repeat.md", "tiny-repeat.json", "index.html"):
        assert (root / "reports" / name).exists()
        assert name == "index.html" or str(root / "reports" / name) in out
    told = json.loads((root / "out.json").read_text())
    assert told == json.loads((root / "reports" / "tiny-repeat.json").read_text())
    assert told["repeats"]["study"] == "tiny"
    assert (folder / "manifest.json").read_bytes() == before
    assert not (folder / "trials").exists()

    assert cli.main(["report", "results/tiny-repeat", "-q", "--json", "again.json"]) == 0
    assert json.loads((root / "again.json").read_text()) == told
    assert "95%" not in capsys.readouterr().out.partition("warning")[0]


# ---- the comparison of the two -----------------------------------------------------------------------------------


def held(after: dict[str, Any], *, identity: dict[str, Any] = IDENTITY, before: dict[str, Any] | None = None) -> str:
    original = Original(source="x", manifest=read_manifest(manifest()), verdict=read_verdict({"headline": before}))
    repeated = read_manifest(manifest(study="tiny-repeat", identity=identity))
    return "\n".join(compared(original, repeated, read_verdict({"headline": after})))


def test_both_ratios_are_told_and_whether_their_intervals_overlap() -> None:
    told = held(HEADLINE | {"ratio": 2.05, "ci_low": 1.95, "ci_high": 2.15}, before=HEADLINE)
    assert "2.00× (95% interval 1.90 to 2.10), 6 blocks: faster" in told
    assert "2.05× (95% interval 1.95 to 2.15), 6 blocks: faster" in told
    assert "the intervals overlap, the verdict is the same" in told
    assert "both were measured on the same machine with the same versions" in told
    assert "from different commits" not in told
    apart = held(HEADLINE | {"ratio": 1.0, "ci_low": 0.9, "ci_high": 1.1, "verdict": "inconclusive"}, before=HEADLINE)
    assert "the intervals do not overlap, the verdict was faster" in apart


def test_another_machine_or_version_is_never_taken_for_the_same() -> None:
    told = held(HEADLINE, before=HEADLINE, identity=IDENTITY | {"grpcio": "1.86.0"})
    assert "different environments (grpcio 1.85.1 and 1.86.0), so the two results cannot be combined" in told
    verdict = read_verdict({"headline": HEADLINE})
    nameless = Original(source="x", manifest=read_manifest(manifest(identity={})), verdict=verdict)
    lines = compared(nameless, read_manifest(manifest()), verdict)
    assert "does not record which machine" in "\n".join(lines)


@pytest.mark.parametrize("poor", [{}, {"ratio": None}, HEADLINE | {"ci_low": None}])
def test_without_a_ratio_or_interval_nothing_is_claimed(poor: dict[str, Any]) -> None:
    for told in (held(HEADLINE, before=poor), held(poor, before=HEADLINE)):
        assert "it is unclear whether the result was reproduced" in told
        assert "overlap" not in told


def test_a_store_is_not_begun_by_a_refusal(root: Path) -> None:
    with pytest.raises(UsageError):
        planned(load_original(report(root, manifest(schema_version=2), {})))
    assert Store(root / "results" / "tiny-repeat").manifest() is None
    assert repeat.LONGEST_NAME == 64
