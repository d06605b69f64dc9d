import pytest

from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType
from insula.model.scalars import OnOff
from tests.unit.conversion.conversions import converted, keys_of


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("nspawn", f"[Files]\n{text}")
    return found.domain, keys_of(found.findings) - {"(the file's name)"}


def test_a_mount_has_the_owners_that_it_is_asked_for() -> None:
    domain, findings = _read(
        "Bind=/srv/a\nBind=/srv/b:/b:idmap\nBindReadOnly=/srv/c\\:d:/c:rbind,noidmap\nBind=+/in:/out\n"
    )
    _, first, second, third, inside = domain.devices.filesystems
    assert [each.idmap for each in (first, second, third)] == [OnOff.OFF, None, OnOff.OFF]
    assert [str(each.target) for each in (first, second, third)] == ["/srv/a", "/b", "/c"]
    assert (str(third.source.directory), third.read_only) == ("/srv/c:d", True)
    assert inside.type is FilesystemType.BIND and findings == set()


def test_a_node_is_a_device_and_a_tmpfs_has_its_size() -> None:
    domain, findings = _read("Bind=/dev/fuse\nTemporaryFileSystem=/scratch:size=8m,ro\nReadOnly=yes\n")
    assert str(domain.devices.host_devices[0].source.character) == "/dev/fuse"
    assert domain.root is not None and domain.root.read_only
    assert domain.devices.filesystems[1].source.usage == 8192 and findings == set()


@pytest.mark.parametrize(
    "line",
    [
        "Bind=x",
        "Bind=/srv:/",
        "Bind=:/x",
        "Bind=-/srv:/x",
        "Bind=/srv:/x:odd",
        "Bind=/sys/x",
        "TemporaryFileSystem=x",
        "TemporaryFileSystem=/",
        "TemporaryFileSystem=/x",
        "Volatile=state",
        "Overlay=/a:/b:/c",
        "Inaccessible=/x",
        "BindUser=ada",
        "PrivateUsersOwnership=chown",
    ],
)
def test_what_cannot_be_is_named(line: str) -> None:
    assert _read(line)[1] == {f"Files.{line.partition('=')[0]}"}
