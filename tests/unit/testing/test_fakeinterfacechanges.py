"""Interfaces of containers of memory: the record announces and tells of them as the real engine's does."""

from dataclasses import replace

import pytest

from insula.engine.interfacespec import VethInterface
from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import HalfPlugged
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from insula.testing.fakeinterfacechanges import FakeInterfaceChanges
from tests.unit.engine.desk import record_of

CARD = VethInterface(guest="eth1", bridge="br0", mac="52:54:00:00:00:01")


def test_an_interface_is_announced_told_of_changed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cgroup, "frozen", False)
    record = record_of(1)
    running = Running(
        record=replace(record, spec=replace(record.spec, interfaces=())), group=Cgroup(Hierarchies(), "g"), pidfd=Fd(0)
    )
    written: list[ContainerRecord] = []
    changes = FakeInterfaceChanges()
    completed(changes.attach(running, CARD, written.append))
    assert [any(isinstance(held, HalfPlugged) for held in each.holdings) for each in written] == [True, False]
    completed(changes.change_port(running, replace(CARD, bridge="br1"), written.append))
    assert running.record.spec.interfaces == (replace(CARD, bridge="br1"),)
    completed(changes.settle(running, written.append))
    completed(changes.detach(running, "eth1", written.append))
    assert not running.record.spec.interfaces
    assert written[-1] == running.record
    with pytest.raises(OperationInvalidError, match="was given no interface 'eth1'"):
        completed(changes.detach(running, "eth1", written.append))
