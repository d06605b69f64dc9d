"""Networks that tests say in a few words."""

from insula.model.network import NetworkDefinition, load_network
from insula.model.xmlmap import Part

UUID_TEXT = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"
SUBNET = "<ip address='192.168.122.1' prefix='24'>{}</ip>"
SUBNET6 = "<ip family='ipv6' address='fd00::1' prefix='64'>{}</ip>"


def network_xml(inside: str = "", attributes: str = "") -> str:
    return f"<network{attributes}><name>lan</name><uuid>{UUID_TEXT}</uuid>{inside}</network>"


def network_of(inside: str = "", attributes: str = "") -> NetworkDefinition:
    return load_network(network_xml(inside, attributes), Part.LIVE)


def with_dhcp(inside: str) -> NetworkDefinition:
    return network_of(SUBNET.format(f"<dhcp>{inside}</dhcp>"))
