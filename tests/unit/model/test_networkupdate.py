import pytest

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, OperationInvalidError, OperationUnsupportedError, XmlError
from insula.model.network import NetworkDefinition, dump_network, load_network
from insula.model.networknumbers import UPDATABLE_SECTIONS
from insula.model.networknumbers import NetworkUpdateCommand as Command
from insula.model.networknumbers import NetworkUpdateSection as Section
from insula.model.networkupdate import updated
from insula.model.xmlmap import Part
from tests.unit.model.networks import SUBNET, network_of
from tests.unit.model.networkupdates import NETWORK, UPDATES, Update

BASE = load_network(NETWORK)


def named(update: Update) -> str:
    return f"{update[0].name}-{update[1].name}-{update[3]}"


@pytest.mark.parametrize("update", UPDATES, ids=named)
def test_an_update_changes_the_network_or_is_refused(update: Update) -> None:
    command, section, parent, xml, kind = update
    if kind is None:
        changed = updated(BASE, command, section, parent, xml)
        assert changed != BASE
        assert load_network(dump_network(changed)) == changed
        return
    with pytest.raises(kind) as caught:
        updated(BASE, command, section, parent, xml)
    assert type(caught.value) is kind
    assert caught.value.domain is ErrorDomain.NETWORK


@pytest.mark.parametrize(("command", "section"), [(0, 4), (5, 4), (3, 0), (3, 13), (-1, 4), (3, -1)])
def test_numbers_that_mean_nothing_are_refused(command: int, section: int) -> None:
    with pytest.raises(OperationUnsupportedError):
        updated(BASE, command, section, -1, "<host mac='52:54:00:00:00:13' ip='192.168.122.13'/>")


def hosts(network: NetworkDefinition) -> list[str | None]:
    return [each.name for ip in network.ips if ip.dhcp is not None for each in ip.dhcp.hosts]


@pytest.mark.parametrize("section", Section)
def test_those_sections_are_refused_that_are_not_named_as_updatable(section: Section) -> None:
    with pytest.raises(InsulaError) as caught:
        updated(network_of(SUBNET), Command.ADD_LAST, section, -1, "<nothing/>")
    assert ("cannot be updated" in str(caught.value)) is (section not in UPDATABLE_SECTIONS)


def test_a_host_is_added_where_it_is_wanted() -> None:
    host = "<host mac='52:54:00:00:00:13' name='three' ip='192.168.122.13'/>"
    assert hosts(updated(BASE, Command.ADD_LAST, Section.IP_DHCP_HOST, -1, host)) == ["one", "two", "three"]
    assert hosts(updated(BASE, Command.ADD_FIRST, Section.IP_DHCP_HOST, 0, host)) == ["three", "one", "two"]


def test_dhcp_begins_with_its_first_host_and_ends_with_the_last() -> None:
    plain = network_of(SUBNET.format(""))
    host = "<host mac='52:54:00:00:00:13' name='three' ip='192.168.122.13'/>"
    with_host = updated(plain, Command.ADD_LAST, Section.IP_DHCP_HOST, -1, host)
    assert hosts(with_host) == ["three"]
    assert updated(with_host, Command.DELETE, Section.IP_DHCP_HOST, -1, "<host name='three'/>") == plain


def test_a_network_without_addresses_has_no_hosts() -> None:
    with pytest.raises(OperationInvalidError, match="has no <ip>, and so no dhcp"):
        updated(network_of(), Command.ADD_LAST, Section.IP_DHCP_HOST, -1, "<host name='a' ip='10.0.0.2'/>")


def test_what_is_not_about_the_change_stays_as_it_was() -> None:
    commented = NETWORK.replace("<portgroup name='q'/>", "<!--why--><portgroup name='q'/><future/>").replace(
        "<network>", "<network connections='2'>"
    )
    live = load_network(commented, Part.LIVE)
    changed = updated(live, Command.ADD_FIRST, Section.PORTGROUP, -1, "<portgroup name='r' shape='round'/>")
    assert changed.connections == 2
    written = dump_network(changed)
    assert "<!--why-->\n  <portgroup name='q'/>\n  <future/>" in written
    assert "<portgroup name='r' shape='round'/>\n  <portgroup name='p'" in written


def test_a_forwards_device_follows_its_interfaces() -> None:
    pool = network_of(
        "<forward mode='private'><interface dev='eth1'/><interface dev='eth2' connections='1'/></forward>"
    )
    first = updated(pool, Command.ADD_FIRST, Section.FORWARD_INTERFACE, -1, "<interface dev='eth0' connections='9'/>")
    assert first.forward is not None
    assert first.forward.device == "eth0"
    assert [each.connections for each in first.forward.interfaces] == [None, None, 1]
    without = updated(pool, Command.DELETE, Section.FORWARD_INTERFACE, -1, "<interface dev='eth1'/>")
    assert without.forward is not None
    assert without.forward.device == "eth2"


@pytest.mark.parametrize(
    ("network", "command", "xml", "kind", "text"),
    [
        ("", Command.ADD_LAST, "<interface dev='a'/>", OperationInvalidError, "has no <forward>"),
        (
            "<forward mode='vepa' dev='a'/>",
            Command.ADD_LAST,
            "<interface dev='a'/>",
            OperationInvalidError,
            "'a' already",
        ),
        (
            "<forward mode='vepa'><interface dev='a' connections='3'/></forward>",
            Command.DELETE,
            "<interface dev='a'/>",
            OperationInvalidError,
            "in use by 3 guests' cards",
        ),
        (
            "<forward dev='a'/><ip address='10.0.0.1'/>",
            Command.ADD_LAST,
            "<interface dev='b'/>",
            XmlError,
            "can have one",
        ),
    ],
)
def test_interfaces_that_cannot_come_or_go_are_refused(
    network: str, command: Command, xml: str, kind: type[InsulaError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        updated(network_of(network), command, Section.FORWARD_INTERFACE, -1, xml)


def test_a_record_that_is_meant_twice_is_not_deleted() -> None:
    dns = (
        "<dns><host ip='10.0.0.2'><hostname>a</hostname></host><host ip='10.0.0.3'><hostname>a</hostname></host></dns>"
    )
    with pytest.raises(OperationInvalidError, match="has 2 such dns records; say more of it"):
        updated(network_of(dns), Command.DELETE, Section.DNS_HOST, -1, "<host><hostname>a</hostname></host>")


def test_the_last_record_leaves_no_empty_dns() -> None:
    one = network_of("<dns><txt name='a' value='1'/></dns>")
    assert updated(one, Command.DELETE, Section.DNS_TXT, -1, "<txt name='a'/>").dns is None
