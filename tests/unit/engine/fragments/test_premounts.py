"""Tests of insula.engine.fragments.premounts."""

from dataclasses import replace

import pytest

from insula.engine.fragments.premounts import premounts
from insula.engine.spec import BindMount, Bytes, InitKind, Limits, Process, Seccomp, SeccompProfile
from insula.engine.steps.guest.systemdunits import MountForUnit
from tests.unit.engine.fragments.example import FACTS, PRIVILEGED, SPEC, told

SYSTEMD = replace(PRIVILEGED, init_kind=InitKind.SYSTEMD)
WITH_HUGE_PAGES = replace(FACTS, filesystems=FACTS.filesystems | {"hugetlbfs"})


def test_a_system_that_may_mount_nothing_finds_its_mounts() -> None:
    assert told(premounts(SYSTEMD, WITH_HUGE_PAGES)) == [
        "mount tmpfs at /run/lock",
        "mount hugetlbfs at /dev/hugepages",
        "mount tmpfs at /tmp if the guest's tmp.mount would",
    ]


def test_run_is_mounted_unless_it_is_there_for_systemd_already() -> None:
    assert told(premounts(PRIVILEGED, FACTS))[:2] == ["mount tmpfs at /run", "mount tmpfs at /run/lock"]


def test_memory_that_an_init_would_mount_is_as_large_as_its_limit_has_it() -> None:
    limited = replace(SPEC, limits=Limits(memory=Bytes(1 << 30)))
    (tmp,) = premounts(replace(limited, init_kind=InitKind.SYSTEMD), FACTS)
    assert isinstance(tmp, MountForUnit)
    assert str(tmp) == "mount tmpfs at /tmp if the guest's tmp.mount would"
    assert tmp.options == [["mode", "1777"], ["size", str((1 << 30) * 30 // 100)], ["nr_inodes", "65536"]]
    for kind in (InitKind.OPENRC, InitKind.SYSVINIT, InitKind.RUNIT, InitKind.BUSYBOX):
        assert told(premounts(replace(limited, init_kind=kind), FACTS)) == ["mount tmpfs at /run"]
    assert premounts(replace(limited, init_kind=InitKind.PLAIN), FACTS) == []
    assert premounts(replace(limited, init=Process(argv=("/bin/sleep", "9"))), FACTS) == []


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        (InitKind.SYSTEMD, "/tmp/.X11-unix", ["mount tmpfs at /tmp if the guest's tmp.mount would"]),
        (InitKind.SYSTEMD, "/tmp", []),
        (InitKind.SYSTEMD, "/run/data", []),
        (InitKind.BUSYBOX, "/run/data", ["mount tmpfs at /run"]),
        (InitKind.PLAIN, "/run//data", ["mount tmpfs at /run"]),
        (InitKind.BUSYBOX, "/var/run/data", ["mount tmpfs at /run"]),
        (InitKind.BUSYBOX, "/running/data", []),
        (InitKind.BUSYBOX, "/run", []),
    ],
)
def test_what_is_asked_for_is_not_covered_by_what_init_mounts(kind: InitKind, target: str, expected: list[str]) -> None:
    spec = replace(SPEC, init_kind=kind, mounts=(BindMount(source="/srv", target=target),))
    assert told(premounts(spec, FACTS)) == expected


def test_who_may_mount_and_who_starts_no_system_gets_nothing() -> None:
    assert premounts(SPEC, FACTS) == []
    assert premounts(replace(SYSTEMD, seccomp=Seccomp(new_mounts=True)), FACTS) == []
    assert premounts(replace(SYSTEMD, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)), FACTS) == []
    assert premounts(replace(SYSTEMD, init=Process(argv=("/bin/sleep", "9"))), FACTS) == []
