"""When guests are ready: init says so, a port takes connections, a command succeeds; through deaths of the daemon."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.guests import copy_tree, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")


def readiness(insulad: Insulad, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(insula(insulad, "info", "--json", name).stdout)["readiness"]
    return told


@pytest.mark.parametrize("release", ["12", "13"])
def test_a_guest_with_systemd_is_ready_once_its_init_says_so(
    insulad: Insulad, release: str, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    root = copy_tree(debian_root(release), scratch / "debian")
    insulad.define(domain_xml("deb", root, settings="<insula:readiness notify='yes'/>"))
    insula(insulad, "start", "--wait-ready", "--time", "120", "deb")
    told = readiness(insulad, "deb")
    assert told["state"] == "ready" and told["since"] and told["says"]
    # Whoever says more is told at once that nobody listens: a manager that is reloaded waits for nobody.
    inside(insulad, "deb", "systemctl", "daemon-reload")

    insulad.kill()
    insulad.start()
    assert readiness(insulad, "deb")["state"] == "ready"

    former = insulad.virsh("domid", "deb").stdout
    inside(insulad, "deb", "systemctl", "reboot", "--no-block")
    until(lambda: insulad.virsh("domid", "deb").stdout not in (former, "-\n"), "the guest having rebooted", 120)
    insula(insulad, "wait", "--ready", "--time", "120", "deb")


def test_only_what_init_says_counts_and_what_it_says_while_no_daemon_is_there_is_heard_by_the_next(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    root = copy_tree(debian_root("12"), scratch / "debian")
    init = root / "sbin/says"
    init.write_text(SAYS)
    init.chmod(0o755)
    insulad.define(domain_xml("says", root, init="/sbin/says", settings="<insula:readiness notify='yes'/>"))
    insulad.virsh("start", "says")
    until(lambda: readiness(insulad, "says")["says"] == "another has lied", "what init says being heard", 60)
    told = readiness(insulad, "says")
    assert told["state"] == "starting" and told["since"] is None

    insulad.kill()
    (root / "go").touch()
    until((root / "said").exists, "init having said that it is ready", 60)
    insulad.start()
    insula(insulad, "wait", "--ready", "--time", "60", "says")
    assert readiness(insulad, "says")["says"] == "all is well"


SAYS = """#!/usr/bin/perl
use Socket;
sub say_it {
    socket(my $to, AF_UNIX, SOCK_DGRAM, 0) or die;
    send($to, $_[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die "cannot send: $!";
}
$SIG{TERM} = sub { exit 0 };
if (my $other = fork) { waitpid $other, 0 } else { say_it("READY=1\nSTATUS=a lie"); exit 0 }
say_it("STATUS=another has lied");
select(undef, undef, undef, 0.1) until -e "/go";
say_it("READY=1\nSTATUS=all is well");
open(my $said, ">", "/said");
select(undef, undef, undef, 1) while 1;
"""


def test_a_guest_is_ready_once_its_port_takes_connections(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root, settings="<insula:readiness port='8080' timeout='1'/>"))
    insulad.virsh("start", "bb")
    # 8080 of the host, or of nobody, is none of the guest's.
    until(lambda: readiness(insulad, "bb")["state"] == "late", "the guest being late", 60)
    until(lambda: "port 8080: Connection refused" in str(readiness(insulad, "bb")["says"]), "the port being tried", 60)
    inside(insulad, "bb", "httpd", "-p", "127.0.0.1:8080")
    insula(insulad, "wait", "--ready", "--time", "60", "bb")
    assert readiness(insulad, "bb")["state"] == "ready"


def test_a_guest_is_ready_once_a_command_in_it_succeeds_and_not_while_it_is_paused(
    insulad: Insulad, busybox_root: Path
) -> None:
    settings = "<insula:readiness command='test -e &quot;/a file&quot;'/>"
    insulad.define(domain_xml("bb", busybox_root, settings=settings))
    insulad.virsh("start", "bb", "--paused")
    late = insula(insulad, "wait", "--ready", "--time", "2", "bb", check=False)
    assert late.returncode == 7 and "it is not ready in time" in late.stderr
    insulad.virsh("resume", "bb")
    until(lambda: "exit status 1" in str(readiness(insulad, "bb")["says"]), "the command being tried", 60)
    (busybox_root / "a file").touch()
    insula(insulad, "wait", "--ready", "--time", "60", "bb")


def test_who_depends_on_a_guest_starts_once_that_is_ready(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("db", busybox_root, settings="<insula:readiness command='test -e /up'/>"))
    insulad.define(domain_xml("web", busybox_root, settings="<insula:depends-on domain='db'/>"))
    early = "<insula:depends-on domain='db' until='running'/>"
    insulad.define(domain_xml("log", busybox_root, settings=early))
    for name in ("web", "log"):
        insulad.virsh("autostart", name)
    insulad.stop()
    (insulad.layout.run / "autostarted").write_text("an earlier boot")
    insulad.start()
    until(lambda: state(insulad, "log") == "running", "who needs it to run only", 60)
    assert state(insulad, "web") == "shut off" and readiness(insulad, "db")["state"] == "starting"
    insulad.kill()
    (busybox_root / "up").touch()
    insulad.start()
    until(lambda: state(insulad, "web") == "running", "who needs it to be ready", 60)
    assert readiness(insulad, "db")["state"] == "ready"


def test_who_waits_for_a_guest_that_ends_is_told(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root, settings="<insula:readiness command='false'/>"))
    insulad.virsh("start", "bb")
    until(lambda: "exit status 1" in str(readiness(insulad, "bb")["says"]), "the command being tried", 60)
    inside(insulad, "bb", "poweroff", check=False)  # it may be killed on its way out
    ended = insula(insulad, "wait", "--ready", "--time", "60", "bb", check=False)
    assert ended.returncode in (1, 3) and ("ended before" in ended.stderr or "not running" in ended.stderr)
