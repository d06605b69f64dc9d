import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.kernel.cgroups.names import escape_unit, machine_name, partition_path, scope_name, slice_name


def test_a_scope_is_named_as_libvirt_names_it() -> None:
    assert scope_name(4711, "web") == r"machine-lxc\x2d4711\x2dweb.scope"


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("web", "lxc-1-web"),
        ("web.example", "lxc-1-web.example"),
        ("..web--a.-b", "lxc-1-web-a.b"),
        ("we b_1", "lxc-1-web1"),
        ("größe", "lxc-1-gre"),
        ("-", "lxc-1"),
        ("x" * 100, "lxc-1-" + "x" * 58),
    ],
)
def test_a_machine_name_has_only_what_a_host_name_has(name: str, machine: str) -> None:
    assert machine_name(1, name) == machine


@given(st.text())
def test_every_machine_name_is_a_valid_host_name(name: str) -> None:
    machine = machine_name(32768, name)
    assert len(machine) <= 64
    assert machine.isascii()
    assert machine[-1].isalnum()
    assert ".." not in machine
    assert "/" not in scope_name(32768, name)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("a-b", r"a\x2db"), ("a/b", "a-b"), (".hidden", r"\x2ehidden"), ("a.b:c_d", "a.b:c_d"), ("ü", r"\xc3\xbc")],
)
def test_a_unit_name_is_escaped_as_systemd_does(name: str, escaped: str) -> None:
    assert escape_unit(name) == escaped


@pytest.mark.parametrize(
    ("partition", "path"),
    [
        ("machine.slice", "machine.slice"),
        ("/machine", "machine.slice"),
        ("/machine/prod", "machine.slice/machine-prod.slice"),
        ("/machine.slice/my-prod", r"machine.slice/machine-my\x2dprod.slice"),
        ("/a/b/c", "a.slice/a-b.slice/a-b-c.slice"),
        ("custom.partition", "custom.partition"),
        ("/", ""),
    ],
)
def test_a_partition_is_a_nest_of_slices(partition: str, path: str) -> None:
    assert partition_path(partition) == path


@pytest.mark.parametrize("partition", ["..", "/machine/../etc", "machine/."])
def test_a_partition_cannot_lead_elsewhere(partition: str) -> None:
    with pytest.raises(OSError, match="below the root"):
        partition_path(partition)


def test_the_slice_of_a_partition_is_its_innermost() -> None:
    assert slice_name("/machine/prod") == "machine-prod.slice"
    assert slice_name("/") == "-.slice"
