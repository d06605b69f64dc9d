"""What the host's systemd and systemd-machined say of guests, for tests on a host that systemd runs."""

import subprocess
from pathlib import Path

from insula.engine.launch.placement import unit_around
from tests.waiting import until


def where(pid: int) -> str:
    """Return a process's group in the v2 hierarchy."""
    return next(line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))


def unit_of(pid: int) -> str:
    """Return the scope that a guest's init is in."""
    return unit_around(where(pid)[1:].removesuffix("/payload"))


def until_registered(machine: str) -> None:
    until(lambda: f"{machine} container libvirt-lxc" in " ".join(machines().split()), "machinectl knowing it")


def machines() -> str:
    return subprocess.run(["machinectl", "list", "--no-legend"], capture_output=True, text=True, check=True).stdout


def shown(unit: str, *properties: str) -> dict[str, str]:
    """Return what systemctl shows of a unit."""
    command = ["systemctl", "show", unit, "-p", ",".join(properties)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def scopes_listed() -> list[str]:
    command = ["systemctl", "list-units", "--all", "--no-legend", "--plain", "machine-*.scope"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in text.splitlines()]


def until_another_is_ready(but: str) -> str:
    """Return the unit of a scope of machine.slice that stands ready for whoever is next, once one does."""
    found: list[str] = []

    def looked() -> bool:
        for each in Path("/sys/fs/cgroup/machine.slice").glob("*.scope"):
            handed = each / "insula/payload/cgroup.controllers"
            if each.name != but and handed.exists() and handed.read_text().strip():
                found.append(each.name)
        return bool(found)

    until(looked, "another scope standing ready")
    return found[0]


def until_gone(unit: str) -> None:
    until(lambda: not Path("/sys/fs/cgroup/machine.slice", unit).exists(), "the scope's group being gone")
