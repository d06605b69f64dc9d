"""Our Debian package on a host that systemd runs: installed, used, upgraded under running guests, shut down, purged.

One host: the tests follow each other as an administrator's doings would, and each says what it took.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import hosts, roots
from tests.debianpackage import versions
from tests.e2e.guests import Terminal
from tests.enclosure import Enclosure
from tests.systemdhost import SystemdHost, systemd_host
from tests.waiting import scaled, until

pytestmark = [
    pytest.mark.timeout(900),
    *([pytest.mark.machine("cgroups", "systemd")] if hosts.full() else []),  # a quarter of an hour there
    pytest.mark.requires("packages-13", "host-13", "debian-13-image", "busybox", "overlay.idmapped", "userns"),
]

UNITS = ("insulad.service", "virtlxcd.socket", "virtlxcd-ro.socket", "insula-guests.service")
SOCKETS = UNITS[1:3]
URI = "lxc:///system"
RESTART = 20.0
"""Seconds that a restart of the daemon may take on a host that has much to do; else it is one or two. A keeper that
keeps the daemon's unit from ending would make it sixty."""
ENDING = 20.0
"""Seconds within which a guest that is asked has ended: systemd's own patience would be ninety."""

Tell = Callable[[str], None]


class Administrator:
    """Who works on the host, with the tests' guests in a directory that outlives it."""

    def __init__(self, host: SystemdHost, guests: Path, packages: Sequence[str]) -> None:
        self.host = host
        self.guests = guests
        self.packages = packages
        """Paths of two versions, the older one first."""

    def virsh(self, *words: str) -> str:
        return self.host.run("virsh", "-q", "-c", URI, *words).stdout.strip()

    def active(self, *units: str) -> list[str]:
        return self.host.run("systemctl", "is-active", *units, check=False).stdout.split()

    def pid_of(self, *names: str) -> list[int]:
        """Return the pids of guests' inits: their domain ids."""
        return [int(self.virsh("domid", name)) for name in names]

    def unit_of(self, name: str) -> str:
        """Return the scope that a guest is in."""
        groups = self.host.read(f"/proc/{self.pid_of(name)[0]}/cgroup").split("/")
        return next(each for each in groups if each.endswith(".scope"))

    def daemon(self) -> str:
        return self.host.run("systemctl", "show", "insulad.service", "-p", "MainPID", "--value").stdout.strip()

    def keeper(self) -> set[str]:
        """Return who is in the keeper's scope."""
        group = "/sys/fs/cgroup/system.slice/insula-keeper.scope/cgroup.procs"
        return set(self.host.run("cat", group, check=False).stdout.split())

    def define(self, name: str, root: Path, init: str = "/sbin/init", arguments: Sequence[str] = ()) -> None:
        words = "".join(f"<initarg>{each}</initarg>" for each in arguments)
        (self.guests / f"{name}.xml").write_text(
            f"<domain type='lxc'><name>{name}</name><memory unit='MiB'>512</memory>"
            f"<os><type>exe</type><init>{init}</init>{words}</os><devices>"
            f"<filesystem type='mount'><source dir='/srv/guests/{root.name}'/><target dir='/'/></filesystem>"
            f"<console type='pty'/></devices></domain>"
        )
        self.virsh("define", f"/srv/guests/{name}.xml")

    def busybox(self, name: str) -> Path:
        """Make a busybox guest whose shutdown leaves a file, and define it."""
        root = self.guests / name
        shutil.copytree(roots.busybox(), root, symlinks=True)
        with (root / "etc/inittab").open("a") as table:
            table.write("::shutdown:/bin/touch /stopped\n")
        self.define(name, root)
        return root

    def debian(self, name: str, template: Path) -> Path:
        """Make a Debian guest whose unit's ExecStop leaves a file, and define it."""
        root = self.guests / name
        subprocess.run(["cp", "-a", "--reflink=auto", f"{template}/.", str(root)], check=True)
        unit = root / "etc/systemd/system/witness.service"
        unit.write_text(
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/touch /stopped\n"
        )
        wants = root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit.name).symlink_to(f"/etc/systemd/system/{unit.name}")
        self.define(name, root)
        return root

    def start(self, *names: str) -> None:
        """Start guests, one after the other, and wait until each is up; what earlier runs left is forgotten."""
        for name in names:
            (self.guests / name / "stopped").unlink(missing_ok=True)
            self.virsh("start", name)
            ready = "is-system-running" if (self.guests / name / "etc/systemd").exists() else ""
            until(lambda ready=ready, name=name: self._is_up(name, ready), f"{name} being up", 60)  # type: ignore[misc]

    def _is_up(self, name: str, ready: str) -> bool:
        if ready:
            asked = self.host.run("insula", "exec", name, "--", "systemctl", ready, check=False).stdout.strip()
            return asked in ("running", "degraded")
        return "getty" in self.host.run("insula", "exec", name, "--", "ps", check=False).stdout

    def stopped(self, name: str) -> float:
        """Return when a guest's own shutdown wrote its file, 0 if it has not."""
        file = self.guests / name / "stopped"
        return file.stat().st_mtime if file.exists() else 0.0

    def until_off(self, name: str) -> None:
        until(lambda: self.virsh("domstate", name) == "shut off", f"the end of {name}", ENDING)

    def machine_of(self, name: str) -> str:
        """Return the name by which machinectl knows a guest, once it does."""

        def known() -> str:
            words = self.host.run("machinectl", "list", "--no-legend").stdout.split()
            return next((each for each in words if each.startswith("lxc-") and each.endswith(f"-{name}")), "")

        return until(known, f"machinectl knowing {name}", 10)

    @contextmanager
    def terminal(self, *command: str) -> Iterator[Terminal]:
        opened = Terminal(*self.host.command(*command))
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def console(self, name: str) -> Iterator[Terminal]:
        with self.terminal("virsh", "-c", URI, "console", name) as opened:
            opened.expect("Connected to domain")
            yield opened


def took(*actions: Callable[[], object]) -> float:
    started = time.monotonic()
    for each in actions:
        each()
    return time.monotonic() - started


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Tell:
    """Says a figure, whether or not the test passes."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}", flush=True)

    return say


@pytest.fixture(scope="module")
def admin(world: Enclosure) -> Iterator[Administrator]:
    packages = versions("13", world.outside)
    names = ("/srv/older", "/srv/newer")
    guests = world.base / "guests"
    guests.mkdir(mode=0o755)
    shown = {"/srv/guests": guests, **{name: each.parent for name, each in zip(names, packages, strict=True)}}
    with systemd_host(roots.host("13", world.outside), shown) as host:
        yield Administrator(host, guests, [f"{name}/{each.name}" for name, each in zip(names, packages, strict=True)])
    shutil.rmtree(guests)


@pytest.fixture(scope="module")
def template(world: Enclosure) -> Path:
    return roots.debian("13", world.outside)


def test_an_installed_package_listens_and_the_first_client_starts_the_daemon(admin: Administrator, tell: Tell) -> None:
    assert not admin.host.exists("/usr/sbin/insulad")
    installed = took(lambda: admin.host.run("apt-get", "install", "-y", "--no-install-recommends", admin.packages[0]))
    assert admin.active(*UNITS) == ["active"] * len(UNITS)
    admin.host.run("systemctl", "stop", "insulad.service")
    assert admin.active("insulad.service", *SOCKETS) == ["inactive", "active", "active"]
    answered = took(lambda: admin.virsh("list"))
    assert admin.active("insulad.service") == ["active"]
    tell(f"apt took {installed:.1f} s, the first answer {answered:.1f} s, with the daemon's start in it")


def test_a_restart_keeps_guests_consoles_and_how_guests_end(admin: Administrator, tell: Tell) -> None:
    admin.busybox("one")
    admin.busybox("two")
    brief = admin.guests / "brief"
    shutil.copytree(roots.busybox(), brief, symlinks=True)
    admin.define("brief", brief, "/bin/sh", ["-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 7"])
    admin.start("one", "two")
    admin.virsh("start", "brief")
    before, keeper = admin.pid_of("one", "two", "brief"), admin.keeper()
    with admin.console("one") as seen:
        seen.type("\r")
        seen.expect("login: ")
        seen.type("root\r")
        seen.expect("# ")
        seen.type("kept=4711\r")
        seen.expect("# ")
    restarted = took(lambda: admin.host.run("systemctl", "restart", "insulad.service"))
    answered = took(lambda: admin.virsh("list"))
    tell(f"systemctl restart insulad took {restarted:.1f} s, the next answer {answered:.1f} s")
    assert restarted < scaled(RESTART)
    assert admin.pid_of("one", "two", "brief") == before
    assert admin.keeper() == keeper != set()
    with admin.console("one") as seen:
        seen.expect("kept=4711")  # what was said before; virsh takes what is typed from then on
        seen.type("echo is $kept\r")
        seen.expect("is 4711")
    admin.host.run("systemctl", "stop", *SOCKETS, "insulad.service")
    (brief / "go").touch()
    until(lambda: not admin.host.exists(f"/proc/{before[2]}"), "the end of brief while no daemon runs", 10)
    admin.host.run("systemctl", "start", *SOCKETS)
    said = json.loads(admin.host.run("insula", "info", "--json", "brief").stdout)
    assert said["last_end"]["exit_status"] == 7
    assert admin.pid_of("one", "two") == before[:2]


def test_an_upgrade_is_a_new_daemon_with_the_same_guests_and_keeper(admin: Administrator, tell: Tell) -> None:
    before, daemon, keeper = admin.pid_of("one", "two"), admin.daemon(), admin.keeper()
    upgraded = took(lambda: admin.host.run("dpkg", "-i", admin.packages[1]))
    version = admin.host.run("dpkg-query", "-W", "-f", "${Version}", "insula").stdout
    assert version.endswith("+2")
    assert admin.pid_of("one", "two") == before
    assert admin.daemon() not in ("0", daemon)
    assert admin.keeper() == keeper
    assert admin.active(*UNITS) == ["active"] * len(UNITS)
    with admin.console("one") as seen:
        seen.expect("kept=4711")  # what was said before; virsh takes what is typed from then on
        seen.type("echo is $kept\r")
        seen.expect("is 4711")
    tell(f"the upgrade to {version} under two guests took {upgraded:.1f} s")


def test_stopping_a_guests_scope_shuts_the_guest_down(admin: Administrator, tell: Tell) -> None:
    """A daemon made that scope which is gone by now."""
    unit = admin.unit_of("one")
    ended = took(lambda: admin.host.run("systemctl", "stop", unit))
    admin.until_off("one")
    tell(f"systemctl stop of a busybox guest's scope took {ended:.1f} s")
    assert admin.stopped("one"), "its init was not asked"
    assert admin.virsh("domstate", "one", "--reason") == "shut off (shutdown)"
    assert ended < scaled(ENDING)


def test_stopping_the_scope_of_one_that_does_not_listen_kills_it(admin: Administrator, tell: Tell) -> None:
    admin.define("deaf", admin.guests / "brief", "/bin/sleep", ["1000"])
    admin.virsh("start", "deaf")
    unit = admin.unit_of("deaf")
    ended = took(lambda: admin.host.run("systemctl", "stop", unit))
    admin.until_off("deaf")
    tell(f"systemctl stop of the scope of one that does not listen took {ended:.1f} s")
    assert ended < scaled(ENDING)


def test_a_scope_that_stands_ready_is_stopped_at_once(admin: Administrator, tell: Tell) -> None:
    def ready() -> list[str]:
        rows = admin.host.run(
            "systemctl", "list-units", "--no-legend", "--plain", "machine-*.scope"
        ).stdout.splitlines()
        return [row.split()[0] for row in rows if "Ready for a container" in row]

    (unit,) = until(ready, "a scope standing ready", 10)
    ended = took(lambda: admin.host.run("systemctl", "stop", unit))
    tell(f"systemctl stop of a scope that stands ready took {ended:.1f} s")
    assert ended < scaled(ENDING)


def test_machinectl_shows_enters_and_powers_off_a_debian_guest(
    admin: Administrator, template: Path, tell: Tell
) -> None:
    admin.debian("deb", template)
    booted = took(lambda: admin.start("deb"))
    machine = admin.machine_of("deb")
    status = admin.host.run("machinectl", "status", "--no-pager", machine).stdout
    assert "Debian GNU/Linux 13" in status and "libvirt-lxc" in status
    with admin.terminal("machinectl", "shell", machine, "/bin/sh", "-c", "echo init is $(cat /proc/1/comm)") as shell:
        entered = took(lambda: shell.expect("init is systemd", 60))
    with admin.terminal("machinectl", "login", machine) as login:
        greeted = took(lambda: login.expect("login: ", 60))
    ended = took(lambda: admin.host.run("machinectl", "poweroff", machine), lambda: admin.until_off("deb"))
    tell(f"Debian booted in {booted:.1f} s; shell took {entered:.1f} s, login {greeted:.1f} s, poweroff {ended:.1f} s")
    assert admin.stopped("deb"), "its services were not stopped"


def test_machinectl_terminate_shuts_a_debian_guest_down(admin: Administrator, tell: Tell) -> None:
    admin.start("deb")
    machine = admin.machine_of("deb")
    ended = took(lambda: admin.host.run("machinectl", "terminate", machine), lambda: admin.until_off("deb"))
    tell(f"machinectl terminate took {ended:.1f} s")
    assert admin.stopped("deb"), "its services were not stopped"


def test_libvirts_daemon_for_virtual_machines_works_beside_it(admin: Administrator, tell: Tell) -> None:
    answered = took(lambda: admin.host.run("virsh", "-q", "-c", "qemu:///system", "nodeinfo"))
    assert "two" in admin.virsh("list")
    tell(f"qemu:///system answered beside {URI} in {answered:.1f} s")


def test_libvirts_driver_for_containers_is_refused(admin: Administrator) -> None:
    control = admin.guests / "driver/DEBIAN/control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: libvirt-daemon-driver-lxc\nVersion: 11.3.0-3\nArchitecture: all\nMaintainer: a <a@b.example>\n"
        "Description: its name and nothing else\n"
    )
    admin.host.run("dpkg-deb", "--root-owner-group", "--build", "/srv/guests/driver", "/srv/guests/driver.deb")
    refused = admin.host.run("dpkg", "-i", "/srv/guests/driver.deb", check=False)
    assert refused.returncode and "conflict" in refused.stderr
    assert "two" in admin.virsh("list")
    assert admin.host.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "insula").stdout == "installed"


def test_a_purge_shuts_guests_down_and_leaves_what_it_names(admin: Administrator, tell: Tell) -> None:
    (pid,) = admin.pid_of("two")
    said: list[str] = []
    purged = took(lambda: said.append(admin.host.run("apt-get", "purge", "-y", "insula").stdout))
    assert admin.stopped("two"), "its init was not asked"
    assert not admin.host.exists(f"/proc/{pid}")
    assert "stay in /etc/insula /var/lib/insula /var/log/insula," in said[0]
    assert admin.active(*UNITS) == ["inactive"] * len(UNITS)
    until(lambda: not admin.keeper(), "the end of the keeper", 30)
    gone = (
        "/run/insula",
        "/var/cache/insula",
        "/etc/default/insulad",
        "/usr/sbin/insulad",
        "/run/libvirt/virtlxcd-sock",
    )
    assert [each for each in gone if admin.host.exists(each)] == []
    units = admin.host.run("systemctl", "list-units", "--no-legend", "--plain", "machine-*.scope", "*insula*").stdout
    assert units == ""
    tell(f"the purge with a running guest took {purged:.1f} s")


def test_a_power_off_of_the_host_runs_each_guests_shutdown_last_started_first(admin: Administrator, tell: Tell) -> None:
    """What was purged finds its definitions again. Nothing can be asked of the host afterwards."""
    admin.host.run("dpkg", "-i", admin.packages[1])
    names = ("one", "two", "deb")
    admin.start(*names)
    began = time.time()
    gone = took(
        lambda: admin.host.run("systemctl", "poweroff", "--no-block"),
        lambda: until(lambda: not admin.host.is_up, "the end of the host", 90),
    )
    times = [admin.stopped(name) - began for name in names]
    figures = ", ".join(f"{name} after {seconds:.1f} s" for name, seconds in zip(names, times, strict=True))
    tell(f"the host's power-off took {gone:.1f} s and stopped {figures}")
    assert 0 < times[2] < times[1] < times[0], "a guest was not asked, or before its turn"
    assert gone < scaled(ENDING * len(names))
