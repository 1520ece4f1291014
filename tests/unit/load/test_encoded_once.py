"""The requests that are kept: encoded once, by their content and their schema, until the study ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.errors import UsageError
from grpclab.load.calls import payloads
from grpclab.load.calls.call_options import RANDOM, DataOptions
from grpclab.load.calls.data_file import DataFile, file_reference
from grpclab.load.calls.descriptors import schema_digest
from grpclab.load.calls.payloads import PayloadFolder, Payloads
from grpclab.load.calls.request_data import encoded
from grpclab.load.calls.templates import TemplateValues
from grpclab.load.calls.varying_metadata import VaryingMetadata


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> PayloadFolder:
    fresh = PayloadFolder()
    for module in ("request_data", "varying_metadata"):
        monkeypatch.setattr(f"grpclab.load.calls.{module}.PAYLOAD_FOLDER", fresh)
    return fresh


def pool_of(inner: str = "id") -> DescriptorPool:
    """A schema in two files; `inner` is a field of the imported one."""
    pool = DescriptorPool()
    part = FileDescriptorProto(name="part.proto", package="a", syntax="proto3")
    part.message_type.add(name="Part").field.add(name=inner, number=1, type=9, label=1)
    order = FileDescriptorProto(name="order.proto", package="a", syntax="proto3", dependency=["part.proto"])
    kind = order.message_type.add(name="Order")
    kind.field.add(name="id", number=1, type=9, label=1)
    kind.field.add(name="part", number=2, type=11, label=1, type_name=".a.Part")
    for file in (part, order):
        pool.Add(file)
    return pool


def made(
    data: str, *, planned: int = 5, callers: int = 1, pool: DescriptorPool | None = None, order: str = ""
) -> Payloads:
    pool = pool or pool_of()
    options = DataOptions(order=order) if order else DataOptions()
    given = encoded(
        data, pool.FindMessageTypeByName("a.Order"), pool, options, TemplateValues(callers=callers), planned=planned
    )
    assert isinstance(given, Payloads)
    return given


def ids(requests: Payloads) -> list[str]:
    return [requests.message(number)[2:].decode() for number in range(requests.count)]


LIST = '[{"id": "a"}, {"id": "b"}]'
NUMBERED = '{"id": "{{.RequestNumber}}"}'


def test_a_list_is_encoded_once_for_any_number_of_calls_and_callers(folder: PayloadFolder) -> None:
    assert made(LIST) == made(LIST, planned=900, callers=64)
    assert len(folder.files()) == 1


def test_of_a_template_the_first_requests_are_the_same_for_any_number_of_calls(folder: PayloadFolder) -> None:
    few, many, again = (made(NUMBERED, planned=planned) for planned in (3, 9, 3))
    assert (ids(many), ids(again)) == ([str(number) for number in range(9)], ["0", "1", "2"])
    assert again.file == many.file != few.file
    assert folder.files() == [many.file]
    other = PayloadFolder()
    alone = other.write(again.message(number) for number in range(3))
    assert again.digest() == alone.digest() != many.digest()


def test_callers_matter_where_a_template_names_them_only(folder: PayloadFolder) -> None:
    named = '{"id": "{{.WorkerID}}"}'
    assert made(NUMBERED, callers=1).file == made(NUMBERED, callers=2).file
    assert (ids(made(named, callers=1))[1], ids(made(named, callers=2))[1]) == ("g0c0", "g0c1")


def test_a_random_order_of_templates_is_that_of_its_own_number_of_calls() -> None:
    first = made(NUMBERED, planned=20, order=RANDOM)
    made(NUMBERED, planned=40, order=RANDOM)
    assert ids(made(NUMBERED, planned=20, order=RANDOM)) == ids(first)
    assert sorted(ids(first), key=int) == [str(number) for number in range(20)]


def test_a_changed_file_and_a_changed_schema_are_encoded_anew(tmp_path: Path, folder: PayloadFolder) -> None:
    path = tmp_path / "orders.json"
    path.write_text(LIST)
    data = file_reference(str(path))
    first = made(data)
    path.write_text(LIST.replace("b", "c"))
    assert ids(made(data)) == ["a", "c"]
    assert made(data, pool=pool_of("price")).file != first.file
    assert len(folder.files()) == 3


def test_the_hash_of_a_schema_is_that_of_what_it_imports_and_of_what_a_request_mentions() -> None:
    pools = [pool_of(), pool_of(), pool_of("price")]
    digests = [schema_digest(pool.FindMessageTypeByName("a.Order"), pool) for pool in pools]
    assert digests[0] == digests[1] != digests[2]
    kinds = [(pool, pool.FindMessageTypeByName("google.protobuf.Any")) for pool in map(_with_any, pools)]
    mentioned = [schema_digest(kind, pool, ["a.Order", "a.Nothing"]) for pool, kind in kinds]
    assert mentioned[0] == mentioned[1] != mentioned[2]


def _with_any(pool: DescriptorPool) -> DescriptorPool:
    from google.protobuf import any_pb2

    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    return pool


def test_one_fixed_request_needs_no_file(folder: PayloadFolder) -> None:
    pool = pool_of()
    kind = pool.FindMessageTypeByName("a.Order")
    assert encoded('{"id": "a"}', kind, pool, DataOptions(), TemplateValues(), planned=9) == b"\x0a\x01a"
    assert folder.files() == []


def test_metadata_is_rendered_once(folder: PayloadFolder) -> None:
    for _ in range(2):
        varying = VaryingMetadata((("x-number", "{{.RequestNumber}}"), ("x-fixed", "1")))
        assert varying.write(TemplateValues(), 4, repeat=False).count == 4
    assert len(folder.files()) == 1


def test_the_files_go_with_the_outermost_study_also_where_that_is_interrupted(folder: PayloadFolder) -> None:
    def interrupted() -> None:
        with folder.in_use():
            with folder.in_use():
                made(LIST)
            assert made(LIST).file.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert folder.files() == []
    assert made(LIST).file.exists()


def test_what_is_kept_is_bounded_and_its_files_go(folder: PayloadFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MOST_KEPT", 2)
    first, second = made(LIST), made(LIST.replace("b", "c"))
    assert made(LIST) == first
    third = made(LIST.replace("b", "d"))
    assert folder.files() == sorted([first.file, third.file])
    assert not second.file.exists()


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"data-file=.*/none"):
        DataFile.of("@/none")
    assert DataFile.of("{}") is None
