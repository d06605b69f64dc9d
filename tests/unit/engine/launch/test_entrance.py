"""Entering, as far as it is not the launcher's (`test_launcher.py`)."""

import errno
import os

import pytest

from insula.engine.accounts import Account
from insula.engine.enter.attachment import Attachment
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.entrance import Entrance
from insula.engine.launch.programs import Programs
from insula.engine.look.accountlook import AccountFinder
from insula.engine.look.looking import Sight
from insula.engine.program.disassembly import Disassembly
from insula.engine.spec import Process
from insula.errors import OperationTimeoutError, StepError
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import Desk, desk_of

ATTACHMENT = Attachment(process=Process(argv=("/bin/ps",), user="web"), terminal=(24, 80))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_of(monkeypatch, UNIFIED)


def entrance(desk: Desk, find: AccountFinder) -> Entrance:
    return Entrance(facts=UNIFIED, link=desk.keeper, programs=Programs(), find_account=find)


@pytest.mark.parametrize(("groups", "size"), [(3, 64), (65, 65536)])
def test_the_program_has_room_for_the_groups_of_its_user(desk: Desk, groups: int, size: int) -> None:
    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        assert (sight.name, pid, user, group) == ("'web'", desk.keeper.pid, "web", None)
        return Account(7, 7, list(range(groups)), "/srv")

    running, before = desk.running(), open_fds()
    entered = completed(entrance(desk, find).execute(running, ATTACHMENT, {}, permitted=1))
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
    with pytest.raises(StepError, match="cannot become user web: the guest has no user 'web': /etc/passwd") as caught:
        completed(entrance(desk, find).execute(running, ATTACHMENT, {}, permitted=1))
    assert caught.value.errno == errno.ENOENT
    assert (desk.keeper.asked, open_fds()) == ([], before)
    running.close()


def test_a_guest_that_does_not_answer_is_told_as_that(desk: Desk) -> None:
    async def find(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
        raise sight.no_answer()

    running = desk.running()
    with pytest.raises(OperationTimeoutError, match="does not answer"):
        completed(entrance(desk, find).execute(running, ATTACHMENT, {}, permitted=1))
    running.close()
