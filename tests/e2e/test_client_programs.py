"""Programs of others that watch or drive domains by libvirt's library: what they show is what there is."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml, state, wait_state
from tests.insulad import Insulad
from tests.polkithost import BUS
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "nft", "dnsmasq")

NETWORK = "<network><name>lan</name><bridge name='lan0'/><ip address='10.9.0.1' netmask='255.255.255.0'/></network>"
CARD = "<interface type='network'><mac address='52:54:00:00:00:05'/><source network='lan'/></interface>"


@pytest.fixture
def web(insulad: Insulad, busybox_root: Path, scratch: Path) -> str:
    """A running domain with a card; another that does not run."""
    (scratch / "lan.xml").write_text(NETWORK)
    insulad.virsh("net-define", str(scratch / "lan.xml"))
    insulad.virsh("net-start", "lan")
    insulad.define(domain_xml("web", busybox_root, memory=128, extra=CARD))
    insulad.define(domain_xml("other", busybox_root, memory=64))
    insulad.virsh("start", "web")
    return "web"


@contextmanager
def running(insulad: Insulad, log: Path, *command: str | Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in the daemon's host, ended with the block; what it says goes to the log."""
    with log.open("ab") as said:
        process = insulad.host.start(*map(str, command), stdout=said, stderr=said, env={**os.environ, **variables})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience(15))
        finally:
            process.kill()
            process.wait()


@contextmanager
def shown_at(insulad: Insulad, source: Path, place: str) -> Iterator[None]:
    """A directory is shown at a place of the daemon's host."""
    insulad.host.run("mount", "--bind", str(source), place)
    try:
        yield
    finally:
        insulad.host.run("umount", place)


@pytest.mark.requires("virt-top")
@pytest.mark.client("virt-top")
def test_virt_top_shows_what_runs_with_its_memory_and_writes_a_table(
    insulad: Insulad, web: str, scratch: Path, failed_test_logs: dict[str, Path]
) -> None:
    failed_test_logs["virt-top"] = scratch / "virt-top.log"
    words = ("-c", insulad.uri, "--stream", "-n", "3", "-d", "1", "--csv", scratch / "top.csv", "--no-init-file")
    shown = insulad.host.run(
        str(sideload.found("virt-top")),
        *map(str, words),
        "--debug",
        str(scratch / "virt-top.log"),
        timeout=patience(60),
    ).stdout
    row = next(line for line in reversed(shown.splitlines()) if line.split()[-1:] == ["web"])
    assert row.split()[1] == "R", shown
    assert "other" not in shown
    table = (scratch / "top.csv").read_text()
    assert "web" in table and "Domain ID" in table


@pytest.mark.requires("prometheus-libvirt-exporter")
@pytest.mark.client("prometheus-libvirt-exporter")
def test_the_exporter_gives_each_domains_figures_at_a_scrape(
    insulad: Insulad, web: str, scratch: Path, failed_test_logs: dict[str, Path]
) -> None:
    log = failed_test_logs["the exporter"] = scratch / "exporter.log"
    program = sideload.found("prometheus-libvirt-exporter")
    options = ("--web.listen-address=127.0.0.1:9177", f"--libvirt.uri={insulad.uri}")

    def scraped() -> str:
        try:
            with insulad.host.network(), urllib.request.urlopen("http://127.0.0.1:9177/metrics", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    with running(insulad, log, program, *options):
        text = until(scraped, "a scrape", 30)
    for line in (
        r"libvirt_up 1",
        r'libvirt_domain_info_maximum_memory_bytes{.*"web".*} 1\.34217728e\+08',
        r'libvirt_domain_interface_stats_receive_bytes_total{.*"vnet0".*} \d.*',
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), line


COLLECTD = """
Hostname "host"
FQDNLookup false
Interval 1
BaseDir "{scratch}/collectd"
PIDFile "{scratch}/collectd.pid"
PluginDir "{root}/usr/lib/collectd"
TypesDB "{root}/usr/share/collectd/types.db"
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File STDOUT
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "{scratch}/csv"
  StoreRates false
</Plugin>
LoadPlugin virt
<Plugin virt>
  Connection "{uri}"
  RefreshInterval 1
  HostnameFormat name
  ExtraStats "cpu_util disk disk_err domain_state fs_info job_stats_background memory pcpu vcpu vcpupin"
</Plugin>
"""


@pytest.mark.requires("collectd")
@pytest.mark.client("collectd's plugin virt")
def test_collectd_keeps_what_a_domain_takes(
    insulad: Insulad, web: str, scratch: Path, failed_test_logs: dict[str, Path]
) -> None:
    program = sideload.found("collectd")
    log = failed_test_logs["collectd"] = scratch / "collectd.log"
    (scratch / "collectd").mkdir()
    configuration = scratch / "collectd.conf"
    configuration.write_text(COLLECTD.format(scratch=scratch, root=program.parents[1] / "root", uri=insulad.uri))

    def kept() -> set[str]:
        found = (scratch / "csv/web").rglob("*") if (scratch / "csv/web").exists() else iter(())
        return {re.sub(r"-\d{4}-\d\d-\d\d$", "", each.name) for each in found}

    wanted = {"virt_cpu_total", "memory-total", "if_octets-vnet0", "virt_vcpu-0", "domain_state"}
    with running(insulad, log, program, "-f", "-C", configuration):
        until(lambda: wanted <= kept(), "files of all kinds", 40)
    assert "error" not in log.read_text().lower(), log.read_text()


@pytest.mark.requires("libvirt-dbus")
@pytest.mark.client("libvirt-dbus")
def test_domains_and_networks_are_objects_on_a_bus(
    insulad: Insulad, web: str, scratch: Path, failed_test_logs: dict[str, Path]
) -> None:
    log = failed_test_logs["libvirt-dbus"] = scratch / "dbus.log"
    (scratch / "bus.conf").write_text(BUS.format(socket=scratch / "bus"))
    address = f"unix:path={scratch}/bus"

    def asked(path: str, interface: str, member: str, *arguments: str, verb: str = "call") -> str:
        words = ("org.libvirt", path, f"org.libvirt.{interface}", member, *arguments)
        command = ("busctl", f"--address={address}", "--json=short", verb, *words)
        result = insulad.host.run(*command, check=False, timeout=patience(60))
        return result.stdout if result.returncode == 0 else f"refused: {result.stderr}"

    connection, program = "/org/libvirt/LXC", sideload.found("libvirt-dbus")
    shared = program.parents[1] / "root/usr/share/dbus-1"
    insulad.host.run("mkdir", "-p", "/run/libvirt")
    with (
        shown_at(insulad, insulad.socket.parent, "/run/libvirt"),  # where libvirt's own daemon would listen
        shown_at(insulad, shared, "/usr/share/dbus-1"),
        running(insulad, log, "dbus-daemon", f"--config-file={scratch}/bus.conf", "--nofork", "--nopidfile"),
    ):
        until((scratch / "bus").exists, "the bus's socket", 20)
        with running(insulad, log, program, "--system", DBUS_SYSTEM_BUS_ADDRESS=address):
            until(
                lambda: "refused" not in asked(connection, "Connect", "Version", verb="get-property"), "its answer", 15
            )
            assert len(json.loads(asked(connection, "Connect", "ListDomains", "u", "0"))["data"][0]) == 2
            assert len(json.loads(asked(connection, "Connect", "ListNetworks", "u", "0"))["data"][0]) == 1
            domain = json.loads(asked(connection, "Connect", "DomainLookupByName", "s", "web"))["data"][0]
            assert json.loads(asked(domain, "Domain", "Name", verb="get-property"))["data"] == "web"
            assert json.loads(asked(domain, "Domain", "GetState", "u", "0"))["data"][0] == [1, 1]
            assert "<name>web</name>" in asked(domain, "Domain", "GetXMLDesc", "u", "0")
            assert "balloon.current" in asked(domain, "Domain", "GetStats", "uu", "0", "0")
            for member, after in (("Suspend", "paused"), ("Resume", "running")):
                assert "refused" not in asked(domain, "Domain", member)
                assert state(insulad, "web") == after
            assert "refused" not in asked(domain, "Domain", "Destroy", "u", "0")
            wait_state(insulad, "web", "shut off")
            assert "refused" not in asked(domain, "Domain", "Create", "u", "0")
            wait_state(insulad, "web", "running")
            assert "no domain with matching name" in asked(connection, "Connect", "DomainLookupByName", "s", "nobody")
            assert "has no snapshots" in asked(domain, "Domain", "SnapshotCreateXML", "su", "<domainsnapshot/>", "0")
