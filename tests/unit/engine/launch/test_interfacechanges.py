"""Interfaces plugged in, elsewhere and out: wherever the daemon dies, what is there is what the record tells then."""

import json
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace
from insula.engine.interfacespec import Interface, NetworkKind, VethInterface
from insula.engine.keeper.link import completed
from insula.engine.launch.changes import RunningChanges
from insula.engine.launch.holdings import ControlGroup
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.interfacechanges import InterfaceChanges
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import OperationFailedError, OperationInvalidError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from tests.plans import UNIFIED
from tests.unit.engine.desk import Network, record_of

CARD = VethInterface(guest="eth1", bridge="br0", mac="52:54:00:00:00:01")
OTHERWISE = replace(CARD, bridge="br1")


class Died(BaseException):
    """The daemon ends here: nothing that comes after happens, not even what would take things back."""


@dataclass(kw_only=True)
class Switch(Network):
    """A host whose ports are known by the guest's name. fatal: the change before which the daemon dies."""

    ports: dict[str, Interface] = field(default_factory=dict)
    written: str = ""
    fatal: int | None = None
    ticks: int = 0
    broken: bool = False

    def tick(self) -> None:
        self.ticks += 1
        if self.fatal is not None and self.ticks >= self.fatal:
            raise Died

    def write(self, record: ContainerRecord) -> None:
        self.tick()
        self.written = json.dumps(record.encode())

    @property
    def record(self) -> ContainerRecord:
        return ContainerRecord.decode(json.loads(self.written))

    def identified(self, interface: Interface, *, network: int) -> Interface:
        return interface

    def plug(self, interface: Interface, place: HelperPlace, *, network: int) -> ConnectedInterface:
        self.tick()
        self.ports[interface.guest] = interface
        self.tick()
        if self.broken:
            raise OperationFailedError("the kernel says no")
        bridge = interface.bridge if isinstance(interface, VethInterface) else None
        return ConnectedInterface(
            guest=interface.guest, host="vnet7", host_index=7, bridge=bridge, mac=interface.mac or ""
        )

    def unplug(self, connected: ConnectedInterface, *, network: int) -> None:
        self.tick()
        if self.broken:
            raise OperationFailedError("the kernel says no")
        self.ports.pop(connected.guest, None)
        self.tick()

    def withdraw(self, interface: Interface, launch: str, *, network: int) -> None:
        self.tick()
        self.ports.pop(interface.guest, None)

    def change_port(self, connected: ConnectedInterface, former: Interface, wanted: Interface, *, network: int) -> None:
        self.tick()
        self.ports[connected.guest] = wanted
        self.tick()
        if self.broken and wanted == OTHERWISE:
            raise OperationFailedError("the kernel says no")

    def gone(self, connected: Sequence[ConnectedInterface], *, network: int) -> tuple[ConnectedInterface, ...]:
        return tuple(each for each in connected if each.guest not in self.ports)

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        self.tick()
        for each in connected:
            self.ports.pop(each.guest, None)


def changes_of(switch: Switch) -> tuple[RunningChanges, InterfaceChanges]:
    changes = RunningChanges(
        facts=UNIFIED,
        inside=cast("InsideSteps", None),
        release=Release(hierarchies=Hierarchies(), interfaces=switch),
        interfaces=switch,
        permitted=lambda: 0,
    )
    return changes, InterfaceChanges(changes=changes, interfaces=switch)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(Cgroup, "frozen", False)
    record = record_of(os.getpid(), holdings=(ControlGroup(path="machine.slice/web"),))
    record = replace(record, spec=replace(record.spec, interfaces=()))
    made = Running(record=record, group=Cgroup(Hierarchies(), "g"), pidfd=Fd(os.pidfd_open(os.getpid())))
    yield made
    made.close()


Verb = Callable[[InterfaceChanges, Running, Switch], Coroutine[Any, Any, None]]
VERBS: dict[str, Verb] = {
    "attach": lambda interfaces, running, switch: interfaces.attach(running, CARD, switch.write),
    "detach": lambda interfaces, running, switch: interfaces.detach(running, "eth1", switch.write),
    "change": lambda interfaces, running, switch: interfaces.change_port(running, OTHERWISE, switch.write),
}


@pytest.mark.parametrize("broken", [False, True], ids=["works", "fails"])
@pytest.mark.parametrize("verb", list(VERBS))
def test_whatever_step_fails_and_wherever_the_daemon_dies_the_record_tells_what_is_there(
    running: Running, verb: str, broken: bool
) -> None:
    first = Switch()
    if verb != "attach":
        completed(changes_of(first)[1].attach(running, CARD, first.write))
    before, fatal, died = running.record, 1, True
    while died:
        died = False
        running.record = before
        switch = Switch(ports=dict(first.ports), fatal=fatal, broken=broken, written=json.dumps(before.encode()))
        try:
            completed(VERBS[verb](changes_of(switch)[1], running, switch))
        except Died:
            died, switch.fatal = True, None
            later = Running(record=switch.record, group=running.group, pidfd=running.pidfd)
            changes, interfaces = changes_of(switch)
            completed(changes.settle(later, switch.write))
            completed(interfaces.settle(later, switch.write))
            assert later.record == switch.record
        except OperationFailedError:
            assert broken and switch.record == before
        told = switch.record
        assert {each.guest: each for each in told.spec.interfaces} == switch.ports
        bridges = [each.bridge for each in switch.ports.values() if isinstance(each, VethInterface)]
        assert [each.bridge for each in told.connected] == bridges
        assert all(getattr(each, "made", True) for each in told.holdings)
        fatal += 1
    assert running.record == switch.record


def test_only_a_network_of_its_own_is_changed_and_only_what_it_was_given(running: Running) -> None:
    switch = Switch()
    _, interfaces = changes_of(switch)
    for verb in ("detach", "change"):
        with pytest.raises(OperationInvalidError, match="was given no interface 'eth1'"):
            completed(VERBS[verb](interfaces, running, switch))
    completed(interfaces.attach(running, CARD))
    with pytest.raises(OperationInvalidError, match="has an interface 'eth1' already"):
        completed(interfaces.attach(running, CARD))
    running.record = replace(running.record, spec=replace(running.record.spec, network=NetworkKind.HOST))
    for verb in VERBS:
        with pytest.raises(OperationInvalidError, match="has no network of its own"):
            completed(VERBS[verb](interfaces, running, switch))


def test_where_nobody_makes_interfaces_that_is_told(running: Running) -> None:
    changes, _ = changes_of(Switch())
    with pytest.raises(OperationFailedError, match="nobody here"):
        completed(InterfaceChanges(changes=changes, interfaces=None).attach(running, CARD))
    completed(InterfaceChanges(changes=changes, interfaces=None).settle(running))
