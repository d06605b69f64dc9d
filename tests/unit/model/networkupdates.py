"""Updates of one network, with what comes of each: a result, or an error of a kind.

tests/conformance asks libvirt's own code the same; what stands here is what both say, but for LIBVIRT_TAKES.
"""

from insula.errors import (
    InsulaError,
    OperationInvalidError,
    OperationUnsupportedError,
    UnsupportedConfigError,
    XmlError,
)
from insula.model.networknumbers import NetworkUpdateCommand as Command
from insula.model.networknumbers import NetworkUpdateSection as Section

NETWORK = """\
<network>
  <name>u</name>
  <uuid>3e3fce45-4f53-4fa7-bb32-11f34168b82b</uuid>
  <forward mode='nat'/>
  <bridge name='virbr9'/>
  <mac address='52:54:00:00:00:01'/>
  <dns>
    <txt name='a' value='1'/>
    <srv service='s' protocol='tcp' target='t' port='5'/>
    <host ip='192.168.122.2'><hostname>h</hostname><hostname>i</hostname></host>
  </dns>
  <ip address='192.168.122.1' prefix='24'>
    <dhcp>
      <range start='192.168.122.100' end='192.168.122.120'/>
      <host mac='52:54:00:00:00:11' name='one' ip='192.168.122.11'/>
      <host mac='52:54:00:00:00:12' name='two' ip='192.168.122.12'/>
    </dhcp>
  </ip>
  <ip address='192.168.123.1' prefix='24'/>
  <ip family='ipv6' address='fd00::1' prefix='64'/>
  <portgroup name='p' default='yes'/>
  <portgroup name='q'/>
</network>
"""

Update = tuple[Command, Section, int, str, type[InsulaError] | None]

UPDATES: list[Update] = [
    (Command.MODIFY, Section.BRIDGE, -1, "<bridge name='x'/>", OperationUnsupportedError),
    (Command.MODIFY, Section.DOMAIN, -1, "<domain name='x'/>", OperationUnsupportedError),
    (Command.MODIFY, Section.IP, -1, "<ip address='1.2.3.4'/>", OperationUnsupportedError),
    (Command.MODIFY, Section.FORWARD, -1, "<forward mode='nat'/>", OperationUnsupportedError),
    (Command.ADD_LAST, Section.FORWARD_PF, -1, "<pf dev='x'/>", OperationUnsupportedError),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<hosts/>", XmlError),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:13' name='three' ip='192.168.122.13'/>",
        None,
    ),
    (Command.ADD_FIRST, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:13' ip='192.168.122.13'/>", None),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:11' ip='192.168.122.13'/>",
        OperationInvalidError,
    ),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:13' name='one' ip='192.168.122.13'/>",
        OperationInvalidError,
    ),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:13' ip='192.168.122.12'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:13' ip='192.168.99.12'/>", XmlError),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:13'/>", XmlError),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host ip='192.168.122.13'/>", XmlError),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        1,
        "<host mac='52:54:00:00:00:13' ip='192.168.123.13'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, 2, "<host id='0:1:0:1' ip='fd00::13'/>", None),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, 2, "<host mac='52:54:00:00:00:13' ip='fd00::13'/>", XmlError),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        7,
        "<host mac='52:54:00:00:00:13' ip='192.168.123.13'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host mac='53:54:00:00:00:13' ip='192.168.122.13'/>", XmlError),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:13' name='1one' ip='192.168.122.13'/>",
        None,
    ),
    (Command.MODIFY, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:12' name='zwei' ip='192.168.122.22'/>", None),
    (Command.MODIFY, Section.IP_DHCP_HOST, -1, "<host name='two' ip='192.168.122.22'/>", None),
    (
        Command.MODIFY,
        Section.IP_DHCP_HOST,
        -1,
        "<host mac='52:54:00:00:00:15' name='five' ip='192.168.122.22'/>",
        OperationInvalidError,
    ),
    (Command.MODIFY, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:12' ip='192.168.122.11'/>", XmlError),
    (Command.DELETE, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:12'/>", None),
    (Command.DELETE, Section.IP_DHCP_HOST, -1, "<host name='two' mac='52:54:00:00:00:11'/>", OperationInvalidError),
    (Command.DELETE, Section.IP_DHCP_HOST, -1, "<host ip='192.168.122.12'/>", None),
    (Command.DELETE, Section.IP_DHCP_HOST, -1, "<host/>", XmlError),
    (Command.DELETE, Section.IP_DHCP_HOST, -1, "<host mac='52:54:00:00:00:19'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.IP_DHCP_RANGE, -1, "<range start='192.168.122.130' end='192.168.122.140'/>", None),
    (Command.ADD_FIRST, Section.IP_DHCP_RANGE, -1, "<range start='192.168.122.130' end='192.168.122.140'/>", None),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_RANGE,
        -1,
        "<range start='192.168.122.100' end='192.168.122.120'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.IP_DHCP_RANGE, -1, "<range start='192.168.122.110' end='192.168.122.130'/>", XmlError),
    (Command.ADD_LAST, Section.IP_DHCP_RANGE, -1, "<range start='192.168.122.140' end='192.168.122.130'/>", XmlError),
    (Command.ADD_LAST, Section.IP_DHCP_RANGE, -1, "<range start='192.168.12.140' end='192.168.12.150'/>", XmlError),
    (
        Command.ADD_LAST,
        Section.IP_DHCP_RANGE,
        1,
        "<range start='192.168.123.130' end='192.168.123.140'/>",
        OperationInvalidError,
    ),
    (
        Command.MODIFY,
        Section.IP_DHCP_RANGE,
        -1,
        "<range start='192.168.122.100' end='192.168.122.130'/>",
        OperationUnsupportedError,
    ),
    (Command.DELETE, Section.IP_DHCP_RANGE, -1, "<range start='192.168.122.100' end='192.168.122.120'/>", None),
    (
        Command.DELETE,
        Section.IP_DHCP_RANGE,
        -1,
        "<range start='192.168.122.100' end='192.168.122.121'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.FORWARD_INTERFACE, -1, "<interface dev='eth7'/>", None),
    (Command.ADD_LAST, Section.FORWARD_INTERFACE, -1, "<interface/>", XmlError),
    (Command.MODIFY, Section.FORWARD_INTERFACE, -1, "<interface dev='eth7'/>", OperationUnsupportedError),
    (Command.DELETE, Section.FORWARD_INTERFACE, -1, "<interface dev='eth7'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.PORTGROUP, -1, "<portgroup name='r'/>", None),
    (Command.ADD_FIRST, Section.PORTGROUP, -1, "<portgroup name='r'/>", None),
    (Command.ADD_LAST, Section.PORTGROUP, -1, "<portgroup name='p'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.PORTGROUP, -1, "<portgroup name='r' default='yes'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.PORTGROUP, -1, "<portgroup/>", XmlError),
    (Command.MODIFY, Section.PORTGROUP, -1, "<portgroup name='q'><vlan><tag id='3'/></vlan></portgroup>", None),
    (Command.MODIFY, Section.PORTGROUP, -1, "<portgroup name='q' default='yes'/>", OperationInvalidError),
    (Command.MODIFY, Section.PORTGROUP, -1, "<portgroup name='x'/>", OperationInvalidError),
    (Command.DELETE, Section.PORTGROUP, -1, "<portgroup name='q'/>", None),
    (Command.DELETE, Section.PORTGROUP, -1, "<portgroup name='x'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.DNS_HOST, -1, "<host ip='192.168.122.3'><hostname>k</hostname></host>", None),
    (
        Command.ADD_LAST,
        Section.DNS_HOST,
        -1,
        "<host ip='192.168.122.2'><hostname>k</hostname></host>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.DNS_HOST, -1, "<host ip='192.168.122.3'><hostname>h</hostname></host>", None),
    (Command.ADD_LAST, Section.DNS_HOST, -1, "<host ip='192.168.122.3'/>", XmlError),
    (Command.ADD_LAST, Section.DNS_HOST, -1, "<host><hostname>h</hostname></host>", XmlError),
    (Command.MODIFY, Section.DNS_HOST, -1, "<host ip='192.168.122.2'><hostname>k</hostname></host>", None),
    (Command.MODIFY, Section.DNS_HOST, -1, "<host ip='192.168.122.2'/>", XmlError),
    (Command.MODIFY, Section.DNS_HOST, -1, "<host><hostname>h</hostname></host>", OperationInvalidError),
    (
        Command.MODIFY,
        Section.DNS_HOST,
        -1,
        "<host ip='192.168.122.3'><hostname>h</hostname></host>",
        OperationInvalidError,
    ),
    (Command.DELETE, Section.DNS_HOST, -1, "<host ip='192.168.122.2'/>", None),
    (Command.DELETE, Section.DNS_HOST, -1, "<host><hostname>h</hostname></host>", None),
    (Command.DELETE, Section.DNS_HOST, -1, "<host><hostname>h</hostname><hostname>i</hostname></host>", None),
    (Command.DELETE, Section.DNS_HOST, -1, "<host><hostname>h</hostname><hostname>j</hostname></host>", None),
    (Command.DELETE, Section.DNS_HOST, -1, "<host ip='192.168.122.3'><hostname>h</hostname></host>", None),
    (Command.DELETE, Section.DNS_HOST, -1, "<host ip='192.168.122.3'/>", OperationInvalidError),
    (Command.DELETE, Section.DNS_HOST, -1, "<host/>", XmlError),
    (Command.ADD_LAST, Section.DNS_TXT, -1, "<txt name='b' value='2'/>", None),
    (Command.ADD_LAST, Section.DNS_TXT, -1, "<txt name='a' value='2'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.DNS_TXT, -1, "<txt name='b'/>", XmlError),
    (Command.ADD_LAST, Section.DNS_TXT, -1, "<txt value='b'/>", XmlError),
    (Command.ADD_LAST, Section.DNS_TXT, -1, "<txt name='b c' value='2'/>", XmlError),
    (Command.MODIFY, Section.DNS_TXT, -1, "<txt name='a' value='2'/>", None),
    (Command.MODIFY, Section.DNS_TXT, -1, "<txt name='b' value='2'/>", OperationInvalidError),
    (Command.MODIFY, Section.DNS_TXT, -1, "<txt name='a'/>", OperationInvalidError),
    (Command.DELETE, Section.DNS_TXT, -1, "<txt name='a'/>", None),
    (Command.DELETE, Section.DNS_TXT, -1, "<txt name='a' value='2'/>", None),
    (Command.DELETE, Section.DNS_TXT, -1, "<txt name='b' value='2'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s' protocol='udp'/>", None),
    (
        Command.ADD_LAST,
        Section.DNS_SRV,
        -1,
        "<srv service='s' protocol='tcp' target='t' port='5'/>",
        OperationInvalidError,
    ),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s' protocol='tcp'/>", OperationInvalidError),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s' protocol='tcp' target='u' port='5'/>", None),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s'/>", XmlError),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s' protocol='xyz'/>", None),
    (
        Command.ADD_LAST,
        Section.DNS_SRV,
        -1,
        "<srv service='s' protocol='tcp' target='t' port='0'/>",
        UnsupportedConfigError,
    ),
    (
        Command.ADD_LAST,
        Section.DNS_SRV,
        -1,
        "<srv service='s' protocol='tcp' target='t' port='70000'/>",
        UnsupportedConfigError,
    ),
    (Command.ADD_LAST, Section.DNS_SRV, -1, "<srv service='s' protocol='tcp' port='5'/>", XmlError),
    (
        Command.ADD_LAST,
        Section.DNS_SRV,
        -1,
        "<srv service='s' protocol='tcp' target='t' priority='70000'/>",
        UnsupportedConfigError,
    ),
    (Command.MODIFY, Section.DNS_SRV, -1, "<srv service='s' protocol='tcp'/>", OperationUnsupportedError),
    (Command.DELETE, Section.DNS_SRV, -1, "<srv service='s'/>", None),
    (Command.DELETE, Section.DNS_SRV, -1, "<srv service='x'/>", OperationInvalidError),
    (Command.DELETE, Section.DNS_SRV, -1, "<srv protocol='tcp'/>", None),
    (Command.DELETE, Section.DNS_SRV, -1, "<srv/>", None),
]

LIBVIRT_TAKES = {
    "<host mac='52:54:00:00:00:13' ip='192.168.99.12'/>": "it does not look whether a host is in the subnet",
    "<range start='192.168.122.110' end='192.168.122.130'/>": "it lets ranges overlap",
    "<host mac='52:54:00:00:00:12' ip='192.168.122.11'/>": "it lets two hosts have one MAC address afterwards",
}
