"""Which host a test runs on: profiles told by what the host is like, and which tests each of them takes."""

import os
from collections.abc import Collection, Mapping
from enum import StrEnum

from tests import cgrouptree

HOST_VARIABLE = "INSULA_TEST_HOST"
FULL_VARIABLE = "INSULA_TEST_FULL"
"""Set by scripts/test --full: tests that sample meet every case, and the machine takes every system test."""
ENCLOSED = ("tests/system/", "tests/e2e/", "tests/installed/")
"""Where the tests are that change the test process's namespaces for good; they come after all others."""


class Profile(StrEnum):
    """The kinds of host that the suite knows. The value is the name in allowed_skips.toml and in reports."""

    HYBRID = "hybrid"
    """v1 controllers beside a v2 hierarchy without them, or v1 alone."""
    UNIFIED = "unified"
    """Pure cgroup v2."""
    MACHINE = "machine"
    """The emulated machine of tests/machine with its minimal init."""
    MACHINE_SYSTEMD = "machine-systemd"
    """The same machine, booted by systemd."""


MACHINES = (Profile.MACHINE, Profile.MACHINE_SYSTEMD)


def profile() -> Profile:
    """Return this host's profile: what the emulated machine says of itself, else by the mounted cgroup versions."""
    told = os.environ.get(HOST_VARIABLE)
    if told:
        return Profile(told)
    versions = {hierarchy.version for hierarchy in cgrouptree.hierarchies()}
    return Profile.UNIFIED if versions == {2} else Profile.HYBRID


def machine_left_out() -> bool:
    """Return whether the environment leaves the emulated machine out: INSULA_NO_MACHINE=1.

    Raises: SystemExit where CI is set: there a missing machine is a failure.
    """
    left_out = os.environ.get("INSULA_NO_MACHINE") == "1"
    if left_out and os.environ.get("CI"):
        raise SystemExit("test: INSULA_NO_MACHINE=1 is not possible where CI is set")
    return left_out


MACHINE_REASONS: Mapping[str, str] = {
    "cgroups": "one v2 hierarchy with every controller: limits, counters, freezing, killing, delegation, and the order"
    " in which groups are made and removed take other ways than beside v1",
    "devices": "on v2 a BPF program decides who opens a device",
    "mounts": "before Linux 6.15 overlayfs takes no detached layers, and only what is attached can be copied in parts",
    "endings": "before Linux 6.15 only a process's parent learns how it ended",
    "links": "before Linux 6.15 a new link has no name that one of the namespace has from which it is asked for",
    "sockets": "before Linux 6.16 a socket cannot be told to refuse descriptors",
    "seccomp": "a newer libseccomp, and a kernel that runs 32-bit programs",
    "capabilities": "root there has every capability, in the first user namespace",
    "systemd": "a guest's systemd that finds a v2 tree of its own",
    "clients": "libvirt 11 and its Python binding on Python 3.13",
    "tests": "what the tests themselves stand on there",
}
"""What `@pytest.mark.machine(WORD, ...)` may name: why the machine is another kind of host for the test."""


def full() -> bool:
    """Return whether every case is asked for."""
    return bool(os.environ.get(FULL_VARIABLE))


def takes(host: Profile, node_id: str, marks: Collection[str], *, may_be_missed: bool = False) -> bool:
    """Return whether a test belongs on a host.

    Here: all but what wants a systemd host. In the machine: what is marked `machine`, and what asks for a capability
    that other hosts may miss; with --full all system tests. Under systemd there: what is marked `systemd_host`.
    """
    match host:
        case Profile.MACHINE_SYSTEMD:
            return "systemd_host" in marks
        case Profile.MACHINE:
            everything = full() and node_id.startswith("tests/system/")
            return "systemd_host" not in marks and ("machine" in marks or may_be_missed or everything)
        case Profile.HYBRID | Profile.UNIFIED:
            return "systemd_host" not in marks
