"""Entering, as far as it is not the launcher's (`test_launcher.py`)."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from insula.engine.accounts import Account
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.entrance import Entrance
from insula.engine.launch.programs import Programs
from insula.engine.look.accountlook import AccountFinder
from insula.engine.look.looking import Sight
from insula.engine.program.disassembly import Disassembly
from insula.engine.spec import Process, ResourceLimit
from insula.errors import OperationTimeoutError, StepError
from tests.descriptors import listed_fds, open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import Desk, desk_of

PROCESS = Process(argv=("/bin/ps", "-e"), user="web")
TERMINAL = (24, 80)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_of(monkeypatch, UNIFIED)


@contextmanager
def entrance(desk: Desk, find: AccountFinder) -> Iterator[Entrance]:
    made = Entrance(facts=UNIFIED, link=desk.keeper, programs=Programs(), find_account=find, permitted=lambda: 1)
    try:
        yield made
    finally:
        made.close()


async def find_web(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
    return Account(7, 7, [7], "/srv")


@pytest.mark.parametrize(("groups", "size"), [(3, 64), (65, 65536)])
def test_the_program_has_room_for_the_groups_of_its_user(desk: Desk, groups: int, size: int) -> None:
    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        assert (sight.name, pid, user, group) == ("'web'", desk.keeper.pid, "web", None)
        return Account(7, 7, list(range(groups)), "/srv")

    running, before = desk.running(), open_fds()
    with entrance(desk, find) as entered_by:
        entered = completed(entered_by.execute(running, PROCESS, terminal=TERMINAL))
    lines = list(Disassembly(desk.keeper.last(Verb.EXECUTE).image).lines())
    (read,) = [line for line in lines if line.startswith("pread64")]
    assert f"{4128 + 4 * size:#x}" in read
    os.close(entered.pidfd)
    assert open_fds() == before
    running.close()


def test_a_user_whom_the_guest_does_not_know_is_told_before_anything_is_asked_for(desk: Desk) -> None:
    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        raise OSError(errno.ENOENT, f"the guest has no user {user!r}", "/etc/passwd")

    running, before = desk.running(), open_fds()
    told = "cannot become user web: the guest has no user 'web': /etc/passwd"
    with entrance(desk, find) as entered_by, pytest.raises(StepError, match=told) as caught:
        completed(entered_by.execute(running, PROCESS, terminal=TERMINAL))
    assert caught.value.errno == errno.ENOENT
    assert (desk.keeper.asked, open_fds()) == ([], before)
    running.close()


def test_a_guest_that_does_not_answer_is_told_as_that(desk: Desk) -> None:
    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        raise sight.no_answer()

    running = desk.running()
    with entrance(desk, find) as entered_by, pytest.raises(OperationTimeoutError, match="does not answer"):
        completed(entered_by.execute(running, PROCESS, terminal=TERMINAL))
    running.close()


def _images_of(desk: Desk, *processes: Process) -> list[bytes]:
    """Return what each process plays, by the file that the keeper was given."""
    running, before, images = desk.running(), open_fds(), []
    with entrance(desk, find_web) as entered_by:
        for each in processes:
            os.close(completed(entered_by.execute(running, each, terminal=TERMINAL)).pidfd)
            images.append(desk.keeper.last(Verb.EXECUTE).image)
    assert open_fds() == before
    running.close()
    return images


def test_who_enters_again_in_the_same_way_plays_the_same_and_in_another_way_something_else(desk: Desk) -> None:
    others = [
        replace(PROCESS, argv=("/bin/ps", "-A")),
        replace(PROCESS, cwd="/srv"),
        replace(PROCESS, env=(("A", "1"),)),
    ]
    first, again, *different = _images_of(desk, PROCESS, PROCESS, *others)
    assert first == again and len({first, *different}) == 1 + len(others)
    assert b"-e\0" in first and b"-A\0" in different[0] and b"-e\0" not in different[0]


def test_limits_that_were_changed_meanwhile_hold_for_who_enters(desk: Desk) -> None:
    running = desk.running()
    with entrance(desk, find_web) as entered_by:
        os.close(completed(entered_by.execute(running, PROCESS, terminal=TERMINAL)).pidfd)
        before = desk.keeper.last(Verb.EXECUTE).image
        limits = (ResourceLimit(name="NPROC", soft=7, hard=7),)
        running.record = replace(running.record, spec=replace(running.record.spec, resource_limits=limits))
        os.close(completed(entered_by.execute(running, PROCESS, terminal=TERMINAL)).pidfd)
    assert desk.keeper.last(Verb.EXECUTE).image != before
    running.close()


def test_an_argument_that_no_program_can_be_given_is_refused_as_part_of_the_step(desk: Desk) -> None:
    running = desk.running()
    with entrance(desk, find_web) as entered_by, pytest.raises(StepError, match="cannot execute"):
        completed(entered_by.execute(running, replace(PROCESS, argv=("/bin/ps", "a\0b")), terminal=TERMINAL))
    running.close()


def test_variables_of_any_length_are_not_kept_for_the_next(desk: Desk) -> None:
    running = desk.running()
    with entrance(desk, find_web) as entered_by:
        for number in range(20):
            long = replace(PROCESS, env=(("LONG", str(number) * (1 << 19)),))
            os.close(completed(entered_by.execute(running, long, terminal=TERMINAL)).pidfd)
        kept = [fd for fd in listed_fds() if "insula-entering" in _name_of(fd)]
        assert sum(os.fstat(fd).st_size for fd in kept) < 8 << 20
        assert not entered_by._known
    running.close()


def _name_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""


def test_an_order_that_nobody_carried_out_is_given_once_more(desk: Desk) -> None:
    running = desk.running()
    lost = StepError("what was to clone it has ended", errno=errno.ECHILD)
    desk.keeper.answers[Verb.EXECUTE] = [lost]
    ids: list[str] = []
    with entrance(desk, find_web) as entered_by:
        entered = completed(entered_by.execute(running, PROCESS, terminal=TERMINAL, asked=ids))
        assert (len(ids), entered.id) == (2, ids[1])
        os.close(entered.pidfd)
        desk.keeper.answers[Verb.EXECUTE] = [lost, lost]
        with pytest.raises(StepError, match="has ended"):
            completed(entered_by.execute(running, PROCESS, terminal=TERMINAL))
    assert [each.verb for each in desk.keeper.asked].count(Verb.EXECUTE) == 4
    running.close()
