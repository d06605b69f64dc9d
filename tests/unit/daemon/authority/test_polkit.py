"""Polkit over a bus: what is asked, what each answer means, and that nobody waits for ever."""

import asyncio
from collections.abc import Iterator

import pytest
from jeepney import Message

from insula.daemon.authority import polkit as polkit_module
from insula.daemon.authority.polkit import Polkit, PolkitAnswer, PolkitUnavailableError
from insula.daemon.peers import Peer
from insula.engine.launch.systembus import SystemBus
from tests.unit.engine.launch.fakebus import FakeBus, member, refused, returned
from tests.waiting import patience

pytestmark = pytest.mark.asyncio
SOMEBODY = Peer(pid=4711, uid=1000, gid=1000, born=99)
START = "org.libvirt.api.domain.start"


@pytest.fixture
def bus() -> Iterator[FakeBus]:
    made = FakeBus()
    yield made
    made.close()


def answering(bus: FakeBus, authorized: bool, challenge: bool = False, **details: str) -> Polkit:
    told = {name.replace("_", "."): value for name, value in details.items()}
    bus.answer = lambda message: returned(message, "(bba{ss})", (authorized, challenge, told))
    return Polkit(SystemBus(bus.opened))


async def verdict(polkit: Polkit, peer: Peer = SOMEBODY, *, interactive: bool = False) -> PolkitAnswer:
    try:
        return await polkit.verdict(peer, START, {"domain_name": "web"}, interactive=interactive)
    finally:
        polkit.close()


async def test_the_process_is_named_by_pid_start_and_user(bus: FakeBus) -> None:
    assert await verdict(answering(bus, authorized=True), interactive=True) is PolkitAnswer.YES
    (asked,) = bus.calls
    (kind, process), action, details, flags, cancellation = asked.body
    assert kind == "unix-process" and action == START and details == {"domain_name": "web"} and flags == 1
    assert process == {"pid": ("u", 4711), "start-time": ("t", 99), "uid": ("i", 1000)}
    assert cancellation


async def test_each_answer_has_its_meaning(bus: FakeBus) -> None:
    assert await verdict(answering(bus, authorized=False)) is PolkitAnswer.NO
    assert await verdict(answering(bus, authorized=False, challenge=True)) is PolkitAnswer.NOBODY_TO_ASK
    assert await verdict(answering(bus, authorized=False, polkit_dismissed="1")) is PolkitAnswer.DISMISSED


async def test_root_is_not_asked_about(bus: FakeBus) -> None:
    assert await verdict(answering(bus, authorized=False), Peer(pid=1, uid=0, gid=0)) is PolkitAnswer.YES
    assert not bus.calls


@pytest.mark.parametrize("gone", [Peer(pid=4711, uid=1000, gid=1000), Peer(uid=None, address="192.0.2.7")])
async def test_who_is_no_living_process_here_has_no_verdict(bus: FakeBus, gone: Peer) -> None:
    with pytest.raises(PolkitUnavailableError, match="no living one"):
        await verdict(answering(bus, authorized=True), gone)
    assert not bus.calls


async def test_an_error_is_no_verdict_and_is_told(bus: FakeBus) -> None:
    bus.answer = lambda message: refused(message, "org.freedesktop.PolicyKit1.Error.Failed", "not registered")
    with pytest.raises(PolkitUnavailableError, match=f"'{START}': not registered"):
        await verdict(Polkit(SystemBus(bus.opened)))


async def test_without_a_bus_there_is_no_verdict() -> None:
    def opened() -> None:
        raise FileNotFoundError("no socket")

    with pytest.raises(PolkitUnavailableError, match="there is no system bus"):
        await verdict(Polkit(SystemBus(opened)))  # type: ignore[arg-type]


async def test_a_question_that_is_not_answered_ends_and_is_taken_back(
    bus: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polkit_module, "ANSWER_SECONDS", 0.05)
    bus.silent = True
    polkit = Polkit(SystemBus(bus.opened))
    with pytest.raises(PolkitUnavailableError, match="has not answered"):
        await polkit.verdict(SOMEBODY, START, {}, interactive=False)
    await _taken_back(bus)
    polkit.close()


async def test_a_client_that_goes_takes_its_question_along(bus: FakeBus) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(message: Message) -> Message | None:
        loop.call_soon_threadsafe(asked.set)
        return None

    bus.answer = answer
    polkit = Polkit(SystemBus(bus.opened))
    asking = asyncio.create_task(polkit.verdict(SOMEBODY, START, {}, interactive=True))
    async with asyncio.timeout(patience(20)):
        await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await _taken_back(bus)
    polkit.close()


async def _taken_back(bus: FakeBus) -> None:
    async with asyncio.timeout(patience(20)):
        while "CancelCheckAuthorization" not in bus.members():  # noqa: ASYNC110 - another thread is the event
            await asyncio.sleep(0.001)
    taken_back = next(each for each in bus.calls if member(each) == "CancelCheckAuthorization")
    assert taken_back.body == (bus.calls[0].body[4],)
