from dataclasses import replace

from insula.engine.policy.syscalls import IO_URING_CALLS
from insula.engine.policy.unbound import unbound
from insula.engine.spec import Access, Bytes, DirectoryRoot, Limits, OverlayRoot, Seccomp, SeccompProfile, TmpfsRoot
from tests.plans import BUSYBOX, HYBRID, UNIFIED

MEMORY = Limits(memory=Bytes(1 << 30))
BOUND = replace(BUSYBOX, root=DirectoryRoot(path="/srv/box", access=Access.READ_ONLY), limits=MEMORY)
PRIVILEGED = replace(BOUND, idmap=None, privileged=True)


def test_a_limited_guest_with_a_read_only_root_has_nothing_unbound() -> None:
    assert unbound(BOUND, HYBRID.hierarchies) == ()
    assert unbound(PRIVILEGED, HYBRID.hierarchies) == ()


def test_a_writable_root_is_told_by_its_kind() -> None:
    overlay = OverlayRoot(lower=("/images/a",), upper="/upper", work="/work")
    said = [unbound(replace(BOUND, root=root), UNIFIED.hierarchies) for root in (DirectoryRoot(path="/srv"), overlay)]
    assert said == [
        ("its root may fill the file system it lies on",),
        ("its writable layer may fill the file system it lies on",),
    ]


def test_memory_without_a_limit_is_told_and_a_root_in_it_too() -> None:
    free = replace(BOUND, root=TmpfsRoot(lower=("/images/a",)), limits=Limits())
    assert len(unbound(free, UNIFIED.hierarchies)) == 2
    assert unbound(replace(free, limits=MEMORY), UNIFIED.hierarchies) == ()


def test_a_guest_that_may_mount_lifts_the_limits_that_v1_hierarchies_hold() -> None:
    for seccomp, further in ((Seccomp(new_mounts=True), 0), (Seccomp(profile=SeccompProfile.UNCONFINED), 1)):
        mounting = replace(PRIVILEGED, seccomp=seccomp)
        assert unbound(mounting, HYBRID.hierarchies)[1].endswith("its limits of memory, pids, cpu, cpuset, devices")
        assert len(unbound(mounting, UNIFIED.hierarchies)) == 1 + further
        assert len(unbound(replace(BOUND, seccomp=seccomp), HYBRID.hierarchies)) == further


def test_packet_rings_are_told_where_they_are_allowed() -> None:
    for seccomp in (Seccomp(packet_rings=True), Seccomp(allow=IO_URING_CALLS)):
        allowed = replace(BOUND, seccomp=seccomp)
        assert unbound(allowed, UNIFIED.hierarchies) == (
            "rings of its packet sockets may take any of the host's memory",
        )
