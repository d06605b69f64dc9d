"""Rules of ports as values."""

from insula.engine.interfacespec import PortProtection
from insula.network.firewall.portrules import PortRules


def test_rules_are_equal_by_what_they_say() -> None:
    protection = PortProtection(filter="clean-traffic", parameters=(("IP", "192.0.2.1"), ("IP", "192.0.2.2")))
    one, two = (PortRules(host="vnet0", mac="52:54:00:00:00:01", protection=protection) for _ in range(2))
    assert one == two
    assert one.addresses == ()
