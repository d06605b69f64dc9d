"""Names in certificates, patterns of them, and files that cannot be used."""

from dataclasses import replace
from pathlib import Path

import pytest

from insula.daemon.afar.certificates import Certificates, matches, name_of
from insula.daemon.remotesettings import TlsSettings
from insula.errors import ConfigurationError
from tests.authority import Authority


def subject(*parts: tuple[str, str]) -> dict[str, object]:
    return {"subject": tuple((each,) for each in parts)}


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (subject(("countryName", "GB"), ("organizationName", "Insula"), ("commonName", "a")), "C=GB,O=Insula,CN=a"),
        (subject(("commonName", "a,O=Libvirt")), "CN=a\\,O\\=Libvirt"),
        (subject(("commonName", "#a ")), "CN=\\#a\\ "),
        (subject(("commonName", "a\0b")), "CN=a\\00b"),
        (subject(("commonName", "a\nb\x1b[2J")), "CN=a\\0Ab\\1B[2J"),
        ({"subject": ((("commonName", "a"), ("userId", "7")),)}, "CN=a+UID=7"),
        (subject(("1.2.3.4", "x")), "1.2.3.4=x"),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_name_is_written_so_that_no_part_can_pass_for_two(certificate: dict[str, object], name: str) -> None:
    assert name_of(certificate) == name


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("O=Insula,CN=anna", "O=Insula,CN=anna", True),
        ("O=Insula,CN=anna", "O=Insula,CN=*", True),
        ("O=Insula,CN=anna", "*CN=ann?", True),
        ("O=Insula,CN=anna", "CN=anna", False),
        ("O=Insula,CN=annas", "O=Insula,CN=anna", False),
        ("O=Insula,CN=[a]", "O=Insula,CN=[a]", True),
        ("O=Insula,CN=a", "O=Insula,CN=[a]", False),
        ("O=Insula,CN=a\nb", "O=Insula,CN=*", True),
        ("OXInsula", "O.Insula", False),
    ],
)
def test_only_the_star_and_the_question_mark_stand_for_others(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, pattern) is fits


@pytest.fixture
def settings(tmp_path: Path) -> TlsSettings:
    authority = Authority(tmp_path / "authority")
    server = authority.issue("server", "/CN=server", tmp_path / "server")
    return TlsSettings(
        authority=server / "cacert.pem",
        revocations=server / "revoked.pem",
        certificate=server / "servercert.pem",
        key=server / "serverkey.pem",
    )


@pytest.mark.requires("openssl")
def test_names_are_known_by_the_list_if_there_is_one(settings: TlsSettings) -> None:
    certificates = Certificates(settings)
    assert certificates.known("CN=whoever")
    certificates.reload(replace(settings, allowed_names=("CN=a*", "CN=b")))
    assert certificates.known("CN=anna") and certificates.known("CN=b") and not certificates.known("CN=bert")


@pytest.mark.requires("openssl")
def test_a_missing_list_of_the_revoked_is_refused_where_it_was_named(settings: TlsSettings) -> None:
    Certificates(settings)
    with pytest.raises(ConfigurationError, match=r"revoked certificates .*revoked\.pem does not exist"):
        Certificates(replace(settings, revocations_optional=False))


@pytest.mark.requires("openssl")
@pytest.mark.parametrize("file", ["authority", "revocations", "certificate", "key"])
def test_a_file_that_cannot_be_used_is_named_and_changes_nothing(settings: TlsSettings, file: str) -> None:
    certificates = Certificates(settings)
    before = certificates.context
    path: Path = getattr(settings, file)
    path.write_text("nonsense")
    with pytest.raises(ConfigurationError, match=path.name):
        certificates.reload(settings)
    assert certificates.context is before


@pytest.mark.requires("openssl")
def test_a_key_that_everybody_may_read_is_refused(settings: TlsSettings) -> None:
    settings.key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="everybody may read the key"):
        Certificates(settings)
