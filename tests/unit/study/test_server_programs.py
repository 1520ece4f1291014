"""A change of a server's program during a study is noticed, and named."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from grpclab.analysis.study_plan import StoredFile, StoredProgram
from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.servers.target import App
from grpclab.study.server_programs import change_of, check_method
from grpclab.study.target import Subject


def program(
    *, server: str = "1", extra: str = "", grpcio: str = "1.80", commit: str = "", dirty: bool = False
) -> StoredProgram:
    files = [StoredFile(name="server.py", sha256=server)]
    files += [StoredFile(name="lazy.py", sha256=extra)] if extra else []
    return StoredProgram(app="a:b", files=tuple(files), versions={"grpcio": grpcio}, commit=commit, dirty=dirty)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (program(server="2"), "server.py"),
        (program(grpcio="1.81"), "grpcio (1.80, now 1.81)"),
        (program(dirty=True), "the files that git tracks"),
    ],
)
def test_what_has_changed_is_named(now: StoredProgram, told: str) -> None:
    assert change_of(program(), now) == f"the server's program has changed since the study started: {told}"


def test_another_commit_is_named() -> None:
    assert "the git commit (aa, now bb)" in change_of(program(commit="aa"), program(commit="bb", dirty=True))


def test_a_file_that_is_imported_for_some_levels_only_is_no_change() -> None:
    assert change_of(program(), program(extra="1")) == change_of(program(extra="1"), program()) == ""
    assert "lazy.py" in change_of(program(extra="1"), program(extra="2"))


def test_nothing_is_known_of_an_earlier_study() -> None:
    assert change_of(None, program()) == ""


def described(service: str, *methods: str) -> tuple[bytes, ...]:
    """What an application with one service tells of itself."""
    package, _, name = service.rpartition(".")
    file = FileDescriptorProto(name="service.proto", package=package, syntax="proto3")
    file.message_type.add(name="Item")
    described = file.service.add(name=name)
    for method in methods:
        described.method.add(name=method, input_type=f".{package}.Item", output_type=f".{package}.Item")
    return (file.SerializeToString(),)


def test_an_application_without_the_method_that_is_called_is_refused() -> None:
    till = described("shop.v1.Till", "Refund", "Pay")
    none = Subject(target=App("shop.server:register"))
    with pytest.raises(UsageError, match=r"for shop.server:register: add --call .* shop.v1.Till/Pay, shop.v1.Till/Ref"):
        check_method(none, TrialConfig(), till)
    with pytest.raises(UsageError, match=r"^shop.v1.Till has no method Pai \(available: .*Pay\?\)$"):
        check_method(Subject(target=App("shop.server:register"), call="shop.v1.Till/Pai"), TrialConfig(), till)


def test_an_application_that_has_the_method_or_tells_nothing_is_not_refused() -> None:
    none = Subject(target=App("shop.server:register"))
    asked = Subject(target=App("shop.server:register"), call="shop.v1.Till/Pay")
    check_method(asked, TrialConfig(), described("shop.v1.Till", "Pay"))
    check_method(none, TrialConfig(), described("greet.GreeterService", "SayHello"))
    check_method(none, TrialConfig(), ())
