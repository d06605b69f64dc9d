"""Ports of Open vSwitch: added and removed by ovs-vsctl, which asks the switch's own database.

A port is known by the name of the host's end. It stays in the database when that end is gone, also over a boot of the
host, so it is removed by whoever takes away what a guest had. Source: ovs-vsctl(8), ovs-vswitchd.conf.db(5).
"""

import errno
import shutil
import subprocess
from dataclasses import dataclass

from insula.engine.interfacespec import PortVlans, SwitchPort

PROGRAM = "ovs-vsctl"
_SECONDS = 10
"""For how long the switch may say nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenVSwitch:
    """The switch of this host. program: how it is spoken with, as a command's first words."""

    program: tuple[str, ...] = (PROGRAM,)

    def add(self, bridge: str, port: str, mac: str, wanted: SwitchPort, vlans: PortVlans | None) -> None:
        """Make an interface of the host a port of a bridge; what it was in the switch before is replaced.

        mac: the guest's, which controllers look for.
        Raises: OSError: ENOENT without the program, ETIMEDOUT if the switch does not answer, EIO with its words.
        """
        identifiers = {"attached-mac": mac, "iface-status": "active"}
        if wanted.interface is not None:
            identifiers["iface-id"] = wanted.interface
        if wanted.guest is not None:
            identifiers["vm-id"] = wanted.guest
        command = ["--if-exists", "del-port", port, "--", "add-port", bridge, port, *_tags(vlans)]
        # Who begins Open vSwitch after a boot removes what is marked so: no guest has lived that long.
        command += ["--", "set", "Port", port, "other_config:transient=true", "--", "set", "Interface", port]
        command += [f'external-ids:{key}="{value}"' for key, value in identifiers.items()]
        if wanted.profile is not None:
            command += ["--", "set", "Port", port, f'external-ids:port-profile="{wanted.profile}"']
        self._run(["--", *command])

    def retag(self, port: str, vlans: PortVlans | None) -> None:
        """Have a port carry other VLANs. Raises: as `add`."""
        clear = ["clear", "Port", port, "tag", "trunks", "vlan_mode"]
        tags = _tags(vlans)
        self._run(["--", *clear, *(["--", "set", "Port", port, *tags] if tags else [])])

    def remove(self, port: str) -> None:
        """Take a port off its bridge; one that there is none of is fine. Raises: as `add`."""
        self._run(["--if-exists", "del-port", port])

    def _run(self, command: list[str]) -> None:
        if shutil.which(self.program[0]) is None:
            raise OSError(errno.ENOENT, f"there is no {self.program[0]} on this host: install Open vSwitch")
        words = [*self.program, f"--timeout={_SECONDS}", *command]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_SECONDS + 5)
        except subprocess.TimeoutExpired as error:
            raise OSError(errno.ETIMEDOUT, f"Open vSwitch says nothing for {_SECONDS} s: does it run?") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"{self.program[0]} ended with {done.returncode}"]
            raise OSError(errno.EIO, f"Open vSwitch: {said[-1]}")


def _tags(vlans: PortVlans | None) -> list[str]:
    """Return the columns of a port that carries VLANs. A single one of the guest's own is an access port."""
    if vlans is None:
        return []
    if not vlans.tagged and vlans.native is not None and not vlans.native_tagged:
        return [f"tag={vlans.native}", "vlan_mode=access"]
    columns = []
    if vlans.native is not None:
        columns += [f"tag={vlans.native}", f"vlan_mode={'native-tagged' if vlans.native_tagged else 'native-untagged'}"]
    else:
        columns += ["vlan_mode=trunk"]
    trunks = [*vlans.tagged, *([vlans.native] if vlans.native is not None else [])]
    return [*columns, f"trunks={','.join(map(str, trunks))}"]
