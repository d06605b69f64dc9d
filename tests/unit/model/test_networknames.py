from ipaddress import ip_address

from insula.model.networknames import DnsHost, NetworkDns
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

DNS = """\
<dns forwardPlainNames='no'>
  <forwarder domain='example.com' addr='8.8.4.4'/>
  <forwarder domain='www.example.com'/>
  <txt name='example' value='a,b'/>
  <srv service='ldap' protocol='tcp' domain='example.com' target='.' port='1024' priority='10' weight='20'/>
  <host ip='192.168.122.2'>
    <hostname>myhost</hostname>
    <hostname>alias</hostname>
  </host>
</dns>
"""


def test_names_are_written_as_libvirt_orders_them() -> None:
    dns = load(NetworkDns, "dns", DNS)
    assert dump(dns, "dns") == DNS
    assert dns.hosts == (DnsHost(ip=ip_address("192.168.122.2"), hostnames=("myhost", "alias")),)
