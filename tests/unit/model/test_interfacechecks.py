"""What is wrong with a domain's network, found when it is defined."""

import pytest

from insula.model.domain import DomainDefinition
from insula.model.validate import problems
from tests.unit.model.test_validate import domain, interface

LXC = "xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'"


OURS = "xmlns:insula='https://insula.dev/xmlns/domain/1'"


def share(
    ports: str, *, addresses: str = "192.0.2.7", more: str = "", above: str = "", devices: str = ""
) -> DomainDefinition:
    part = f"<insula:share-network addresses='{addresses}' {ports}/>{more}"
    return domain(f"<metadata><insula:domain {OURS}>{part}</insula:domain></metadata>{above}", devices)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (domain(devices=interface("", "bridge")), "interface 1 is of type bridge and names no bridge"),
        (domain(devices=interface("<source bridge='b'/>", "network")), "type network and names no network"),
        (domain(devices=interface("<source mode='vepa'/>", "direct")), "type direct and names no device"),
        (domain(devices=interface("<guest dev='far-too-long-a-name'/>")), "cannot name a network device"),
        (domain(devices=interface("<target dev='a/b'/>")), "'a/b' cannot name a network device"),
        (domain(devices=interface("<guest dev='e'/>") * 2), "two interfaces are called 'e' in the guest"),
        (domain(devices=interface("<target dev='e'/>") * 2), "two interfaces are called 'e' on the host"),
        (
            domain(devices=interface("<mac address='52:54:00:00:00:01'/>") * 2),
            "two interfaces have the MAC address 52:54:00:00:00:01",
        ),
        (
            domain(devices=interface("<ip family='ipv6' address='192.0.2.1'/>")),
            "interface 1: 192.0.2.1 is not of the family ipv6",
        ),
        (
            domain(devices=interface("<source bridge='b'/><bandwidth><inbound floor='1'/></bandwidth>", "bridge")),
            "interface 1: floor attribute is not supported for this config",
        ),
        (
            domain(devices=interface("<bandwidth><outbound floor='1'/></bandwidth>")),
            "'floor' attribute allowed only in <inbound> element",
        ),
        (domain(devices=interface("<ip address='192.0.2.1' prefix='33'/>")), "cannot have the prefix 33"),
        (
            domain(devices=interface("<route address='::' gateway='192.0.2.1'/>")),
            "the route to :: has a gateway of the other family, 192.0.2.1",
        ),
        (
            domain(devices=interface("<route address='10.0.0.0' prefix='40' gateway='192.0.2.1'/>")),
            "the route to 10.0.0.0 cannot have the prefix 40",
        ),
        (
            domain(devices=interface("<route address='10.0.0.0' prefix='8' netmask='255.0.0.0' gateway='192.0.2.1'/>")),
            "has a netmask and a prefix",
        ),
        (domain(devices=interface("<ip address='10.0.0.1' peer='::1'/>")), "10.0.0.1 has a peer of the other family"),
        (
            domain(devices=interface("<route address='10.0.0.5' prefix='24' gateway='10.0.0.1'/>")),
            "the route to 10.0.0.5 names no network",
        ),
        (
            domain(devices=interface("<route family='ipv6' address='10.0.0.0' gateway='10.0.0.1'/>")),
            "the route to 10.0.0.0 is not of the family ipv6",
        ),
        (share("", devices=interface("")), "a share of the host's network and interfaces of its own"),
        (
            share(
                "",
                above="<idmap><uid start='0' target='100000' count='9'/><gid start='0' target='1' count='9'/></idmap>",
            ),
            "needs ids that no other domain has",
        ),
        (share("", more="<insula:privileged/>"), "a privileged domain cannot be held to a share"),
        (
            share("", above=f"<lxc:namespace {LXC}><lxc:sharenet type='name' value='y'/></lxc:namespace>"),
            "a share of the host's network and shares another namespace",
        ),
        (share("ports=''"), "has no ports; remove the attribute"),
        (share("ports='0'"), "'0-0' is no range of ports"),
        (share("", addresses=""), "has 1 to 32 addresses, not 0"),
        (share("", addresses="127.0.0.1"), "127.0.0.1 cannot be the guest's"),
        (
            domain(f"<lxc:namespace {LXC}><lxc:sharenet type='name' value='y'/></lxc:namespace>", interface("")),
            "shares a network namespace and has interfaces of its own",
        ),
        (
            domain(f"<lxc:namespace {LXC}><lxc:shareipc type='netns' value='y'/></lxc:namespace>"),
            "shareipc cannot be of type netns",
        ),
        (
            domain(f"<lxc:namespace {LXC}><lxc:shareuts type='pid' value='y'/></lxc:namespace>"),
            "has no process number",
        ),
        (
            domain(f"<lxc:namespace {LXC}><lxc:sharenet type='netns' value='../../proc/1/ns/net'/></lxc:namespace>"),
            "cannot be the name of a network namespace below /run/netns",
        ),
        (
            domain(f"<lxc:namespace {LXC}><lxc:sharenet type='netns' value='..'/></lxc:namespace>"),
            "cannot be the name of a network namespace",
        ),
        (
            domain(f"<lxc:namespace {LXC}><lxc:sharenet type='pid' value='self'/></lxc:namespace>"),
            "has no process number",
        ),
    ],
)
def test_each_problem_is_the_only_one_found_and_is_named(bad: DomainDefinition, text: str) -> None:
    found = problems(bad)
    assert len(found) == 1
    assert text in found[0]


MOVED = "<hostdev mode='capabilities' type='net'><source><interface>{}</interface></source>{}</hostdev>"


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        (MOVED.format("eth%d", ""), "'eth%d' cannot name a network device"),
        (MOVED.format("lo", ""), "'lo' cannot name a network device"),
        (interface("<guest dev='e'/>") + MOVED.format("e", ""), "two interfaces are called 'e' in the guest"),
        (MOVED.format("e", "<ip address='10.0.0.1' prefix='33'/>"), "hostdev 1: 10.0.0.1 cannot have the prefix 33"),
    ],
)
def test_a_moved_device_is_held_to_the_same_rules(devices: str, text: str) -> None:
    (found,) = problems(domain(devices=devices))
    assert text in found


@pytest.mark.parametrize("name", ["a" * 16, "with space", "a/b", "a:b", "eth%d", "lo", ".", "ä" * 15, "a\u200bb"])
@pytest.mark.parametrize("element", ["guest", "target"])
def test_names_that_linux_would_not_take_are_refused_when_the_domain_is_defined(name: str, element: str) -> None:
    (found,) = problems(domain(devices=interface(f"<{element} dev='{name}'/>")))
    assert f"'{name}' cannot name a network device" in found


@pytest.mark.parametrize("name", ["a" * 15, "wan.42", "en-lan_0", "v@x"])
def test_other_names_are_taken(name: str) -> None:
    assert problems(domain(devices=interface(f"<guest dev='{name}'/>"))) == ()
