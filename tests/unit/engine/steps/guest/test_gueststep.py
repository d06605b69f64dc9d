"""Tests of insula.engine.steps.guest.gueststep."""

import pytest

from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.fds import NO_FD
from tests.unit.engine.steps.guest.performing import guest, perform


def test_a_guest_begins_with_what_was_passed_and_nothing_else() -> None:
    begun = guest(init=7)
    assert begun.fds == {"init": 7}
    assert (begun.root, begun.terminals) == (NO_FD, [])


def test_two_guests_share_no_terminals() -> None:
    first, second = guest(), guest()
    first.terminals.append(NO_FD)
    assert second.terminals == []


def test_a_step_that_does_nothing_is_no_step() -> None:
    with pytest.raises(NotImplementedError):
        perform(guest(), GuestStep(why="nothing"))
