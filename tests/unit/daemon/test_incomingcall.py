"""What a handler is given: flags that are refused, descriptors that are closed."""

import asyncio
import os

import pytest

from insula.daemon.incomingcall import IncomingCall
from insula.errors import InvalidArgumentError
from insula.rpc.arrivals import Call
from insula.rpc.codes.requestcodes import StartFlags
from insula.rpc.procedures import Remote
from insula.service.events import Events
from tests.unit.daemon.fakes import FakeClient, FakeDomains, services_of
from tests.waiting import until


def request(*fds: int) -> IncomingCall:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    call = Call(Remote.DOMAIN_CREATE_WITH_FILES, 1, None, fds)
    return IncomingCall(call=call, client=FakeClient(Events()), services=services_of(asyncio.run(make())))


def is_open(descriptor: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{descriptor}")


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_known_flags_pass(flags: int) -> None:
    request().allow_flags(flags, StartFlags.PAUSED | StartFlags.AUTODESTROY)


@pytest.mark.parametrize(("flags", "named"), [(4, "0x4"), (1 | 1 << 30, "0x40000000"), (0xFFFFFFFF, "0xfffffffc")])
def test_every_other_bit_is_named_in_the_refusal(flags: int, named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"\({named}\) in function virDomainCreateWithFiles"):
        request().allow_flags(flags, StartFlags.PAUSED | StartFlags.AUTODESTROY)


def test_descriptors_nobody_took_are_closed() -> None:
    reader, writer = os.pipe()
    asked = request(reader)
    asked.reply_fds = [writer]
    asked.dispose()
    until(lambda: not is_open(reader) and not is_open(writer), "both being closed")
    asked.dispose()


def test_descriptors_that_were_taken_stay_open() -> None:
    reader, writer = os.pipe()
    asked = request(reader, writer)
    assert tuple(asked.take_fds()) == (reader, writer)
    asked.dispose()
    assert is_open(reader) and is_open(writer)
    os.close(reader)
    os.close(writer)
