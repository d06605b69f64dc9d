"""Tests of insula.engine.fragments.environment."""

from dataclasses import replace

import pytest

from insula.engine.fragments.environment import DEFAULT_PATH, container_uuid, init_environment
from insula.engine.spec import Process
from tests.unit.engine.fragments.example import SPEC


def test_init_gets_the_container_interface_and_what_libvirts_guests_expect() -> None:
    assert dict(init_environment(SPEC)) == {
        "PATH": DEFAULT_PATH,
        "TERM": "linux",
        "container": "lxc-libvirt",
        "container_uuid": SPEC.uuid,
        "LIBVIRT_LXC_UUID": SPEC.uuid,
        "LIBVIRT_LXC_NAME": "web",
    }


def test_what_the_spec_says_counts_and_stands_once_at_its_end() -> None:
    given = (("TERM", "dumb"), ("A", "1"), ("container", ""))
    found = init_environment(replace(SPEC, init=Process(argv=("/init",), env=given)))
    assert tuple(found[-3:]) == given
    names = [name for name, _ in found]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(("consoles", "told"), [(0, None), (1, None), (2, "pts/1"), (4, "pts/1 pts/2 pts/3")])
def test_further_consoles_are_named_as_the_guests_devpts_names_them(consoles: int, told: str | None) -> None:
    assert dict(init_environment(replace(SPEC, consoles=consoles))).get("container_ttys") == told


@pytest.mark.parametrize(("count", "told"), [(0, (None, None)), (3, ("3", "1"))])
def test_passed_fds_are_announced_to_init(count: int, told: tuple[str | None, str | None]) -> None:
    found = dict(init_environment(replace(SPEC, inherited_fds=count)))
    assert (found.get("LISTEN_FDS"), found.get("LISTEN_PID")) == told


def test_a_machine_id_goes_before_the_uuid() -> None:
    assert container_uuid(SPEC) == SPEC.uuid
    chosen = replace(SPEC, machine_id="b" * 32)
    assert container_uuid(chosen) == "b" * 32
    assert dict(init_environment(chosen))["container_uuid"] == "b" * 32
    assert dict(init_environment(chosen))["LIBVIRT_LXC_UUID"] == SPEC.uuid
