"""File systems of guests: which are told, and that a guest stands still while they are written out, or goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from insula.errors import (
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
)
from insula.kernel.mountinfo import mounts_in
from insula.model.domainstates import DomainState
from insula.service import guestfilesystems
from insula.service.guestfilesystems import GuestFilesystemVerbs, kept
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.visits import ScriptedLooker

pytestmark = pytest.mark.asyncio

MOUNTS = """\
100 90 8:1 /srv/web / rw shared:1 - ext4 /dev/sda1 rw
101 100 0:50 / /proc rw - proc proc rw
102 100 0:51 / /run rw - tmpfs tmpfs rw
103 100 7:3 / /data rw - ext4 /dev/loop3 rw
104 100 0:60 / /remote rw - fuse.sshfs host:/x rw
105 100 8:1 /var/lib/resolv.conf /etc/resolv.conf ro - ext4 /dev/sda1 rw
106 101 8:1 /x /proc/odd ro - ext4 /dev/sda1 rw
107 103 0:70 / /data rw - tmpfs tmpfs rw
108 100 253:0 / /own rw - xfs /dev/mapper/a\\040b rw
"""
SIZES = {"/": [100, 40], "/own": [10, 1]}


def served(
    rig: Rig, looker: ScriptedLooker, monkeypatch: pytest.MonkeyPatch, mounts: str = MOUNTS
) -> GuestFilesystemVerbs:
    monkeypatch.setattr(guestfilesystems, "mounts_of_process", lambda pid: list(mounts_in(mounts)))
    return GuestFilesystemVerbs(GuestVisits(looker), rig.domains.services.lifecycle)


async def running(rig: Rig) -> ManagedDomain:
    managed = rig.domains.of(await rig.domains.define(domain_xml()))
    await rig.domains.start(managed.ref)
    return managed


async def test_what_keeps_something_is_told_as_init_sees_it() -> None:
    found = {each.point: each for each in kept(mounts_in(MOUNTS))}
    assert set(found) == {"/", "/etc/resolv.conf", "/remote", "/own"}
    assert (found["/"].name, found["/"].kind, found["/"].whole) == ("sda1", "ext4", False)
    assert (found["/own"].name, found["/own"].whole, found["/own"].device) == ("mapper/a b", True, "253:0")
    assert not found["/remote"].answers


async def test_names_that_command_a_terminal_are_told_visibly_and_taken_as_they_are_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "/a\x1b[2J\r\udcff"
    hostile = f"103 100 7:3 / {odd} rw - fuseblk.\x1b /dev/x\x1b rw\n104 100 7:4 / /b rw - ext4 x rw\n"
    managed, looker = (
        await running(rig),
        ScriptedLooker({"measure-mounts": {}, "sync-mounts": 1, "trim-mounts": {odd: 1}}),
    )
    verbs = served(rig, looker, monkeypatch, hostile)
    (one,) = await verbs.filesystems(managed)
    assert (one.shown, one.name, one.kind) == (r"/a\u001b[2J\u000d\udcff", r"x\u001b", r"fuseblk.\u001b")
    await verbs.trim(managed, one.shown)
    assert looker.asked[-1] == ("trim-mounts", {"mounts": [{"point": odd, "device": "7:3"}], "least": 0})
    with pytest.raises(InvalidArgumentError) as told:
        await verbs.freeze(managed, ["/nowhere"])
    assert str(told.value).isprintable()


async def test_a_guest_that_covers_all_that_keeps_anything_does_not_stand_still_for_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": {}, "sync-mounts": 0})
    verbs = served(rig, looker, monkeypatch, MOUNTS + "109 100 0:71 / / rw - tmpfs tmpfs rw\n")
    with pytest.raises(OperationUnsupportedError, match="pause it instead"):
        await verbs.freeze(managed)
    assert not managed.require_run().container.group.frozen


async def test_they_are_measured_but_single_files_and_what_the_guest_itself_serves(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": SIZES})
    verbs = served(rig, looker, monkeypatch)
    found = await verbs.filesystems(managed)
    assert [(each.point, each.size, each.used) for each in found] == [
        ("/", 100, 40),
        ("/own", 10, 1),
        ("/remote", None, None),
    ]
    assert looker.asked == [("measure-mounts", {"points": ["/", "/etc/resolv.conf", "/own"]})]
    looker.answers["measure-mounts"] = OperationTimeoutError("it does not answer")
    assert [each.size for each in await verbs.filesystems(managed)] == [None] * 4


async def test_a_guest_stands_still_with_all_written_out_until_it_is_let_go(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": SIZES, "sync-mounts": 2})
    verbs = served(rig, looker, monkeypatch)
    assert await verbs.thaw(managed) == 0
    assert await verbs.freeze(managed) == 2
    assert looker.asked[-1] == ("sync-mounts", {"points": ["/", "/own"]})
    assert managed.require_run().container.group.frozen
    with pytest.raises(OperationInvalidError, match="is paused"):
        await verbs.freeze(managed)
    assert await verbs.thaw(managed) == 2
    assert not managed.require_run().container.group.frozen
    assert await verbs.thaw(managed) == 0


async def test_a_guest_whose_daemon_dies_while_it_is_written_out_can_be_thawed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = await running(rig)
    noted: list[int] = []

    class Noting(ScriptedLooker):
        async def look(self, sight: object, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
            noted.append(managed.require_run().record.quiesced)
            return await super().look(sight, look, arguments, fds, seconds=seconds)

    verbs = served(rig, Noting({"measure-mounts": SIZES, "sync-mounts": 2}), monkeypatch)
    await verbs.freeze(managed)
    assert noted == [0, 2]


async def test_one_that_was_paused_by_somebody_is_not_let_go(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": SIZES, "sync-mounts": 2})
    verbs = served(rig, looker, monkeypatch)
    assert await verbs.freeze(managed) == 2
    await rig.domains.resume(managed.ref)
    await rig.domains.suspend(managed.ref)
    assert await verbs.thaw(managed) == 0
    assert managed.require_run().container.group.frozen


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OperationTimeoutError("it does not answer")])
async def test_a_guest_goes_on_if_not_all_could_be_written_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": SIZES, "sync-mounts": error})
    with pytest.raises((OperationFailedError, OperationTimeoutError)):
        await served(rig, looker, monkeypatch).freeze(managed)
    assert not managed.require_run().container.group.frozen


async def test_a_place_without_a_file_system_is_refused_before_anything_stands_still(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed, looker = await running(rig), ScriptedLooker({"measure-mounts": SIZES})
    verbs = served(rig, looker, monkeypatch)
    with pytest.raises(InvalidArgumentError, match="no file system at '/nowhere'"):
        await verbs.freeze(managed, ["/", "/nowhere"])
    with pytest.raises(InvalidArgumentError, match="no file system at '/nowhere'"):
        await verbs.trim(managed, "/nowhere")
    assert not managed.require_run().container.group.frozen


async def test_only_what_is_the_guests_alone_is_trimmed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    managed, looker = await running(rig), ScriptedLooker({"trim-mounts": {"/own": 4096}})
    verbs = served(rig, looker, monkeypatch)
    await verbs.trim(managed, least=5)
    assert looker.asked == [("trim-mounts", {"mounts": [{"point": "/own", "device": "253:0"}], "least": 5})]
    with pytest.raises(OperationUnsupportedError, match="shares the host's file systems"):
        await verbs.trim(managed, "/")
    looker.answers["trim-mounts"] = {}
    with pytest.raises(OperationUnsupportedError, match="can be trimmed"):
        await verbs.trim(managed)


async def test_a_freeze_that_fails_lets_no_other_run_go_on_nor_one_that_was_paused_since(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = await running(rig)
    meanwhile: list[Callable[[], Coroutine[Any, Any, Any]]] = []

    class Failing(ScriptedLooker):
        async def look(self, sight: object, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
            if look == "sync-mounts":
                for each in meanwhile:
                    await each()
                raise OperationTimeoutError("it does not answer")
            return await super().look(sight, look, arguments, fds, seconds=seconds)

    async def pause_anew() -> None:
        await rig.domains.resume(managed.ref)
        await rig.domains.suspend(managed.ref)

    verbs = served(rig, Failing({"measure-mounts": SIZES}), monkeypatch)
    with pytest.raises(OperationTimeoutError):
        await verbs.freeze(managed)
    assert not managed.require_run().container.group.frozen
    meanwhile.append(pause_anew)
    with pytest.raises(OperationTimeoutError):
        await verbs.freeze(managed)
    assert managed.state.state is DomainState.PAUSED and managed.require_run().container.group.frozen
    await rig.domains.resume(managed.ref)

    async def begin_anew() -> None:
        await rig.domains.destroy(managed.ref)
        await rig.domains.start(managed.ref)
        await rig.domains.suspend(managed.ref)

    meanwhile[:] = [begin_anew]
    with pytest.raises(OperationTimeoutError):
        await verbs.freeze(managed)
    assert managed.state.state is DomainState.PAUSED


async def test_a_thaw_lets_nobody_go_on_who_was_paused_before_its_turn_came(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = await running(rig)
    verbs = served(rig, ScriptedLooker({"measure-mounts": SIZES, "sync-mounts": 2}), monkeypatch)
    await verbs.freeze(managed)
    resuming = asyncio.create_task(rig.domains.resume(managed.ref))
    suspending = asyncio.create_task(rig.domains.suspend(managed.ref))
    await asyncio.sleep(0)
    assert await verbs.thaw(managed) == 0
    await asyncio.gather(resuming, suspending)
    assert managed.state.state is DomainState.PAUSED
