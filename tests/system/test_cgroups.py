"""Control groups, judged by the kernel: made, joined, divided by a guest, killed, and removed without a trace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, scope_name
from tests.inmates import GUEST_ROOT, Inmate, groups_of
from tests.waiting import until

pytestmark = pytest.mark.machine("cgroups")


def test_a_group_is_in_every_hierarchy_and_gone_from_all_when_removed(hierarchies: Hierarchies) -> None:
    group = Cgroup.create(hierarchies, f"removed.slice/nested.slice/{scope_name(1, 'web')}")
    assert [Path(each).is_dir() for each in group.directories] == [True] * len(hierarchies.mounts)
    group.remove()
    assert not [mount for mount in hierarchies.mounts if Path(mount, "removed.slice").exists()]
    group.remove()


def test_a_group_is_removed_at_once_only_if_nothing_is_left_in_it(hierarchies: Hierarchies) -> None:
    """An inhabited one, and what a guest has made below its own, are for who can wait."""
    group = Cgroup.create(hierarchies, f"machine.slice/{scope_name(1, 'web')}")
    kept = Path(group.payload or group.directories[0], "of-the-guest")
    kept.mkdir()
    assert not group.removed_at_once()
    assert kept.is_dir()
    kept.rmdir()
    assert group.removed_at_once()
    assert not group.exists()
    assert group.removed_at_once()


def test_groups_above_that_are_somebody_elses_stay(hierarchies: Hierarchies) -> None:
    theirs = [Path(mount, "theirs.slice") for mount in hierarchies.mounts]
    for each in theirs:
        each.mkdir()
    Cgroup.create(hierarchies, "theirs.slice/ours.slice/c.scope").remove()
    assert [each.is_dir() for each in theirs] == [True] * len(theirs)
    assert not [each for each in theirs if (each / "ours.slice").exists()]
    for each in theirs:
        each.rmdir()


def test_a_group_below_one_that_somebody_has_just_made_takes_processes(
    hierarchies: Hierarchies, inmate: Callable[..., Inmate]
) -> None:
    for mount in hierarchies.mounts:
        Path(mount, "fresh.slice").mkdir()
    made = Cgroup.create(hierarchies, f"fresh.slice/{scope_name(1, 'web')}")
    program = inmate("import signal; signal.pause()")
    program.enter(made)
    program.process.kill()
    program.process.wait()
    made.remove()
    for mount in hierarchies.mounts:
        Path(mount, "fresh.slice").rmdir()


def test_a_process_that_joins_through_fds_is_in_every_hierarchy(group: Cgroup) -> None:
    fds = group.join_fds(v2_too=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for fd in fds:
            os.write(fd, b"0")
        os.read(reading, 1)
        os._exit(0)
    try:
        until(lambda: child in group.processes(), "the child being in the group")
        until(lambda: all(group.path in path for path in groups_of(child)), "the child being in every group")
    finally:
        os.write(writing, b"0")
        for fd in (*fds, reading, writing):
            os.close(fd)
        assert os.waitpid(child, 0)[1] == 0


def test_a_process_can_be_moved_in_from_outside(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    program = inmate("import signal; signal.pause()")
    program.enter(group)
    assert all(group.path in path for path in groups_of(program.pid))
    assert group.processes() == [program.pid]
    assert group.populated


def test_a_process_that_is_gone_cannot_be_moved(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    program = inmate("pass")
    program.process.kill()
    program.process.wait()
    with pytest.raises(OSError, match=f"process {program.pid} cannot be moved"):
        group.enter(program.pid)


def test_removing_waits_for_the_dead_and_gives_up_on_the_living(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    program = inmate("import signal; signal.pause()")
    program.enter(group)
    with pytest.raises(OSError, match="still in use"):
        group.remove(0.05)
    program.process.kill()
    program.process.wait()
    group.remove()
    assert not group.exists()


def as_guest_root(action: Callable[[], object]) -> str:
    """Perform an action as the guest's root, in a process of its own; return the error it met, or nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        message = b""
        try:
            os.setgroups([])
            os.setresgid(GUEST_ROOT, GUEST_ROOT, GUEST_ROOT)
            os.setresuid(GUEST_ROOT, GUEST_ROOT, GUEST_ROOT)
            action()
        except OSError as error:
            message = type(error).__name__.encode()
        os.write(writing, message)
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.requires("cgroup2")
def test_the_guest_may_make_groups_of_its_own_and_change_no_limit(group: Cgroup) -> None:
    payload = Path(group.payload or "")

    def make_a_group_and_move_in() -> None:
        (payload / "inner").mkdir()
        (payload / "inner" / "cgroup.procs").write_text(str(os.getpid()))

    fds = group.join_fds(v2_too=True)
    child = os.fork()
    if child == 0:
        for fd in fds:
            os.write(fd, b"0")
        os._exit(1 if as_guest_root(make_a_group_and_move_in) else 0)
    for fd in fds:
        os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (payload / "inner").is_dir()
    for forbidden in (
        payload / "cgroup.max.descendants",
        payload.parent / "cgroup.max.descendants",
        payload.parent / "cgroup.procs",
        payload.parent / "cgroup.freeze",
        payload.parent / "cgroup.kill",
    ):
        assert as_guest_root(lambda path=forbidden: path.write_text("1")) == "PermissionError"  # type: ignore[misc]
    for directory in group.directories:
        for limit in Path(directory).glob("*limit_in_bytes"):
            assert as_guest_root(lambda path=limit: path.write_text("-1")) == "PermissionError"  # type: ignore[misc]


@pytest.mark.requires("cgroup2")
def test_a_guest_cannot_make_a_tree_too_deep_to_remove(group: Cgroup) -> None:
    top = Path(group.payload or "")
    levels = [top / Path(*("d" * depth)) for depth in range(1, 200)]

    def dig() -> None:
        for level in levels:
            level.mkdir()

    with pytest.raises(BlockingIOError):
        dig()
    assert 30 < len([level for level in levels if level.is_dir()]) < 100
    group.remove()
    assert not group.exists()


@pytest.mark.requires("cgroup2")
def test_who_enters_begins_in_a_leaf_from_the_start_and_the_guest_may_hand_controllers_down_meanwhile(
    group: Cgroup, inmate: Callable[..., Inmate]
) -> None:
    payload = Path(group.payload or "")
    available = (payload / "cgroup.controllers").read_text().split()
    assert available, "the payload was given no controller"
    leaf = payload / "insula.exec"
    program = inmate("import signal; signal.pause()")
    (leaf / "cgroup.procs").write_text(str(program.pid))
    assert as_guest_root(lambda: (payload / "cgroup.subtree_control").write_text(f"+{available[0]}")) == ""
    assert leaf_of(group) == str(leaf)
    assert as_guest_root(lambda: (leaf / "cgroup.procs").write_text("0")) == "PermissionError"


@pytest.mark.requires("cgroup2")
def test_a_leaf_that_the_guest_has_removed_is_made_anew(group: Cgroup) -> None:
    leaf = Path(group.payload or "", "insula.exec")
    assert as_guest_root(leaf.rmdir) == ""
    assert leaf_of(group) == str(leaf)
    assert leaf.is_dir()


def leaf_of(group: Cgroup) -> str:
    """Return where a process that enters begins."""
    fd = group.exec_fd()
    assert fd is not None
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@pytest.mark.requires("cgroup.unified")
def test_a_unified_host_hands_every_useful_controller_to_the_guest(group: Cgroup) -> None:
    controllers = Path(group.payload or "", "cgroup.controllers").read_text().split()
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(controllers)


def test_a_group_that_is_gone_has_no_numbers(group: Cgroup) -> None:
    group.remove()
    with pytest.raises(FileNotFoundError, match="no such control group"):
        group.stats()
