"""Guests that reboot: the same domain to everybody, at once, however often."""

import asyncio
import errno
import os
from functools import partial
from typing import Any

import pytest

from insula.engine.console.consolechannel import Viewing
from insula.engine.launch.runningcontainer import Running
from insula.errors import OperationFailedError
from insula.model.domainstates import DomainState
from insula.service import lifecycle
from tests.unit.service.fakes import REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import defined, state, told
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_a_guest_that_reboots_is_the_same_domain_under_another_id(rig: Rig) -> None:
    ref = await defined(rig)
    before = await rig.domains.start(ref)
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))

    after = rig.domains.ref(ref)
    assert (after.uuid, after.name) == (before.uuid, before.name)
    assert after.id not in (-1, before.id)
    assert state(rig, ref) == ("running", "booted")
    assert told(rig) == ["started booted", "reboot"]


async def test_a_guest_that_reboots_is_seen_off_by_nobody(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await defined(rig)
    before = await rig.domains.start(ref)
    launch, seen = rig.engine.launch, list[Any]()

    async def watched(*arguments: Any, **named: Any) -> Running:
        managed = rig.domains.of(ref)
        seen.append(
            (managed.state.state, managed.id, managed.is_shown_active, rig.domains.services.domains.by_id(before.id))
        )
        return await launch(*arguments, **named)

    monkeypatch.setattr(rig.engine, "launch", watched)
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))

    assert seen == [(DomainState.RUNNING, before.id, True, rig.domains.of(ref))]
    assert rig.domains.of(ref).id != before.id


async def test_a_reboot_that_fails_is_a_stop_to_everybody(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.refusals["clone"] = OSError(errno.EAGAIN, "no more guests")
    rig.end(WEB, REBOOTED)
    await until(lambda: "stopped failed" in told(rig))

    assert told(rig) == ["started booted", "startfailed", "stopped failed"]
    assert state(rig, ref) == ("shutoff", "failed")
    assert not rig.domains.of(ref).is_shown_active


async def test_who_looks_at_the_console_of_a_guest_that_reboots_sees_the_next_run(rig: Rig) -> None:
    rig.preparation.consoles = 1
    ref = await defined(rig)
    await rig.domains.start(ref)
    viewers = rig.domains.console(ref), rig.domains.console(ref, viewing=Viewing.WATCHING)
    viewers[0].resize(40, 100)
    os.write(rig.guest().terminals[0], b"going down\n")
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))
    os.write(rig.guest().terminals[0], b"login: ")

    for viewer in viewers:
        seen = b""
        async with asyncio.timeout(patience(5)):
            while not seen.endswith(b"login: "):
                seen += await viewer.read()
        assert seen == b"going down\r\nlogin: "
    await viewers[0].write(b"root\n")
    assert os.read(rig.guest().terminals[0], 100) == b"root\n"
    assert os.get_terminal_size(rig.guest().terminals[0]) == (100, 40)
    with pytest.raises(OperationFailedError, match="an active session exists"):
        rig.domains.console(ref)


async def test_what_is_typed_while_a_guest_reboots_is_read_by_nobody(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.preparation.consoles = 1
    ref = await defined(rig)
    await rig.domains.start(ref)
    staying, leaving = rig.domains.console(ref), rig.domains.console(ref, viewing=Viewing.WATCHING)
    launch = rig.engine.launch

    async def meanwhile(*arguments: Any, **named: Any) -> Running:
        await staying.write(b"too early\n")
        leaving.close()
        return await launch(*arguments, **named)

    monkeypatch.setattr(rig.engine, "launch", meanwhile)
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))
    await staying.write(b"now\n")
    assert os.read(rig.guest().terminals[0], 100) == b"now\n"
    assert await leaving.read() == b""


async def test_who_looks_at_a_console_sees_the_end_if_nothing_follows_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.preparation.consoles = 1
    ref = await defined(rig)
    for refusal, reason in ((OSError(errno.EAGAIN, "no more guests"), "stopped failed"), (None, "stopped shutdown")):
        await rig.domains.start(ref)
        viewer = rig.domains.console(ref)
        if refusal is not None:
            rig.refusals["clone"] = refusal
        else:
            monkeypatch.setattr(lifecycle, "REBOOTS_FREE", 0)
        rig.end(WEB, REBOOTED)
        await until(partial(lambda wanted: wanted in told(rig), reason))
        async with asyncio.timeout(patience(5)):
            assert await viewer.read() == b""
        rig.refusals.clear()
    await rig.domains.destroy(ref)


async def test_a_reboot_keeps_what_was_changed_while_running(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.define(domain_xml(more="<title>for the next start</title>"))
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))

    assert "<title>" not in rig.domains.dump_xml(ref)
    assert "<title>" in rig.domains.dump_xml(ref, inactive=True)


async def test_a_guest_that_is_asked_to_reboot_again_and_again_does_so_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 3600.0)
    monkeypatch.setattr(lifecycle, "REBOOTS_FREE", 0)
    ref = await defined(rig)
    await rig.domains.start(ref)
    for number in range(8):
        await rig.domains.reboot(ref)
        rig.end(WEB, REBOOTED)
        await until(partial(lambda count: told(rig).count("reboot") > count, number))

    assert told(rig) == ["started booted", *["reboot"] * 8]


async def test_a_guest_that_reboots_by_itself_is_held_up_only_where_it_cannot_boot(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 3600.0)
    monkeypatch.setattr(lifecycle, "REBOOTS_FREE", 4)
    ref = await defined(rig)
    await rig.domains.start(ref)
    for number in range(4):
        rig.end(WEB, REBOOTED)
        await until(partial(lambda count: told(rig).count("reboot") > count, number))
    rig.end(WEB, REBOOTED)
    await until(lambda: rig.domains.running() == 1 and not rig.domains.is_active(ref))

    assert told(rig) == ["started booted", *["reboot"] * 4, "stopped shutdown"]
    await rig.domains.destroy(ref)
