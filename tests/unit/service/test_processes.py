import os
from typing import Any

import pytest

from insula.engine.spec import IdMap, IdRange
from insula.errors import OperationInvalidError, OperationTimeoutError
from insula.service import processes
from insula.service.guest import PidPair
from insula.service.processes import ProcessVerbs, _task, _user
from tests.unit.service.fakes import Rig, domain_xml

STAT = b"77 (a) b (c) S 5 77 77 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1234 9000 25 18446744073709551615"


class _Looker:
    """Answers so, or not at all."""

    def __init__(self, answer: dict[str, str] | Exception) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    async def look(self, sight: object, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
        del sight, fds, seconds
        self.asked.append((look, arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_name_may_hold_anything_and_numbers_have_their_units() -> None:
    task = _task(STAT, 77, 3, {5: 1}, 0)
    assert (task.pid, task.host_pid, task.parent, task.state) == (3, 77, 1, "S")
    assert task.command == "[a) b (c]" and task.memory == 25 * os.sysconf("SC_PAGE_SIZE")
    assert task.cpu_time == 200 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_users_are_the_guests() -> None:
    idmap = IdMap(uids=(IdRange(inside=0, outside=100_000, count=1000),), gids=())
    assert (_user(100_005, idmap), _user(0, idmap), _user(7, None)) == (5, None, 7)


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [{str(os.getpid()): "init --now"}, OperationTimeoutError("held up")])
async def test_who_is_not_answered_goes_by_the_kernels_name(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | Exception
) -> None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    pair = PidPair(host_pid=os.getpid(), guest_pid=1)
    monkeypatch.setattr(processes, "guest_processes", lambda init, pids: [pair])
    monkeypatch.setattr(type(managed.require_run().container.group), "processes", lambda self: [os.getpid()])
    looker = _Looker(answer)
    told = await ProcessVerbs(looker).processes(managed)
    assert [each["pid"] for each in told] == [1] and looker.asked == [("read-commands", {"pids": [os.getpid()]})]
    assert told[0]["command"] == ("init --now" if isinstance(answer, dict) else told[0]["command"])
    assert told[0]["command"].startswith("init" if isinstance(answer, dict) else "[")


@pytest.mark.asyncio
async def test_a_domain_that_is_off_has_none(rig: Rig) -> None:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    with pytest.raises(OperationInvalidError):
        await ProcessVerbs(_Looker({})).processes(managed)
