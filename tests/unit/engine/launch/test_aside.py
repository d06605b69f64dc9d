import os
import threading
from dataclasses import dataclass
from typing import ClassVar

import pytest

from insula.engine.launch.aside import DONE, AsideSteps
from insula.engine.launch.attempt import step_failed
from insula.engine.launch.holdings import ControlGroup, Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import StepError
from tests.descriptors import open_fds
from tests.unit.engine.steps.host import sites


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow(HostStep):
    """A step that is over once it is let go on. error: raised then."""

    phrase: ClassVar[str] = "do {name} slowly"

    name: str
    going_on: threading.Event
    error: Exception | None = None

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (ControlGroup(path=f"maybe-{self.name}", made=False),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        assert self.going_on.wait(60)
        if self.error is not None:
            raise self.error
        return (ControlGroup(path=self.name),)


@pytest.fixture
def context() -> HostContext:
    return sites.context()


def begun(context: HostContext, *errors: Exception | None) -> tuple[AsideSteps, threading.Event]:
    going_on = threading.Event()
    steps = [Slow(why="-", name=f"s{index}", going_on=going_on, error=error) for index, error in enumerate(errors)]
    return AsideSteps(steps, context, step_failed), going_on


def test_the_child_is_told_once_all_is_done_and_what_was_made_is_known_by_then(context: HostContext) -> None:
    before = open_fds()
    aside, going_on = begun(context, None, None)
    os.set_blocking(aside.word, False)
    with pytest.raises(BlockingIOError):
        os.read(aside.word, 2)
    os.set_blocking(aside.word, True)
    going_on.set()
    assert os.read(aside.word, 2) == DONE
    assert aside.done
    assert [holding.path for holding in aside.holdings if isinstance(holding, ControlGroup)] == ["s0", "s1"]
    aside.end()
    assert (aside.underway, aside.failure) == ((), None)
    assert os.read(aside.word, 2) == b""
    os.close(aside.word)
    assert open_fds() == before


def test_a_step_that_fails_ends_the_childs_waiting_and_may_have_left_what_it_announced(context: HostContext) -> None:
    aside, going_on = begun(context, None, OSError(28, "no space"), None)
    going_on.set()
    assert os.read(aside.word, 2) == b""
    aside.end()
    assert not aside.done
    assert isinstance(aside.failure, StepError)
    assert str(aside.failure) == "cannot do s1 slowly: no space"
    assert aside.holdings == [ControlGroup(path="s0")]
    assert aside.underway == (ControlGroup(path="maybe-s1", made=False),)
    os.close(aside.word)


def test_who_has_given_it_up_sees_no_child_go_on(context: HostContext) -> None:
    aside, going_on = begun(context, None)
    aside.give_up()
    going_on.set()
    assert os.read(aside.word, 2) == b""
    aside.end()
    assert (aside.done, aside.failure) == (False, None)
    assert aside.holdings == [ControlGroup(path="s0")]
    os.close(aside.word)
