"""Rules of networks as values."""

from ipaddress import ip_network

from insula.network.firewall.networkrules import NetworkRules, Reach


def test_rules_are_equal_by_what_they_say() -> None:
    one, two = (
        NetworkRules(name="n", bridge="virbr0", reach=Reach.NAT, subnets=(ip_network("192.0.2.0/24"),))
        for _ in range(2)
    )
    assert one == two
    assert hash(one) == hash(two)
