"""Giving up capabilities, as the kernel sees it."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from insula.engine.policy.capabilities import default_kept
from insula.kernel import privileges
from insula.kernel.privileges import names_in

pytestmark = pytest.mark.machine("capabilities")


def in_a_child(action: Callable[[], object]) -> str:
    """Return what an action returns in a child; an OSError counts by its name."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = str(action())
        except OSError as error:
            answer = errno.errorcode[error.errno or 0]
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer


def masks() -> dict[str, frozenset[str]]:
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    return {line[:6]: names_in(int(line[8:], 16)) for line in lines if line.startswith("Cap")}


def effective_after(kept: Iterable[str]) -> list[str]:
    privileges.keep_only(kept)
    return sorted(masks()["CapEff"])


def masks_of_program() -> str:
    """Return the sets of a program executed by root, as it sees them itself."""
    command = ["sh", "-c", "grep ^Cap /proc/self/status"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_is_given_up_is_gone_from_every_set_and_what_is_kept_stays() -> None:
    def sets_after(kept: Iterable[str]) -> list[list[str]]:
        privileges.keep_only(kept)
        found = masks()
        return [sorted(found[name]) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")]

    kept = ["chown", "net_admin"]
    assert in_a_child(lambda: sets_after(kept)) == str([kept, kept, kept, [], []])


def test_a_program_executed_by_root_cannot_have_it_back() -> None:
    def program() -> str:
        privileges.keep_only({"chown"})
        return masks_of_program()

    lines = dict(line.split(":\t") for line in in_a_child(program).splitlines())
    assert names_in(int(lines["CapEff"], 16)) == {"chown"}
    assert names_in(int(lines["CapBnd"], 16)) == {"chown"}


def test_who_becomes_another_user_hands_down_what_is_kept_and_nothing_else() -> None:
    def program() -> str:
        privileges.become_with({"net_raw"}, uid=65534, gid=65534)
        return f"{os.getresuid()} {os.getgroups()} {masks_of_program()}"

    said = in_a_child(program)
    assert said.startswith("(65534, 65534, 65534) [] ")
    lines = dict(line.split(":\t") for line in said.partition("[] ")[2].splitlines())
    assert {names_in(int(each, 16)) for each in lines.values()} == {frozenset({"net_raw"})}


def test_nothing_kept_leaves_nothing() -> None:
    assert in_a_child(lambda: effective_after(())) == "[]"


def test_the_default_set_is_what_remains_of_what_there_was() -> None:
    before = privileges.held().permitted
    expected = sorted(default_kept(privileged=True) & before)
    assert in_a_child(lambda: effective_after(default_kept(privileged=True))) == str(expected)


def test_an_unknown_name_changes_nothing() -> None:
    def attempt() -> bool:
        before = masks()
        with pytest.raises(OSError, match="no such capability"):
            privileges.keep_only({"chown", "fly"})
        return masks() == before

    assert in_a_child(attempt) == "True"


def test_capabilities_that_are_given_up_do_not_work() -> None:
    def mount_point() -> None:
        privileges.keep_only({"chown"})
        os.chroot("/")

    assert in_a_child(mount_point) == "EPERM"


def test_no_new_privileges_is_for_good() -> None:
    def flag() -> str:
        privileges.set_no_new_privileges()
        status = Path("/proc/thread-self/status").read_text()
        return next(line for line in status.splitlines() if line.startswith("NoNewPrivs"))

    assert in_a_child(flag) == "NoNewPrivs:\t1"
