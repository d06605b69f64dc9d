"""Rules of networks, and the golden commands that are made of them. `python -m tests.rulesets` writes those anew."""

import json
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

from insula.engine.interfacespec import PortProtection
from insula.model.builtinfilters import built_in_filter
from insula.model.networksettings import TransportProtocol
from insula.model.nwfilter import FilterDefinition
from insula.network.firewall.filterrules import rules_of
from insula.network.firewall.firewall import no_filter
from insula.network.firewall.networkrules import ForwardedPort, NetworkRules, Reach
from insula.network.firewall.nftwords import Command, Table, TableFamily
from insula.network.firewall.portrules import PortRules
from insula.network.firewall.portruleset import port_commands
from insula.network.firewall.ruleset import frame, network_commands

DIRECTORY = Path(__file__).parent / "data/firewall"

TABLE = Table(family=TableFamily.INET, name="insula")

NAT = NetworkRules(
    name="default",
    bridge="virbr0",
    reach=Reach.NAT,
    subnets=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")),
)

CASES: Mapping[str, NetworkRules] = {
    "nat": NAT,
    "nat-of-both": replace(NAT, nat_ipv6=True, devices=("eth0", "eth1")),
    "nat-by-range": replace(
        NAT,
        nat_addresses=(IPv4Address("198.51.100.3"), IPv4Address("198.51.100.7")),
        nat_ports=(1024, 65535),
    ),
    "route": replace(NAT, reach=Reach.ROUTE, devices=("eth0",)),
    "open": replace(NAT, reach=Reach.OPEN),
    "isolated": replace(NAT, reach=Reach.ISOLATED),
    "forwards": replace(
        NAT,
        name="two words",
        forwards=(
            ForwardedPort(port=8080, to_port=80, to_address=ip_address("192.0.2.7")),
            ForwardedPort(
                transport=TransportProtocol.UDP,
                port=5000,
                count=3,
                to_port=6000,
                to_address=ip_address("2001:db8::7"),
                address=ip_address("2001:db8:1::1"),
            ),
            ForwardedPort(port=900, count=10, to_port=900, to_address=ip_address("192.0.2.8"), from_device="eth0"),
        ),
    ),
}


def commands_of(rules: NetworkRules) -> list[Command]:
    return [*frame(TABLE), *network_commands(TABLE, rules)]


PORT_TABLE = Table(family=TableFamily.BRIDGE, name="insula")


def found(name: str) -> FilterDefinition:
    """Return the built-in filter of a name."""
    return built_in_filter(name) or no_filter(name)


def port_with(name: str) -> PortRules:
    """Return a port before which the filter of a name stands."""
    given = (("DHCPSERVER", "fe80::1" if "v6" in name else "192.0.2.1"), ("GATEWAY_MAC", "52:54:00:00:00:99"))
    return PortRules(host="vnet0", mac="52:54:00:00:00:01", protection=PortProtection(filter=name, parameters=given))


def port_commands_of(name: str) -> list[Command]:
    """Return the commands for a port with a built-in filter, whose guest has no address that is known."""
    port = port_with(name)
    return port_commands(PORT_TABLE, port, rules_of(port, found))


def golden(name: str) -> Path:
    return DIRECTORY / f"{name}.json"


def written(commands: list[Command]) -> str:
    """Return the commands, each in a line."""
    return "[\n" + ",\n".join(json.dumps(each) for each in commands) + "\n]\n"


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, rules in CASES.items():
        golden(name).write_text(written(commands_of(rules)))
    golden("port-clean-traffic").write_text(written(port_commands_of("clean-traffic")))
