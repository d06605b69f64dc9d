"""The host with an uplink that network tests stand on: packets go where they should, and nowhere else."""

from tests.hostnet import BEYOND, BEYOND_6, GATEWAY, HOST_ADDRESS, HOST_ADDRESS_6, HostNet, tcp_source, udp_source


def test_the_host_reaches_what_is_beyond_its_gateway_by_both_families(hostnet: HostNet) -> None:
    assert tcp_source(hostnet.host, hostnet.outside, BEYOND) == HOST_ADDRESS
    assert udp_source(hostnet.host, hostnet.outside, BEYOND) == HOST_ADDRESS
    assert tcp_source(hostnet.host, hostnet.outside, BEYOND_6) == HOST_ADDRESS_6
    assert udp_source(hostnet.host, hostnet.outside, BEYOND_6) == HOST_ADDRESS_6


def test_a_guest_on_a_bridge_talks_with_the_host_and_gets_no_answer_from_outside(hostnet: HostNet) -> None:
    hostnet.host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    hostnet.host.run("ip", "address", "add", "10.1.0.1/24", "dev", "br0")
    with hostnet.guest("vnet0", "br0") as guest:
        guest.run("ip", "address", "add", "10.1.0.2/24", "dev", "eth0")
        guest.run("ip", "route", "add", "default", "via", "10.1.0.1")
        assert tcp_source(guest, hostnet.host, "10.1.0.1") == "10.1.0.2"
        hostnet.host.run("sysctl", "-q", "net.ipv4.ip_forward=1")
        assert udp_source(guest, hostnet.outside, GATEWAY, seconds=0.3) is None
    hostnet.host.run("ip", "link", "delete", "br0")
