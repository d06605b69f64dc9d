"""Metrics, read by strangers: Prometheus' own checker, and the reader of its Python library."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml, inside
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

ADDRESS = "127.0.0.1:9177"
MAC = "52:54:00:12:34:56"
READER = """
import json, sys
from prometheus_client.parser import text_string_to_metric_families as plain
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
form, text = sys.argv[1], sys.stdin.read()
for family in {"plain": plain, "openmetrics": openmetrics}[form](text):
    for sample in family.samples:
        print(json.dumps([family.type, sample.name, sample.labels, sample.value]))
"""


@pytest.fixture
def told(insulad: Insulad, busybox_root: Path, scratch: Path) -> Iterator[Insulad]:
    """A daemon that tells metrics of one guest with a card and a disk, and of one that is off."""
    insulad.stop()
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(f"[metrics]\naddress = '{ADDRESS}'\n")
    insulad.start()
    (scratch / "disk").write_bytes(bytes(1 << 20))
    devices = (
        f"<disk type='file' device='disk'><source file='{scratch / 'disk'}'/><target dev='vda'/></disk>"
        f"<interface type='bridge'><source bridge='lan'/><mac address='{MAC}'/></interface>"
    )
    insulad.host.run("ip", "link", "add", "lan", "type", "bridge")
    insulad.define(domain_xml("web", busybox_root, extra=devices))
    insulad.define(domain_xml('q"uote', busybox_root))
    insulad.virsh("start", "web")
    yield insulad
    insulad.virsh("destroy", "web")
    insulad.host.run("ip", "link", "del", "lan")


def scraped(insulad: Insulad, accept: str = "*/*") -> str:
    """What is told, by a stranger of the host's own network."""
    script = (
        "import sys, urllib.request as u\n"
        f"request = u.Request('http://{ADDRESS}/metrics', headers={{'Accept': {accept!r}}})\n"
        "sys.stdout.write(u.urlopen(request, timeout=60).read().decode())"
    )
    return insulad.host.run("/usr/bin/python3", "-c", script).stdout


def read(text: str, form: str) -> list[tuple[str, str, dict[str, str], float]]:
    """The samples in a text, by Prometheus' own library."""
    words = ["/usr/bin/python3", "-c", READER, form]
    result = subprocess.run(words, input=text, capture_output=True, text=True, check=True, timeout=patience(60))
    return [(kind, name, labels, value) for kind, name, labels, value in map(json.loads, result.stdout.splitlines())]


@pytest.mark.requires("prometheus")
def test_prometheus_own_checker_has_nothing_to_say(told: Insulad) -> None:
    words = [str(sideload.found("promtool")), "check", "metrics"]
    text = scraped(told)
    result = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=patience(60))
    assert (result.returncode, result.stdout + result.stderr) == (0, ""), text


@pytest.mark.requires("prometheus-client")
def test_its_library_reads_both_formats_and_finds_what_virsh_tells(told: Insulad) -> None:
    inside(told, "web", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    told.virsh("suspend", "web")

    def samples(form: str, accept: str) -> dict[str, float]:
        found = read(scraped(told, accept), form)
        return {name: value for _, name, labels, value in found if labels.get("domain", "web") == "web"}

    def virsh() -> dict[str, str]:
        lines = (
            told.virsh("domstats", "web").stdout.splitlines()
            + told.virsh("domstats", "--vm", "web").stdout.splitlines()
        )
        return dict(line.strip().split("=", 1) for line in lines if "=" in line)

    def agree() -> bool:
        plain, bulk = samples("plain", "text/plain"), virsh()
        return (
            plain["insula_domain_cpu_seconds_total"] == int(bulk["cpu.time"]) / 1e9
            and plain["insula_domain_memory_used_bytes"] == int(bulk["insula.memory.usage"])
            and plain["insula_domain_tasks"] == int(bulk["insula.tasks.current"])
            and plain["insula_domain_network_sent_bytes_total"] == int(bulk["net.0.tx.bytes"])
            and plain["insula_domain_block_capacity_bytes"] == 1 << 20
            and plain["insula_domain_frozen"] == 1
        )

    until(agree, "the same by metrics and virsh", 30)
    newer = samples("openmetrics", "application/openmetrics-text; version=1.0.0")
    assert newer.keys() == samples("plain", "text/plain").keys()


@pytest.mark.requires("prometheus-client")
def test_labels_name_domains_cards_and_disks_exactly(told: Insulad) -> None:
    found = read(scraped(told), "plain")
    uuid = told.virsh("domuuid", "web").stdout.strip()
    cards = {json.dumps(labels) for _, name, labels, _ in found if name == "insula_domain_network_received_bytes_total"}
    assert cards == {json.dumps({"domain": "web", "uuid": uuid, "interface": "eth0"})}
    states = {labels["domain"]: value for _, name, labels, value in found if name == "insula_domain_state"}
    assert states == {"web": 1, 'q"uote': 5}
    counts = {labels["state"]: value for _, name, labels, value in found if name == "insula_domains"}
    assert (counts["running"], counts["shutoff"]) == (1, 1)


@pytest.mark.requires("prometheus-client")
def test_counters_begin_again_with_the_run_and_its_start_says_so(told: Insulad) -> None:
    def sample(name: str) -> float:
        return next(
            value
            for _, each, labels, value in read(scraped(told), "plain")
            if each == f"insula_domain_{name}" and labels["domain"] == "web"
        )

    def worked() -> bool:
        """Whether it has used far more than a start takes."""
        inside(told, "web", "sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
        return sample("cpu_seconds_total") > 2

    began = sample("start_time_seconds")
    until(worked, "processor time in the metrics", 60)
    before = sample("cpu_seconds_total")
    told.virsh("destroy", "web")
    told.virsh("start", "web")
    until(lambda: sample("start_time_seconds") > began, "the next run in the metrics", 30)
    assert sample("cpu_seconds_total") < before


def test_who_has_taken_the_port_keeps_no_guest_from_its_daemon(insulad: Insulad) -> None:
    insulad.stop()
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text(f"[metrics]\naddress = '{ADDRESS}'\n")
    taken = f"import socket, time; s = socket.create_server(('127.0.0.1', {ADDRESS.split(':')[1]})); time.sleep(3600)"
    squatter = insulad.host.start("/usr/bin/python3", "-c", taken)
    try:
        listening = ("ss", "-Hltn", f"src {ADDRESS}")
        until(lambda: ADDRESS in insulad.host.run(*listening).stdout, "somebody at the port", 30)
        insulad.start()
        until(lambda: "no metrics are told: cannot listen" in insulad.log_text(), "that in the log", 30)
        assert insulad.virsh("list", "--name").stdout.strip() == ""
    finally:
        squatter.kill()
        squatter.wait()
