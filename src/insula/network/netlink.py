"""Makes containers' interfaces: the performer the launcher is given (engine.interfaceperformer.InterfacePerformer).

Two sockets talk to the kernel: one in the daemon's network namespace, one that was opened inside the guest's. How each
kind of interface is made, and what becomes of it, say `network.kinds`.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, suppress

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace
from insula.engine.interfacespec import Address, Interface, Route, UserInterface, VethInterface
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationInvalidError, OperationUnsupportedError
from insula.network.guestinterfaces import socket_in
from insula.network.hotplug import made_interface, networks_of, talk_in, telling
from insula.network.kinds.interfacedriver import HOST_SWITCH, NO_GUARD, Networks
from insula.network.kinds.kindtable import BY_RECORD, KINDS
from insula.network.kinds.portsettings import port_rules
from insula.network.linkchanges import perform_change, restore, state_of
from insula.network.links import LOOPBACK, link, of_process, switch
from insula.network.openvswitch import OpenVSwitch
from insula.network.portguard import PortGuard
from insula.network.rtnetlink import Rtnetlink
from insula.network.usermode.cardhelper import begin_helper
from insula.network.usermode.helperprocess import end_helpers, helper_name, helpers_of

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

    def __init__(self, guard: PortGuard = NO_GUARD, switch: OpenVSwitch = HOST_SWITCH) -> None:
        """guard: who filters what goes through guests' ports; switch: the host's Open vSwitch."""
        self._guard = guard
        self._switch = switch
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
        if not any(isinstance(each, VethInterface) and each.port.protection is not None for each in interfaces):
            return self._connected(interfaces, netns_pid=netns_pid, netlink=netlink, host=self._host)

        def filtered() -> tuple[ConnectedInterface, ...]:
            with talk_in(self._here.fileno()) as host:
                return self._connected(interfaces, netns_pid=netns_pid, netlink=netlink, host=host)

        # Who filters waits for a program, and for others whose rules are being changed: never on a loop.
        return await in_own_thread(filtered) if _on_a_loop() else filtered()

    def _connected(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int, host: Rtnetlink
    ) -> tuple[ConnectedInterface, ...]:
        if any(KINDS[type(each)].needs_inside for each in interfaces):
            # A device of the host may be on its way back from the guest that had it: some tens of milliseconds.
            wait(self._ending, timeout=_PATIENCE)
        with ExitStack() as undo:
            inside = Rtnetlink(netlink)
            undo.callback(inside.close)
            inside.perform(switch(LOOPBACK, up=True))
            networks = Networks(
                host=host,
                inside=inside,
                guest=of_process(netns_pid),
                here=self._here.fileno(),
                path=f"/proc/{netns_pid}/ns/net",
                undo=undo,
                leaving=self._leaving,
                guard=self._guard,
                switch=self._switch,
            )
            made = tuple(made_interface(each, networks) for each in interfaces)
            undo.pop_all()
        for each in made:
            self._keep(each, netlink)
        inside.close()
        return made

    def join(
        self, made: Sequence[tuple[ConnectedInterface, Interface]], place: HelperPlace, *, network: int
    ) -> tuple[ConnectedInterface, ...]:
        """See `InterfacePerformer`."""
        joined = []
        with ExitStack() as undo:
            for now, wanted in made:
                with telling(f"connect interface '{wanted.guest}'"):
                    if isinstance(wanted, VethInterface) and wanted.switch is not None and wanted.bridge is not None:
                        self._join_switch(now, wanted.bridge, wanted, undo)
                    if isinstance(wanted, UserInterface):
                        joined.append(begin_helper(now, wanted, place, network=network, here=self._here.fileno()))
                        undo.callback(end_helpers, helper_name(place.launch, now.mac))
                    else:
                        joined.append(now)
            undo.pop_all()
        return tuple(joined)

    def _join_switch(self, connected: ConnectedInterface, bridge: str, wanted: VethInterface, undo: ExitStack) -> None:
        assert wanted.switch is not None
        undo.callback(self._leave_switch, connected.host)
        self._switch.add(bridge, connected.host, connected.mac, wanted.switch, wanted.port.vlans)
        with talk_in(self._here.fileno()) as host:
            host.perform(switch(connected.host_index, up=wanted.up))

    def _leave_switch(self, port: str) -> None:
        with suppress(OSError):
            self._switch.remove(port)

    def _networks(self, network: int) -> AbstractContextManager[Networks]:
        return networks_of(self._here.fileno(), network, leaving=self._leaving, guard=self._guard, switch=self._switch)

    def _keep(self, connected: ConnectedInterface, netlink: int) -> None:
        if BY_RECORD[connected.kind].needs_inside:
            self._kept[connected.mac, connected.guest_index] = Rtnetlink(netlink)

    def identified(self, interface: Interface, *, network: int) -> Interface:
        """See `InterfacePerformer`, here and below."""
        if KINDS[type(interface)].needs_inside:
            wait(self._ending, timeout=_PATIENCE)
        what = f"connect interface '{interface.guest}'"
        with telling(what), self._networks(network) as networks:
            if link(networks.inside, interface.guest) is not None:
                raise OSError(errno.EEXIST, f"the guest has an interface '{interface.guest}' already")
            known: Interface = KINDS[type(interface)].identified(interface, networks)
            return known

    def plug(self, interface: Interface, place: HelperPlace, *, network: int) -> ConnectedInterface:
        with self._networks(network) as networks:
            made = made_interface(interface, networks)
            (made,) = self.join([(made, interface)], place, network=network)
            networks.undo.pop_all()
            descriptor = socket_in(network)
        try:
            self._keep(made, descriptor)
        finally:
            os.close(descriptor)
        return made

    def unplug(self, connected: ConnectedInterface, *, network: int) -> None:
        with (
            telling(f"disconnect interface '{connected.guest}'"),
            self._networks(network) as networks,
        ):
            BY_RECORD[connected.kind].unplug(connected, networks)
            self._release(connected)
        inside = self._kept.pop((connected.mac, connected.guest_index), None)
        if inside is not None:
            inside.close()

    def withdraw(self, interface: Interface, launch: str, *, network: int) -> None:
        if isinstance(interface, UserInterface):
            end_helpers(helper_name(launch, interface.mac or ""))
        with telling(f"take back interface '{interface.guest}'"), self._networks(network) as networks:
            KINDS[type(interface)].withdraw(interface, networks)

    def change_port(self, connected: ConnectedInterface, former: Interface, wanted: Interface, *, network: int) -> None:
        with telling(f"change interface '{wanted.guest}'"), self._networks(network) as networks:
            driver = KINDS[type(wanted)]
            if driver.kind is not connected.kind:
                raise OSError(errno.EOPNOTSUPP, f"it is a {connected.kind.value} as long as it is plugged in")
            driver.change(connected, former, wanted, networks)

    def adopt(self, plugged: Sequence[tuple[ConnectedInterface, Interface]], *, network: int) -> None:
        rules = [
            port_rules(each.host, each.mac, wanted)
            for each, wanted in plugged
            if each.protected and isinstance(wanted, VethInterface)
        ]
        if rules:
            self._guard.protect(*rules)
        for each, _ in plugged:
            if BY_RECORD[each.kind].needs_inside and (each.mac, each.guest_index) not in self._kept:
                with telling("take over a guest's network"), talk_in(network) as inside:
                    self._kept[each.mac, each.guest_index] = inside.duplicate()

    def revive(
        self, connected: ConnectedInterface, interface: Interface, place: HelperPlace, *, network: int
    ) -> ConnectedInterface:
        assert isinstance(interface, UserInterface)
        if self.gone((connected,), network=network):
            raise OperationInvalidError(f"the guest has removed its interface '{connected.guest}'")
        with telling(f"begin the helper of interface '{interface.guest}' anew"):
            return begin_helper(connected, interface, place, network=network, here=self._here.fileno())

    def end_helpers(self, launch: str) -> None:
        end_helpers(helpers_of(launch))

    def gone(self, connected: Sequence[ConnectedInterface], *, network: int) -> tuple[ConnectedInterface, ...]:
        with telling("look for a guest's interfaces"), self._networks(network) as networks:
            return tuple(each for each in connected if not BY_RECORD[each.kind].is_there(each, networks))

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        """Have the interfaces taken away, or back, that are still there. May be called again, and by a later daemon.

        Returns at once. A pair goes with the guest's namespace by itself, and the kernel holds its network lock for
        some tens of milliseconds while it does that; so a thread looks afterwards, and removes what somebody still
        keeps alive by a hold on that namespace.
        """
        if connected:
            self._leaving.update(each.host_index for each in connected if each.host_index)
            self._ending = [each for each in self._ending if not each.done()]
            # A helper holds the guest's network, and so a device of the host's that comes home from it.
            first = sorted(connected, key=lambda each: each.helper is None)
            self._ending.append(self._sweepers.submit(self._sweep, tuple(first)))

    async def look_at_link(self, name: str, change: LinkChange, *, network: int) -> LinkSnapshot:
        """See `InterfacePerformer`."""
        try:
            with talk_in(network) as inside:
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
            with talk_in(network) as inside:
                perform_change(inside, former, change, addresses=addresses, routes=routes)
        except OSError as error:
            raise OperationFailedError(f"cannot change the link '{former.name}': {error.strerror}") from error

    async def restore_link(self, former: LinkSnapshot, change: LinkChange, *, network: int) -> None:
        """See `InterfacePerformer`."""
        try:
            with talk_in(network) as inside:
                restore(inside, former, change)
        except OSError as error:
            raise OperationFailedError(f"the link '{former.name}' is not what it was: {error.strerror}") from error

    def _release(self, connected: ConnectedInterface) -> None:
        """The filter goes last: a guest that has lost it may be connected no more."""
        if connected.protected:
            self._guard.release(connected.host)
        if connected.switched:
            self._switch.remove(connected.host)

    def _sweep(self, connected: Sequence[ConnectedInterface]) -> None:
        for each in connected:
            inside = self._kept.pop((each.mac, each.guest_index), None)
            try:
                BY_RECORD[each.kind].end(each, self._sweeping, inside, self._here.fileno())
                self._release(each)
            except (OSError, InsulaError):
                name = each.host or each.device or each.guest
                _log.exception("the interface %s of a guest that has ended may be left as it is", name)
            finally:
                if inside is not None:
                    inside.close()
        self._leaving.difference_update(each.host_index for each in connected)


def _on_a_loop() -> bool:
    """Whether coroutines run on a loop here; an engine without one plays them to their end in its caller's thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
