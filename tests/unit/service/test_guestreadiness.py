"""When guests are ready, and who is told."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from insula.engine.launch.runningcontainer import Running
from insula.errors import OperationFailedError, OperationInvalidError, OperationTimeoutError
from insula.kernel.fds import Fd
from insula.service import guestreadiness
from insula.service.guestreadiness import ReadyState, ready_state
from insula.service.managed import ManagedDomain
from insula.service.probing import Probing
from tests.descriptors import open_fds
from tests.unit.service.fakes import POWERED_OFF, REBOOTED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
SETTINGS = "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>{}</insula:domain></metadata>"


async def started(rig: Rig, readiness: str) -> ManagedDomain:
    ref = await rig.domains.define(domain_xml(more=SETTINGS.format(readiness)))
    await rig.domains.start(ref)
    return rig.domains.of(ref)


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What probes say, one after the other, the last again and again; None: it is ready."""
    said: list[str | None] = ["not yet"]

    async def failure(self: Probing, managed: ManagedDomain, *_: Any) -> str | None:
        return said.pop(0) if len(said) > 1 else said[0]

    monkeypatch.setattr(Probing, "failure", failure)
    monkeypatch.setattr(guestreadiness, "_SECOND", 0.001)
    return said


async def test_a_domain_that_says_nothing_of_it_is_ready_as_it_runs(rig: Rig) -> None:
    managed = await started(rig, "")
    assert ready_state(managed) is ReadyState.READY
    await rig.domains.services.readiness.wait(managed)
    await rig.domains.destroy(managed.ref)
    assert ready_state(managed) is None
    with pytest.raises(OperationInvalidError):
        await rig.domains.services.readiness.wait(managed)


async def test_a_guest_is_ready_once_its_probe_succeeds_and_the_next_daemon_knows(
    rig: Rig, reasons: list[str | None]
) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    waiting = asyncio.ensure_future(rig.domains.services.readiness.wait(managed))
    run = managed.require_run()
    await until(lambda: run.says == "not yet")
    assert ready_state(managed) is ReadyState.STARTING and not waiting.done()
    reasons[:] = [None]
    await waiting
    assert ready_state(managed) is ReadyState.READY

    successor = rig.successor()
    await successor.domains.recover()
    successor.domains.services.readiness.begin()
    assert ready_state(successor.domains.of(managed.ref)) is ReadyState.READY
    await successor.close()


async def test_the_next_daemon_goes_on_waiting(rig: Rig, reasons: list[str | None]) -> None:
    ref = (await started(rig, "<insula:readiness port='80'/>")).ref
    rig.domains.services.readiness.close()
    successor = rig.successor()
    await successor.domains.recover()
    successor.domains.services.readiness.begin()
    managed = successor.domains.of(ref)
    assert ready_state(managed) is ReadyState.STARTING
    reasons[:] = [None]
    await successor.domains.services.readiness.wait(managed)
    await successor.close()


async def test_a_reboot_begins_as_not_ready_and_is_waited_through(rig: Rig, reasons: list[str | None]) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    waiting = asyncio.ensure_future(rig.domains.services.readiness.wait(managed))
    former = managed.run
    await until(lambda: former is not None and former.says == "not yet")
    rig.end(WEB, REBOOTED)
    await until(lambda: managed.run not in (former, None))
    assert ready_state(managed) is ReadyState.STARTING and not waiting.done()
    reasons[:] = [None]
    await waiting
    second = managed.run
    reasons[:] = ["not yet"]
    rig.end(WEB, REBOOTED)
    await until(lambda: managed.run not in (second, None))
    assert ready_state(managed) is ReadyState.STARTING


async def test_who_waits_for_a_guest_that_ends_is_told(rig: Rig, reasons: list[str | None]) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    waiting = asyncio.ensure_future(rig.domains.services.readiness.wait(managed))
    await asyncio.sleep(0)
    rig.end(WEB, POWERED_OFF)
    with pytest.raises(OperationFailedError, match="it ended before it was ready"):
        await waiting


async def test_a_guest_that_is_not_ready_in_its_time_is_late(rig: Rig, reasons: list[str | None]) -> None:
    managed = await started(rig, "<insula:readiness port='80' timeout='1'/>")
    with pytest.raises(OperationTimeoutError, match="it is not ready within 1 s"):
        await rig.domains.services.readiness.wait_in_time(managed)
    assert ready_state(managed) is ReadyState.LATE
    reasons[:] = [None]
    await until(lambda: ready_state(managed) is ReadyState.READY)


async def test_a_paused_guest_is_not_probed(rig: Rig, reasons: list[str | None]) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    run = managed.require_run()
    await until(lambda: run.says == "not yet")
    await rig.domains.suspend(managed.ref)
    reasons[:] = [None]
    tried = run.says
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert ready_state(managed) is ReadyState.STARTING and run.says == tried
    await rig.domains.resume(managed.ref)
    await until(lambda: ready_state(managed) is ReadyState.READY)


class Init:
    """What a guest's init says, through a socket that is there as long as its guest."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours, theirs = self.pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        theirs.setblocking(False)
        self.refused = 0
        launch = rig.engine.launch

        async def with_socket(*arguments: Any, **options: Any) -> Running:
            container = await launch(*arguments, **options)
            container.notices = Fd(os.dup(theirs.fileno()))
            return container

        def read(listening: Fd, init: int) -> Iterator[Mapping[str, str]]:
            while True:
                try:
                    text = theirs.recv(4096).decode()
                except BlockingIOError:
                    return
                yield dict(line.split("=", 1) for line in text.split("\n"))

        def refuse(listening: Fd) -> None:
            self.refused += 1

        monkeypatch.setattr(rig.engine, "launch", with_socket)
        monkeypatch.setattr(guestreadiness, "read_notices", read)
        monkeypatch.setattr(guestreadiness, "refuse_more", refuse)

    def say(self, text: str) -> None:
        self.ours.send(text.encode())


@pytest.fixture
def init(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Init]:
    made = Init(rig, monkeypatch)
    yield made
    for each in made.pair:
        each.close()


async def test_a_guest_is_ready_once_its_init_says_so(rig: Rig, init: Init) -> None:
    managed = await started(rig, "<insula:readiness notify='yes'/>")
    run = managed.require_run()
    init.say("STATUS=going\x1b on")
    await until(lambda: run.says.startswith("going"))
    assert "\x1b" not in run.says and ready_state(managed) is ReadyState.STARTING
    init.say("READY=0")
    init.say("STATUS=up\nREADY=1")
    await rig.domains.services.readiness.wait(managed)
    assert (run.record.says, init.refused) == ("up", 1)


async def test_a_guest_that_says_much_is_heard_less_often(
    rig: Rig, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guestreadiness, "_NOTICES_A_SECOND", 0.001)
    monkeypatch.setattr(guestreadiness, "_NOTICES_AT_ONCE", 1.0)
    managed = await started(rig, "<insula:readiness notify='yes'/>")
    run = managed.require_run()
    for word in ("one", "two", "three"):
        init.say(f"STATUS={word}")
    await until(lambda: run.says == "three")
    init.say("STATUS=four")
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert run.says == "three"
    before = len(open_fds())
    await rig.domains.destroy(managed.ref)
    assert len(open_fds()) < before


async def test_a_guest_whose_socket_was_lost_says_so(rig: Rig) -> None:
    managed = await started(rig, "<insula:readiness notify='yes'/>")
    await until(lambda: bool(managed.notices))
    assert "was lost with a daemon that was killed" in managed.notices[0]


async def test_a_clock_that_is_set_makes_no_guest_late(
    rig: Rig, reasons: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86400)
    assert ready_state(managed) is ReadyState.STARTING
    monkeypatch.setattr(time, "time", lambda: now() - 86400)
    assert 0 <= managed.require_run().record.age < 60


async def test_a_try_that_fails_in_an_unknown_way_is_not_the_last(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    async def failure(self: Probing, managed: ManagedDomain, *_: Any) -> str | None:
        tried.append(managed)
        if len(tried) == 1:
            raise RuntimeError("nobody thought of that")
        return None

    monkeypatch.setattr(Probing, "failure", failure)
    monkeypatch.setattr(guestreadiness, "_SECOND", 0.001)
    managed = await started(rig, "<insula:readiness port='80'/>")
    await until(lambda: ready_state(managed) is ReadyState.READY)
    assert "whether it is ready is not known: nobody thought of that" in caplog.text


@pytest.mark.parametrize("in_time", [True, False])
async def test_who_begins_to_wait_amid_a_reboot_is_told_that_it_is_over(
    rig: Rig, reasons: list[str | None], monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    managed = await started(rig, "<insula:readiness port='80'/>")
    launch, launching, go_on = rig.engine.launch, asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any, **options: Any) -> Any:
        launching.set()
        await go_on.wait()
        return await launch(*arguments, **options)

    monkeypatch.setattr(rig.engine, "launch", slowly)
    rig.end(WEB, REBOOTED)
    await launching.wait()
    assert managed.run is None and managed.is_shown_active
    readiness = rig.domains.services.readiness
    waiting = asyncio.ensure_future((readiness.wait_in_time if in_time else readiness.wait)(managed))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    reasons[:] = [None]
    go_on.set()
    await waiting
    assert ready_state(managed) is ReadyState.READY
