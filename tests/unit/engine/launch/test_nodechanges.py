"""Tests of insula.engine.launch.nodechanges: what is asked of the host and of the guest, in which order."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from insula.engine.keeper.link import completed
from insula.engine.launch.changes import Change, RunningChanges
from insula.engine.launch.holdings import GuestMount, Holding, LoopDevice
from insula.engine.launch.nodechanges import NodeChanges, place_of
from insula.engine.launch.runningcontainer import Running
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.spec import Device, DeviceKind
from insula.engine.steps.guest.nodes import RemoveNode
from insula.engine.steps.guest.roottree import AttachMount, DetachMount
from insula.engine.steps.host.devicetree import TakeNode
from insula.engine.steps.host.groups import ChangeDevices
from insula.engine.steps.host.imagedevices import AttachImage
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Cgroup, Hierarchies
from tests.plans import UNIFIED
from tests.unit.engine.desk import record_of

FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse")


class Performer:
    """Notes changes, and lets the record be what they say."""

    def __init__(self) -> None:
        self.asked: list[Change] = []

    async def perform(self, running: Running, change: Change, write: Any) -> None:
        self.asked.append(change)
        running.record = replace(running.record, spec=change.spec)

    async def release(self, running: Running, holdings: Sequence[Holding], write: Any) -> None:
        kept = tuple(each for each in running.record.holdings if each not in holdings)
        running.record = replace(running.record, holdings=kept)


@pytest.fixture
def running() -> Running:
    return Running(record=record_of(os.getpid()), group=Cgroup(Hierarchies(), "g"))


def test_a_device_comes_with_its_right_and_goes_with_it(running: Running) -> None:
    performer = Performer()
    nodes = NodeChanges(facts=UNIFIED, changes=cast("RunningChanges", performer))
    completed(nodes.attach_device(running, FUSE))
    (come,) = performer.asked
    assert [each.rules for each in come.host if isinstance(each, ChangeDevices)] == [device_rules((FUSE,))]
    assert come.inside == (AttachMount(why="asked for", source="node", target="/dev/fuse"),)
    with pytest.raises(OperationInvalidError, match="web has a device /dev/fuse already"):
        completed(nodes.attach_device(running, FUSE))

    shown = GuestMount(target=place_of(FUSE), device=1, inode=2)
    running.record = replace(running.record, holdings=(shown,))
    completed(nodes.detach_device(running, FUSE))
    gone = performer.asked[1]
    assert [each.rules for each in gone.host if isinstance(each, ChangeDevices)] == [device_rules(())]
    assert [type(each) for each in gone.inside] == [DetachMount, RemoveNode]
    assert gone.drops == (shown,)
    with pytest.raises(OperationInvalidError, match="was given no device /dev/fuse"):
        completed(nodes.detach_device(running, FUSE))


def test_the_loop_device_of_an_image_goes_with_its_node(running: Running) -> None:
    image = Device(kind=DeviceKind.BLOCK, major=0, minor=0, host="", guest="vda", image="/srv/disk")
    nodes = NodeChanges(facts=UNIFIED, changes=cast("RunningChanges", performer := Performer()))
    with pytest.raises(OperationInvalidError, match="web was started by an earlier version"):
        completed(nodes.attach_device(running, image))
    running.record = replace(running.record, guards_loops=True)
    completed(nodes.attach_device(running, image))
    assert [type(each) for each in performer.asked[0].host] == [AttachImage, TakeNode, ChangeDevices]
    other = LoopDevice(guest="vdb", made=False)
    running.record = replace(running.record, holdings=(LoopDevice(guest="vda"), other))
    completed(nodes.detach_device(running, image))
    assert running.record.holdings == (other,)
