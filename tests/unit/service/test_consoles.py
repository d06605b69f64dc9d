"""Consoles are found by the names clients have for them."""

import asyncio
import os
import re

import pytest

from insula.engine.console.consolechannel import Viewing
from insula.errors import DeviceMissingError, InvalidArgumentError, OperationFailedError, OperationInvalidError
from tests.unit.service.fakes import EXITED, WEB, Rig, domain_xml, until
from tests.waiting import patience

pytestmark = pytest.mark.asyncio
XML = domain_xml().replace("<devices>", "<devices><console type='pty'/><console type='pty'/>")


async def test_what_the_guest_prints_reaches_the_viewer_and_the_log(rig: Rig) -> None:
    rig.preparation.consoles = 2
    ref = await rig.domains.create_xml(XML)
    viewer = rig.domains.console(ref, "console1")
    os.write(rig.guest().terminals[1], b"login: ")

    async with asyncio.timeout(patience(5)):
        assert await viewer.read() == b"login: "
    log = rig.domains.console_log(ref, "console1")
    await until(lambda: log.exists() and log.read_bytes() == b"login: ")
    assert rig.domains.console_log(ref).name == "web.console0.log"


async def test_a_console_answers_to_alias_terminal_and_number(rig: Rig) -> None:
    rig.preparation.consoles = 2
    ref = await rig.domains.create_xml(XML)
    found = re.findall(r"<console type='pty' tty='(/dev/pts/\d+)'>", rig.domains.dump_xml(ref))
    terminal = found[1]

    for name in ("console1", "1", terminal):
        rig.domains.console(ref, name, viewing=Viewing.WATCHING).close()
    with pytest.raises(DeviceMissingError, match="cannot find console device 'console2'"):
        rig.domains.console(ref, "console2")


async def test_consoles_that_were_lost_are_told(rig: Rig) -> None:
    rig.preparation.consoles = 0
    ref = await rig.domains.create_xml(XML)
    with pytest.raises(OperationFailedError, match="were lost when insulad and its keeper were killed together"):
        rig.domains.console(ref)


async def test_a_second_interactive_viewer_needs_force_and_then_takes_over(rig: Rig) -> None:
    rig.preparation.consoles = 2
    ref = await rig.domains.create_xml(XML)
    first = rig.domains.console(ref)
    with pytest.raises(OperationFailedError):
        rig.domains.console(ref)
    second = rig.domains.console(ref, force=True)

    async with asyncio.timeout(patience(5)):
        assert await first.read() == b""
    second.close()


async def test_the_console_ends_with_the_guest(rig: Rig) -> None:
    rig.preparation.consoles = 2
    ref = await rig.domains.create_xml(XML)
    viewer = rig.domains.console(ref)
    os.write(rig.guest().terminals[0], b"last words")
    rig.end(WEB, EXITED)

    said = b""
    async with asyncio.timeout(patience(5)):
        while chunk := await viewer.read():
            said += chunk
    assert said == b"last words"


async def test_a_window_size_reaches_the_guest(rig: Rig) -> None:
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(XML)
    rig.domains.resize_console(ref, None, 50, 132)

    assert os.get_terminal_size(rig.guest().terminals[0]) == (132, 50)


async def test_what_is_off_has_a_log_but_no_console(rig: Rig) -> None:
    ref = await rig.domains.define(XML)
    with pytest.raises(OperationInvalidError, match="not running"):
        rig.domains.console(ref)
    assert rig.domains.console_log(ref).parent == rig.layout.logs


@pytest.mark.parametrize("size", [(65536, 80), (24, 65536)])
async def test_a_window_size_that_no_terminal_can_have_is_refused(rig: Rig, size: tuple[int, int]) -> None:
    rig.preparation.consoles = 1
    ref = await rig.domains.create_xml(XML)
    with pytest.raises(InvalidArgumentError, match="at most 65535 rows and columns"):
        rig.domains.resize_console(ref, None, *size)
