"""Asking the looker: deadlines, one look a guest, and no wait for what cannot end."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from insula.engine.look import looking
from insula.engine.look.looking import Looker, Sight
from insula.errors import OperationFailedError, OperationTimeoutError
from insula.kernel.fds import Fd
from insula.kernel.process import has_ended
from tests.waiting import patience, scaled, stop, until

WEB = Sight(whose="1", name="domain 'web'")
MAIL = Sight(whose="2", name="domain 'mail'")
CODE = """
import time
from insula.engine.look import looks
from insula.engine.look import looker
def echo(arguments, fds):
    return arguments
def hang(arguments, fds):
    time.sleep(1000)
def gone(arguments, fds):
    raise ProcessLookupError(3, "No such process")
def fail(arguments, fds):
    raise ValueError("no")
for each in (echo, hang, gone, fail):
    looks.LOOKS[each.__name__] = looks.Look(function=each, capabilities=frozenset())
looker.main()
"""


@pytest_asyncio.fixture
async def looker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looker]:
    monkeypatch.setattr(looking, "_CODE", CODE)
    made = Looker()
    yield made
    await made.close()


async def look(looker: Looker, sight: Sight, name: str, arguments: Mapping[str, Any], seconds: float = 20) -> Any:
    return await looker.look(sight, name, arguments, {}, seconds=scaled(seconds))


@pytest.mark.asyncio
async def test_a_look_returns_what_it_sees(looker: Looker) -> None:
    seen = await asyncio.gather(*(look(looker, WEB, "echo", {"n": number}) for number in range(5)))
    assert seen == [{"n": number} for number in range(5)]


@pytest.mark.asyncio
async def test_an_error_of_the_kernels_is_raised_as_one_and_any_other_as_a_failure(looker: Looker) -> None:
    with pytest.raises(ProcessLookupError):
        await look(looker, WEB, "gone", {})
    with pytest.raises(OperationFailedError, match="ValueError: no"):
        await look(looker, WEB, "fail", {})


@pytest.mark.asyncio
async def test_a_guest_that_does_not_answer_is_named_and_others_are_looked_into(looker: Looker) -> None:
    await look(looker, MAIL, "echo", {})
    hanging = asyncio.create_task(look(looker, WEB, "hang", {}, seconds=0.5))
    assert await look(looker, MAIL, "echo", {"n": 1}) == {"n": 1}
    with pytest.raises(OperationTimeoutError, match="domain 'web' does not answer"):
        await hanging
    # A process that could be killed is no reason to refuse the next look.
    assert await look(looker, WEB, "echo", {"n": 2}) == {"n": 2}


@pytest.mark.asyncio
async def test_while_the_process_of_a_look_cannot_end_its_guest_is_not_looked_into(
    looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await look(looker, MAIL, "echo", {})
    left: list[Fd] = []
    kill = looking.Child.kill

    def unkillable(child: looking.Child) -> Fd | None:
        left.append(Fd(os.dup(child.process)))
        process, child.process = child.process, Fd(-1)
        return process

    monkeypatch.setattr(looking.Child, "kill", unkillable)
    with pytest.raises(OperationTimeoutError):
        await look(looker, WEB, "hang", {}, seconds=0.2)
    monkeypatch.setattr(looking.Child, "kill", kill)
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(OperationTimeoutError, match="does not answer"):
            await look(looker, WEB, "echo", {}, seconds=20)
    assert time.monotonic() - begun < scaled(10)
    assert await look(looker, MAIL, "echo", {"n": 1}) == {"n": 1}
    signal.pidfd_send_signal(left[0], signal.SIGKILL)
    while not has_ended(left[0]):  # noqa: ASYNC110 - its end is the event
        await asyncio.sleep(0.01)
    assert await look(looker, WEB, "echo", {"n": 2}) == {"n": 2}
    os.close(left[0])


@pytest.mark.asyncio
async def test_who_gives_up_leaves_no_process_behind(looker: Looker) -> None:
    await look(looker, MAIL, "echo", {})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(look(looker, WEB, "hang", {}), 0.2)
    assert await look(looker, WEB, "echo", {}) == {}


@pytest.mark.asyncio
async def test_a_looker_that_has_died_is_started_again(looker: Looker) -> None:
    await look(looker, WEB, "echo", {})
    process = looker._process
    assert process is not None
    process.kill()
    process.wait()
    assert await look(looker, WEB, "echo", {"n": 1}) == {"n": 1}


@pytest.mark.asyncio
async def test_a_looker_that_is_stopped_is_told_from_a_guest_that_does_not_answer(looker: Looker) -> None:
    await look(looker, WEB, "echo", {})
    process = looker._process
    assert process is not None
    stop(process.pid)
    with pytest.raises(OperationFailedError, match="looks into guests does not answer"):
        await look(looker, WEB, "echo", {}, seconds=0.2)
    assert process.wait(patience(10)) == -signal.SIGKILL
    assert await look(looker, WEB, "echo", {"n": 1}) == {"n": 1}


@pytest.mark.asyncio
async def test_too_many_guests_that_do_not_answer_are_refused(looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_LEFT_BEHIND_MAX", 0)
    with pytest.raises(OperationFailedError, match="guests do not answer"):
        await look(looker, WEB, "echo", {})


def test_what_takes_no_request_is_told() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with ours, pytest.raises(looking.LookerGoneError):
        looking.Child(ours, "echo", {}, {})


def test_a_looker_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> "subprocess.Popen[bytes]":
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OperationFailedError, match="cannot be started"):
        looking.start_looker()


@pytest.mark.asyncio
async def test_the_time_that_a_looker_takes_to_begin_is_no_looks(
    looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_CODE", f"import time; time.sleep({scaled(2) + 0.5})\n{CODE}")
    assert await look(looker, WEB, "echo", {"n": 1}, seconds=2) == {"n": 1}


@pytest.mark.parametrize(("code", "seconds"), [("", 30.0), ("import time; time.sleep(100)", 0.1)])
def test_a_looker_that_does_not_begin_is_an_error_and_is_gone(
    code: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_CODE", code)
    monkeypatch.setattr(looking, "BEGINNING", scaled(seconds))
    with pytest.raises(OperationFailedError, match=r"does not begin|ended before it began"):
        looking.begun_looker()


@pytest.mark.asyncio
async def test_looks_that_take_as_long_as_they_take_leave_the_others_their_places(
    looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    looker._places = asyncio.Semaphore(2)
    sights = [Sight(whose=f"{number} as it is dumped", name="domain") for number in range(4)]
    lasting = [asyncio.create_task(looker.look(each, "hang", {}, {}, seconds=None)) for each in sights]
    await asyncio.sleep(0.1)
    assert await look(looker, WEB, "echo", {"n": 1}) == {"n": 1}
    for each in lasting:
        each.cancel()
    await asyncio.gather(*lasting, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_look_that_is_given_up_right_as_it_has_begun_is_killed(looker: Looker) -> None:
    await look(looker, MAIL, "echo", {})
    channel = looker._channel
    assert channel is not None
    child = looking.Child(channel, "hang", {}, {})
    while not select.select([child.answers], [], [], patience(10))[0]:
        pass
    process = child.kill()  # nobody has read yet that it began
    assert process is not None or child.process >= 0
    for each in (process, child.process):
        if each is not None and each >= 0:
            until(lambda fd=each: has_ended(fd), "its end")  # type: ignore[misc]
    if process is not None:
        os.close(process)
    child.close()


@pytest.mark.asyncio
async def test_a_look_without_end_returns_what_it_sees(looker: Looker) -> None:
    assert await looker.look(WEB, "echo", {"n": 1}, {}, seconds=None) == {"n": 1}
