"""An init that lives hears what it is asked; one that has ended cannot be asked."""

import pytest

from insula.engine.look.looking import Sight
from insula.testing import FakeHost, FakeLooker

pytestmark = pytest.mark.asyncio
SIGHT = Sight(whose="1", name="web")


async def test_it_answers_for_the_living_only() -> None:
    host = FakeHost()
    host.make_group("g")
    process = host.clone(uuid="1", launch="a", group="g")
    looker = FakeLooker(host)
    asked = {"pid": process.pid, "kind": "systemd"}
    assert (await looker.look(SIGHT, "ask-init", asked, {}))["answer"] == "asked"
    assert (await looker.look(SIGHT, "tell-system", asked, {}))["users"] == {}
    assert await looker.look(SIGHT, "ask-systemd", asked, {}) == {}
    host.end(process, 0)
    with pytest.raises(ProcessLookupError):
        await looker.look(SIGHT, "ask-init", asked, {})
    assert [name for name, _ in looker.looks] == ["ask-init", "tell-system", "ask-systemd", "ask-init"]
    host.close()
