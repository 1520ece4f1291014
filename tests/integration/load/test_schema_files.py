"""A call found in a file: .proto files, the folders below which imports lie, descriptor sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpclab.errors import MissingDependencyError, UsageError
from grpclab.load.calls.descriptors import WELL_KNOWN, well_known
from grpclab.load.calls.method import CallSpec, find_call
from grpclab.load.calls.schema import advice
from tests.support.shop import SERVICE, Shop, descriptors, find, refusal, write

# ---- files ---------------------------------------------------------------------------------------------------


def test_a_file_alone_finds_what_lies_beside_it_and_the_well_known_types(tmp_path: Path) -> None:
    (tmp_path / "other.proto").write_text('syntax = "proto3"; message Other { string name = 1; }')
    file = tmp_path / "mine.proto"
    file.write_text(
        'syntax = "proto3"; import "other.proto"; import "google/protobuf/empty.proto";'
        " service Mine { rpc Get(Other) returns (google.protobuf.Empty); rpc Ping(google.protobuf.Empty)"
        " returns (stream Other); }"
    )
    call = find_call("", "Mine/Get", data='{"name": "x"}', proto=str(file))
    assert call == CallSpec(path="/Mine/Get", payload=b"\n\x01x")
    assert find_call("", "Mine/Ping", proto=file) == CallSpec(path="/Mine/Ping", payload=b"", server_streaming=True)


def test_a_relative_name_is_the_callers(
    expected_call: CallSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find("", proto="shop/orders.proto", proto_paths=["."]) == expected_call


def test_a_descriptor_set_needs_no_compiler(
    shop: Shop, expected_call: CallSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("shop.binpb", "shop.protoset"):
        made = tmp_path / name
        made.write_bytes(FileDescriptorSet(file=reversed(shop.files.file)).SerializeToString())
        assert find("", proto=made) == expected_call


def test_a_descriptor_set_may_leave_out_the_well_known_types_but_no_others(
    shop: Shop, expected_call: CallSpec, tmp_path: Path
) -> None:
    made = tmp_path / "shop.binpb"
    own = [file for file in shop.files.file if file.package == "shop.v1"]
    made.write_bytes(FileDescriptorSet(file=own).SerializeToString())
    assert find("", proto=made) == expected_call
    made.write_bytes(descriptors(tmp_path, with_imports=False).SerializeToString())
    assert refusal(UsageError, "", proto=made) == (
        f"invalid --proto={made}: expected a complete and consistent schema, but shop/orders.proto imports "
        "shop/money.proto, which is missing; create one with `protoc --include_imports --descriptor_set_out=FILE`"
    )


def test_without_a_compiler_a_proto_file_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refusal(MissingDependencyError, "", proto=write(tmp_path))
    assert "needs a compiler: run pip install grpcio-tools or apt install protobuf-compiler" in line


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is missing: apt-get install protobuf-compiler")
def test_protoc_on_the_path_does_where_grpcio_tools_is_missing(
    expected_call: CallSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find("", proto=write(tmp_path)) == expected_call


def test_a_file_that_is_not_there_is_told_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x.proto", "x.binpb"):
        line = refusal(UsageError, "", proto=tmp_path / name)
        wanted = f"a .proto file or a descriptor set in {tmp_path}"
        assert line == f"invalid --proto={tmp_path / name}: expected {wanted} (No such file or directory)"
    assert "Is a directory" in refusal(UsageError, "", proto=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert f" in {tmp_path} (No such file" in refusal(UsageError, "", proto="x.proto")
    line = refusal(UsageError, "", proto="x.proto", proto_paths=["nowhere"])
    assert line == f"invalid --proto-path=nowhere: expected a folder; there is none at {tmp_path}/nowhere"


def test_a_file_that_is_no_schema_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.binpb"
    file.write_bytes(b"no schema")
    assert "expected a .proto file or a descriptor set; create one with" in refusal(UsageError, "", proto=file)
    file.write_bytes(b"")
    assert f"--proto {file} has no service {SERVICE} (available: none)" in refusal(UsageError, "", proto=file)


def test_what_protoc_says_first_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.proto"
    file.write_text(
        'syntax = "proto3";\nimport "google/protobuf/empty.proto";\nmessage M { strin s = 1; }\nmesage N {}'
    )
    line = refusal(UsageError, "", proto=file)
    assert line.startswith(f"invalid --proto={file}: expected a schema that compiles; ")
    assert "x.proto:4:1: Expected top-level statement" in line


# ---- folders below which imports lie -----------------------------------------------------------------------------

COIN = 'syntax = "proto3"; package common; message Coin { int64 units = 1; }'
TILL = """
    syntax = "proto3"; package shop.v1;
    // import "nowhere/a.proto";
    /* import "nowhere/b.proto"; */
    import public 'common/coin.proto';
    message Ask { common.Coin price = 1; string text = 2 [default_text]; }
    service Till { rpc Pay(Ask) returns (Ask); }
""".replace(" [default_text]", "")


def tree(root: Path, files: dict[str, str]) -> Path:
    """Files by their paths below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def pay(proto: Path | str, *roots: Path | str) -> CallSpec:
    return find_call("", "shop.v1.Till/Pay", data='{"price": {"units": 5}}', proto=proto, proto_paths=roots)


def why_not(proto: Path | str, *roots: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        pay(proto, *roots)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PAID = CallSpec(path="/shop.v1.Till/Pay", payload=b"\n\x02\x08\x05")


@pytest.mark.parametrize("folder", ["plain", "with blank", "a:b", "a=b", "a,b", "-x", "ö"])
def test_the_root_is_found_where_an_import_makes_it_plain(tmp_path: Path, folder: str) -> None:
    root = tree(tmp_path / folder, {"shop/v1/till.proto": TILL, "common/coin.proto": COIN})
    assert pay(root / "shop/v1/till.proto") == PAID


@pytest.mark.parametrize("name", ["a:b.proto", "with blank.proto", "-x.proto", "@x.proto", "a=b.proto"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path, {f"shop/v1/{name}": TILL, "common/coin.proto": COIN})
    assert pay(root / "shop/v1" / name) == PAID


def test_imports_of_imports_are_found_from_the_file_that_names_them(tmp_path: Path) -> None:
    coin = COIN.replace("package common;", 'package common; import "deep/x.proto"; import "side.proto";')
    files = {"shop/v1/till.proto": TILL, "shop/v1/side.proto": 'syntax = "proto3";', "common/coin.proto": coin}
    root = tree(tmp_path / "own", files)
    tree(tmp_path, {"deep/x.proto": 'syntax = "proto3";'})
    assert pay(root / "shop/v1/till.proto") == PAID


def test_a_root_that_cannot_be_found_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "own", {"shop/v1/till.proto": TILL})
    tree(tmp_path / "lib:1", {"common/coin.proto": COIN})
    till = tmp_path / "own/shop/v1/till.proto"
    line = why_not(till)
    assert 'shop/v1/till.proto imports "common/coin.proto"' in line or 'till.proto imports "common/coin.proto"' in line
    assert str(till.parent) in line
    assert "--proto-path" in line
    assert pay(till, tmp_path / "lib:1") == PAID
    monkeypatch.chdir(tmp_path)
    assert pay("own/shop/v1/till.proto", "own", "lib:1") == PAID
    assert pay("shop/v1/till.proto", "own", "lib:1") == PAID  # a name below a root, as protoc takes it, too


def test_a_given_root_comes_before_what_would_be_found(tmp_path: Path) -> None:
    root = tree(tmp_path / "own", {"shop/v1/till.proto": TILL, "common/coin.proto": "no schema"})
    tree(tmp_path / "lib", {"common/coin.proto": COIN})
    assert pay(root / "shop/v1/till.proto", tmp_path / "lib") == PAID


def test_a_file_is_itself_even_where_a_root_holds_another_of_its_name(tmp_path: Path) -> None:
    root = tree(tmp_path, {"own/till.proto": TILL, "lib/till.proto": "no schema", "lib/common/coin.proto": COIN})
    assert pay(root / "own/till.proto", root / "lib") == PAID


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("google.protobuf.Timestamp t = 1;", "google/protobuf/timestamp.proto"),
        (".google.protobuf.Int64Value t = 1;", "google/protobuf/wrappers.proto"),
        ("map<string, google.protobuf.Value> t = 1;", "google/protobuf/struct.proto"),
        ("google.type.Money t = 1;", "google/type/money.proto"),
        ("common.Coin t = 1;", "common/coin.proto"),
        ("common.Coin.Side t = 1;", "common/coin.proto"),
        ("Kind t = 1;", "shop/v1/kind.proto"),
    ],
)
def test_a_forgotten_import_is_told_with_its_line(tmp_path: Path, text: str, home: str) -> None:
    side = COIN.replace("int64", "enum Side { HEAD = 0; } int64")
    kind = 'syntax = "proto3"; package shop.v1; import "common/coin.proto"; enum Kind { A = 0; }'
    till = (
        f'syntax = "proto3"; package shop.v1; message Ask {{ {text} }} service Till {{ rpc Pay(Ask) returns (Ask); }}'
    )
    root = tree(tmp_path, {"shop/v1/till.proto": till, "shop/v1/kind.proto": kind, "common/coin.proto": side})
    assert why_not(root / "shop/v1/till.proto", root).endswith(f'add the line import "{home}";')


def test_a_type_that_is_nowhere_is_told_with_its_line(tmp_path: Path) -> None:
    root = tree(tmp_path, {"till.proto": TILL.replace("common.Coin", "Coyn"), "common/coin.proto": COIN})
    assert why_not(root / "till.proto").endswith('till.proto:6:19: "Coyn" is not defined.')


def test_a_byte_order_mark_is_no_part_of_a_schema_and_utf_16_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, {"till.proto": "\ufeff" + TILL.strip(), "common/coin.proto": COIN})
    assert pay(root / "till.proto") == PAID
    (root / "till.proto").write_bytes(TILL.encode("utf-16"))
    assert "UTF-16" in why_not(root / "till.proto")


# ---- descriptor sets that contradict themselves ------------------------------------------------------------------


def descriptor_set(folder: Path, *files: FileDescriptorProto) -> Path:
    made = folder / "set.binpb"
    made.write_bytes(FileDescriptorSet(file=files).SerializeToString())
    return made


def file(name: str, *dependency: str, values: str = "", uses: str = "") -> FileDescriptorProto:
    """A file of package p that defines an enum with these values, and perhaps a message that uses a type."""
    made = FileDescriptorProto(name=name, package="p", dependency=dependency, syntax="proto3")
    if values:
        enum = made.enum_type.add(name=f"Enum{name[0].upper()}")
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)
    if uses:
        made.message_type.add(name=f"Ask{name[0].upper()}").field.add(
            name="f", number=1, label=1, type=11, type_name=uses
        )
    return made


def service(*dependency: str) -> FileDescriptorProto:
    made = file("s.proto", *dependency)
    made.message_type.add(name="Ask")
    made.service.add(name="S").method.add(name="M", input_type=".p.Ask", output_type=".p.Ask")
    return made


def test_a_set_that_holds_together_is_used_however_it_is_ordered(tmp_path: Path) -> None:
    same = file("a.proto", values="NONE")
    timestamp = file("b.proto", uses=".google.protobuf.Timestamp")  # whose import was forgotten
    late = file("c.proto", uses=".p.AskD")  # defined in a file that it does not import
    other = file("d.proto", uses=".p.Ask")
    made = descriptor_set(tmp_path, same, late, other, timestamp, service("a.proto"), same)
    assert find_call("", "p.S/M", proto=made) == CallSpec(path="/p.S/M", payload=b"")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            [file("a.proto", "b.proto"), file("b.proto", "a.proto"), service("a.proto")],
            "import each other: a.proto -> b",
        ),
        ([service("s.proto")], "s.proto imports itself"),
        (
            [file("a.proto", values="NONE"), file("b.proto", values="NONE"), service("a.proto", "b.proto")],
            "p.NONE is defined in a.proto and again in b.proto",
        ),
        ([file("a.proto", values="A"), file("a.proto", values="B"), service("a.proto")], "it contains a.proto twice"),
        ([service("nowhere.proto")], "s.proto imports nowhere.proto, which is missing"),
        (
            [file("a.proto", uses=".p.Gone"), service("a.proto")],
            "a.proto uses p.Gone, which is not defined in any of its files",
        ),
        ([file("a.proto", values="A A"), service("a.proto")], "a.proto: duplicate"),
    ],
    ids=["circle", "self-import", "clash", "twice", "missing", "undefined", "inside"],
)
def test_a_set_that_contradicts_itself_is_one_line(tmp_path: Path, files: list[FileDescriptorProto], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_call("", "p.S/M", proto=descriptor_set(tmp_path, *files))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_warning_of_protoc_is_none_of_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "x.proto"
    file.write_text('syntax = "proto3"; import "old.proto"; message M { strin s = 1; }')
    (tmp_path / "old.proto").write_text("message Old {}")  # no syntax is named
    line = refusal(UsageError, "", proto=file)
    assert '"strin" is not defined' in line


def test_a_file_without_the_service_is_told_with_those_it_has(tmp_path: Path) -> None:
    proto = write(tmp_path)
    with pytest.raises(
        UsageError, match=r"orders.proto has no service shop.Orders \(available: shop.v1.Orders; did you"
    ):
        find_call("", "shop.Orders/Place", proto=proto, proto_paths=[tmp_path])
    with pytest.raises(UsageError, match=r"has no method Pay \(available: Place, Watch, Upload, Chat\)$"):
        find_call("", "shop.v1.Orders/Pay", proto=proto, proto_paths=[tmp_path])


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    assert advice("x", [f"n{i}" for i in range(23)]) == ", ".join(f"n{i}" for i in range(20)) + " and 3 more"


NAMES = [f"{letter}.proto" for letter in "abcd"]


@st.composite
def any_file(draw: st.DrawFn) -> FileDescriptorProto:
    """A file that imports, defines and uses anything, whether it is there or not."""
    made = FileDescriptorProto(name=draw(st.sampled_from(NAMES)), package=draw(st.sampled_from(["", "p", "p.q"])))
    made.dependency.extend(draw(st.lists(st.sampled_from([*NAMES, "google/protobuf/any.proto", ""]), max_size=3)))
    for name in draw(st.lists(st.sampled_from("ABC"), max_size=2)):
        message = made.message_type.add(name=name)
        for number, used in enumerate(draw(st.lists(st.sampled_from(["A", ".p.A", ".p.q.B", "", "."]), max_size=2))):
            message.field.add(name=f"f{number}", number=number, label=1, type=11, type_name=used)
    for name in draw(st.lists(st.sampled_from(["S", "A"]), max_size=1)):
        made.service.add(name=name).method.add(
            name="M", input_type=".p.A", output_type=draw(st.sampled_from([".p.A", ""]))
        )
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(files=st.lists(any_file(), max_size=4))
def test_any_set_gives_a_call_or_one_line(tmp_path: Path, files: list[FileDescriptorProto]) -> None:
    try:
        find_call("", "p.S/M", proto=descriptor_set(tmp_path, *files))
    except UsageError as refused:
        assert len(str(refused).splitlines()) == 1  # noqa: PT017


def test_an_import_that_no_file_can_have_is_left_to_protoc(tmp_path: Path) -> None:
    for name in ("/etc/hostname", "a\0b.proto", "../x.proto", "", "x" * 300):
        (tmp_path / "till.proto").write_text(f'syntax = "proto3"; import "{name}"; message A {{}}')
        assert "--proto" in why_not(tmp_path / "till.proto")


def test_the_table_of_well_known_types_names_the_files_that_define_them() -> None:
    for name, home in WELL_KNOWN.items():
        for file in well_known(home):  # google.type is there only with googleapis-common-protos
            messages, enums = ({one.name for one in kind} for kind in (file.message_type, file.enum_type))
            assert name.rpartition(".")[2] in messages | enums, name
    ours = [name for name in WELL_KNOWN if name.startswith("google.protobuf.")]
    assert all(well_known(WELL_KNOWN[name]) for name in ours)
