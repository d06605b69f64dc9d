"""The files that dnsmasq is started with."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from insula.errors import UnsupportedConfigError
from insula.model.network import load_network
from insula.network.virtual.dnsmasq import (
    RUNNING_GUESTS,
    RUNNING_NAMES,
    DnsmasqFiles,
    files_of,
    reverse_zones,
    running_files,
    served,
)
from insula.network.virtual.networkrecord import GuestName

NAT = "<forward mode='nat'/>"
ADDRESS = "<ip address='192.168.122.1' prefix='24'>{}</ip>"
RANGE = "<range start='192.168.122.2' end='192.168.122.254'/>"
DHCP = ADDRESS.format(f"<dhcp>{RANGE}</dhcp>")
ADDRESS_6 = "<ip family='ipv6' address='fd00:122::1' prefix='64'>{}</ip>"


def files(rest: str, forward: str = NAT, directory: Path = Path("/run/d")) -> DnsmasqFiles:
    xml = f"<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'><name>n</name>{forward}{rest}</network>"
    return files_of(load_network(xml), bridge="virbr0", directory=directory, leases=Path("/state/leases"))


def lines(rest: str, forward: str = NAT) -> list[str]:
    return files(rest, forward).configuration.splitlines()


def test_it_listens_on_the_networks_bridge_alone() -> None:
    assert {"interface=virbr0", "except-interface=lo", "bind-dynamic", "no-hosts"} <= set(lines(DHCP))


def test_ranges_have_their_mask_and_how_long_they_are_given() -> None:
    short = ADDRESS.format(
        "<dhcp><range start='192.168.122.2' end='192.168.122.9'><lease expiry='1' unit='hours'/></range>"
        "<range start='192.168.122.20' end='192.168.122.29'><lease expiry='0'/></range></dhcp>"
    )
    assert "dhcp-range=192.168.122.2,192.168.122.254,255.255.255.0" in lines(DHCP)
    assert "dhcp-range=192.168.122.2,192.168.122.9,255.255.255.0,3600" in lines(short)
    assert "dhcp-range=192.168.122.20,192.168.122.29,255.255.255.0,infinite" in lines(short)
    assert "dhcp-lease-max=18" in lines(short)


def test_where_only_guests_are_named_nobody_else_gets_an_address() -> None:
    host = "<host mac='52:54:00:00:00:07' name='web' ip='192.168.122.7'/>"
    made = files(ADDRESS.format(f"<dhcp>{host}</dhcp>"))
    assert "dhcp-range=192.168.122.0,static" in made.configuration
    assert made.guests == "52:54:00:00:00:07,web,192.168.122.7\nset:insula-taken,web\n"


def test_a_name_is_kept_from_strangers_unless_it_is_all_that_its_guest_is_known_by() -> None:
    hosts = "<host mac='52:54:00:00:00:07' name='web' ip='192.168.122.7'/><host name='{}' ip='192.168.122.8'/>"
    named = files(ADDRESS.format(f"<dhcp>{hosts.format('wpad')}</dhcp>"))
    assert named.guests.splitlines()[1:] == ["set:insula-taken,web", "wpad,192.168.122.8"]
    assert "dhcp-name-match=set:insula-taken,wpad" not in named.configuration
    usual = files(ADDRESS.format(f"<dhcp>{hosts.format('db')}</dhcp>")).configuration.splitlines()
    assert {"dhcp-name-match=set:insula-taken,wpad", "dhcp-ignore-names=tag:insula-taken"} <= set(usual)


def test_ipv6_guests_are_known_by_their_duid_and_addresses_stand_in_brackets() -> None:
    host = "<host id='0:3:0:1:52:54:0:0:0:7' name='web' ip='fd00:122::7'/>"
    made = files(ADDRESS_6.format(f"<dhcp><range start='fd00:122::100' end='fd00:122::1ff'/>{host}</dhcp>"))
    assert made.guests == "id:0:3:0:1:52:54:0:0:0:7,web,[fd00:122::7]\n"
    assert {"enable-ra", "dhcp-range=fd00:122::100,fd00:122::1ff,64"} <= set(made.configuration.splitlines())


def test_ipv6_without_dhcp_is_advertised_and_names_come_from_ipv4() -> None:
    assert {"enable-ra", "dhcp-range=fd00:122::,ra-only"} <= set(lines(ADDRESS_6.format("")))
    assert "dhcp-range=fd00:122::,ra-names" in lines(DHCP + ADDRESS_6.format(""))


def test_an_isolated_network_leads_nowhere() -> None:
    assert {"dhcp-option=3", "no-resolv", "ra-param=virbr0,0,0"} <= set(lines(DHCP + ADDRESS_6.format(""), forward=""))
    assert {"dhcp-option=3", "no-resolv"}.isdisjoint(lines(DHCP))


def test_guests_are_told_the_mtu() -> None:
    told = lines(f"<mtu size='1400'/>{DHCP}{ADDRESS_6.format('')}")
    assert {"dhcp-option=option:mtu,1400", "ra-param=virbr0,mtu:1400,10"} <= set(told)


def test_names_of_the_domain_are_asked_outside_unless_they_are_local() -> None:
    assert {"domain=lan", "expand-hosts"} <= set(lines(f"<domain name='lan'/>{DHCP}"))
    assert "local=/lan/" not in lines(f"<domain name='lan'/>{DHCP}")
    assert "local=/lan/" in lines(f"<domain name='lan' localOnly='yes'/>{DHCP}")


def test_who_is_asked_follows_the_forwarders() -> None:
    any_domain, own = "<forwarder addr='192.0.2.53' port='5353'/>", "<forwarder domain='a.example' addr='192.0.2.54'/>"
    told = lines(f"<dns>{any_domain}{own}<forwarder domain='b.example'/></dns>{DHCP}")
    assert {"no-resolv", "server=192.0.2.53#5353", "server=/a.example/192.0.2.54", "server=/b.example/#"} <= set(told)
    assert "no-resolv" not in lines("<dns><forwarder domain='a.example' addr='192.0.2.54'/></dns>" + DHCP)


def test_plain_names_stay_where_that_is_wanted() -> None:
    assert {"domain-needed", "local=//"} <= set(lines("<dns forwardPlainNames='no'/>" + DHCP))


def test_a_network_without_names_serves_addresses_alone() -> None:
    assert "port=0" in lines("<dns enable='no'/>" + DHCP)


def test_records_are_said_as_dnsmasq_reads_them() -> None:
    told = files(
        "<domain name='lan'/><dns><txt name='note' value='a \"b\" # c,d'/>"
        "<srv service='ldap' protocol='tcp' target='web.lan' port='389' priority='1' weight='2'/>"
        "<srv service='xmpp' protocol='udp' domain='other' target='.'/>"
        "<host ip='192.168.122.7'><hostname>web</hostname><hostname>www</hostname></host></dns>" + DHCP
    )
    assert 'txt-record=note,"a \\"b\\" # c","d"' in told.configuration
    assert "srv-host=_ldap._tcp.lan,web.lan,389,1,2" in told.configuration
    assert "srv-host=_xmpp._udp.other\n" in told.configuration
    assert told.names == "192.168.122.7 web www\n"


def test_guests_that_boot_from_the_network_are_told_what_and_find_it() -> None:
    boot = f"<tftp root='/srv/tftp #1'/><dhcp>{RANGE}<bootp file='pxe linux.0' server='192.0.2.9'/></dhcp>"
    made = files(ADDRESS.format(boot))
    assert {"enable-tftp", 'tftp-root="/srv/tftp #1"', 'dhcp-boot="pxe linux.0",,192.0.2.9'} <= set(
        made.configuration.splitlines()
    )
    assert made.shown == (Path("/srv/tftp #1"),)


def test_questions_for_names_of_its_own_addresses_stay() -> None:
    assert "local=/122.168.192.in-addr.arpa/" in lines(DHCP.replace("prefix='24'", "prefix='24' localPtr='yes'"))
    zones = [list(reverse_zones(ip_network(each))) for each in ("10.0.0.0/8", "192.168.122.0/26", "192.168.4.0/23")]
    assert zones[0] == ["10.in-addr.arpa"]
    assert zones[1] == [f"{number}.122.168.192.in-addr.arpa" for number in range(64)]
    assert zones[2] == ["4.168.192.in-addr.arpa", "5.168.192.in-addr.arpa"]


def test_lines_of_the_administrators_stand_last_and_none_runs_programs() -> None:
    own = "<dnsmasq:options><dnsmasq:option value='{}'/></dnsmasq:options>"
    assert lines(DHCP + own.format("cname=a.lan,b.lan"))[-1] == "cname=a.lan,b.lan"
    for bad in ("dhcp-script=/bin/sh", "conf-file = /etc/shadow", "user=root", "dhcp-leasefile=/etc/passwd"):
        with pytest.raises(UnsupportedConfigError, match="is Insula's to set, or runs programs"):
            files(DHCP + own.format(bad))


@pytest.mark.parametrize("name", ["a b", "a,b", "a\nb", "a/b", "a#b", 'a"b'])
def test_a_name_never_becomes_more_than_a_name(name: str) -> None:
    from xml.sax.saxutils import quoteattr

    with pytest.raises(Exception, match=r"name|dnsmasq"):
        files(f"<dns><txt name={quoteattr(name)} value='v'/></dns>" + DHCP)


def test_who_has_nothing_to_serve_has_no_dnsmasq() -> None:
    def has(rest: str, forward: str = NAT) -> bool:
        return served(load_network(f"<network><name>n</name>{forward}<bridge name='b'/>{rest}</network>"))

    assert has(DHCP)
    assert has(ADDRESS.format(""))
    assert not has("")
    assert not has("<dns enable='no'/>" + ADDRESS.format(""))
    assert not has("", "<forward mode='bridge'/>")


def test_running_guests_are_known_by_their_names_unless_the_definition_says_else() -> None:
    host = "<host mac='52:54:00:00:00:01' name='one' ip='192.168.122.7'/>"
    lan = load_network(
        "<network><name>n</name><forward/><dns><host ip='192.168.122.1'><hostname>gateway</hostname></host></dns>"
        + ADDRESS.format(f"<dhcp>{RANGE}{host}</dhcp>")
        + "</network>"
    )
    guests = (
        GuestName(name="web", mac="52:54:00:00:00:07"),
        GuestName(name="db", mac="52:54:00:00:00:08", addresses=("192.168.122.8", "fd00::8")),
        GuestName(name="other", mac="52:54:00:00:00:01"),
        GuestName(name="gateway", mac="52:54:00:00:00:09", addresses=("192.168.122.9",)),
        GuestName(name="no name", mac="52:54:00:00:00:0a", addresses=("192.168.122.10",)),
        GuestName(name="with.dots", mac="52:54:00:00:00:0b"),
    )
    assert running_files(lan, guests) == {
        RUNNING_GUESTS: "52:54:00:00:00:07,web\nset:insula-taken,web\n52:54:00:00:00:08,db\nset:insula-taken,db\n",
        RUNNING_NAMES: "192.168.122.8 db\nfd00::8 db\n",
    }


def test_a_running_guests_name_that_is_an_order_to_dnsmasq_is_known_by_its_address_only() -> None:
    """`52:54:…,ignore` would keep the guest without an address, `52:54:…,42` make its lease one of two minutes."""
    lan = load_network(f"<network><name>n</name><forward/>{DHCP}</network>")
    names = ("ignore", "Infinite", "42", "12h", "7W", "m12", "12x", "ignored")
    guests = [GuestName(name=each, mac=f"52:54:00:00:00:{nr:02}", addresses=("::7",)) for nr, each in enumerate(names)]
    made = running_files(lan, guests)
    known = made[RUNNING_GUESTS].splitlines()[::2]
    assert known == ["52:54:00:00:00:05,m12", "52:54:00:00:00:06,12x", "52:54:00:00:00:07,ignored"]
    assert made[RUNNING_NAMES].split()[1::2] == list(names)


@pytest.mark.parametrize("given", ["gateway", "GateWay", "gateway.lan", "gateway.LAN."])
def test_no_running_guest_takes_a_name_of_the_definition_however_it_is_written_there(given: str) -> None:
    dns = f"<domain name='lan'/><dns><host ip='192.168.122.1'><hostname>{given}</hostname></host></dns>"
    lan = load_network(f"<network><name>n</name><forward/>{dns}{DHCP}</network>")
    guest = GuestName(name="Gateway", mac="52:54:00:00:00:07", addresses=("192.168.122.9",))
    assert set(running_files(lan, [guest]).values()) == {""}
