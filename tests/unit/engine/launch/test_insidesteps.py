"""Steps inside a running container, over a keeper that only pretends: what it is asked, and what a failure says."""

import asyncio
import errno
import os
from collections.abc import Iterator

import pytest

from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Message, Verb
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.programs import Programs
from insula.engine.launch.runningcontainer import Running
from insula.engine.program.disassembly import Disassembly
from insula.engine.steps.guest.roottree import AttachMount
from insula.errors import StepError
from insula.kernel.fds import Fd, close_all
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import record_of
from tests.unit.engine.fakes import FakeKeeper, fake_groups, null

ATTACH = AttachMount(why="asked for", source="tree", target="/mnt")


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    fake_groups(monkeypatch, [])
    record = record_of(os.getpid())
    made = Running(record=record, group=record.group_in(UNIFIED.hierarchies), pidfd=Fd(os.pidfd_open(record.pid)))
    yield made
    made.close()


def perform(keeper: FakeKeeper, running: Running) -> None:
    inside = InsideSteps(facts=UNIFIED, link=keeper, programs=Programs())
    tree = null()
    try:
        completed(inside.perform(running, [ATTACH], {"tree": tree}, permitted=0))
    finally:
        close_all([tree])


def test_a_process_enters_by_inits_pidfd_with_what_the_steps_call_by_name(running: Running) -> None:
    keeper, before = FakeKeeper(), open_fds()
    perform(keeper, running)
    asked = keeper.last(Verb.PERFORM)
    assert asked.body["uuid"] == running.uuid
    assert asked.fds[:3] == ("init", "image", "cgroup")
    assert "tree" in asked.fds
    listing = "".join(Disassembly(asked.image).lines())
    assert "move_mount" in listing and "exit_group" in listing and "execve" not in listing
    assert open_fds() == before


def test_a_step_that_fails_is_told_by_its_words(running: Running) -> None:
    keeper = FakeKeeper()
    perform(keeper, running)
    marks = InsideSteps(facts=UNIFIED, link=keeper, programs=Programs())._whole(running, [ATTACH])
    program = Programs().entering(running.record.spec, marks, permitted=0, most_groups=0)
    index = next(each.index for each in program.marks if each.what == ATTACH)
    refused = StepError("record failed", step=str(index), errno=errno.EPERM)
    with pytest.raises(StepError, match=r"^cannot show tree at /mnt: .*Operation not permitted") as caught:
        perform(FakeKeeper(answers={Verb.PERFORM: [refused]}), running)
    assert caught.value.errno == errno.EPERM


def test_it_is_tried_once_more_where_the_guest_has_just_removed_the_group(running: Running) -> None:
    gone = StepError("No such device", errno=errno.ENODEV)
    keeper = FakeKeeper(answers={Verb.PERFORM: [gone]})
    perform(keeper, running)
    assert keeper.verbs() == [Verb.PERFORM, Verb.PERFORM]
    with pytest.raises(StepError, match="No such device"):
        perform(FakeKeeper(answers={Verb.PERFORM: [gone, gone]}), running)


class CalledOff(FakeKeeper):
    """Whoever waits for the steps is called off."""

    async def answer(self, number: int) -> Message:
        if self.asked[number].verb is Verb.PERFORM:
            raise asyncio.CancelledError
        return await super().answer(number)


def test_who_is_called_off_has_the_process_ended(running: Running) -> None:
    keeper, before = CalledOff(), open_fds()
    with pytest.raises(asyncio.CancelledError):
        perform(keeper, running)
    assert keeper.last(Verb.ABORT).body == {"id": keeper.last(Verb.PERFORM).body["id"]}
    assert open_fds() == before
