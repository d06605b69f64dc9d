"""Our domain XML, judged by strangers: libvirt's own schema, and libvirt's own parser and writer.

`virsh -c test:///default` runs libvirt's domain code inside the client, without any daemon, for domains of type `test`;
all but the type and the operating system is the same for them.
"""

import re
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.xmlmap import Part
from tests import sideload
from tests.unit.model.corpus import DOMAINS
from tests.waiting import patience

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")

OUTSIDE_THE_SCHEMA = {
    "beyond-the-schema": "younger capabilities and file systems from a pool are not in it",
    "nova": "it has no <cmdline> for containers, which Nova writes all the same",
    "strangers": "the point of them",
    "hidden-values": "marks of hidden values are attributes of ours",
    "host-owners": "marks of mounts without mapped ids, partitions, ipvlans, trusted ports and found devices are ours",
    "linuxcontainer-2008-01-first": "holds a stranger",
}
NOT_LIBVIRTS = {
    "beyond-the-schema": "refused: capabilities it does not know",
    "live": "its parser leaves out what our dump of the live domain holds, in other words",
    "strangers": "it drops what it does not know",
    "hidden-values": "it drops what it does not know",
    "host-owners": "it drops what it does not know",
    "linuxcontainer-2008-01-first": "holds a stranger",
    "shared-namespaces": "only its LXC driver knows them",
    "user-cards": "only a build with passt knows it; then it leaves out what it would tell a machine's",
    "virtual-machine-leftovers": "two consoles of a virtual machine, of which it takes only one",
}
GENERATIONS = [pytest.param(each, marks=pytest.mark.requires(each)) for each in ("virsh", "virsh-11", "virsh-12")]
OS = "  <os>\n    <type arch='i686'>hvm</type>\n    <boot dev='hd'/>\n  </os>\n"


def chosen(left_out: dict[str, str]) -> list[Path]:
    assert left_out.keys() <= {path.stem for path in DOMAINS}
    return [path for path in DOMAINS if path.stem not in left_out]


@pytest.fixture(scope="module")
def schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(SCHEMA))


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize("path", chosen(OUTSIDE_THE_SCHEMA), ids=lambda path: path.stem)
@pytest.mark.parametrize("flags", [XmlFlags.LIVE, XmlFlags.INACTIVE], ids=["live", "inactive"])
def test_what_we_write_is_valid_by_libvirts_schema(schema: etree.RelaxNG, path: Path, flags: XmlFlags) -> None:
    document = etree.fromstring(DomainDefinition.load(path.read_text(), Part.LIVE).dump(flags | XmlFlags.SECURE))
    assert schema.validate(document), [f"line {each.line}: {each.message}" for each in schema.error_log]


@pytest.mark.requires("libvirt-schemas")
@pytest.mark.parametrize("name", sorted(OUTSIDE_THE_SCHEMA))
def test_what_is_left_out_is_left_out_for_a_reason(schema: etree.RelaxNG, name: str) -> None:
    path = next(each for each in DOMAINS if each.stem == name)
    assert not schema.validate(etree.fromstring(DomainDefinition.load(path.read_text()).dump()))


@pytest.mark.parametrize("path", chosen(NOT_LIBVIRTS), ids=lambda path: path.stem)
@pytest.mark.parametrize("virsh", GENERATIONS)
def test_libvirt_reads_what_we_write_and_writes_the_same(virsh: str, path: Path, tmp_path: Path) -> None:
    ours = as_test_domain(DomainDefinition.load(path.read_text()).dump(XmlFlags.INACTIVE | XmlFlags.SECURE))
    assert without_additions(libvirts(ours, virsh, tmp_path)) == ours


def as_test_domain(xml: str) -> str:
    """Return xml with a type and a system that libvirt's test driver takes, and without the floor it does not."""
    system = OS.replace("    <boot dev='hd'/>\n", "") if "<boot order=" in xml else OS
    typed = xml.replace("<domain type='lxc'", "<domain type='test'", 1)
    return re.sub(r" floor='\d+'", "", re.sub(r"  <os>\n.*?  </os>\n", system, typed, count=1, flags=re.DOTALL))


def libvirts(xml: str, virsh: str, directory: Path) -> str:
    """Return xml as libvirt writes it after it was defined. virsh: the capability that has the program."""
    program = "virsh" if virsh == "virsh" else str(sideload.found(virsh))
    file = directory / "domain.xml"
    file.write_text(xml)
    uuid = etree.fromstring(xml).findtext("uuid")
    command = f"define {file}; dumpxml {uuid} --inactive"
    result = subprocess.run(
        [program, "--quiet", "-c", "test:///default", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert not result.stderr, result.stderr
    return result.stdout.rstrip("\n") + "\n"


def without_additions(xml: str) -> str:
    """Return xml without what libvirt's test driver adds to any domain, and with our quotes in the metadata."""
    added = r"(?m)^ +<(target dev='testnet\d+'|address type='drive'.*|controller type='scsi'.*)/>\n"
    quoted = re.sub(r"(?s)  <metadata>.*?</metadata>", lambda found: found[0].replace('"', "'"), xml)
    return re.sub(added, "", quoted)
