"""Capabilities are what virt-install and virt-manager look for."""

from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree

from insula.service.capabilitiesxml import capabilities_xml, domain_capabilities_xml, guest_architectures
from insula.service.topology import read_topology
from tests.unit.service.hosttree import two_node_host


def test_capabilities_tell_the_host_and_one_guest_for_each_architecture(tmp_path: Path) -> None:
    text = capabilities_xml(
        uuid=UUID(int=7),
        machine="x86_64",
        topology=read_topology(two_node_host(tmp_path)),
        security=("none", "0"),
        emulator="/usr/libexec/insula-keeper",
    )
    root = etree.fromstring(text)

    assert root.findtext("host/uuid") == str(UUID(int=7))
    assert root.findtext("host/secmodel/model") == "none"
    assert [each.get("name") for each in root.iterfind("guest/arch")] == ["x86_64", "i686"]
    assert {each.text for each in root.iterfind("guest/os_type")} == {"exe"}
    assert {each.get("type") for each in root.iterfind("guest/arch/domain")} == {"lxc"}
    cpus = root.findall("host/topology/cells/cell[@id='0']/cpus/cpu")
    assert [(each.get("id"), each.get("core_id"), each.get("siblings")) for each in cpus] == [
        ("0", "0", "0-1"),
        ("1", "0", "0-1"),
        ("2", "1", "2-3"),
        ("3", "1", "2-3"),
    ]


def test_domain_capabilities_name_the_architecture_and_the_processors() -> None:
    root = etree.fromstring(domain_capabilities_xml(architecture="i686", emulator="/x", maximum_vcpus=3))
    vcpu = root.find("vcpu")

    assert (root.findtext("path"), root.findtext("domain"), root.findtext("arch")) == ("/x", "lxc", "i686")
    assert vcpu is not None
    assert vcpu.get("max") == "3"


def test_a_machine_of_unknown_kind_runs_its_own_programs() -> None:
    assert guest_architectures("loongarch64") == (("loongarch64", 64),)


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize("architecture", ["x86_64", "i686"])
def test_domain_capabilities_are_valid_by_libvirts_schema(architecture: str) -> None:
    schema = etree.RelaxNG(etree.parse("/usr/share/libvirt/schemas/domaincaps.rng"))
    written = domain_capabilities_xml(architecture=architecture, emulator="/x", maximum_vcpus=3)
    assert schema.validate(etree.fromstring(written)), schema.error_log


def test_domain_capabilities_name_what_starts_and_nothing_else() -> None:
    root = etree.fromstring(domain_capabilities_xml(architecture="i686", emulator="/x", maximum_vcpus=3))
    yes = [each.tag for each in root.iterfind("devices/*") if each.get("supported") == "yes"]
    assert yes == ["disk", "hostdev", "filesystem"]
    assert [each.text for each in root.iterfind("devices/hostdev/enum[@name='subsysType']/value")] == ["usb"]
    types = [each.text for each in root.iterfind("devices/hostdev/enum[@name='capsType']/value")]
    assert types == ["misc", "storage", "net"]
