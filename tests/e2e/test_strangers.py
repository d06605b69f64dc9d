"""Definitions of strangers through virsh: defined, shown, started and shown again."""

from pathlib import Path

import pytest
from lxml import etree

from tests.e2e.guests import inside, state
from tests.insulad import Insulad
from tests.strangers import DEFINITIONS, facts

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

STARTABLE = (
    "cluster-nodes",
    "deployment-script",
    "documentation-init",
    "leftovers-that-say-nothing",
    "nova",
    "sandbox",
    "tests-converted-from-lxc",
    "virt-install",
)
"""Those that ask the host for nothing but a root: what is left of them once cards and other people's files are gone."""


def at_home(path: Path, root: Path) -> str:
    """Return the definition with a root that is here, an init that is in it, and without what is theirs."""
    domain = etree.parse(path).getroot()
    devices = domain.find("devices")
    assert devices is not None
    for each in [*devices.iterfind("interface"), *devices.iterfind("filesystem")]:
        if each.get("type") != "ram":
            devices.remove(each)
    mode = etree.parse(path).find(".//filesystem")
    words = "".join(f" {name}='{value}'" for name, value in (mode.items() if mode is not None else ()))
    home = f"<filesystem{words}><source dir='{root}'/><target dir='/'/></filesystem>"
    devices.append(etree.fromstring(home))
    for name, text in (("init", "/sbin/init"), ("initdir", "/"), ("inituser", "0"), ("initgroup", "0")):
        for element in domain.iterfind(f"os/{name}"):
            element.text = text
    for each in domain.iterfind("idmap"):
        domain.remove(each)
    vcpu, memory = domain.find("vcpu"), domain.find("memory")
    assert memory is not None
    memory.text = "131072"
    if vcpu is not None:
        vcpu.attrib.pop("cpuset", None)
    return etree.tostring(domain, encoding="unicode")


def test_every_definition_is_taken_and_shown_as_it_was_taken(insulad: Insulad) -> None:
    for path in DEFINITIONS:
        name = str(etree.parse(path).findtext("name"))
        insulad.virsh("define", str(path))
        shown = insulad.virsh("dumpxml", "--inactive", "--security-info", name).stdout
        insulad.define(shown)
        assert insulad.virsh("dumpxml", "--inactive", "--security-info", name).stdout == shown, path.name
        insulad.virsh("undefine", name)


@pytest.mark.parametrize("name", STARTABLE)
def test_what_nothing_stands_against_starts(insulad: Insulad, busybox_root: Path, name: str) -> None:
    path = next(each for each in DEFINITIONS if each.stem == name)
    insulad.define(at_home(path, busybox_root))
    domain = str(etree.parse(path).findtext("name"))
    kept = insulad.virsh("dumpxml", "--inactive", domain).stdout
    insulad.virsh("start", domain)
    assert state(insulad, domain) == "running"
    shown = insulad.virsh("dumpxml", domain).stdout
    assert facts(kept) - facts(shown) == set()
    insulad.virsh("destroy", domain)


def test_a_domain_of_the_proposal_of_2007_starts_with_its_network(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(
        "<domain type='linuxcontainer'><name>old</name><memory>131072</memory><container>"
        f"<filesystem><mount><source dir='{busybox_root}'/><target dir='/'/></mount></filesystem>"
        "<application>/bin/sleep 1000</application><network hostname='oldie'>"
        "<ip address='192.0.2.7' netmask='255.255.255.0'/><gateway address='192.0.2.1'/>"
        "<nameserver address='192.0.2.53'/></network></container></domain>"
    )
    insulad.virsh("start", "old")
    said = inside(insulad, "old", "sh", "-c", "hostname; cat /etc/resolv.conf; ip address show eth0; ip route")
    for told in ("oldie", "nameserver 192.0.2.53", "192.0.2.7/24", "LOWER_UP", "default via 192.0.2.1 dev eth0"):
        assert told in said
    insulad.virsh("destroy", "old")
