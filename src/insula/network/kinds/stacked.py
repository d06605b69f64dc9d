"""What macvlans and ipvlans have in common: interfaces of the guest's own on top of a device of the host."""

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from insula.engine.interfaceperformer import ConnectedInterface
from insula.network.kinds.interfacedriver import Networks
from insula.network.links import Link, delete_link, link, rename
from insula.network.rtnetlink import NetlinkRequest, Rtnetlink


class StackedKind:
    """link_kind: as `ip link add type` has it."""

    link_kind: ClassVar[str]
    needs_inside = True

    def created(self, networks: Networks, name: str, mac: str, request: Callable[[str], NetlinkRequest]) -> Link:
        """Return the new link in the guest's network. name: inside; request: what makes it under a name.

        Before Linux 6.15 the kernel refuses a name that an interface of the host has, for what comes into being in
        another namespace too: then it gets its own there. Raises: OSError.
        """
        at_first = name
        try:
            networks.host.perform(request(name))
        except FileExistsError:
            if link(networks.inside, name) is not None or link(networks.host, name) is None:
                raise
            at_first = name_at_first(mac)
            networks.host.perform(request(at_first))
        made = link(networks.inside, at_first)
        if made is None:
            raise OSError(errno.ENODEV, "it vanished as soon as it was made")
        networks.undo.callback(networks.inside.perform, delete_link(made.index))
        if at_first != name:
            networks.inside.perform(rename(made.index, name))
        return made

    def left(self, networks: Networks, name: str, mac: str) -> Link | None:
        """Return what `created` has made in the guest's network, if it did not come to its end."""
        for each in (name, name_at_first(mac)):
            found = link(networks.inside, each)
            if found is not None and found.kind == self.link_kind:
                return found
        return None

    def unplug(self, connected: ConnectedInterface, networks: Networks) -> None:
        if self.is_there(connected, networks):
            networks.inside.perform(delete_link(connected.guest_index))

    def is_there(self, connected: ConnectedInterface, networks: Networks) -> bool:
        found = link(networks.inside, connected.guest_index)
        return found is not None and found.kind == self.link_kind

    def end(self, connected: ConnectedInterface, host: Rtnetlink, inside: Rtnetlink | None, here: int) -> None:
        """Remove it, since its device may be wanted otherwise; without us it goes with the guest's namespace."""
        if inside is not None:
            with suppress(OSError):  # the guest has removed it
                inside.perform(delete_link(connected.guest_index))


def name_at_first(mac: str) -> str:
    """Return the name of a card that is yet to get its own: no other has it, on the host or inside."""
    return f"at{mac.replace(':', '')}"
