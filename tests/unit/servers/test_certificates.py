"""Certificates in a folder: what `grpclab certs` writes there, and when a server reads them again."""

from __future__ import annotations

import datetime
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509

from grpclab.errors import StorageError, UsageError
from grpclab.servers import tls
from grpclab.servers.certificates import CertificateFiles

DAYS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tls.create(tmp_path / "certs", tls.HOSTS, days=DAYS)
    return tmp_path / "certs"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def names(folder: Path) -> list[str]:
    """The names of the server."""
    found = certificate(folder, "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in found.value]


def test_only_their_owner_can_read_the_keys(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {name: 0o600 if name.endswith(".key") else 0o644 for name in tls.FILES}


def test_certificates_are_for_the_names_and_the_days_asked_for(tmp_path: Path) -> None:
    hosts = ["shop.example.org", "10.0.0.7"]
    tls.create(tmp_path, hosts, days=DAYS)
    assert names(tmp_path) == hosts
    for side in ("server", "client"):
        left = certificate(tmp_path, f"{side}.pem").not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        assert datetime.timedelta(days=DAYS - 1) < left <= datetime.timedelta(days=DAYS)


def test_existing_files_are_kept_unless_they_may_be_replaced(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(UsageError) as refusal:
        tls.create(folder, tls.HOSTS, days=DAYS)
    assert all(name in str(refusal.value) for name in tls.FILES)
    assert contents(folder) == before
    tls.create(folder, tls.HOSTS, days=DAYS, force=True)
    assert {name for name, content in contents(folder).items() if content != before[name]} == set(tls.FILES)


def test_renewed_certificates_are_for_the_same_names_of_the_same_authority(tmp_path: Path) -> None:
    tls.create(tmp_path, ["shop.example.org", "::1"], days=DAYS)
    before = contents(tmp_path)
    assert tls.renew(tmp_path, [], days=DAYS) == ["shop.example.org", "::1"]
    assert {name for name, content in contents(tmp_path).items() if content != before[name]} == set(tls.RENEWED)
    authority = certificate(tmp_path, "ca.pem")
    for side in ("server", "client"):
        certificate(tmp_path, f"{side}.pem").verify_directly_issued_by(authority)
    tls.renew(tmp_path, ["other.example.org"], days=DAYS)
    assert names(tmp_path) == ["other.example.org"]


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem"])
@pytest.mark.parametrize("damage", [None, b"nothing"])
def test_a_folder_that_lacks_a_file_cannot_be_renewed(folder: Path, name: str, damage: bytes | None) -> None:
    (folder / name).unlink()
    if damage is not None:
        (folder / name).write_bytes(damage)
    before = contents(folder)
    with pytest.raises(UsageError):
        tls.renew(folder, [], days=DAYS)
    assert contents(folder) == before


def test_what_is_no_host_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        tls.create(tmp_path, ["localhost", "no name"], days=DAYS)
    assert "--host=localhost, no name" in str(refusal.value)
    assert contents(tmp_path) == {}


def test_a_folder_that_cannot_be_made_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as error:
        tls.create(tmp_path / "file" / "certs", tls.HOSTS, days=DAYS)
    assert error.value.exit_code == 3


# ---- reading them again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutual", [False, True])
def test_files_are_read_again_once_after_they_have_changed(folder: Path, mutual: bool) -> None:
    told: list[str] = []
    files = CertificateFiles(str(folder), mutual=mutual, tell=told.append)
    first = files.read()
    assert files.changed() is None
    tls.renew(folder, [], days=DAYS)
    assert files.changed() is not None
    assert files.changed() is None
    assert files.read() != first
    assert told == []


def test_a_pair_is_not_used_before_both_of_its_files_are_replaced(folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    files = CertificateFiles(str(folder), mutual=False, tell=told.append)
    files.read()
    other = tmp_path / "other"
    tls.create(other, tls.HOSTS, days=DAYS)
    shutil.copy(other / "server.key", folder)
    assert [files.changed(), files.changed()] == [None, None]
    (line,) = told
    assert "server.key is not the private key for server.pem" in line
    shutil.copy(other / "server.pem", folder)
    assert files.changed() is not None
    assert files.changed() is None
    assert len(told) == 1


def test_a_missing_file_leaves_the_certificate_as_it_is(folder: Path) -> None:
    told: list[str] = []
    files = CertificateFiles(str(folder), mutual=True, tell=told.append)
    files.read()
    (folder / "ca.pem").rename(folder / "away")
    assert [files.changed(), files.changed()] == [None, None]
    assert ["ca.pem: No such file or directory" in line for line in told] == [True]
    (folder / "away").rename(folder / "ca.pem")
    assert files.changed() is None


def test_the_authority_of_clients_is_part_of_what_changes_with_mutual_tls_alone(folder: Path, tmp_path: Path) -> None:
    tls.create(tmp_path / "other", tls.HOSTS, days=DAYS)
    both = [CertificateFiles(str(folder), mutual=mutual) for mutual in (False, True)]
    for files in both:
        files.read()
    shutil.copy(tmp_path / "other" / "ca.pem", folder)
    assert [files.changed() is None for files in both] == [True, False]
