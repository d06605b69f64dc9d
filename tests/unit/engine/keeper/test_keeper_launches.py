"""The keeper takes a guest for the one that is meant only if both are of the same launch."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from insula.engine.keeper.protocol import Verb
from insula.errors import KeeperError
from tests.unit.engine.forkedkeeper import SLEEP, ForkedKeeper


@pytest.fixture
def held() -> Iterator[ForkedKeeper]:
    made = ForkedKeeper()
    yield made
    with contextlib.suppress(ChildProcessError):
        made.end()


def test_a_guest_of_another_launch_is_not_meant(held: ForkedKeeper) -> None:
    held.start("u", SLEEP, launch="a1")
    for verb in (Verb.KILL, Verb.FETCH, Verb.FORGET):
        with pytest.raises(KeeperError, match="no guest with the UUID u is held of that launch"):
            held.ask(verb, uuid="u", launch="b2")
    assert held.ask(Verb.KILL, uuid="u", launch="a1") == {"status": signal.SIGKILL}
