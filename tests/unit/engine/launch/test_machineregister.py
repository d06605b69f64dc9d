import logging
import subprocess
from collections.abc import Iterator

import pytest
from jeepney import HeaderFields, Message
from jeepney.low_level import Parser

from insula.engine.launch import machineregister
from insula.engine.launch.machineregister import Machine, MachineRegister, describe_unit, in_unit, register_machine
from insula.engine.launch.systembus import SystemBus
from tests.unit.engine.launch.fakebus import FakeBus, refused, returned
from tests.waiting import until

UUID = "8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f"


def machine(name: str, leader: int = 4711) -> Machine:
    return Machine(name=name, uuid=UUID, leader=leader, unit=f"machine-{name}.scope", root="/srv", interfaces=(3, 5))


def test_a_container_is_registered_as_libvirt_registers_one() -> None:
    parser = Parser()
    parser.add_data(register_machine(machine("lxc-4711-web")).serialise(serial=1))
    arrived = parser.get_next_message()
    assert arrived is not None
    fields = arrived.header.fields
    assert fields[HeaderFields.destination] == "org.freedesktop.machine1"
    assert fields[HeaderFields.member] == "RegisterMachineWithNetwork"
    assert fields[HeaderFields.signature] == "sayssusai"
    name, identity, creator, kind, leader, root, interfaces = arrived.body
    assert (name, creator, kind, leader, root) == ("lxc-4711-web", "libvirt-lxc", "container", 4711, "/srv")
    assert bytes(identity).hex() == UUID.replace("-", "")
    assert list(interfaces) == [3, 5]


def test_a_scope_is_described_by_whose_it_is_for_as_long_as_it_is_there() -> None:
    parser = Parser()
    parser.add_data(describe_unit("a.scope", "Container web").serialise(serial=1))
    arrived = parser.get_next_message()
    assert arrived is not None
    fields = arrived.header.fields
    assert fields[HeaderFields.destination] == "org.freedesktop.systemd1"
    assert fields[HeaderFields.member] == "SetUnitProperties"
    assert fields[HeaderFields.signature] == "sba(sv)"
    assert arrived.body == ("a.scope", True, [("Description", ("s", "Container web"))])


class FakeMachined:
    """A bus with a systemd-machined. refusal: what it says to each call; losses: to registrations, by their machine;
    registered: those that it took; placed: who is in a unit at all."""

    def __init__(self) -> None:
        self.bus = FakeBus(self.answer)
        self.register = MachineRegister(SystemBus(self.bus.opened))
        self.refusal = ""
        self.losses: dict[str, str] = {}
        self.registered: list[str] = []
        self.placed = True
        self.known: list[str] = []
        self.lists = 0

    def answer(self, message: Message) -> Message:
        if message.header.fields[HeaderFields.member] == "ListMachines":
            self.lists += 1
            return returned(message, "a(ssso)", [(name, "container", "any", "/m") for name in self.known])
        registers = message.header.fields[HeaderFields.member] == "RegisterMachineWithNetwork"
        name = self.losses.get(message.body[0], self.refusal) if registers else self.refusal
        if name:
            return refused(message, name, "it said no")
        self.registered += [message.body[0]] if registers else []
        return returned(message)

    def names(self) -> list[str]:
        """Who was registered."""
        registered = "RegisterMachineWithNetwork"
        return [call.body[0] for call in self.bus.calls if call.header.fields[HeaderFields.member] == registered]

    def described(self) -> list[str]:
        return [
            call.body[0] for call in self.bus.calls if call.header.fields[HeaderFields.member] == "SetUnitProperties"
        ]


@pytest.fixture
def machined(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMachined]:
    made = FakeMachined()
    monkeypatch.setattr(machineregister, "_DELAY", 0.01)
    monkeypatch.setattr(machineregister, "_IDLE", 0.05)
    monkeypatch.setattr(machineregister, "in_unit", lambda pid, unit: made.placed)
    yield made
    made.register.close()
    made.bus.close()


def test_containers_are_registered_one_after_the_other_by_a_thread_that_ends(machined: FakeMachined) -> None:
    for name in ("a", "b", "c"):
        machined.register.add(machine(name), machined=True)
    until(lambda: machined.names() == ["a", "b", "c"], "all being registered")
    until(lambda: machined.register._thread is None, "the thread's end")
    machined.register.add(machine("d"), machined=True)
    until(lambda: machined.names() == ["a", "b", "c", "d"], "a later one being registered")


def test_without_systemd_machined_scopes_are_described_all_the_same(machined: FakeMachined) -> None:
    machined.register.add(machine("a"), machined=False)
    machined.register.close()
    assert machined.described() == ["machine-a.scope"]
    assert machined.names() == []


def test_the_end_does_not_leave_out_those_whose_time_has_not_come(
    machined: FakeMachined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machineregister, "_DELAY", 1000.0)
    machined.register.add(machine("a"), machined=True)
    machined.register.add(machine("b"), machined=True)
    assert machined.names() == []
    machined.register.close()
    assert machined.names() == ["a", "b"]


def test_a_register_that_refuses_is_logged_and_nothing_else(
    machined: FakeMachined, caplog: pytest.LogCaptureFixture
) -> None:
    machined.refusal = "org.freedesktop.machine1.MachineExists"
    with caplog.at_level(logging.WARNING):
        machined.register.add(machine("lxc-1-web"), machined=True)
        until(lambda: "lxc-1-web is not made known to systemd: it said no" in caplog.text, "the log's line")


LOST = ["Disconnected", "NoReply", "ServiceUnknown", "NameHasNoOwner"]


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_with_a_service_that_restarts_is_told_again_and_delays_no_other(
    machined: FakeMachined, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(machineregister, "_AGAIN", 0.01)
    machined.losses["a"] = f"org.freedesktop.DBus.Error.{name}"
    machined.register.add(machine("a"), machined=True)
    machined.register.add(machine("b"), machined=True)
    until(lambda: "b" in machined.names(), "the other being registered")
    assert machined.register._thread is not None
    machined.losses.clear()
    until(lambda: machined.names()[-1] == "a", "the lost one being registered")
    machined.register.close()
    assert machined.registered == ["b", "a"] and caplog.text == ""


def test_one_whose_registration_was_heard_and_its_answer_lost_is_registered_once(
    machined: FakeMachined, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machined.losses["a"] = "org.freedesktop.DBus.Error.NoReply"
    machined.register.add(machine("a"), machined=True)
    until(lambda: machined.names() == ["a"], "the first try")
    machined.losses["a"] = "org.freedesktop.machine1.MachineExists"  # known a moment after the list was asked for
    until(lambda: machined.names() == ["a", "a"], "the second")
    machined.register.close()
    assert machined.lists == 1 and caplog.text == ""


def test_who_is_lost_each_time_is_given_up_and_logged(
    machined: FakeMachined, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machineregister, "_AGAIN_FOR", 1.0)
    machined.losses["a"] = "org.freedesktop.DBus.Error.Disconnected"
    with caplog.at_level(logging.WARNING):
        machined.register.add(machine("a"), machined=True)
        until(lambda: "a is not made known to systemd: it said no" in caplog.text, "its being given up")
    assert len(machined.names()) > 1
    until(lambda: machined.register._thread is None, "the thread's end")


def test_the_end_waits_for_no_service_that_restarts(machined: FakeMachined, caplog: pytest.LogCaptureFixture) -> None:
    machined.losses["a"] = "org.freedesktop.DBus.Error.Disconnected"
    with caplog.at_level(logging.WARNING):
        machined.register.add(machine("a"), machined=True)
        until(lambda: machined.names() == ["a"], "the first try")
        machined.register.close()
    assert "a is not made known to systemd: it said no" in caplog.text
    assert machined.register._thread is None


def test_who_has_left_its_scope_is_not_registered(machined: FakeMachined, caplog: pytest.LogCaptureFixture) -> None:
    machined.placed = False
    machined.register.add(machine("a"), machined=True)
    machined.register.close()
    assert machined.names() == []
    assert caplog.text == ""


def test_of_those_from_before_our_time_only_who_is_not_known_is_registered(machined: FakeMachined) -> None:
    machined.known = ["a", "c"]
    for name in ("a", "b", "c", "d"):
        machined.register.add(machine(name), machined=True, perhaps=True)
    machined.register.close()
    assert machined.names() == ["b", "d"]
    assert machined.described() == ["machine-b.scope", "machine-d.scope"]
    assert machined.lists == 1


def test_a_process_is_in_a_unit_if_its_group_is_the_units_or_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machineregister, "groups_of", lambda pid: {"memory": "", "": "machine.slice/a.scope/payload"})
    assert in_unit(7, "a.scope")
    assert in_unit(7, "machine.slice")
    assert not in_unit(7, ".scope")
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    monkeypatch.undo()
    assert not in_unit(ended.pid, "a.scope")
