"""The channels of running domains, found by the names clients have for them."""

from insula.engine.console.guestchannel import ChannelPeer
from insula.errors import DeviceMissingError, OperationFailedError
from insula.service.managed import ManagedDomain


class ChannelVerbs:
    def open(self, managed: ManagedDomain, name: str | None, *, force: bool = False) -> ChannelPeer:
        """Return the host's side of a channel. name: its own or its alias, None for the first.

        Raises: OperationInvalidError if the domain does not run, DeviceMissingError if it has no such channel,
        OperationFailedError if somebody has it; see GuestChannel.attach.
        """
        run = managed.require_run()
        port = _port(managed, name)
        for each in run.channels:
            if each.name == port:
                return each.line.attach(force=force)
        raise OperationFailedError(
            f"the channel '{port}' of domain '{managed.name}' was lost when insulad and its keeper were killed "
            "together; the domain has it anew after its next start"
        )


def _port(managed: ManagedDomain, name: str | None) -> str:
    for each in managed.current.devices.channels:
        if each.port is not None and (not name or name in (each.port, each.alias)):
            return each.port
    wanted = "any channel" if not name else f"channel '{name}'"
    raise DeviceMissingError(f"cannot find {wanted} of domain '{managed.name}'")
