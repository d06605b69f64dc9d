"""Who in a guest uses a device or a file system that is to be taken away: told to whoever asks for that.

What is in use stays, unless it is asked for by force; then who uses it keeps it as long as it likes.
"""

import posixpath
from dataclasses import dataclass

from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.spec import Device
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError, OperationTimeoutError, ResourceBusyError
from insula.model.visible import visible
from insula.service.containers import Looking
from insula.service.guest import guest_processes

_LOOKED_AT = 4096
"""Processes that are looked at."""
_PATIENCE = 20.0
"""Seconds: every descriptor of every process is looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """who: each in words; below: how many mounts are in it, or of it."""

    who: tuple[str, ...]
    below: int


class DeviceUsers:
    """Finds out who uses what a guest was given."""

    def __init__(self, looker: Looking) -> None:
        self._looker = looker

    async def of_place(self, container: Running, place: str, device: Device | None = None) -> Use:
        """Return who uses the mount at a place of the guest's, or the node of a device there.

        Raises: OperationFailedError if that cannot be found out.
        """
        pids = await in_own_thread(container.group.processes)
        numbers = None if device is None else f"{device.major}:{device.minor}"
        arguments = {"init": container.pid, "pids": pids[:_LOOKED_AT], "place": posixpath.normpath(place)}
        sight = Sight(whose=container.uuid, name=f"domain '{container.name}'")
        try:
            found = await self._looker.look(
                sight, "find-holders", {**arguments, "device": numbers}, {}, seconds=_PATIENCE
            )
        except (OSError, OperationTimeoutError, OperationFailedError) as error:
            raise OperationFailedError(f"who uses {place} of {container.name} is not found out: {error}") from error
        holders = [(int(pid), str(name), str(how)) for pid, name, how in found["holders"]]
        inside = {
            each.host_pid: each.guest_pid for each in guest_processes(container.pid, [pid for pid, *_ in holders])
        }
        who = tuple(visible(f"{inside.get(pid, pid)} ({name}): {how}") for pid, name, how in holders)
        return Use(who=who, below=int(found["below"]))


def refusal(what: str, container: Running, use: Use) -> ResourceBusyError:
    """Return the error that says who uses it, by the guest's pids."""
    told = "; ".join(use.who) if use.who else "by no process that is to be found: a socket, a mount made of it"
    return ResourceBusyError(
        f"{what} of domain '{container.name}' is in use: {told}; end that, or take it away by force"
    )
