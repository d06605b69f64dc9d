"""Makes containers' interfaces: the performer the launcher is given (engine.interfaceperformer.InterfacePerformer).

Two sockets talk to the kernel: one in the daemon's network namespace, one that was opened inside the guest's. How each
kind of interface is made, and what becomes of it, say `network.kinds`.
"""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Address, Interface, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.errors import OperationFailedError, OperationInvalidError, OperationUnsupportedError
from insula.network.guestinterfaces import socket_in
from insula.network.kinds.interfacedriver import Networks
from insula.network.kinds.kindtable import BY_RECORD, KINDS
from insula.network.linkchanges import perform_change, restore, state_of
from insula.network.links import LOOPBACK, switch
from insula.network.rtnetlink import Rtnetlink

_log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds that a device which another guest had may take to come back."""

Inside = tuple[str, int]
"""How a kept network is found again: an interface's MAC address and index inside."""


class NetlinkPerformer:
    """Connects and disconnects interfaces of containers, from the network namespace it was made in.

    Connecting never waits for anything but the kernel's own work (see `Rtnetlink`), so it may be done on an event loop.
    A device of the host that was another guest's is waited for until the kernel has moved it back.
    """

    def __init__(self) -> None:
        self._here = open("/proc/thread-self/ns/net", "rb", buffering=0)  # noqa: SIM115 - closed by close
        self._host = Rtnetlink()
        self._sweeping = Rtnetlink()
        self._sweepers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interfaces")
        self._ending: list[Future[None]] = []
        self._leaving: set[int] = set()
        self._kept: dict[Inside, Rtnetlink] = {}
        """Networks of guests whose interfaces need them at their end; an open one lives on after its guest."""

    def close(self) -> None:
        """Finish pending removals and give the sockets back; running containers keep their interfaces."""
        self._sweepers.shutdown()
        for each in (self._sweeping, self._host, *self._kept.values()):
            each.close()
        self._kept.clear()
        self._here.close()

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        """Switch lo on, and make and configure the interfaces, all or none. See `InterfacePerformer`."""
        if any(KINDS[type(each)].needs_inside for each in interfaces):
            # A device of the host may be on its way back from the guest that had it: some tens of milliseconds.
            wait(self._ending, timeout=_PATIENCE)
        with ExitStack() as undo:
            inside = Rtnetlink(netlink)
            undo.callback(inside.close)
            inside.perform(switch(LOOPBACK, up=True))
            networks = Networks(
                host=self._host,
                inside=inside,
                guest_pid=netns_pid,
                here=self._here.fileno(),
                undo=undo,
                leaving=self._leaving,
            )
            made = tuple(_made(each, networks) for each in interfaces)
            undo.pop_all()
        kept = [each for each in made if BY_RECORD[each.kind].needs_inside]
        for each in kept:
            self._kept[each.mac, each.guest_index] = Rtnetlink(netlink)
        inside.close()
        return made

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Have the interfaces taken away, or back, that are still there. May be called again, and by a later daemon.

        Returns at once. A pair goes with the guest's namespace by itself, and the kernel holds its network lock for
        some tens of milliseconds while it does that; so a thread looks afterwards, and removes what somebody still
        keeps alive by a hold on that namespace.
        """
        if connected:
            self._leaving.update(each.host_index for each in connected if each.host_index)
            self._ending = [each for each in self._ending if not each.done()]
            self._ending.append(self._sweepers.submit(self._sweep, tuple(connected)))

    async def look_at_link(self, name: str, change: LinkChange, *, network: int) -> LinkSnapshot:
        """See `InterfacePerformer`."""
        try:
            with _inside(network) as inside:
                state = state_of(inside, name, change)
        except FileExistsError as error:
            raise OperationInvalidError(f"the link '{name}' stays as it is: {error.strerror}") from error
        except OSError as error:
            kind = OperationUnsupportedError if error.errno == errno.E2BIG else OperationFailedError
            raise kind(f"the link '{name}' stays as it is: {error.strerror}") from error
        if state is None:
            raise OperationInvalidError(f"the guest has no link '{name}'")
        return state

    async def change_link(
        self,
        former: LinkSnapshot,
        change: LinkChange,
        addresses: Sequence[Address],
        routes: Sequence[Route],
        *,
        network: int,
    ) -> None:
        """See `InterfacePerformer`."""
        try:
            with _inside(network) as inside:
                perform_change(inside, former, change, addresses=addresses, routes=routes)
        except OSError as error:
            raise OperationFailedError(f"cannot change the link '{former.name}': {error.strerror}") from error

    async def restore_link(self, former: LinkSnapshot, change: LinkChange, *, network: int) -> None:
        """See `InterfacePerformer`."""
        try:
            with _inside(network) as inside:
                restore(inside, former, change)
        except OSError as error:
            raise OperationFailedError(f"the link '{former.name}' is not what it was: {error.strerror}") from error

    def _sweep(self, connected: Sequence[ConnectedInterface]) -> None:
        for each in connected:
            inside = self._kept.pop((each.mac, each.guest_index), None)
            try:
                BY_RECORD[each.kind].end(each, self._sweeping, inside, self._here.fileno())
            except OSError:
                name = each.host or each.device or each.guest
                _log.exception("the interface %s of a guest that has ended may be left as it is", name)
            finally:
                if inside is not None:
                    inside.close()
        self._leaving.difference_update(each.host_index for each in connected)


@contextmanager
def _inside(network: int) -> Iterator[Rtnetlink]:
    """Talk with the kernel about the network of a guest that runs. network: an open file of its namespace."""
    descriptor = socket_in(network)
    try:
        with Rtnetlink(descriptor) as inside:
            yield inside
    finally:
        os.close(descriptor)


def _made(wanted: Interface, networks: Networks) -> ConnectedInterface:
    try:
        return KINDS[type(wanted)].make(wanted, networks)
    except OSError as error:
        raise OperationFailedError(f"cannot connect interface '{wanted.guest}': {error.strerror or error}") from error
