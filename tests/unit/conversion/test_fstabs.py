from pathlib import PurePosixPath

import pytest

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry
from insula.conversion.fstabs import device_node, escaped, mount_line, read_mount_line, take_mount
from insula.model.devices import HostDeviceType
from insula.model.filesystems import FilesystemType

ENTRY = ForeignEntry(key="lxc.mount.entry", line=1)


def _taken(line: str) -> DomainDraft:
    draft = DomainDraft()
    take_mount(draft, ENTRY, read_mount_line(line))
    return draft


def test_targets_are_below_the_root_whether_they_begin_with_a_slash_or_not() -> None:
    for target in ("srv/a\\040b", "/srv/a\\040b"):
        assert read_mount_line(f"/x {target} none bind 0 0").target == PurePosixPath("/srv/a b")


@pytest.mark.parametrize("line", ["", "one", "a ../b none bind", "a b c d e f g", "a b/../../c"])
def test_what_is_no_line_or_climbs_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_mount_line(line)


def test_a_field_with_spaces_is_written_as_it_is_read() -> None:
    for text in ("/a b", "/tab\there", "/back\\slash", "/new\nline"):
        line = mount_line(text, PurePosixPath(text), "none", ("bind",))
        assert "\n" not in line
        read = read_mount_line(line)
        assert (read.source, read.target) == (text, PurePosixPath(text))
    assert escaped("plain") == "plain"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/srv/x srv none bind,create=dir 0 0", FilesystemType.MOUNT),
        ("tmpfs tmp tmpfs size=64m 0 0", FilesystemType.RAM),
        ("data/x var/x none bind,relative 0 0", FilesystemType.BIND),
        ("/dev/vg/x srv ext4 defaults 0 0", FilesystemType.BLOCK),
        ("/x.img srv ext4 loop 0 0", FilesystemType.FILE),
    ],
)
def test_a_mount_is_a_filesystem_of_its_kind(line: str, kind: FilesystemType) -> None:
    draft = _taken(line)
    assert [each.type for each in draft.filesystems] == [kind] and draft.findings == []


def test_a_node_of_the_host_is_a_device() -> None:
    draft = _taken("/dev/net/tun dev/net/tun none bind,create=file 0 0")
    assert draft.host_devices == [device_node(PurePosixPath("/dev/net/tun"))] and not draft.filesystems
    assert _taken("/dev/sdb1 dev/sdb1 none bind 0 0").host_devices[0].type is HostDeviceType.STORAGE


@pytest.mark.parametrize(
    "line",
    [
        "/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0",
        "securityfs sys/kernel/security securityfs optional 0 0",
        "/dev/dri dev/dri none bind,create=dir 0 0",
        "server:/x srv nfs defaults 0 0",
        "dev/null proc/kcore none bind,relative 0 0",
        "/proc/x srv none bind 0 0",
    ],
)
def test_what_no_guest_is_given_is_named(line: str) -> None:
    draft = _taken(line)
    assert draft.findings and not draft.filesystems and not draft.host_devices


def test_what_a_guest_has_anyway_says_nothing() -> None:
    draft = _taken("proc proc proc nodev,noexec,nosuid 0 0")
    assert draft.findings == [] and draft.filesystems == []


def test_options_that_cannot_be_kept_are_named() -> None:
    draft = _taken("/srv srv none bind,optional,noexec,ro 0 0")
    assert draft.filesystems[0].read_only
    assert ["noexec" in each.why for each in draft.findings] == [False, True]


def test_a_file_system_in_memory_without_a_size_gets_one() -> None:
    draft = _taken("tmpfs tmp tmpfs defaults 0 0")
    assert draft.filesystems[0].source.usage == 65536 and len(draft.findings) == 1
