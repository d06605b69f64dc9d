from typing import Any

from jeepney import HeaderFields, Message
from jeepney.low_level import Parser

from insula.engine.launch.systemdscope import Scope, control_group_of, create_machine, get_unit, start_unit, stop_unit

SCOPE = Scope(
    machine="lxc-4711-web",
    uuid="8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f",
    slice="machine.slice",
    leader=4711,
    root="/srv/web",
    interfaces=(3, 5),
)


def received(message: Message) -> tuple[str, str, str, Any]:
    """Return what the other end of the bus reads: service, method, signature and body."""
    parser = Parser()
    parser.add_data(message.serialise(serial=1))
    arrived = parser.get_next_message()
    assert arrived is not None
    fields = arrived.header.fields
    signature = str(fields.get(HeaderFields.signature, ""))
    return str(fields[HeaderFields.destination]), str(fields[HeaderFields.member]), signature, arrived.body


def test_a_container_is_registered_as_libvirt_registers_one() -> None:
    service, method, signature, body = received(create_machine(SCOPE))
    assert (service, method, signature) == (
        "org.freedesktop.machine1",
        "CreateMachineWithNetwork",
        "sayssusaia(sv)",
    )
    name, identity, creator, kind, leader, root, interfaces, properties = body
    assert (name, creator, kind, leader, root) == ("lxc-4711-web", "libvirt-lxc", "container", 4711, "/srv/web")
    assert bytes(identity).hex() == SCOPE.uuid.replace("-", "")
    assert list(interfaces) == [3, 5]
    assert {key: value for key, (_, value) in properties} == {
        "Slice": "machine.slice",
        "Delegate": True,
        "CollectMode": "inactive-or-failed",
    }


def test_without_a_register_systemd_is_asked_for_the_same_scope() -> None:
    service, method, signature, (unit, mode, properties, auxiliary) = received(start_unit(SCOPE))
    assert (service, method, signature) == ("org.freedesktop.systemd1", "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert (unit, mode, auxiliary) == (r"machine-lxc\x2d4711\x2dweb.scope", "fail", [])
    wanted = {key: value for key, (_, value) in properties}
    assert wanted["PIDs"] == [4711]
    assert (wanted["Delegate"], wanted["Slice"]) == (True, "machine.slice")


def test_a_unit_is_looked_up_and_ended_by_its_name() -> None:
    assert received(get_unit("a.scope"))[1:] == ("GetUnit", "s", ("a.scope",))
    assert received(stop_unit("a.scope"))[1:] == ("StopUnit", "ss", ("a.scope", "replace"))


def test_a_scopes_group_is_one_of_its_properties() -> None:
    _, method, _, body = received(control_group_of("/org/freedesktop/systemd1/unit/a_2escope"))
    assert (method, body) == ("Get", ("org.freedesktop.systemd1.Scope", "ControlGroup"))
