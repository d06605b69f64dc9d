"""Tests of insula.engine.fragments.machineview."""

from dataclasses import replace

from insula.engine.fragments.machineview import machine_view
from insula.engine.spec import Process
from insula.engine.steps.guest.ownboot import ShowUncovered
from insula.engine.steps.guest.viewbinds import ShowMachine
from insula.engine.steps.host.viewconnections import ConnectView, ServeView
from tests.plans import UNIFIED
from tests.unit.engine.fragments.example import PRIVILEGED, SPEC

VIEWING = replace(UNIFIED, viewed=("proc/meminfo",))
ASKED = replace(SPEC, machine_view=True)
PLAIN = Process(argv=("/bin/true",))


def test_a_view_is_made_only_where_it_is_asked_for_and_can_be_had() -> None:
    assert machine_view(SPEC, VIEWING) == ([], [])
    assert machine_view(ASKED, UNIFIED) == ([], [])


def test_a_connection_is_made_served_and_shown() -> None:
    (connecting, serving), (showing,) = machine_view(replace(ASKED, init=Process(argv=("/sbin/init",))), VIEWING)
    assert isinstance(connecting, ConnectView) and isinstance(serving, ServeView)
    assert isinstance(showing, ShowMachine)
    assert (showing.source, showing.paths) == (connecting.name, ["proc/meminfo"])
    assert (serving.uuid, serving.domain, serving.idmap) == (SPEC.uuid, SPEC.name, SPEC.idmap)


def test_a_program_that_is_no_system_has_proc_and_sysfs_in_full_view_too() -> None:
    _, inner = machine_view(replace(ASKED, init=PLAIN), VIEWING)
    assert [each.source for each in inner if isinstance(each, ShowUncovered)] == ["proc", "sys"]
    _, inner = machine_view(replace(PRIVILEGED, machine_view=True, init=PLAIN), VIEWING)
    assert not any(isinstance(each, ShowUncovered) for each in inner)
