"""The network filters that are there without anybody defining them: those of libvirt's names that make sense here, and
some of our own (`OWN`).

Each of libvirt's names means what it means there, which `tests/unit/model/test_builtinfilters.py` compares. They are
written in the language that administrators write their own in, so that `virsh nwfilter-dumpxml` shows how it is done.
"""

from collections.abc import Mapping
from functools import cache
from uuid import UUID, uuid5

from insula.model.nwfilter import FilterDefinition, load_filter

_SPACE = UUID("8e1b9a0e-55ba-4a7e-9a0c-6f0b7c1d2e3f")
"""The name space of the built-in filters' UUIDs, so that each has the same on every host."""

_ARP_ANY = "<rule action='accept' direction='inout' priority='-500'><mac protocolid='arp'/></rule>"
_DHCP_REQUEST = """
    <rule action='accept' direction='out' priority='100'>
      <ip srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' protocol='udp' srcportstart='68' dstportstart='67'/>
    </rule>"""
_DHCPV6_REQUEST = """
    <rule action='accept' direction='out' priority='100'>
      <ipv6 srcipaddr='fe80::' srcipmask='10' dstipaddr='ff02::1:2' protocol='udp'
            srcportstart='546' dstportstart='547'/>
    </rule>"""

OWN = ("no-stp", "no-rogue-servers")
"""Those that libvirt does not have."""

_TEXTS: Mapping[str, tuple[str, str]] = {
    # name → attributes, and what stands inside
    "allow-arp": ("chain='arp'", "<rule action='accept' direction='inout'/>"),
    "allow-ipv4": ("chain='ipv4'", "<rule action='accept' direction='inout'/>"),
    "allow-ipv6": ("chain='ipv6'", "<rule action='accept' direction='inout'/>"),
    "allow-incoming-ipv4": ("chain='ipv4'", "<rule action='accept' direction='in'/>"),
    "allow-incoming-ipv6": ("chain='ipv6'", "<rule action='accept' direction='in'/>"),
    "allow-dhcp": (
        "chain='ipv4'",
        f"""<!-- the guest asks for an address, and any server may answer -->{_DHCP_REQUEST}
    <rule action='accept' direction='in' priority='100'>
      <ip protocol='udp' srcportstart='67' dstportstart='68'/>
    </rule>""",
    ),
    "allow-dhcp-server": (
        "chain='ipv4'",
        f"""<!-- the guest asks for an address, and the server DHCPSERVER may answer -->{_DHCP_REQUEST}
    <rule action='accept' direction='in' priority='100'>
      <ip srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='67' dstportstart='68'/>
    </rule>""",
    ),
    "allow-dhcpv6": (
        "chain='ipv6'",
        f"""<!-- the same for IPv6 -->{_DHCPV6_REQUEST}
    <rule action='accept' direction='in' priority='100'>
      <ipv6 protocol='udp' srcportstart='547' dstportstart='546'/>
    </rule>""",
    ),
    "allow-dhcpv6-server": (
        "chain='ipv6'",
        f"""<!-- the same for IPv6, from the server DHCPSERVER -->{_DHCPV6_REQUEST}
    <rule action='accept' direction='in' priority='100'>
      <ipv6 srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='547' dstportstart='546'/>
    </rule>""",
    ),
    "no-mac-spoofing": (
        "chain='mac' priority='-800'",
        """<!-- the guest sends by its own MAC address -->
    <rule action='return' direction='out'>
      <mac srcmacaddr='$MAC'/>
    </rule>
    <rule action='drop' direction='out'>
      <mac/>
    </rule>""",
    ),
    "no-ip-spoofing": (
        "chain='ipv4-ip' priority='-710'",
        """<!-- the guest sends by its own addresses, and by none yet where it asks for one -->
    <rule action='return' direction='out' priority='100'>
      <ip srcipaddr='0.0.0.0' protocol='udp'/>
    </rule>
    <rule action='return' direction='out' priority='500'>
      <ip srcipaddr='$IP'/>
    </rule>
    <rule action='drop' direction='out' priority='1000'/>""",
    ),
    "no-ipv6-spoofing": (
        "chain='ipv6-ip' priority='-610'",
        """<!-- the same for IPv6; IPV6 has the card's own link-local address in it -->
    <rule action='return' direction='out' priority='100'>
      <ipv6 srcipaddr='fe80::' srcipmask='10' protocol='udp'/>
    </rule>
    <!-- whether an address is another's already is asked for by none -->
    <rule action='return' direction='out' priority='100'>
      <ipv6 srcipaddr='::' protocol='icmpv6'/>
    </rule>
    <rule action='return' direction='out' priority='500'>
      <ipv6 srcipaddr='$IPV6'/>
    </rule>
    <rule action='drop' direction='out' priority='1000'/>""",
    ),
    "no-arp-mac-spoofing": (
        "chain='arp-mac' priority='-520'",
        """<rule action='return' direction='out' priority='350'>
      <arp arpsrcmacaddr='$MAC'/>
    </rule>
    <rule action='drop' direction='out' priority='1000'/>""",
    ),
    "no-arp-ip-spoofing": (
        "chain='arp-ip' priority='-510'",
        """<rule action='return' direction='out' priority='400'>
      <arp arpsrcipaddr='$IP'/>
    </rule>
    <rule action='drop' direction='out' priority='1000'/>""",
    ),
    "no-arp-spoofing": ("", "<filterref filter='no-arp-mac-spoofing'/><filterref filter='no-arp-ip-spoofing'/>"),
    "no-ip-multicast": (
        "chain='ipv4'",
        "<rule action='drop' direction='out'><ip dstipaddr='224.0.0.0' dstipmask='4'/></rule>",
    ),
    "no-ipv6-multicast": (
        "chain='ipv6'",
        "<rule action='drop' direction='out'><ipv6 dstipaddr='ff00::' dstipmask='8'/></rule>",
    ),
    "no-mac-broadcast": (
        "chain='ipv4'",
        "<rule action='drop' direction='out'><mac dstmacaddr='ff:ff:ff:ff:ff:ff'/></rule>",
    ),
    "no-other-l2-traffic": ("", "<rule action='drop' direction='inout' priority='1000'/>"),
    "no-other-rarp-traffic": ("chain='rarp'", "<rule action='drop' direction='inout' priority='1000'/>"),
    "no-stp": (
        "",
        """<!-- by a bridge that speaks no STP it would reach the switch behind the host -->
    <rule action='drop' direction='out' priority='-900'><mac dstmacaddr='01:80:c2:00:00:00'/></rule>""",
    ),
    "no-rogue-servers": (
        "",
        """<!-- what only a network's own DHCP servers and routers send: answers, advertisements and redirects -->
    <rule action='drop' direction='out' priority='-900'><ip protocol='udp' srcportstart='67'/></rule>
    <rule action='drop' direction='out' priority='-900'><ipv6 protocol='udp' srcportstart='547'/></rule>
    <rule action='drop' direction='out' priority='-900'><ipv6 protocol='icmpv6' type='134'/></rule>
    <rule action='drop' direction='out' priority='-900'><ipv6 protocol='icmpv6' type='137'/></rule>""",
    ),
    "qemu-announce-self-rarp": (
        "chain='rarp'",
        """<rule action='accept' direction='out' priority='500'>
      <rarp srcmacaddr='$MAC' dstmacaddr='ff:ff:ff:ff:ff:ff' arpsrcmacaddr='$MAC' arpdstmacaddr='$MAC'
            arpsrcipaddr='0.0.0.0' arpdstipaddr='0.0.0.0' opcode='Request_Reverse'/>
    </rule>
    <rule action='accept' direction='in' priority='500'>
      <rarp dstmacaddr='ff:ff:ff:ff:ff:ff' arpsrcmacaddr='$MAC' arpdstmacaddr='$MAC'
            arpsrcipaddr='0.0.0.0' arpdstipaddr='0.0.0.0' opcode='Request_Reverse'/>
    </rule>""",
    ),
    "qemu-announce-self": (
        "",
        """<!-- what virtual machines tell switches when they have moved; containers' guests have no need of it -->
    <rule action='accept' direction='out'>
      <mac protocolid='0x835'/>
    </rule>
    <filterref filter='qemu-announce-self-rarp'/>
    <filterref filter='no-other-rarp-traffic'/>""",
    ),
    "clean-traffic": (
        "",
        f"""<!-- IPv4 and ARP by the guest's own addresses, and nothing else -->
    <filterref filter='no-mac-spoofing'/>
    <filterref filter='no-ip-spoofing'/>
    <rule action='accept' direction='out' priority='-650'>
      <mac protocolid='ipv4'/>
    </rule>
    <filterref filter='allow-incoming-ipv4'/>
    <filterref filter='no-arp-spoofing'/>
    {_ARP_ANY}
    <filterref filter='no-other-l2-traffic'/>
    <filterref filter='qemu-announce-self'/>""",
    ),
    "clean-traffic-gateway": (
        "",
        f"""<!-- the same, with the station GATEWAY_MAC and no other -->
    <filterref filter='no-mac-spoofing'/>
    <filterref filter='no-ip-spoofing'/>
    <filterref filter='no-arp-spoofing'/>
    {_ARP_ANY}
    <rule action='accept' direction='in'>
      <mac srcmacaddr='$GATEWAY_MAC'/>
    </rule>
    <rule action='accept' direction='out'>
      <mac dstmacaddr='$GATEWAY_MAC'/>
    </rule>
    <filterref filter='no-other-l2-traffic'/>
    <filterref filter='qemu-announce-self'/>""",
    ),
}

NAMES = tuple(sorted(_TEXTS))


def built_in_uuid(name: str) -> UUID:
    """Return the UUID of a built-in filter, the same on every host."""
    return uuid5(_SPACE, name)


@cache
def built_in_filter(name: str) -> FilterDefinition | None:
    """Return the built-in filter of a name, None if there is none."""
    if name not in _TEXTS:
        return None
    attributes, inside = _TEXTS[name]
    uuid = built_in_uuid(name)
    return load_filter(f"<filter name='{name}' {attributes}><uuid>{uuid}</uuid>{inside}</filter>", bounded=False)
