"""Our network XML, judged by strangers: libvirt's own schema, and libvirt's own parser, writer and updates.

`virsh -c test:///default` runs libvirt's network code inside the client, without any daemon: nothing is made of what it
defines.
"""

import re
import subprocess
from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree

from insula.errors import InsulaError, OperationUnsupportedError
from insula.model.network import dump_network, load_network
from insula.model.networknumbers import NetworkUpdateCommand, NetworkUpdateSection
from insula.model.networkupdate import updated
from insula.model.xmlmap import Part
from tests import sideload
from tests.unit.model.corpus import NETWORKS
from tests.unit.model.networkupdates import LIBVIRT_TAKES, NETWORK, UPDATES, Update
from tests.waiting import patience

SCHEMA = Path("/usr/share/libvirt/schemas/network.rng")
GENERATIONS = [pytest.param(each, marks=pytest.mark.requires(each)) for each in ("virsh", "virsh-11", "virsh-12")]

OUTSIDE_THE_SCHEMA = {
    "strangers": "the point of them",
    "younger": "the point of it",
    "trusted-ports": "the mark of trust is an attribute of ours",
}
NOT_LIBVIRTS = {
    "strangers": "it drops what it does not know",
    "terraform": "the namespace of dnsmasq is known to its network driver only",
    "trusted-ports": "it drops what it does not know",
}
KEPT_ONCE = {"live-functions": "of a device and the functions that were found on it, it keeps the latter"}
YOUNGER_NETWORKS = {"younger": ("virsh", "virsh-11")}
YOUNGER_UPDATES = {
    (NetworkUpdateCommand.MODIFY, NetworkUpdateSection.DNS_HOST): ("virsh",),
    (NetworkUpdateCommand.MODIFY, NetworkUpdateSection.DNS_TXT): ("virsh",),
}
"""What old generations do not know yet."""
WORDS = {
    NetworkUpdateCommand.MODIFY: "modify",
    NetworkUpdateCommand.DELETE: "delete",
    NetworkUpdateCommand.ADD_LAST: "add-last",
    NetworkUpdateCommand.ADD_FIRST: "add-first",
}


def chosen(left_out: dict[str, str]) -> list[Path]:
    assert left_out.keys() <= {path.stem for path in NETWORKS}
    return [path for path in NETWORKS if path.stem not in left_out]


@pytest.fixture(scope="module")
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize("path", chosen(OUTSIDE_THE_SCHEMA), ids=lambda path: path.stem)
@pytest.mark.parametrize("parts", [Part.LIVE, Part.DEFINITION], ids=["live", "inactive"])
def test_what_we_write_of_a_network_is_valid_by_libvirts_schema(schema: etree.RelaxNG, path: Path, parts: Part) -> None:
    document = etree.fromstring(dump_network(load_network(path.read_text(), Part.LIVE), parts))
    assert schema.validate(document), [f"line {each.line}: {each.message}" for each in schema.error_log]


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize("name", sorted(OUTSIDE_THE_SCHEMA))
def test_what_is_left_out_of_networks_is_left_out_for_a_reason(schema: etree.RelaxNG, name: str) -> None:
    path = next(each for each in NETWORKS if each.stem == name)
    assert not schema.validate(etree.fromstring(dump_network(load_network(path.read_text()))))


@pytest.mark.parametrize("path", chosen(NOT_LIBVIRTS), ids=lambda path: path.stem)
@pytest.mark.parametrize("virsh", GENERATIONS)
def test_libvirt_reads_the_network_we_write_and_writes_the_same(virsh: str, path: Path, tmp_path: Path) -> None:
    ours = dump_network(load_network(path.read_text()), Part.DEFINITION)
    theirs, errors = asked_of_libvirt(ours, virsh, tmp_path)
    if virsh in YOUNGER_NETWORKS.get(path.stem, ()):
        assert errors or as_facts(theirs) != as_facts(ours)
        return
    assert not errors
    assert as_facts(theirs) == as_facts(ours)


@pytest.mark.parametrize("path", chosen(NOT_LIBVIRTS | KEPT_ONCE), ids=lambda path: path.stem)
@pytest.mark.parametrize("virsh", GENERATIONS)
def test_we_read_in_a_network_what_libvirt_reads(virsh: str, path: Path, tmp_path: Path) -> None:
    xml = path.read_text()
    theirs, errors = asked_of_libvirt(xml, virsh, tmp_path)
    if virsh in YOUNGER_NETWORKS.get(path.stem, ()):
        assert theirs != xml
        return
    assert not errors
    assert dump_network(load_network(theirs)) == dump_network(load_network(xml))


@pytest.mark.parametrize("update", UPDATES, ids=lambda each: f"{each[0].name}-{each[1].name}-{each[3]}")
@pytest.mark.parametrize("virsh", GENERATIONS)
def test_an_update_does_what_libvirt_does(virsh: str, update: Update, tmp_path: Path) -> None:
    command, section, parent, xml, kind = update
    element = tmp_path / "element.xml"
    element.write_text(xml)
    place = f"--parent-index {parent}" if parent >= 0 else ""
    words = f"net-update u {WORDS[command]} {section.name.lower().replace('_', '-')} {element} {place} --config"
    theirs, errors = asked_of_libvirt(NETWORK, virsh, tmp_path, words)
    if virsh in YOUNGER_UPDATES.get((command, section), ()):
        assert is_same_refusal(OperationUnsupportedError(), errors)
        return
    if kind is None:
        assert not errors
        ours = dump_network(updated(load_network(NETWORK), command, section, parent, xml), Part.DEFINITION)
        assert as_facts(theirs) == as_facts(ours)
        return
    with pytest.raises(kind) as refused:
        updated(load_network(NETWORK), command, section, parent, xml)
    if xml in LIBVIRT_TAKES:
        assert not errors
    else:
        assert is_same_refusal(refused.value, errors)


def is_same_refusal(ours: InsulaError, errors: str) -> bool:
    """Whether libvirt's text begins with the class of our error; those of wrong XML have several there."""
    first = errors.removeprefix("error: Failed to update network u\n").removeprefix("error: ")
    known = ("Operation not supported: ", "Requested operation is not valid: ")
    return first.startswith(ours.prefix) if ours.prefix in known else bool(first) and not first.startswith(known)


def asked_of_libvirt(xml: str, virsh: str, directory: Path, command: str = "") -> tuple[str, str]:
    """Return the network as libvirt writes it after it was defined and command was done, and what it complained of."""
    program = "virsh" if virsh == "virsh" else str(sideload.found(virsh))
    file = directory / "network.xml"
    # The test driver has a network of the name 'default' already.
    file.write_text(xml.replace("<name>default</name>", "<name>dflt</name>"))
    uuid = UUID(etree.fromstring(xml.encode()).findtext("uuid"))
    commands = f"net-define {file}; {command}; net-dumpxml {uuid}"
    result = subprocess.run(
        [program, "--quiet", "-c", "test:///default", commands],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    return result.stdout.strip().replace("<name>dflt</name>", "<name>default</name>"), result.stderr


def as_facts(xml: str) -> str:
    """Return a document so that only what it says counts, not how its lines are broken."""
    return etree.canonicalize(re.sub(r">\s+<", "><", xml), strip_text=True)
