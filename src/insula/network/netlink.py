"""Makes containers' interfaces: the performer that the launcher is given (engine.interfaces.InterfacePerformer).

Two sockets talk to the kernel: one in the daemon's network namespace, one that was opened inside the guest's. The pair
is created by one message with its guest end already in its place and under its final name, so there is no moment at
which it could be seen, renamed or lost on the host.
"""

import errno
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from insula.engine.interfaces import ConnectedInterface
from insula.engine.spec import VethInterface
from insula.errors import OperationFailedError
from insula.network.links import (
    LOOPBACK,
    Link,
    PeerNamespace,
    Veth,
    add_address,
    add_route,
    create_veth,
    delete_link,
    link,
    rename_down,
    switch,
)
from insula.network.macs import host_side_mac, random_mac
from insula.network.rtnetlink import Rtnetlink

HOST_NAMES = "vnet%d"
"""libvirt's names for the host's ends; the kernel puts in the first free number, so two launches never race."""
_DYING_NAMES = "dying%d"


_log = logging.getLogger(__name__)


class NetlinkPerformer:
    """Connects and disconnects interfaces of containers, from the network namespace it was made in.

    Connecting never waits for anything but the kernel's own work (see `Rtnetlink`), so it may be done on an event loop.
    """

    def __init__(self) -> None:
        self._host = Rtnetlink()
        self._sweeping = Rtnetlink()
        self._sweepers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interfaces")
        self._leaving: set[int] = set()

    def close(self) -> None:
        """Finish pending removals and give the sockets back; running containers keep their interfaces."""
        self._sweepers.shutdown()
        self._sweeping.close()
        self._host.close()

    async def connect(
        self, interfaces: Sequence[VethInterface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        """Switch lo on, and make and configure the interfaces, all or none. See `InterfacePerformer`."""
        with Rtnetlink(netlink) as inside, ExitStack() as undo:
            inside.perform(switch(LOOPBACK, up=True))
            made = tuple(self._made(each, netns_pid, inside, undo) for each in interfaces)
            undo.pop_all()
        return made

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Have the interfaces removed that are still there. May be called again, and after a restart of the daemon.

        Returns at once. A pair goes with the guest's namespace by itself, and the kernel holds its network lock for
        some tens of milliseconds while it does that; so a thread looks afterwards, and removes what somebody still
        keeps alive by a hold on that namespace.
        """
        if connected:
            self._leaving.update(each.host_index for each in connected)
            self._sweepers.submit(self._sweep, tuple(connected))

    def _sweep(self, connected: Sequence[ConnectedInterface]) -> None:
        """Remove the interfaces unless they are gone, or going with their namespace."""
        try:
            for each in connected:
                found = link(self._sweeping, each.host_index)
                if found and found.mac == host_side_mac(each.mac) and found.peer is not PeerNamespace.DYING:
                    _remove(self._sweeping, each.host_index)
        except OSError:
            _log.exception("interfaces %s may be left on the host", ", ".join(each.host for each in connected))
        self._leaving.difference_update(each.host_index for each in connected)

    def _made(self, wanted: VethInterface, netns_pid: int, inside: Rtnetlink, undo: ExitStack) -> ConnectedInterface:
        try:
            bridge = self._bridge(wanted.bridge)
            mac = wanted.mac or random_mac()
            veth = Veth(
                host=wanted.host or HOST_NAMES,
                host_mac=host_side_mac(mac),
                guest=wanted.guest,
                guest_mac=mac,
                guest_pid=netns_pid,
                mtu=wanted.mtu or (bridge.mtu if bridge else None),
                master=bridge.index if bridge else None,
                up=wanted.up,
            )
            self._create(veth, inside)
            guest_end = link(inside, wanted.guest)
            if guest_end is None or guest_end.link is None:
                raise OSError(errno.ENODEV, "it vanished as soon as it was made")
            undo.callback(_remove, self._host, guest_end.link)
            inside.perform(
                *(add_address(guest_end.index, each) for each in wanted.addresses),
                switch(guest_end.index, up=True),
                *(add_route(guest_end.index, each) for each in wanted.routes),
            )
            return ConnectedInterface(
                guest=wanted.guest,
                host=wanted.host or self._name(guest_end.link),
                host_index=guest_end.link,
                bridge=wanted.bridge,
                mac=mac,
            )
        except OSError as error:
            raise OperationFailedError(
                f"cannot connect interface '{wanted.guest}': {error.strerror or error}"
            ) from error

    def _bridge(self, name: str | None) -> Link | None:
        """Return the bridge of that name. Its MTU is a guest's default: a smaller port would pull the bridge's down."""
        if name is None:
            return None
        found = link(self._host, name)
        if found is None:
            raise OSError(errno.ENODEV, f"there is no bridge '{name}' on the host; create it, or name another")
        if found.kind != "bridge":
            raise OSError(errno.EINVAL, f"'{name}' is no bridge but {found.kind or 'a network card'}")
        return found

    def _create(self, veth: Veth, inside: Rtnetlink) -> None:
        """Make the pair; a name on the host that a guest which has just ended still holds is taken from it."""
        try:
            self._host.perform(create_veth(veth))
        except FileExistsError as error:
            holder = link(self._host, veth.host)
            if holder is None and link(inside, veth.guest) is not None:
                raise OSError(errno.EEXIST, f"the guest has an interface '{veth.guest}' already") from error
            if holder is not None:
                if holder.peer is not PeerNamespace.DYING and holder.index not in self._leaving:
                    raise OSError(errno.EEXIST, f"the host has an interface '{veth.host}' already") from error
                with suppress(OSError):  # the kernel may be done with it by now
                    self._host.perform(rename_down(holder.index, _DYING_NAMES))
            self._host.perform(create_veth(veth))

    def _name(self, index: int) -> str:
        found = link(self._host, index)
        if found is None:
            raise OSError(errno.ENODEV, "its end on the host vanished as soon as it was made")
        return found.name


def _remove(host: Rtnetlink, index: int) -> None:
    try:
        host.perform(delete_link(index))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
