"""Tests of insula.engine.fragments.premounts."""

from dataclasses import replace

from insula.engine.fragments.premounts import premounts
from insula.engine.spec import InitKind, Process, Seccomp, SeccompProfile
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


def test_who_may_mount_and_who_starts_no_system_gets_nothing() -> None:
    assert premounts(SPEC, FACTS) == []
    assert premounts(replace(SYSTEMD, seccomp=Seccomp(new_mounts=True)), FACTS) == []
    assert premounts(replace(SYSTEMD, seccomp=Seccomp(profile=SeccompProfile.UNCONFINED)), FACTS) == []
    assert premounts(replace(SYSTEMD, init=Process(argv=("/bin/sleep", "9"))), FACTS) == []
