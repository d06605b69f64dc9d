"""What others' rules keep networks from, by what their own program lists."""

from dataclasses import replace

import pytest

from insula.network.firewall.networkrules import NetworkRules, Reach
from insula.network.firewall.otherfirewalls import obstacles_in, read_listing
from tests.rulesets import NAT

DOCKER = """\
-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-USER -j RETURN
"""
UFW = """\
-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-N ufw-before-forward
-A FORWARD -j ufw-before-forward
"""
BARE = "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"
NOTHING = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"


def texts(listing: str, rules: NetworkRules = NAT, version: int = 4) -> list[str]:
    return [each.text for each in obstacles_in(read_listing(listing), rules, version)]


def test_dockers_policy_is_told_with_the_chain_that_it_keeps_for_others() -> None:
    (text,) = texts(DOCKER)
    assert text == (
        "Docker drops what crosses this host (policy DROP of FORWARD): guests of the network 'default' reach nothing "
        "beyond it by IPv4: say 'iptables -I DOCKER-USER -i virbr0 -j ACCEPT' and "
        "'iptables -I DOCKER-USER -o virbr0 -j ACCEPT', or let insulad do it (mend_other_firewalls in insulad.toml)"
    )


def test_ufws_policies_are_told_with_its_own_commands() -> None:
    crossing, asking = texts(UFW)
    assert "'ufw route allow in on virbr0' and 'ufw route allow out on virbr0'" in crossing
    assert "get no addresses and names by IPv4: say 'ufw allow in on virbr0'," in asking


def test_what_is_accepted_already_is_no_obstacle() -> None:
    half = DOCKER + '-A DOCKER-USER -i virbr0 -m comment --comment "mine" -j ACCEPT\n'
    (text,) = texts(half)
    assert "-i virbr0" not in text
    assert texts(half + "-A DOCKER-USER -o virbr0 -j ACCEPT\n") == []
    asked = UFW + "-A FORWARD -i virbr0 -j ACCEPT\n-A FORWARD -o virbr0 -j ACCEPT\n-A INPUT -i virbr0 -j ACCEPT\n"
    assert texts(asked) == []


def test_a_rule_for_another_bridge_or_another_port_accepts_nothing_of_ours() -> None:
    others = UFW + "-A FORWARD -i br7 -j ACCEPT\n-A INPUT -i virbr0 -p udp -m udp --dport 67 -j ACCEPT\n"
    listing = read_listing(others)
    crossing, asking = obstacles_in(listing, NAT, 4)
    assert len(crossing.rules) == 2
    assert [each[6] for each in asking.rules] == ["53", "53"]


@pytest.mark.parametrize(
    ("listing", "rules", "version"),
    [
        (NOTHING, NAT, 4),
        (BARE, replace(NAT, reach=Reach.OPEN), 4),
        (BARE, replace(NAT, reach=Reach.ISOLATED), 4),
        (BARE, replace(NAT, subnets=NAT.subnets[:1]), 6),
    ],
    ids=["nothing is dropped", "others' rules say", "nothing crosses anyway", "no such addresses"],
)
def test_what_keeps_a_network_from_nothing_is_no_obstacle(listing: str, rules: NetworkRules, version: int) -> None:
    assert texts(listing, rules, version) == []


def test_a_policy_of_nobody_known_is_told_too() -> None:
    (text,) = texts(BARE, version=6)
    assert text.startswith("a firewall of this host drops what crosses")
    assert "'ip6tables -I FORWARD -i virbr0 -j ACCEPT'" in text
