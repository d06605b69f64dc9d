"""A table of inits, each with everything that a domain is asked for: its whole life, from outside and from inside.

Each guest has a service in the way of its init, which writes a line when it begins and when it is stopped: so a boot is
known to have come to its services, and an end to have been an orderly one.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import roots
from tests.e2e.guests import copy_tree, domain_id, domain_xml, inside, insula, state, virsh_console, wait_state
from tests.enclosure import Enclosure
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

_UP = "echo up >>/witness"
_DOWN = "echo down >>/witness"
_GETTY = "/sbin/getty -L 38400 tty1 linux"


@dataclass(frozen=True, kw_only=True, slots=True)
class Init:
    """One init. root: a shared root that has it; prepare: adds the service to a copy; comm: its process' name;
    poweroff, reboot: what an administrator types inside."""

    root: Callable[[Enclosure], Path]
    prepare: Callable[[Path], None]
    comm: str
    init: str = "/sbin/init"
    poweroff: tuple[str, ...] = ("poweroff",)
    reboot: tuple[str, ...] = ("reboot",)


def _write(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _systemd(root: Path) -> None:
    unit = (
        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/bin/sh -c '{_UP}'\nExecStop=/bin/sh -c '{_DOWN}'\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    _write(root / "etc/systemd/system/witness.service", unit, 0o644)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "witness.service").symlink_to("../witness.service")


def _sysvinit(root: Path) -> None:
    script = (
        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: witness\n# Required-Start: $remote_fs\n"
        "# Required-Stop: $remote_fs\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n"
        f"case $1 in start) {_UP};; stop) {_DOWN};; esac\n"
    )
    _write(root / "etc/init.d/witness", script)
    for order in root.glob("etc/init.d/.depend.*"):
        order.unlink()  # without it scripts are run in the order of their names, so nobody has to compute it anew
    for level, name in ((2, "S99"), (0, "K01"), (6, "K01")):
        (root / f"etc/rc{level}.d/{name}witness").symlink_to("../init.d/witness")


def _runit(root: Path) -> None:
    _write(root / "etc/sv/witness/run", f"#!/bin/sh\n{_UP}\nexec sleep 100000\n")
    _write(root / "etc/sv/witness/finish", f"#!/bin/sh\n{_DOWN}\n")
    (root / "etc/runit/runsvdir/default/witness").symlink_to("/etc/sv/witness")


def _openrc(root: Path) -> None:
    _write(root / "etc/init.d/witness", f"#!/sbin/openrc-run\nstart() {{ {_UP}; }}\nstop() {{ {_DOWN}; }}\n")
    command = _GETTY.partition(" ")
    getty = f'#!/sbin/openrc-run\nsupervisor=supervise-daemon\ncommand={command[0]}\ncommand_args="{command[2]}"\n'
    _write(root / "etc/init.d/console", getty)
    for name in ("witness", "console"):
        (root / f"etc/runlevels/default/{name}").symlink_to(f"/etc/init.d/{name}")


def _s6(root: Path) -> None:
    """Lay out what s6's own page on running it as process 1 asks for, with the scripts that s6-linux-init makes."""
    scan, control = root / "etc/s6/scan", root / "etc/s6/scan/.s6-svscan"
    _write(root / "sbin/s6-boot", "#!/bin/sh\nexport PATH=/usr/bin:/usr/sbin\nexec s6-svscan /etc/s6/scan\n")
    _write(scan / "witness/run", f"#!/bin/sh\n{_UP}\nexec sleep 100000\n")
    _write(scan / "witness/finish", f"#!/bin/sh\n{_DOWN}\n")
    _write(scan / "console/run", f"#!/bin/sh\nexec {_GETTY}\n")
    _write(control / "SIGPWR", "#!/bin/sh\nexec s6-svscanctl -t /etc/s6/scan\n")
    _write(control / "SIGINT", "#!/bin/sh\n: >/dev/shm/reboot\nexec s6-svscanctl -t /etc/s6/scan\n")
    _write(control / "finish", "#!/bin/sh\n[ -e /dev/shm/reboot ] && exec /sbin/busybox reboot -f\nexit 0\n")
    shutil.copy(roots.BUSYBOX, root / "sbin/busybox")


def _busybox(root: Path) -> None:
    inittab = root / "etc/inittab"
    _write(root / "etc/witness", f"#!/bin/sh\ncase $1 in start) {_UP};; stop) {_DOWN};; esac\n")
    _write(inittab, f"{inittab.read_text()}::once:/etc/witness start\n::shutdown:/etc/witness stop\n", 0o644)


def _debian(release: str) -> Init:
    return Init(root=lambda world: roots.debian(release, world.outside), prepare=_systemd, comm="systemd")


def _several(world: Enclosure) -> Path:
    return roots.inits("13", world.outside)


INITS: Mapping[str, Init] = {
    "systemd-247": _debian("11"),
    "systemd-252": _debian("12"),
    "systemd-257": _debian("13"),
    "sysvinit": Init(root=lambda world: roots.sysvinit("13", world.outside), prepare=_sysvinit, comm="init"),
    "runit": Init(root=_several, prepare=_runit, comm="runit"),
    "openrc": Init(
        root=_several,
        prepare=_openrc,
        comm="openrc-init",
        init="/sbin/openrc-init",
        poweroff=("openrc-shutdown", "-p", "now"),
        reboot=("openrc-shutdown", "-r", "now"),
    ),
    "s6": Init(
        root=_several,
        prepare=_s6,
        comm="s6-svscan",
        init="/sbin/s6-boot",
        poweroff=("s6-svscanctl", "-t", "/etc/s6/scan"),
        reboot=("kill", "-INT", "1"),
    ),
    "busybox": Init(root=lambda _world: roots.busybox(), prepare=_busybox, comm="init"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Guest:
    """A domain with such an init. root: its tree."""

    insulad: Insulad
    name: str
    root: Path

    def lines(self, word: str) -> int:
        """Return how many times the service has been there, or has been stopped."""
        witness = self.root / "witness"
        return witness.read_text().split().count(word) if witness.exists() else 0

    def prompts(self) -> int:
        """Return how many times it has asked who is there."""
        log = self.insulad.layout.logs / f"{self.name}.console0.log"
        return log.read_bytes().count(b"login:") if log.exists() else 0

    def until_up(self, boot: int) -> int | None:
        """Wait until its services have begun for the n-th time and it asks who is there; return the domain's id."""
        until(lambda: self.lines("up") == boot, f"the service of '{self.name}' in boot {boot}", 120)
        until(lambda: self.prompts() >= boot, f"the login prompt in boot {boot}", 120)
        return domain_id(self.insulad, self.name)

    def until_rebooted(self, former: int | None, boot: int) -> int | None:
        until(lambda: domain_id(self.insulad, self.name) not in (None, former), "a new id after the reboot", 120)
        assert self.lines("down") == boot - 1, "its services were stopped in order"
        return self.until_up(boot)

    def until_off(self, boot: int) -> None:
        wait_state(self.insulad, self.name, "shut off", 120)
        assert state(self.insulad, self.name, reason=True) == "shut off (shutdown)"
        assert self.lines("down") == boot, "its services were stopped in order"


@pytest.mark.parametrize("name", INITS)
@pytest.mark.timeout(900)
def test_an_init_starts_its_services_and_ends_in_order_whoever_asks(
    insulad: Insulad, name: str, world: Enclosure, scratch: Path
) -> None:
    init = INITS[name]
    root = scratch / name
    root.mkdir()
    copy_tree(init.root(world), root)
    init.prepare(root)
    insulad.define(domain_xml(name, root, init=init.init))
    guest = Guest(insulad=insulad, name=name, root=root)

    insulad.virsh("start", name)
    first = guest.until_up(1)
    assert inside(insulad, name, "cat", "/proc/1/comm").strip() == init.comm
    with virsh_console(insulad, name) as console:
        console.type("\r")
        console.expect("login: ")
        assert console.leave() == 0
    inside(insulad, name, *init.reboot, check=False)  # its init may end it before it ends itself
    second = guest.until_rebooted(first, 2)
    insulad.virsh("reboot", name)
    guest.until_rebooted(second, 3)
    inside(insulad, name, *init.poweroff, check=False)
    guest.until_off(3)
    insulad.virsh("start", name)
    guest.until_up(4)
    insulad.virsh("shutdown", name)
    guest.until_off(4)
    insulad.virsh("start", name)
    guest.until_up(5)
    insula(insulad, "stop", name)
    guest.until_off(5)
