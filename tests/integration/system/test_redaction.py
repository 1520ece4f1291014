"""Credentials stay where they were given: by name, by value, in every spelling, and with them nothing else."""

from __future__ import annotations

import base64
import json
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis import Comparison, Judgement
from grpclab.analysis.study_plan import StudyPlan
from grpclab.cli import commands
from grpclab.errors import DesignError, GrpclabError, StorageError, UsageError
from grpclab.factors.own import OwnLevels
from grpclab.load.calls.metadata import file_word, parse_metadata, references
from grpclab.report import content, data
from grpclab.report.past import settings_digest
from grpclab.report.publish import publish
from grpclab.servers.target import Command
from grpclab.study.documents import write_json
from grpclab.study.model import Manifest
from grpclab.study.runner import Study
from grpclab.study.store import Store
from grpclab.study.stored_values import read, read_manifest
from grpclab.study.target import Subject
from grpclab.system.notices import Notice
from grpclab.text import credentials, redaction
from grpclab.text.credentials import MASK, is_placeholder, is_secret, learn, learn_words
from grpclab.text.redaction import Redactor, mask, mask_foreign, masked
from tests.support import telling_server
from tests.support.stored_studies import as_folder, hostile_trials
from tests.support.synthetic import small_study

TOKEN = "PLANTED-7f3a.x"
"""What no file may hold."""
PROTO = Path(__file__).parents[3] / "proto" / "greet.proto"
SERVER = str(Path(telling_server.__file__))


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(b"salt" * 8)


# ---- by name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "apikey"),
        *(
            "x-auth-token",
            "accessToken",
            "x-token-bin",
            "DB_PASSWORD",
            "--password",
            "SECRET_KEY_BASE",
            "client-secret",
        ),
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["x-user", "tenant", "PWD", "monkey", "keepalive", "max_tokens", "KEYBOARD", "author", "TOKENIZERS_PARALLELISM"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret(name)


def test_a_name_that_was_given_is_secret_in_child_processes_too() -> None:
    assert not is_secret("x-tenant")
    credentials.redact(["X-Tenant"])
    assert is_secret("x-tenant")
    told = "from grpclab.text.credentials import is_secret; print(is_secret('x-tenant'))"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_variable_of_the_server_is_secret_by_its_own_name(redactor: Redactor) -> None:
    credentials.redact(["THING", "name"])
    OwnLevels({"env.THING": "PLANTED-1a2b", "env.API_TOKEN": "PLANTED-3c4d", "arg.cache": "on-or-off"})
    assert mask("PLANTED-1a2b PLANTED-3c4d on-or-off") == f"{MASK} {MASK} on-or-off"
    assert is_placeholder(redactor.manifest({"env.THING": "1"})["env.THING"])
    assert redactor.manifest({"name": "baseline"}) == {"name": "baseline"}, "a field of the manifest is not a user's"


def test_the_path_of_a_private_key_is_none(redactor: Redactor, tmp_path: Path) -> None:
    manifest = {"again": "grpclab compare --key client.pem", "security": {"key": "client.pem"}}
    learn_words(["--key", "client.pem"], files=credentials.OPTIONS_OF_FILES)
    assert redactor.manifest(manifest) == manifest
    assert mask("client.pem") == "client.pem"
    assert "client.pem" not in redactor.command("./srv --key client.pem")


def test_a_field_called_key_in_a_request_is_no_credential_and_a_password_is(redactor: Redactor) -> None:
    clean = json.loads(redactor.request('{"key": "cart-1", "login": {"password": "a", "n": 1}}'))
    assert clean["key"] == "cart-1"
    assert is_placeholder(clean["login"]["password"])
    assert redactor.request('{"key":   1.50}') == '{"key":   1.50}'


# ---- by value ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "leaves"),
    [
        (f"authorization=Bearer {TOKEN}", f"got {TOKEN}"),
        (f"authorization=Bearer {TOKEN}", f'{{"authorization": "Bearer {TOKEN}"}}'),
        (f"authorization=Basic {base64.b64encode(b'me:' + TOKEN.encode()).decode()}", f"login {TOKEN}"),
        (f"x-id-bin={base64.b64encode(TOKEN.encode()).decode()}", f"{TOKEN}"),
        (
            f"x-id-bin={base64.b64encode(TOKEN.encode()).decode()}",
            base64.b64encode(TOKEN.encode()).decode().rstrip("="),
        ),
        (f"password={TOKEN}/&", f"at {TOKEN}%2F%26"),
    ],
)
def test_a_secret_leaves_in_no_spelling(word: str, leaves: str) -> None:
    learn_words(["--metadata", word])
    assert TOKEN not in mask(leaves)
    assert MASK in mask(leaves)


def test_a_variable_with_a_secret_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    monkeypatch.setenv("SHOP_KEY", __file__)
    assert mask(f"it is {TOKEN} in {__file__}") == f"it is {MASK} in {__file__}"


@pytest.mark.parametrize("value", ["password", "optimized", "123456", "a1", "AAAAAAAA", "4000000"])
def test_a_value_that_could_be_part_of_anything_is_taken_out_only_where_its_name_stands(value: str) -> None:
    learn(value)
    assert mask(f"throughput {value} requests/s") == f"throughput {value} requests/s"
    assert mask_foreign(f"password={value} x") == f"password={MASK} x"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://me:pw@db/x", "postgres://redacted@db/x"),
        ("https://token123@host/x", "https://redacted@host/x"),
        ("at me:pw@host:80", "at redacted@host:80"),
        ("500:5000:500@5s and a@b.c", "500:5000:500@5s and a@b.c"),
        ("FROM:TO:STEP@HOLD 500:lots:500@1.5s", "FROM:TO:STEP@HOLD 500:lots:500@1.5s"),
    ],
)
def test_credentials_in_urls(text: str, left: str) -> None:
    assert mask(text) == left


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("db_password=hunter2 ok", "db_password=redacted ok"),
        ('{"api_key": "a1b2c3d4"}', '{"api_key": "redacted"}'),
        ("Authorization: Bearer a1b2c3d4", "Authorization: redacted"),
        ("does Bearer a1b2c3d4 help?", "does Bearer redacted help?"),
        ("bearer authentication is off", "bearer authentication is off"),
        ("KeyError: 'a1b2c3d4'", "KeyError: 'a1b2c3d4'"),
        ("unexpected token: end of line", "unexpected token: end of line"),
        ("x-app=env:TOKEN", "x-app=env:TOKEN"),
    ],
)
def test_what_a_log_calls_by_a_secret_name_goes_and_what_it_says_otherwise_stays(line: str, left: str) -> None:
    assert mask_foreign(line) == left


def test_every_text_of_a_value_is_masked() -> None:
    secret = "password=hunter22secret x"
    judgement = Judgement(
        sentence=secret,
        headline=Comparison(title=secret, ratio=2.0, limited_by=(secret,)),
        warnings=(secret, "none here"),
        notices=(Notice(kind="noise", text=secret),),
    )
    found, clean = masked(judgement), mask_foreign(secret)
    assert clean != secret
    assert found == replace(
        judgement,
        sentence=clean,
        headline=replace(judgement.headline, title=clean, limited_by=(clean,)),
        warnings=(clean, "none here"),
        notices=(Notice(kind="noise", text=clean),),
    )
    assert found.as_dict() == masked(judgement.as_dict())


@given(st.text(), st.binary(max_size=300))
def test_reading_twice_changes_nothing_and_encoded_bytes_stay(text: str, content: bytes) -> None:
    assert mask_foreign(mask_foreign(text)) == mask_foreign(text)
    encoded = base64.b64encode(content).decode()
    assert mask_foreign(encoded) == encoded


def test_an_error_shows_no_secret_wherever_it_is_caught() -> None:
    learn_words([f"TOKEN={TOKEN}"])
    assert TOKEN not in str(GrpclabError(f"invalid command=env TOKEN={TOKEN}"))
    for word in (f"authorization=\x01{TOKEN}", "password=short\x01"):
        with pytest.raises(UsageError) as caught:
            parse_metadata([word])
        assert "short" not in str(caught.value)
        assert TOKEN not in str(caught.value)


# ---- a manifest --------------------------------------------------------------------------------------------------


def test_equal_secrets_have_equal_placeholders_under_one_salt_only(redactor: Redactor) -> None:
    one, other = redactor.placeholder(f"Bearer {TOKEN}"), redactor.placeholder(TOKEN)
    assert one == other != redactor.placeholder("another")
    assert one != Redactor(b"pepper").placeholder(TOKEN)
    assert is_placeholder(one)
    assert redactor.placeholder(one) == one


def test_a_command_keeps_its_words_but_for_the_secrets(redactor: Redactor) -> None:
    command = f"env API_TOKEN=a1 ./srv --port {{port}} --password 'b 2' -H 'Authorization: Basic {TOKEN}' --key ./x"
    words, clean = shlex.split(command), shlex.split(redactor.command(command))
    assert [clean[at] for at in (0, 2, 3, 4, 5)] == [words[at] for at in (0, 2, 3, 4, 5)]
    assert "{port}" in redactor.command(command).split()
    assert all(is_placeholder(clean[at]) for at in (1, 6, 8, 10))
    assert redactor.command("./srv   --port {port}") == "./srv   --port {port}"
    assert "b2" not in redactor.command("sh -c 'DB_PASSWORD=b2 exec ./srv {port}'")


def test_a_manifest_is_read_by_its_fields(redactor: Redactor) -> None:
    manifest: dict[str, Any] = {
        "versions": {
            "grpc_environment": {"GRPC_TOKEN": "a", "GRPC_PROXY": "http://me:pw@proxy:1", "GRPC_TRACE": "all"}
        },
        "plan": {
            "subjects": {"a": {"metadata": ["authorization=x", "y=2", "z-bin=AAE", "t=Bearer env:T"], "data": "{}"}}
        },
        "again": f"grpclab compare --metadata authorization={TOKEN} --metadata a=b",
        "references": {"env:T": "short"},
        "seed": 7,
    }
    clean = redactor.manifest(manifest)
    environment, metadata = clean["versions"]["grpc_environment"], clean["plan"]["subjects"]["a"]["metadata"]
    assert [is_placeholder(word) for word in metadata] == [True, False, True, False]
    assert [is_placeholder(value) for value in environment.values()] == [True, True, False]
    assert is_placeholder(clean["references"]["env:T"])
    assert clean["again"].split()[-1] == "a=b"
    assert TOKEN not in clean["again"]
    assert clean["seed"] == 7
    assert redactor.manifest(clean) == clean
    assert redactor.manifest(read_manifest(manifest)) == read_manifest(clean)


def test_a_configuration_may_be_called_references(redactor: Redactor) -> None:
    plan = {"plan": {"subjects": {"references": {"command": "./srv {port}", "data": ""}}}}
    assert redactor.manifest(plan) == plan


def test_the_same_setting_with_a_secret_is_the_same_in_two_studies() -> None:
    def plan(salt: bytes, name: str) -> StudyPlan:
        return read(
            StudyPlan, Redactor(salt).manifest({"subjects": {"a": {"metadata": ["authorization=x", f"user={name}"]}}})
        )

    assert settings_digest(plan(b"1", "me"), "a") == settings_digest(plan(b"2", "me"), "a")
    assert settings_digest(plan(b"1", "me"), "a") != settings_digest(plan(b"1", "you"), "a")


# ---- references --------------------------------------------------------------------------------------------------


def test_values_come_out_of_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP", f" {TOKEN}\n")
    lines, ghz = tmp_path / "lines", tmp_path / "ghz.json"
    lines.write_text("# ours\nx-user = 42\ncookie: a=b\nx-app=env:APP\n")
    ghz.write_text('{"x-user": "42", "cookie": "a=b"}')
    assert parse_metadata(["authorization=Bearer env:APP"]) == (("authorization", f"Bearer {TOKEN}"),)
    pairs = (("x-user", "42"), ("cookie", "a=b"))
    assert parse_metadata([file_word(str(lines))]) == (*pairs, ("x-app", TOKEN))
    assert parse_metadata([file_word(str(ghz))]) == pairs
    assert references([file_word(str(lines)), "a=1", "b=env:APP"])["env:APP"] == TOKEN
    assert TOKEN not in mask(f"x {TOKEN}")


@pytest.mark.parametrize(
    "word",
    ["a=env:NO_SUCH_VARIABLE", "@/no/such/file", "authorization=redacted:0123456789ab", "x-bin=redacted:0123456789ab"],
)
def test_a_value_that_is_not_there_is_asked_for(word: str) -> None:
    with pytest.raises(UsageError):
        parse_metadata([word])
    with pytest.raises(UsageError):
        Subject(metadata=(word,)).check()


def test_a_command_or_request_whose_secret_was_not_stored_is_not_run(redactor: Redactor) -> None:
    for subject in (
        Subject(target=Command(redactor.command("env TOKEN=x true {port}"))),
        Subject(data=redactor.request('{"password": "x"}')),
    ):
        with pytest.raises(UsageError):
            subject.check()


# ---- the folder of a study ---------------------------------------------------------------------------------------


def document(*metadata: str, **references: str) -> dict[str, Any]:
    return {
        **small_study().manifest,
        "plan": {**small_study().manifest["plan"], "subjects": {"a": {"metadata": list(metadata)}}},
        "references": references,
    }


def manifest(*metadata: str, **references: str) -> Manifest:
    return read_manifest(document(*metadata, **references))


def test_the_salt_is_its_owners_and_a_study_goes_on_with_the_same_secret_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "mine")
    store.open(manifest("authorization=" + TOKEN, ref=TOKEN))
    text = (store.folder / "manifest.json").read_text()
    assert TOKEN not in text
    assert MASK in text
    assert stat.S_IMODE((store.folder / redaction.SALT).stat().st_mode) == 0o600
    assert store.open(manifest("authorization=" + TOKEN)) == store.open(manifest("authorization=Bearer " + TOKEN))
    assert store.changed_references(manifest(ref=TOKEN)) == []
    assert store.changed_references(manifest(ref="another")) == ["ref"]
    with pytest.raises(DesignError):
        store.open(manifest("authorization=another"))
    (store.folder / redaction.SALT).unlink()
    store.open(manifest("authorization=another"))  # cannot be told any more
    with pytest.raises(DesignError):
        store.open(manifest("x-user=another"))


def test_what_an_earlier_version_stored_in_clear_goes_on_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "old")
    store.trials_folder.mkdir(parents=True)
    write_json(store.folder / "manifest.json", {})
    (store.folder / "manifest.json").write_text(json.dumps(document("authorization=" + TOKEN)))
    store.open(manifest("authorization=" + TOKEN))


def test_a_trial_is_stored_without_secrets_in_any_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    store = Store(tmp_path)
    with store.writing("t") as folder:
        write_json(folder / "result.json", {"failures": [{"text": f"no {TOKEN}"}], "n": 1})
        (folder / "trial.ipynb").write_text(json.dumps({"cells": [TOKEN]}))
    assert TOKEN not in "".join(path.read_text() for path in (tmp_path / "trials" / "t").iterdir())
    assert json.loads((tmp_path / "trials" / "t" / "result.json").read_text()) == {
        "failures": [{"text": f"no {MASK}"}],
        "n": 1,
    }


# ---- what is published -------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A study of an earlier version, with secrets in its manifest, a log and a failure."""
    made = small_study()
    made.manifest["again"] = f"grpclab compare --metadata authorization={TOKEN}"
    made.manifest["versions"]["grpc_environment"] = {"GRPC_PROXY": f"http://me:{TOKEN}@proxy:1"}
    folder = as_folder(made, tmp_path / "results" / "old")
    hostile_trials(folder, made.manifest["plan"])
    for log in folder.glob("trials/*/server.log"):
        log.write_text(f"x\nauthorization: Bearer {TOKEN}\n")
    return folder


def test_a_report_of_what_an_earlier_version_stored_holds_no_secret(old: Path) -> None:
    path = publish(Study.stored(old), allow_mixed=True).path
    learn(TOKEN)
    page = whole(path)
    assert mask(page) == page
    assert MASK in page


def whole(path: Path) -> str:
    """All that a report tells: the page, what is packed in it, and its short forms."""

    packed = data.read(path)
    inside = json.dumps([packed.manifest, packed.verdict, packed.details, packed.markdown], default=str)
    return path.read_text() + inside + path.with_suffix(".md").read_text() + path.with_suffix(".json").read_text()


@pytest.mark.parametrize("why", ["a secret in it", "too large to be looked through"])
def test_a_report_with_a_secret_is_not_published(old: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    monkeypatch.setattr(content, "ORDER", ())  # a page without sections is refused as any other
    if why == "a secret in it":
        monkeypatch.setattr(redaction.Redactor, "leaked", lambda *_: True)
    else:
        monkeypatch.setattr(data, "PAGE_BYTES", 100)
    with pytest.raises(StorageError):
        publish(Study.stored(old), allow_mixed=True)
    assert not list((old.parent.parent / "reports").glob("old.*"))


def test_the_scan_finds_by_its_digits_what_this_process_does_not_know(redactor: Redactor) -> None:
    taken_out = {"metadata": [f"authorization={redactor.placeholder(TOKEN)}"]}
    assert redactor.leaked(f'<p title="{TOKEN}">', taken_out)
    assert redactor.leaked(f"log: ({TOKEN})", taken_out)
    assert not redactor.leaked(f"log: {redactor.placeholder(TOKEN)}, {TOKEN[:-1]}", taken_out)


# ---- a comparison, from outside ----------------------------------------------------------------------------------


def test_planted_secrets_are_in_no_file_and_on_no_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metadata").write_text(f"x-file={TOKEN}-file\n")
    (tmp_path / "bench.toml").write_text(f'target = "a b"\n[metadata]\nauthorization = "Bearer {TOKEN}-toml"\n')
    command = f"env SHOP_TOKEN={TOKEN}-command {sys.executable} {SERVER} {{port}} --password {TOKEN}-option"
    variables = {"GRPCLAB_ROOT": str(tmp_path), "DB_PASSWORD": f"{TOKEN}-inherited", "APP": f"{TOKEN}-app"}
    words = ["compare", "--a-cmd", command, "--b-cmd", f"{command} again", "--blocks", "2", "--study", "mine"]
    words += ["--call", "greet.GreeterService/SayHello", "--proto", str(PROTO)]
    words += ["-n", "40", "-z", "0.3", "--warmup", "0", "--metadata-file", str(tmp_path / "metadata")]
    words += ["--metadata", f"authorization=Bearer {TOKEN}-given", "--metadata", "x-app=env:APP"]
    monkeypatch.chdir(tmp_path)

    def code_of(*words: str) -> int:
        """The exit code of a command in a process that knows nothing yet; nothing it writes holds a secret."""
        monkeypatch.setattr(credentials, "_KNOWN", credentials._Known())
        code = commands.main(words)
        printed = "".join(capfd.readouterr())
        assert TOKEN not in printed
        print(printed)  # for a failure
        return code

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert code_of(*words, "--json", "verdict.json") == 4
    log = next(tmp_path.glob("results/mine/trials/*/server.log")).read_text()
    assert {f"authorization=Bearer {MASK}", f"authorization={MASK}"} & set(re.split(r"[,\n] ?", log))  # it did arrive
    assert code_of("bench", "--config", "bench.toml") == 2
    for name in ("DB_PASSWORD", "APP"):
        monkeypatch.delenv(name)
    assert code_of("report", "mine") == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("metadata", "bench.toml")]
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert TOKEN not in whole(tmp_path / "reports" / "mine.html")
    monkeypatch.setenv("APP", f"{TOKEN}-app")
    assert code_of(*words) == 4  # resumes
    assert code_of(*(word.replace("-given", "-changed") for word in words)) == 2
    assert code_of("study", "--repeat", "results/mine") == 2


def test_no_command_line_shows_its_secrets_in_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["bench", f"http://me:{TOKEN}@localhost:1"],
        ["bench", "--metadata", f"authorization=Bearer \x01{TOKEN}"],
        ["bench", "--data", json.dumps({"password": TOKEN}), "--call", TOKEN],
        ["compare", "--a-cmd", f"env TOKEN={TOKEN} none {{port}}", "--b-cmd", "x", "--call", "a.B/C"],
        ["compare", "--a-cmd", f"TOKEN={TOKEN} true {{port}}", "--b-cmd", f"sh 'TOKEN={TOKEN}", "--call", "a.B/C"],
        [f"--token={TOKEN}"],
    ):
        try:
            code = commands.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        assert code in (2, 3)
        assert TOKEN not in "".join(capfd.readouterr())
