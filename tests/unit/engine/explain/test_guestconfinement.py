"""What holds a guest follows from its spec."""

from insula.engine.policy.capabilities import default_kept
from insula.engine.spec import Device, DeviceKind, Seccomp, SeccompProfile
from tests.unit.engine.explain.failed import BASE, guest


def test_ids_of_the_host_are_those_of_the_guest_or_nobodys() -> None:
    usual, privileged = guest(), guest(privileged=True)
    assert (usual.inner_uid(BASE + 5), usual.inner_gid(0)) == (5, None)
    assert (usual.has_uid(65535), usual.has_gid(65536)) == (True, False)
    assert (privileged.inner_uid(0), privileged.has_gid(1 << 20)) == (0, True)


def test_capabilities_are_the_usual_ones_unless_the_spec_names_some() -> None:
    assert guest().capabilities == default_kept(privileged=False)
    assert guest(capabilities=frozenset({"chown"})).capabilities == {"chown"}


def test_the_filter_is_the_one_that_was_loaded() -> None:
    assert guest().filter_program
    assert guest(seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)).filter_program is None
    assert guest(privileged=True).seccomp.new_mounts is False


def test_devices_of_the_spec_are_allowed() -> None:
    disk = Device(kind=DeviceKind.BLOCK, major=8, minor=0, host="/dev/sda", guest="sda")
    assert "b 8:0 rwm" in map(str, guest(devices=(disk,)).devices)
    assert "b 8:0 rwm" not in map(str, guest().devices)
