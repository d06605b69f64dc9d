"""Networks by the distribution's libvirt-python: the numbers that programs branch on, and events."""

from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml
from tests.e2e.test_libvirt_python import told
from tests.insulad import Insulad

pytestmark = [pytest.mark.requires("virsh", "libvirt-python", "nft", "dnsmasq"), pytest.mark.client("libvirt-python")]

MAC = "52:54:00:11:22:33"
XML = "<network><name>lan</name><bridge name='lan0'/><ip address='10.9.0.1' prefix='24'/></network>"


def test_a_network_lives_and_its_events_are_heard(insulad: Insulad) -> None:
    facts = told(
        insulad,
        """
        conn = libvirt.open(uri)
        heard = []
        number = conn.networkEventRegisterAny(
            None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, lambda c, net, event, detail, _: heard.append(event), None)
        net = conn.networkDefineXML(sys.argv[2])
        net.create()
        net.setAutostart(True)
        seen = [net.isActive(), net.isPersistent(), net.autostart(), net.bridgeName(), net.DHCPLeases(),
                [each.name() for each in conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)],
                conn.listNetworks(), conn.listDefinedNetworks(), conn.numOfNetworks(), net.listAllPorts()]
        net.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_SECTION_DNS_TXT, -1,
                   "<txt name='a' value='b'/>", libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE)
        seen.append(["<txt" in net.XMLDesc(), "<txt" in net.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE)])
        net.destroy()
        net.undefine()
        until(lambda: len(heard) == 4)
        conn.networkEventDeregisterAny(number)
        tell([seen, heard])
        """,
        XML,
    )
    assert facts == [[1, 1, 1, "lan0", [], ["lan"], ["lan"], [], 1, [], [True, False]], [0, 2, 3, 1]]


@pytest.mark.requires("overlay.idmapped", "userns", "tc")
def test_a_port_of_a_running_guest_is_limited(insulad: Insulad, busybox_root: Path) -> None:
    card = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/></interface>"
    insulad.define(domain_xml("web", busybox_root, extra=card))
    facts = told(
        insulad,
        """
        conn = libvirt.open(uri)
        net = conn.networkCreateXML(sys.argv[2])
        guest = conn.lookupByName("web")
        guest.create()
        (port,) = net.listAllPorts()
        port.setParameters({"inbound.average": 500})
        limits = [port.parameters()["inbound.average"], guest.interfaceParameters(sys.argv[3])["inbound.average"]]
        shown = port.UUIDString() in guest.XMLDesc()
        refused = []
        for work in (port.delete, lambda: net.portCreateXML("<networkport/>")):
            try:
                work()
            except libvirt.libvirtError as error:
                refused.append(error.get_error_code())
        guest.destroy()
        net.destroy()
        tell([limits, shown, refused])
        """,
        XML,
        MAC,
    )
    assert facts == [[500, 500], True, [3, 3]]


def test_what_goes_wrong_has_libvirts_numbers(insulad: Insulad) -> None:
    codes = told(
        insulad,
        """
        conn = libvirt.open(uri)
        def code(work):
            try:
                work()
            except libvirt.libvirtError as error:
                return [error.get_error_code(), error.get_error_domain()]
        net = conn.networkDefineXML(sys.argv[2])
        tell([code(lambda: conn.networkLookupByName("no")), code(net.destroy),
              code(lambda: conn.networkCreateXML("<network><name>lan</name></network>")),
              code(lambda: conn.networkDefineXML("<network>")), code(lambda: conn.networkDefineXML("<network/>"))])
        net.undefine()
        """,
        XML,
    )
    network = 19  # VIR_FROM_NETWORK
    assert codes[:3] == [[43, network], [55, network], [9, network]]
    assert [each[0] for each in codes[3:]] == [35, 21]
