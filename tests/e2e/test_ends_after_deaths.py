"""A guest that ends after its keeper died, or while nobody of ours lived, ends for its domain as it really did."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import copy_tree, domain_id, domain_xml, state, until_init_listens, wait_state
from tests.insulad import Insulad
from tests.waiting import stop, until

pytestmark = pytest.mark.requires("virsh")

RESTARTED = "running"
ENDS = {
    "reboot": (signal.SIGTERM, RESTARTED),
    "poweroff": (signal.SIGUSR2, "shut off (shutdown)"),
    "crash": (signal.SIGKILL, "shut off (crashed)"),
}
"""Name → what busybox's init is sent for it, and the domain's state then."""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def gone(pid: int) -> bool:
    """Whether a process has ended; one whose parents died is the test's own, and stays a zombie for now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid), f"the death of {pid}")
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def keeper_of(insulad: Insulad) -> int:
    keeper = insulad.keeper_pid()
    assert keeper is not None
    return keeper


def replaced(insulad: Insulad, keeper: int) -> None:
    until(lambda: insulad.keeper_pid() not in (None, keeper), "a new keeper", 20)


def keeper_killed(insulad: Insulad, end: Callable[[], None]) -> None:
    keeper = keeper_of(insulad)
    kill(keeper)
    replaced(insulad, keeper)
    end()


def keeper_killed_twice(insulad: Insulad, end: Callable[[], None]) -> None:
    for _ in range(2):
        keeper = keeper_of(insulad)
        kill(keeper)
        replaced(insulad, keeper)
    end()


def keeper_killed_as_it_ended(insulad: Insulad, end: Callable[[], None]) -> None:
    keeper = keeper_of(insulad)
    stop(keeper)
    end()
    kill(keeper)


def keeper_killed_while_insulad_was_away(insulad: Insulad, end: Callable[[], None]) -> None:
    insulad.kill()
    kill(keeper_of(insulad))
    end()
    insulad.start()


def both_killed(insulad: Insulad, end: Callable[[], None]) -> None:
    insulad.kill()
    kill(keeper_of(insulad))
    insulad.start()
    end()


def reaper_killed(insulad: Insulad, end: Callable[[], None]) -> None:
    kill(parent_of(keeper_of(insulad)))
    end()


def reaper_and_keeper_killed(insulad: Insulad, end: Callable[[], None]) -> None:
    keeper = keeper_of(insulad)
    kill(parent_of(keeper))
    kill(keeper)
    replaced(insulad, keeper)
    end()


def all_killed(insulad: Insulad, end: Callable[[], None]) -> None:
    keeper = keeper_of(insulad)
    insulad.kill()
    kill(parent_of(keeper))
    kill(keeper)
    insulad.start()
    end()


DEATHS = (
    keeper_killed,
    keeper_killed_twice,
    keeper_killed_as_it_ended,
    keeper_killed_while_insulad_was_away,
    both_killed,
    reaper_killed,
    reaper_and_keeper_killed,
    all_killed,
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("death", DEATHS, ids=[each.__name__ for each in DEATHS])
def test_the_end_of_a_guest_is_what_it_was_whoever_died_before(
    insulad: Insulad, busybox_root: Path, death: Callable[[Insulad, Callable[[], None]], None]
) -> None:
    pids = {}
    for name in ENDS:
        root = copy_tree(busybox_root, insulad.prefix.parent / f"root-{name}")
        insulad.define(domain_xml(name, root, memory=64))
        insulad.virsh("start", name)
        pid = domain_id(insulad, name)
        assert pid is not None
        pids[name] = pid

    def end() -> None:
        for pid in pids.values():
            until_init_listens(pid)
        for name, (number, _) in ENDS.items():
            os.kill(pids[name], number)
        until(lambda: all(gone(pid) for pid in pids.values()), "the ends of the guests", 20)

    death(insulad, end)
    for name, (_, wanted) in ENDS.items():
        if wanted is RESTARTED:
            until(lambda: domain_id(insulad, "reboot") not in (None, pids["reboot"]), "the reboot", 20)
        wait_state(insulad, name, "running" if wanted is RESTARTED else "shut off")
        assert state(insulad, name, reason=True).startswith(wanted)
