"""Interfaces that virsh attaches to guests that run, changes and detaches; what is left when daemons die meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.guests import domain_id, domain_xml, wait_state
from tests.exchanges import answered
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

MAC = "52:54:00:11:22:33"
CARD = f"""<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/>
<ip address='10.0.0.2' prefix='24'/><route address='0.0.0.0' gateway='10.0.0.1'/></interface>"""


@pytest.fixture
def guest(insulad: Insulad, test_host: TestHost, busybox_root: Path) -> Iterator[str]:
    """On a host with two bridges, of which br0 has 10.0.0.1."""
    for bridge in ("br0", "br1"):
        test_host.run("ip", "link", "add", bridge, "type", "bridge")
        test_host.run("ip", "link", "set", bridge, "up")
    test_host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    yield "web"
    insulad.virsh("destroy", "web", check=False)
    for bridge in ("br0", "br1"):
        test_host.run("ip", "link", "delete", bridge)


def document(scratch: Path, xml: str) -> str:
    path = scratch / "device.xml"
    path.write_text(xml)
    return str(path)


def cards(insulad: Insulad, *flags: str) -> list[ET.Element]:
    return ET.fromstring(insulad.virsh("dumpxml", "web", *flags).stdout).findall("devices/interface")


def inside(insulad: Insulad, test_host: TestHost) -> list[str]:
    """Return the guest's links, without its help."""
    pid = domain_id(insulad, "web")
    told = test_host.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-o", "link").stdout
    return [line.split(":")[1].split("@")[0].strip() for line in told.splitlines()]


def test_attach_interface_and_detach_interface_work_on_a_guest_that_runs(
    insulad: Insulad, guest: str, test_host: TestHost
) -> None:
    insulad.virsh("attach-interface", guest, "bridge", "br0", "--mac", MAC, "--live", "--config")
    assert inside(insulad, test_host) == ["lo", "eth0"]
    (card,) = cards(insulad)
    (target, alias) = (card.find("target"), card.find("alias"))
    assert target is not None and target.get("dev") == "vnet0"
    assert alias is not None and alias.get("name") == "net0"
    (defined,) = cards(insulad, "--inactive")
    assert defined.find("target") is None
    assert "vnet0" in insulad.virsh("domiflist", guest).stdout
    assert "vnet0 rx_bytes" in insulad.virsh("domifstat", guest, "vnet0").stdout
    insulad.virsh("detach-interface", guest, "bridge", "--mac", MAC, "--live", "--config")
    assert inside(insulad, test_host) == ["lo"]
    assert cards(insulad) == cards(insulad, "--inactive") == []
    assert "vnet0" not in test_host.run("ip", "link").stdout


def test_a_card_comes_with_its_addresses_and_is_there_after_the_next_start_if_it_is_for_good(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    insulad.virsh("attach-device", guest, document(scratch, CARD), "--live", "--config")
    answered(test_host.pings, "10.0.0.2")
    assert "10.0.0.2/24" in insulad.virsh("domifaddr", guest).stdout
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    until(lambda: "10.0.0.2/24" in insulad.virsh("domifaddr", guest).stdout, "the card being there again")


def test_the_link_is_pulled_and_put_back_by_domif_setlink(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    insulad.virsh("attach-device", guest, document(scratch, CARD), "--live", "--config")
    for state in ("down", "up"):
        insulad.virsh("domif-setlink", guest, MAC, state)
        assert insulad.virsh("domif-getlink", guest, MAC).stdout.split()[-1] == state
        network = f"--net=/proc/{domain_id(insulad, guest)}/ns/net"

        def carried(network: str = network) -> bool:
            return "NO-CARRIER" not in test_host.run("nsenter", network, "ip", "-o", "link", "show", "eth0").stdout

        until(lambda up=state == "up", carried=carried: carried() is up, f"the carrier being {state}")  # type: ignore[misc]
        assert insulad.virsh("domif-getlink", guest, MAC, "--config").stdout.split()[-1] == "up"
    insulad.virsh("domif-setlink", guest, MAC, "down", "--config")
    assert insulad.virsh("domif-getlink", guest, MAC, "--config").stdout.split()[-1] == "down"


def test_an_update_plugs_a_card_into_another_bridge_and_what_must_stay_is_told(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    insulad.virsh("attach-device", guest, document(scratch, CARD), "--live")
    insulad.virsh("update-device", guest, document(scratch, CARD.replace("br0", "br1")), "--live")
    assert "master br1" in test_host.run("ip", "-o", "link", "show", "vnet0").stdout
    (card,) = cards(insulad)
    source = card.find("source")
    assert source is not None and source.get("bridge") == "br1"
    before = insulad.virsh("dumpxml", guest).stdout
    for other, reason in (
        (CARD.replace("br0", "nowhere"), "there is no bridge 'nowhere'"),
        (CARD.replace("10.0.0.2", "10.0.0.3"), "its addresses stays as long as it is plugged in"),
    ):
        refused = insulad.virsh("update-device", guest, document(scratch, other), "--live", check=False)
        assert refused.returncode != 0
        assert reason in refused.stderr
        assert insulad.virsh("dumpxml", guest).stdout == before


def test_what_was_attached_is_known_to_the_next_daemon(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    insulad.virsh("attach-device", guest, document(scratch, CARD), "--live")
    before = insulad.virsh("dumpxml", guest).stdout
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    assert insulad.virsh("dumpxml", guest).stdout == before
    answered(test_host.pings, "10.0.0.2")
    insulad.virsh("update-device", guest, document(scratch, CARD.replace("br0", "br1")), "--live")
    insulad.virsh("detach-device", guest, document(scratch, CARD), "--live")
    assert inside(insulad, test_host) == ["lo"]


def tuned(insulad: Insulad, *words: str) -> dict[str, str]:
    told = insulad.virsh("domiftune", "web", *words).stdout
    return {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in told.splitlines()) if name
    }


def test_domiftune_limits_a_card_while_it_runs_and_in_its_definition(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    insulad.virsh("attach-device", guest, document(scratch, CARD), "--live", "--config")
    assert set(tuned(insulad, "vnet0").values()) == {"0"}
    insulad.virsh("domiftune", guest, "vnet0", "--inbound", "1000,2000,64", "--live", "--config")
    for words in (("vnet0",), (MAC, "--config")):
        told = tuned(insulad, *words)
        assert (told["inbound.average"], told["inbound.peak"], told["inbound.burst"]) == ("1000", "2000", "64")
        assert told["outbound.average"] == "0"
    queue = test_host.run("tc", "qdisc", "show", "dev", "vnet0").stdout
    assert "tbf" in queue and "rate 8Mbit" in queue and "peakrate 16Mbit" in queue
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    assert tuned(insulad, "vnet0")["inbound.average"] == "1000"
    insulad.virsh("domiftune", guest, "vnet0", "--inbound", "0", "--live")
    assert "tbf" not in test_host.run("tc", "qdisc", "show", "dev", "vnet0").stdout
    assert tuned(insulad, MAC, "--config")["inbound.average"] == "1000"
    refused = insulad.virsh("domiftune", guest, "vnet9", "--inbound", "5", check=False)
    assert "cannot find interface 'vnet9'" in refused.stderr


def test_a_device_comes_home_by_name_although_the_daemon_that_lent_it_was_killed(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    test_host.run("ip", "link", "add", "side0", "type", "veth", "peer", "name", "side1")
    mac = test_host.run("cat", "/sys/class/net/side0/address").stdout
    device = "<interface type='hostdev'><mac address='52:54:00:77:77:77'/><source dev='side0'/></interface>"
    insulad.virsh("attach-device", guest, document(scratch, device), "--live")
    assert inside(insulad, test_host) == ["lo", "eth0"]
    assert "side0" not in test_host.run("ip", "-o", "link").stdout.replace("side1@side0", "")
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    insulad.virsh("destroy", guest)
    until(lambda: "side0@" in test_host.run("ip", "-o", "link").stdout, "the device being home")
    until(lambda: mac == test_host.run("cat", "/sys/class/net/side0/address").stdout, "its own address")
    assert "52:54:00:77:77:77" not in test_host.run("ip", "-o", "link").stdout
    test_host.run("ip", "link", "delete", "side0")


def test_a_card_of_a_virtual_network_comes_changes_and_goes(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    network = scratch / "network.xml"
    network.write_text("<network><name>quiet</name><bridge name='virbr7'/></network>")
    insulad.virsh("net-create", str(network))
    insulad.virsh("attach-interface", guest, "network", "quiet", "--mac", MAC, "--live")
    assert "master virbr7" in test_host.run("ip", "-o", "link", "show", "vnet0").stdout
    (card,) = cards(insulad)
    source = card.find("source")
    assert card.get("type") == "network" and source is not None and source.get("network") == "quiet"
    assert len(insulad.virsh("net-port-list", "quiet").stdout.split()) > 1
    insulad.virsh("domif-setlink", guest, "vnet0", "down")
    until(lambda: "state DOWN" in test_host.run("ip", "-o", "link", "show", "vnet0").stdout, "its end being down")
    insulad.virsh("detach-interface", guest, "network", "--mac", MAC, "--live")
    assert "vnet0" not in test_host.run("ip", "link").stdout
    insulad.virsh("net-destroy", "quiet")
    refused = insulad.virsh("attach-interface", guest, "network", "quiet", "--live", check=False)
    assert "quiet" in refused.stderr


LIMITED = """<network><name>lan</name><bridge name='virbr7'/>
<bandwidth><inbound average='1000'/></bandwidth></network>"""


@pytest.mark.requires("tc")
def test_a_floor_is_set_aside_by_its_network_until_the_guest_ends_whatever_ends_meanwhile(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    def classes() -> list[str]:
        told = test_host.run("tc", "class", "show", "dev", "virbr7").stdout
        return sorted(line.split("rate ")[1].split()[0] for line in told.splitlines() if "prio 1" in line)

    insulad.virsh("net-define", document(scratch, LIMITED))
    insulad.virsh("net-start", "lan")
    floor = "<bandwidth><inbound average='500' floor='{}'/></bandwidth></interface>"
    card = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/></interface>"
    limited = card.replace("</interface>", floor.format(300))
    insulad.virsh("attach-device", guest, document(scratch, limited), "--live")
    assert classes() == ["2400Kbit"]
    assert tuned(insulad, "vnet0")["inbound.floor"] == "300"
    other = card.replace(MAC, "52:54:00:11:22:44").replace("</interface>", floor.format(701))
    refused = insulad.virsh("attach-device", guest, document(scratch, other), "--live", check=False)
    assert "would overcommit 'average'" in refused.stderr
    refused = insulad.virsh("domiftune", guest, "vnet0", "--inbound", "500,0,0,1001", "--live", check=False)
    assert "would overcommit 'average'" in refused.stderr
    insulad.virsh("domiftune", guest, "vnet0", "--inbound", "500,0,0,400", "--live")
    assert classes() == ["3200Kbit"]
    insulad.virsh("update-device", guest, document(scratch, card), "--live")
    assert classes() == []
    insulad.virsh("update-device", guest, document(scratch, limited), "--live")
    assert classes() == ["2400Kbit"]
    insulad.virsh("net-destroy", "lan")
    insulad.virsh("net-start", "lan")
    assert classes() == ["2400Kbit"]
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    assert classes() == ["2400Kbit"]
    insulad.virsh("destroy", guest)
    until(lambda: classes() == [], "the floor being given back")
    misplaced = document(scratch, CARD.replace("</interface>", floor.format(1)))
    refused = insulad.virsh("attach-device", guest, misplaced, "--config", check=False)
    assert "floor attribute is not supported for this config" in refused.stderr
    insulad.virsh("net-destroy", "lan")
    insulad.virsh("net-undefine", "lan")


@pytest.mark.requires("tc")
def test_domiftune_knows_what_a_portgroup_limits(
    insulad: Insulad, guest: str, test_host: TestHost, scratch: Path
) -> None:
    groups = "<portgroup name='slow'><bandwidth><inbound average='1000'/></bandwidth></portgroup>"
    network = f"<network><name>lan</name><bridge name='virbr7'/>{groups}</network>"
    insulad.virsh("net-create", document(scratch, network))
    source = "<source network='lan' portgroup='slow'/>"
    card = f"<interface type='network'><mac address='{MAC}'/>{source}</interface>"
    insulad.virsh("attach-device", guest, document(scratch, card), "--live")

    def rate() -> str:
        return test_host.run("tc", "qdisc", "show", "dev", "vnet0").stdout.partition("rate ")[2].partition(" ")[0]

    assert (tuned(insulad, "vnet0")["inbound.average"], rate()) == ("1000", "8Mbit")
    for wanted, shown in (("500", "4Mbit"), ("0", ""), ("250", "2Mbit"), ("0", "")):
        insulad.virsh("domiftune", guest, "vnet0", "--inbound", wanted, "--live")
        assert (tuned(insulad, "vnet0")["inbound.average"], rate()) == (wanted, shown)
    insulad.kill()
    insulad.start()
    wait_state(insulad, guest, "running")
    assert tuned(insulad, "vnet0")["inbound.average"] == "0"
    insulad.virsh("detach-interface", guest, "network", "--mac", MAC, "--live")
    insulad.virsh("net-destroy", "lan")


@pytest.mark.requires("nft", "dnsmasq")
def test_a_card_that_moves_to_another_network_takes_its_guests_name_along(
    insulad: Insulad, guest: str, scratch: Path
) -> None:
    network = "<network><name>{0}</name><bridge name='{0}0'/><ip address='{1}' prefix='24'><dhcp/></ip></network>"
    first, second = "10.9.0.1", "10.8.0.1"
    insulad.virsh("net-create", document(scratch, network.format("lan", first)))
    insulad.virsh("net-create", document(scratch, network.format("wan", second)))
    card = CARD.replace("'bridge'", "'network'").replace("bridge='br0'", "network='{}'").replace("10.0", "10.9")
    insulad.virsh("attach-device", guest, document(scratch, card.format("lan")), "--live")

    def known(server: str) -> bool:
        return "10.9.0.2" in insulad.host.run("busybox", "nslookup", guest, server, check=False).stdout

    until(lambda: known(first), "its name on the first network")
    insulad.virsh("update-device", guest, document(scratch, card.format("wan")), "--live")
    until(lambda: known(second) and not known(first), "its name on the other network, and there only")
