"""What OpenStack's Nova asks of libvirt for a container, in its order, by libvirt-python: with a card of each kind.

From what Nova documents and is seen to ask; Nova itself is not here. What it needs of virtual machines alone is refused
with numbers by which it knows that.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_libvirt_python import told
from tests.insulad import Insulad

pytestmark = [
    pytest.mark.requires("virsh", "overlay.idmapped", "libvirt-python", "nft"),
    pytest.mark.client("Nova's sequence of calls"),
]

UUID = "b38a3f43-4be2-4046-897f-b67c2f5e0147"
INSTANCE = """
<domain type="lxc">
  <uuid>{uuid}</uuid>
  <name>instance-00000001</name>
  <memory>131072</memory>
  <vcpu>1</vcpu>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:package version="31.0.0"/><nova:name>server</nova:name>
    </nova:instance>
  </metadata>
  <sysinfo type="smbios"><system><entry name="manufacturer">OpenStack Foundation</entry></system></sysinfo>
  <cputune><shares>1024</shares></cputune>
  <os><type>exe</type><init>/sbin/init</init><cmdline>console=tty0 console=ttyS0 console=hvc0</cmdline></os>
  <clock offset="utc"/>
  <devices>
    <filesystem type="mount"><source dir="{root}"/><target dir="/"/></filesystem>
    {card}
    <console type="pty"/>
  </devices>
</domain>
"""
MAC = "fa:16:3e:11:22:33"
CARDS = {
    "bridge": "<interface type='bridge'><mac address='{mac}'/><model type='virtio'/><source bridge='br-int'/>"
    "<mtu size='1450'/><target dev='tap12345678-9a'/></interface>",
    "bridge with a filter": "<interface type='bridge'><mac address='{mac}'/><source bridge='br-int'/>"
    "<target dev='tap12345678-9a'/><filterref filter='no-mac-spoofing'/></interface>",
    "ethernet": "<interface type='ethernet'><mac address='{mac}'/><target dev='tap12345678-9a'/><mtu size='1450'/>"
    "</interface>",
    "direct": "<interface type='direct'><mac address='{mac}'/><source dev='up0' mode='vepa'/></interface>",
    "hostdev": "<interface type='hostdev' managed='yes'><mac address='{mac}'/><source dev='vf0'/></interface>",
}
DRIVER = """
conn = libvirt.open(uri)
told = {}
def refused(ask, *words):
    try:
        ask(*words)
    except libvirt.libvirtError as error:
        return error.get_error_code()
    return 0
lifecycle = []
conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda c, d, e, *_: lifecycle.append(e), None)
conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, lambda *_: None, None)
conn.registerCloseCallback(lambda *_: None, None)
told["versions"] = [conn.getLibVersion() > 9000000, conn.getVersion() > 0, conn.getType(), bool(conn.getHostname())]
told["capabilities"] = "<os_type>exe</os_type>" in conn.getCapabilities()
told["models"] = refused(conn.getCPUModelNames, "x86_64", 0)
told["compared"] = refused(conn.compareCPU, "<cpu><arch>x86_64</arch><model>qemu64</model></cpu>", 0)
told["baseline"] = refused(conn.baselineCPU, ["<cpu><arch>x86_64</arch><model>qemu64</model></cpu>"], 1)
told["sev"] = refused(conn.getSEVInfo)
told["node"] = [len(conn.getInfo()), conn.getMemoryStats(-1)["total"] > 0, conn.getCPUMap(0)[0] > 0]
told["devices"] = [len(conn.listAllDevices(0)), len(conn.listDevices("pci", 0)), len(conn.listAllSecrets(0))]
told["none yet"] = [conn.listAllDomains(1), conn.numOfDomains(), refused(conn.lookupByUUIDString, sys.argv[2])]
"""
LIFE = """
uuid_, xml, card, name = sys.argv[2:6]
guest = conn.defineXML(xml)
guest.createWithFlags(0)
guest = conn.lookupByUUIDString(uuid_)
told["state"] = guest.state(0)[0]
told["info"] = [guest.info()[0], guest.info()[1], guest.info()[3], guest.isPersistent(), guest.isActive()]
told["name"] = [guest.name(), conn.listAllDomains(1)[0].UUIDString() == uuid_]
told["secure"] = "nova:instance" in guest.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
told["inactive"] = "instance-00000001" in guest.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
told["statistics"] = [len(guest.vcpus()[0]), "rss" in guest.memoryStats(), guest.getCPUStats(True)[0]["cpu_time"] > 0]
told["job"] = [guest.jobInfo()[0], guest.jobStats(0)["type"], refused(guest.abortJob)]
told["quiesced"] = [guest.fsFreeze() > 0, guest.fsThaw() > 0]
guest.suspend()
told["paused"] = guest.state(0)[0]
guest.resume()
other = card.replace("11:22:33", "11:22:44").replace("tap12345678-9a", "tap12345678-9b")
both = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
if "vf0" not in card:
    guest.attachDeviceFlags(other, both)
    told["attached"] = guest.XMLDesc(0).count("11:22:44") + guest.XMLDesc(2).count("11:22:44")
    guest.detachDeviceFlags(other, both)
    told["detached"] = guest.XMLDesc(0).count("11:22:44") + guest.XMLDesc(2).count("11:22:44")
    told["again"] = refused(guest.detachDeviceFlags, other, both)
else:
    told.update(attached=2, detached=0, again=99)
addresses = guest.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, 0)
told["card"] = [each["hwaddr"] for each in addresses.values() if each["hwaddr"]]
told["counted"] = len(guest.interfaceStats(name))
told["snapshot"] = refused(guest.snapshotCreateXML, "<domainsnapshot/>", 16)
told["managed save"] = [guest.hasManagedSaveImage(0), refused(guest.managedSave, 0)]
told["migrated"] = refused(guest.migrateToURI3, "lxc+ssh://other/system", {}, 1 | 2)
told["moves"] = refused(guest.blockJobInfo, "vda", 0)
guest.shutdown()
guest.destroy()
guest.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
until(lambda: lifecycle[-1:] == [libvirt.VIR_DOMAIN_EVENT_UNDEFINED])
told["gone"] = [refused(conn.lookupByUUIDString, uuid_), conn.listAllDomains(0)]
tell(told)
"""


@pytest.fixture
def cards(insulad: Insulad) -> None:
    """A bridge, an uplink and a device to give away: Neutron's agents make them before an instance starts."""
    for words in (
        "add br-int type bridge", "add up0 type veth peer name up1", "add vf0 type veth peer name vf1",
        "set br-int up", "set up0 up", "set up1 up",
    ):  # fmt: skip
        insulad.host.run("ip", "link", *words.split())


@pytest.fixture(autouse=True)
def no_cards_left(insulad: Insulad, cards: None) -> Iterator[None]:
    yield
    for name in ("br-int", "up0", "vf0"):
        insulad.host.run("ip", "link", "delete", name, check=False)


def test_the_drivers_beginning_finds_a_host_of_containers(insulad: Insulad) -> None:
    found = told(insulad, DRIVER + "tell(told)", UUID)
    assert found == {
        "versions": [True, True, "LXC", True], "capabilities": True, "models": 3, "compared": 3, "baseline": 3,
        "sev": 3, "node": [8, True, True], "devices": [0, 0, 0], "none yet": [[], 0, 42],
    }  # fmt: skip


@pytest.mark.parametrize("kind", CARDS)
def test_an_instances_life_with_a_card_of_each_kind(insulad: Insulad, busybox_root: Path, kind: str) -> None:
    card = CARDS[kind].format(mac=MAC)
    xml = INSTANCE.format(uuid=UUID, root=busybox_root, card=card)
    name = "tap12345678-9a" if "tap12345678-9a" in card else MAC
    found = told(insulad, DRIVER + LIFE, UUID, xml, card, name)
    assert found | {"versions": 0, "node": 0} == {
        "versions": 0, "capabilities": True, "models": 3, "compared": 3, "baseline": 3, "sev": 3, "node": 0,
        "devices": [0, 0, 0], "none yet": [[], 0, 42],
        "state": 1, "info": [1, 131072, 1, 1, 1], "name": ["instance-00000001", True], "secure": True, "inactive": True,
        "statistics": [1, True, True], "job": [0, 0, 55], "quiesced": [True, True], "paused": 3,
        "attached": 2, "detached": 0, "again": 99, "card": [MAC], "counted": 8, "snapshot": 3, "managed save": [0, 3],
        "migrated": 74, "moves": 3, "gone": [42, []],
    }  # fmt: skip
