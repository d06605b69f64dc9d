"""Guests on a bridge: addresses, names and counters, read without their help."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.model.numbers import AddressSource, StatsTypes
from tests.services import Service, driven, guest_xml, layout_below, program, serving, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped", "iproute2")

WAITS = program("trap 'exit 0' TERM", "echo ready", "while :; do sleep 1000 & wait $!; done")
MAC = "52:54:00:12:34:56"
INTERFACE = (
    f"<interface type='bridge'><mac address='{MAC}'/><source bridge='sbr0'/>"
    "<ip address='10.77.0.2' prefix='24'/><guest dev='lan0'/></interface>"
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def links() -> list[str]:
    return os.listdir("/sys/class/net")


@pytest.fixture
def service(scratch: Path) -> Iterator[Service]:
    """With a bridge `sbr0`, 10.77.0.1, in the enclosure's own network."""
    ip("link", "add", "sbr0", "type", "bridge")
    ip("address", "add", "10.77.0.1/24", "dev", "sbr0")
    ip("link", "set", "sbr0", "up")
    with serving(layout_below(scratch)) as opened:
        yield opened
    ip("link", "delete", "sbr0")


@pytest.mark.machine("cgroups")
@driven
async def test_a_guest_on_a_bridge_has_its_address_and_is_counted(service: Service, busybox_root: Path) -> None:
    ref = await service.domains.create_xml(guest_xml(str(busybox_root), init=WAITS, devices=INTERFACE))
    seen = await service.run(ref, "/bin/ping", "-c", "2", "-i", "0.2", "-W", "5", "10.77.0.1")
    assert seen.status == 0, seen.text

    (card,) = await service.domains.interface_addresses(ref, AddressSource.LEASE)
    assert (card.name, card.mac) == ("lan0", MAC)
    assert "10.77.0.2" in [each.address for each in card.addresses]
    host = service.domains.of(ref).require_run().container.record.connected[0].host
    assert f"<target dev='{host}'/>" in service.domains.dump_xml(ref)
    for name in (host, MAC, "lan0"):
        counted = service.domains.interface_stats(ref, name)
        assert counted.received_packets > 0
        assert counted.sent_packets > 0
    ((_, parameters),) = service.domains.all_stats([ref], StatsTypes.INTERFACE)
    stats = {each.name: each.value for each in parameters}
    assert (stats["net.count"], stats["net.0.name"]) == (1, host)
    assert int(stats["net.0.rx.bytes"]) > 0


@driven
async def test_the_hosts_end_goes_with_the_guest_and_comes_back_with_a_reboot(
    service: Service, busybox_root: Path
) -> None:
    xml = guest_xml(str(busybox_root), init=WAITS, devices=INTERFACE)
    ref = await service.domains.start(await service.domains.define(xml))
    await service.console_says(ref, ["ready"])
    await service.domains.reboot(ref)
    await service.until_told("reboot")
    assert (await service.run(ref, "/bin/ping", "-c", "1", "-W", "5", "10.77.0.1")).status == 0
    host = service.domains.of(ref).require_run().container.record.connected[0].host

    await service.domains.destroy(ref)

    await until(lambda: not Path(f"/sys/class/net/{host}").exists(), f"{host} going away")


@driven
async def test_a_bridge_that_is_not_there_is_named(service: Service, busybox_root: Path) -> None:
    xml = guest_xml(str(busybox_root), init=WAITS, devices=INTERFACE.replace("sbr0", "nobridge"))
    ref = await service.domains.define(xml)
    with pytest.raises(OperationFailedError, match="nobridge"):
        await service.domains.start(ref)
    assert not service.domains.is_active(ref)


@driven
async def test_a_guest_with_an_interface_is_taken_over_by_the_next_daemon(service: Service, busybox_root: Path) -> None:
    ref = await service.domains.create_xml(guest_xml(str(busybox_root), init=WAITS, devices=INTERFACE))
    successor = await service.succeeded()

    assert (await successor.run(ref, "/bin/ping", "-c", "1", "-W", "5", "10.77.0.1")).status == 0
    assert successor.domains.interface_stats(ref, MAC).sent_packets > 0
    await successor.domains.destroy(ref)
    await successor.close()


@driven
async def test_a_guest_with_a_macvlan_and_a_device_of_the_host(service: Service, busybox_root: Path) -> None:
    """Through libvirt's XML, a reboot, and the end: the device is the host's again."""
    ip("link", "add", "shost0", "type", "veth", "peer", "name", "sfar0")
    try:
        for name in ("shost0", "sfar0"):
            ip("link", "set", name, "up")
        ip("address", "add", "10.78.0.1/24", "dev", "sfar0")
        devices = (
            f"<interface type='direct'><mac address='{MAC}'/><source dev='sbr0' mode='bridge'/>"
            "<ip address='10.77.0.3' prefix='24'/></interface>"
            "<hostdev mode='capabilities' type='net'><source><interface>shost0</interface></source>"
            "<ip address='10.78.0.2' prefix='24'/></hostdev>"
        )
        ref = await service.domains.define(guest_xml(str(busybox_root), init=WAITS, devices=devices))
        ref = await service.domains.start(ref)
        await service.console_says(ref, ["ready"])
        assert "shost0" not in links()
        assert (await service.run(ref, "/bin/ping", "-c", "1", "-W", "5", "10.78.0.1")).status == 0
        assert service.domains.interface_stats(ref, "shost0").sent_packets > 0
        seen = await service.domains.interface_addresses(ref, AddressSource.LEASE)
        assert {each.name: [str(address.address) for address in each.addresses][:1] for each in seen} == {
            "eth0": ["10.77.0.3"],
            "shost0": ["10.78.0.2"],
        }
        ((_, parameters),) = service.domains.all_stats([ref], StatsTypes.INTERFACE)
        assert [each.value for each in parameters if each.name.endswith(".name")] == ["eth0", "shost0"]

        await service.domains.reboot(ref)
        await service.until_told("reboot")
        assert (await service.run(ref, "/bin/ping", "-c", "1", "-W", "5", "10.78.0.1")).status == 0

        await service.domains.destroy(ref)
        await until(lambda: "shost0" in links(), "the device coming back")
    finally:
        ip("link", "delete", "sfar0")
