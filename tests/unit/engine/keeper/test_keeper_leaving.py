"""A keeper that is told to end while somebody asks it for something answers first."""

import os
import signal

from insula.engine.keeper.protocol import Verb
from tests.unit.engine.forkedkeeper import SLEEP, ForkedKeeper


def test_who_has_a_keeper_forget_its_last_guest_is_answered_before_that_ends(held: ForkedKeeper) -> None:
    held.start("u", SLEEP)
    held.ask(Verb.KILL, uuid="u")
    os.kill(held.pid, signal.SIGTERM)
    assert held.ask(Verb.PING) == {}
    assert held.ask(Verb.FORGET, uuid="u") == {}
    assert os.waitpid(held.pid, 0)[1] == 50 << 8


def test_who_aborts_the_last_start_is_told_how_it_ended_before_the_keeper_ends(held: ForkedKeeper) -> None:
    held.bear("u")
    os.kill(held.pid, signal.SIGTERM)
    assert held.ask(Verb.ABORT, uuid="u") == {"status": signal.SIGKILL}
    assert os.waitpid(held.pid, 0)[1] == 50 << 8
