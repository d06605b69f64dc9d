"""Punctuality: who does not open the connection, or does not finish a packet, is late."""

import asyncio

import pytest

from insula.daemon import punctuality as punctuality_module
from insula.daemon.punctuality import Punctuality
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


class Clocks:
    """A client's clocks with short times. late: what it was late with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, opening: float = 60, packet: float = 60) -> None:
        monkeypatch.setattr(punctuality_module, "OPENING_SECONDS", opening)
        monkeypatch.setattr(punctuality_module, "PACKET_SECONDS", packet)
        self.late: list[str] = []
        self.reading = True
        self.clocks = Punctuality(reading=lambda: self.reading, late=self.late.append)

    async def until_late(self) -> None:
        async with asyncio.timeout(patience(20)):
            while not self.late:  # noqa: ASYNC110 - a timer is the event
                await asyncio.sleep(0.002)


async def test_who_never_opens_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, opening=0.01)
    clocks.clocks.connected()
    await clocks.until_late()
    assert clocks.late == ["it did not open the connection within 0.01 s"]


async def test_who_has_opened_has_all_the_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, opening=0.01)
    clocks.clocks.connected()
    clocks.clocks.opened()
    await asyncio.sleep(0.05)
    assert clocks.late == []


async def test_who_sends_bytes_without_end_of_one_packet_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, packet=0.05)
    async with asyncio.timeout(patience(20)):
        while not clocks.late:
            clocks.clocks.heard(packets=0, unfinished=True)
            await asyncio.sleep(0.002)
    assert clocks.late == ["it did not finish a packet within 0.05 s"]


async def test_each_packet_has_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, packet=30)
    clocks.clocks.heard(packets=0, unfinished=True)
    began = clocks.clocks._began
    await asyncio.sleep(0.01)
    clocks.clocks.heard(packets=1, unfinished=True)
    assert clocks.clocks._began > began
    clocks.clocks.close()


async def test_a_finished_packet_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, packet=0.01)
    clocks.clocks.heard(packets=0, unfinished=True)
    clocks.clocks.heard(packets=1, unfinished=False)
    await asyncio.sleep(0.05)
    assert clocks.late == []


async def test_time_stands_still_while_we_do_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch, packet=0.01)
    clocks.reading = False
    clocks.clocks.heard(packets=0, unfinished=True)
    await asyncio.sleep(0.1)
    assert clocks.late == []
    clocks.reading = True
    await clocks.until_late()
