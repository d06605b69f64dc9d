"""Mounts, nodes, owners and permissions, by what was seen of the files."""

import errno
from typing import Any

import pytest

from insula.engine.explain.fileverdicts import file_verdicts, may_use, setting_name
from insula.engine.explain.refusedcall import PARENT_SHOWN, SeenFile
from insula.engine.explain.verdict import Layer, LayerVerdict
from insula.engine.spec import Access, BindMount, DirectoryRoot
from tests.unit.engine.explain.failed import BASE, EACCES, EPERM, EROFS, caller, failed, guest, seen

READ_ONLY = {"options": "ro,relatime"}


def found(file: SeenFile, number: int, name: str = "openat", by: Any = None, **spec: Any) -> LayerVerdict:
    privileged = spec.pop("privileged", False)
    (verdict,) = file_verdicts(failed(name, number, by=by, files=(file,)), guest(privileged=privileged, **spec))
    return verdict


def nothing(file: SeenFile, number: int, name: str = "openat", by: Any = None, **spec: Any) -> bool:
    return not list(file_verdicts(failed(name, number, by=by, files=(file,)), guest(**spec)))


def test_a_read_only_mount_of_the_definition_is_named() -> None:
    shown = BindMount(source="/srv/data", target="/data", access=Access.READ_ONLY)
    verdict = found(seen("/data/f", point="/data", **READ_ONLY), EROFS, mounts=(shown,))
    assert verdict.layer is Layer.READ_ONLY and "<target dir='/data'/>" in verdict.change
    assert "/srv/data" in verdict.evidence


def test_a_read_only_root_is_named() -> None:
    root = DirectoryRoot(path="/srv/web", access=Access.READ_ONLY)
    assert "<target dir='/'/>" in found(seen("/f", **READ_ONLY), EROFS, root=root).change


def test_a_file_system_that_is_read_only_itself_is_told() -> None:
    verdict = found(seen("/f", super_options="ro,errors=remount-ro"), EROFS)
    assert not verdict.change and "itself" in verdict.evidence


def test_a_mount_that_is_read_only_by_no_line_is_told() -> None:
    assert "no line" in found(seen("/mnt/f", point="/mnt", **READ_ONLY), EROFS).evidence


@pytest.mark.parametrize(
    ("path", "change"),
    [("/proc/sys/kernel/msgmax", "<insula:sysctl name='kernel.msgmax' value=''/>"), ("/proc/sys/kernel/panic", "")],
)
def test_settings_of_the_guests_namespaces_have_a_line(path: str, change: str) -> None:
    file = seen(path, uid=0, gid=0, mounted="proc", point="/proc/sys", **READ_ONLY)
    assert found(file, EROFS, privileged=True).change == change
    foreign = found(seen(path, uid=0, gid=0, mounted="proc", point="/proc"), EACCES)
    assert (foreign.layer, foreign.change) == (Layer.ID_MAP, change)


def test_sysfs_and_covers_have_no_line() -> None:
    sysfs = found(seen("/sys/a", uid=0, gid=0, mounted="sysfs", point="/sys", **READ_ONLY), EROFS, privileged=True)
    cover = seen("/proc/kcore", uid=0, gid=0, mounted="tmpfs", point="/proc/kcore", **READ_ONLY)
    covered = found(cover, EROFS, privileged=True)
    assert (sysfs.layer, sysfs.change, covered.layer, covered.change) == (Layer.READ_ONLY, "", Layer.MASK, "")
    assert found(cover, EACCES, privileged=True).layer is Layer.MASK


def test_a_node_that_the_policy_does_not_allow_is_a_line_away() -> None:
    disk = seen("/dev/sda", "b", major=8)
    char = seen("/dev/mem", "c", major=1, minor=1)
    assert "<block>/dev/sda</block>" in found(disk, EPERM).change
    assert "<char>/dev/mem</char>" in found(char, EPERM).change
    assert found(seen("/dev/sda", "b", uid=0, gid=0, major=8), EPERM).layer is Layer.DEVICES
    assert found(seen("/tmp/sda", "b", major=8, options="rw,nodev"), EACCES).layer is Layer.MOUNT_OPTION
    assert may_use(seen("/dev/null", "c", major=1, minor=3), guest()) and not may_use(disk, guest())


def test_a_node_without_a_driver_or_that_is_missing_is_told() -> None:
    assert found(seen("/dev/net/tun", "c", major=10, minor=200), errno.ENODEV).layer is Layer.KERNEL
    assert "<char>/dev/hpet</char>" in found(seen("/dev/hpet", PARENT_SHOWN), errno.ENOENT).change
    assert found(seen("/dev/kvm", PARENT_SHOWN), errno.ENOENT).change == "<insula:device class='kvm'/>"
    assert found(seen("/dev/snd/timer", "c", major=116), EPERM).change == "<insula:device class='sound'/>"
    assert "type='storage'" in found(seen("/dev/sdb", PARENT_SHOWN), errno.ENOENT).change
    assert "<disk type='file'>" in found(seen("/dev/loop0", PARENT_SHOWN), errno.ENOENT).change
    assert found(seen("/sys/class/x", PARENT_SHOWN), errno.ENOENT).layer is Layer.KERNEL
    assert nothing(seen("/etc/x", PARENT_SHOWN), errno.ENOENT)


def test_a_file_of_nobody_in_the_guest_is_out_of_its_powers() -> None:
    foreign = seen("/data/f", uid=0, gid=0, point="/data")
    shown = BindMount(source="/srv/data", target="/data", idmapped=False)
    assert found(foreign, EPERM, "chmod", mounts=(shown,)).change.endswith("without insula:idmap='off'")
    assert "<idmap>" in found(foreign, EPERM, "chmod").change
    assert found(seen("/f"), errno.EOVERFLOW, "mkdir").layer is Layer.ID_MAP


def test_permissions_are_the_guests_own() -> None:
    shadow = seen("/etc/shadow", mode=0o600)
    verdict = found(shadow, EACCES, by=caller(1000))
    assert verdict.layer is Layer.GUEST and "0:0 with mode 600" in verdict.evidence and "user 1000" in verdict.evidence
    assert nothing(shadow, EACCES)
    assert found(seen("/run/x", PARENT_SHOWN), EACCES, by=caller(BASE)).evidence.startswith("the directory of")


def test_what_is_not_executable_is_told_with_its_mount() -> None:
    assert found(seen("/tmp/a", options="rw,noexec", mode=0o755), EACCES, "execve").layer is Layer.MOUNT_OPTION
    assert found(seen("/tmp/a", mode=0o644), EACCES, "execve").layer is Layer.GUEST


def test_settings_have_names() -> None:
    assert (setting_name("/proc/sys/kernel/panic"), setting_name("/etc/passwd")) == ("kernel.panic", "")
