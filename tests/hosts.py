"""Which host a test runs on: profiles told by what the host is like, and which tests each of them takes."""

import os
from enum import StrEnum

from tests import cgrouptree

HOST_VARIABLE = "INSULA_TEST_HOST"
ENCLOSED = ("tests/system/", "tests/e2e/")
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


def takes(host: Profile, node_id: str, marks: frozenset[str]) -> bool:
    """Return whether a test belongs on a host.

    Here: all but what wants a systemd host. In the machine: the system tests, and others marked `machine`. Under
    systemd there: what is marked `systemd_host`.
    """
    match host:
        case Profile.MACHINE_SYSTEMD:
            return "systemd_host" in marks
        case Profile.MACHINE:
            return "systemd_host" not in marks and (node_id.startswith("tests/system/") or "machine" in marks)
        case Profile.HYBRID | Profile.UNIFIED:
            return "systemd_host" not in marks
