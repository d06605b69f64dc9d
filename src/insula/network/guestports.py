"""Guests' ends on this host, put on a bridge again that was taken away from under them.

A bridge that goes takes along what its ports had of it, isolation, VLANs and trust; what an end has by itself (limits,
the rules of a filter) stays.
"""

import errno
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from insula.engine.interfacespec import BridgePort
from insula.errors import without_errno
from insula.network.bridgeports import as_wanted
from insula.network.links import Link, link, set_master, switch
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.bridges import bridge_named


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedPort:
    """Why a guest's end is not on a bridge. tried: the kernel refused it; else the bridge has to become different."""

    reason: str
    tried: bool = False


class GuestPorts:
    """Works in the network namespace of the thread that calls. Every method blocks. Raises: OSError."""

    def unplugged(self, ends: Collection[str]) -> frozenset[str]:
        """Return those of these ends that are ports of nothing; one that is gone counts as none."""
        with Rtnetlink() as kernel:
            return frozenset(each for each in ends if (port := link(kernel, each)) is not None and port.master is None)

    def plug(self, bridge: str, ends: Mapping[str, BridgePort]) -> dict[str, RefusedPort]:
        """Make those of these ends that are ports of nothing ports of a bridge. Return why others are not, by name.

        What an administrator has put on another bridge stays there.
        """
        refused: dict[str, RefusedPort] = {}
        with Rtnetlink() as kernel:
            found = bridge_named(kernel, bridge)
            for name, wanted in ends.items():
                port = link(kernel, name)
                if port is None or port.master is not None:
                    continue
                if found is None or found.kind != "bridge":
                    refused[name] = RefusedPort(reason=f"the host has no bridge '{bridge}'")
                elif wanted.vlans is not None and not found.vlans:
                    refused[name] = RefusedPort(reason=f"the bridge '{bridge}' does not tell VLANs apart any more")
                else:
                    try:
                        plug_port(kernel, port, found.index, wanted)
                    except OSError as error:
                        refused[name] = RefusedPort(
                            reason=f"the bridge '{bridge}' does not take it: {without_errno(str(error))}", tried=True
                        )
        return refused


def plug_port(kernel: Rtnetlink, port: Link, bridge: int, wanted: BridgePort) -> None:
    """Make a guest's end a port of a bridge, and no frame passes before it is all that is wanted of it.

    Raises: OSError, and it is a port of nothing; what it lacks then is nobody's.
    """
    try:
        if port.up:
            kernel.perform(switch(port.index, up=False))
        kernel.perform(set_master(port.index, bridge), *as_wanted(port.index, wanted))
        if port.up:
            kernel.perform(switch(port.index, up=True))
    except OSError as error:
        if error.errno != errno.ENODEV:
            kernel.perform(set_master(port.index, None), switch(port.index, up=port.up))
        raise
