"""What stock Debians say over their own buses; and a bus that never answers, and one that is not init's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import insula as sdk
from insula.sdk.guestverbs import SystemState
from tests.e2e.guests import copy_tree, domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = [pytest.mark.requires("virsh", "overlay.idmapped", "userns"), pytest.mark.timeout(400)]
RELEASES = [pytest.param(each, marks=pytest.mark.requires(f"debian-{each}-image")) for each in ("12", "13")]
UP = {"state": "running", "failed": 0, "units": []}
TWO_FAILED = {"state": "degraded", "failed": 2, "units": ["broken.service", "lame.service"]}
ANSWERING = """
use Socket; unlink '/run/dbus/system_bus_socket'; socket(my $s, PF_UNIX, SOCK_STREAM, 0);
bind($s, sockaddr_un('/run/dbus/system_bus_socket')); listen($s, 9); chmod 0666, '/run/dbus/system_bus_socket';
open(my $up, '>', '/run/up'); close($up);
while (accept(my $c, $s)) {
  open(my $log, '>>', '/run/heard'); sysread($c, my $said, 99); print $log $said; close($log)
}
"""


@pytest.fixture(params=RELEASES)
def debian(insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path, request: pytest.FixtureRequest) -> str:
    (scratch / "debian").mkdir()
    root = copy_tree(debian_root(request.param), scratch / "debian")
    (root / "etc/hostname").write_text("# ours\nweb-static\n")
    (root / "etc/machine-info").write_text("PRETTY_HOSTNAME='The web'\n")
    insulad.define(domain_xml("deb", root, memory=1024))
    insulad.virsh("start", "deb")
    until(lambda: system(insulad) == UP, "the guest's systemd being up", 120)
    return "deb"


def system(insulad: Insulad) -> object:
    """What `insula info` says of the guest's system."""
    return json.loads(insula(insulad, "info", "deb", "--json").stdout)["system"]


def told(insulad: Insulad) -> dict[str, str]:
    lines = insulad.virsh("guestinfo", "deb").stdout.splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


def test_a_stock_debian_says_how_its_system_is_and_falls_back_to_its_files_without_a_bus(
    insulad: Insulad, debian: str
) -> None:
    found = told(insulad)
    assert (found["insula.system.state"], found["insula.system.failed.count"]) == ("running", "0")
    assert (found["insula.hostname.static"], found["insula.hostname.pretty"]) == ("web-static", "The web")
    assert found["user.count"] == "0"
    assert "inactive" in inside(insulad, debian, "systemctl", "is-active", "systemd-hostnamed", check=False)
    for name in ("broken", "lame"):
        inside(insulad, debian, "systemd-run", f"--unit={name}", "--property=Type=oneshot", "false", check=False)
    until(lambda: system(insulad) == TWO_FAILED, "two units having failed", 20)
    assert "degraded: 2 failed units: broken.service, lame.service" in insula(insulad, "info", debian).stdout
    assert told(insulad)["insula.system.failed.1.name"] == "lame.service"
    with sdk.connect(insulad.layout) as host:
        state = host.domain(debian).system_state()
    assert state == SystemState(state="degraded", failed=2, failed_units=("broken.service", "lame.service"))
    insulad.virsh("suspend", debian)
    assert system(insulad) is None
    insulad.virsh("resume", debian)
    inside(insulad, debian, "systemctl", "stop", "dbus.socket", "dbus.service")
    found = told(insulad)
    assert found["os.id"] == "debian" and found["insula.hostname.static"] == "web-static"
    assert system(insulad) is None and not [name for name in found if name.startswith("insula.system")]


def test_a_bus_that_never_answers_and_one_that_is_not_inits_are_told_of_by_files(insulad: Insulad, debian: str) -> None:
    drop_in = "/etc/systemd/system/dbus.service.d"
    silent = "[Service]\\nType=simple\\nExecStart=\\nExecStart=/bin/sleep infinity\\n"
    inside(insulad, debian, "systemctl", "stop", "dbus.socket", "dbus.service")
    inside(insulad, debian, "sh", "-c", f"mkdir -p {drop_in}; printf '{silent}' > {drop_in}/silent.conf")
    inside(insulad, debian, "systemctl", "daemon-reload")
    inside(insulad, debian, "systemctl", "start", "dbus.socket")
    assert system(insulad) is None
    found = told(insulad)
    assert found["os.id"] == "debian" and found["insula.hostname.static"] == "web-static"
    inside(insulad, debian, "systemctl", "stop", "dbus.socket", "dbus.service")
    inside(insulad, debian, "sh", "-c", 'setsid perl -e "$1" >/dev/null 2>&1 </dev/null &', "sh", ANSWERING)
    until(lambda: inside(insulad, debian, "ls", "/run").count("up"), "a bus of somebody's being there")
    assert system(insulad) is None and told(insulad)["os.id"] == "debian"
    assert inside(insulad, debian, "sh", "-c", "cat /run/heard 2>/dev/null", check=False).strip() == ""
