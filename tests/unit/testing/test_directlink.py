"""A link without a socket: answers are there at once, events come, and a dead keeper is noticed."""

import os

import pytest

from insula.engine.keeper.link import KeeperEvent
from insula.engine.keeper.protocol import IMAGE, Verb
from insula.errors import KeeperError
from insula.kernel.fds import sealed_file
from insula.testing import DirectLink, FakeHost
from insula.testing.emptyprograms import Performance

pytestmark = pytest.mark.asyncio
GROUP = "machine.slice/web"


async def test_it_asks_the_keeper_and_hears_of_ends() -> None:
    host, events = FakeHost(), list[KeeperEvent]()
    host.make_group(GROUP, maker="a")
    link = DirectLink(host, events.append)
    (await link.answer(link.ask(Verb.HELLO, {}, {}))).close()
    meant = {"uuid": "1", "launch": "a"}
    image = sealed_file("program", Performance().program.image)
    (await link.answer(link.ask(Verb.LAUNCH, meant, {IMAGE: image}))).close()
    os.close(image)
    (await link.answer(link.ask(Verb.GO, meant, {}))).close()
    host.end(host.guests()["1"], 3)
    assert [(each.uuid, each.status) for each in events] == [("1", 3)]
    link.close()
    host.close()


async def test_an_answer_that_is_an_error_is_raised() -> None:
    host = FakeHost()
    link = DirectLink(host)
    with pytest.raises(KeeperError, match="no guest"):
        await link.answer(link.ask(Verb.FETCH, {"uuid": "1"}, {}))
    host.close()


async def test_after_the_keepers_death_the_next_one_is_asked() -> None:
    host = FakeHost()
    link = DirectLink(host)
    (await link.answer(link.ask(Verb.PING, {}, {}))).close()
    host.kill_keeper()
    (await link.answer(link.ask(Verb.PING, {}, {}))).close()
    assert host.keeper is not None
    host.close()
