"""Device nodes that a guest is given while it runs, or taken away: the node, and the right to use it."""

from collections.abc import Sequence
from dataclasses import replace

from insula.engine.facts import Facts
from insula.engine.fragments.guestdevices import fetched_node
from insula.engine.launch.changes import Change, RunningChanges, WriteRecord, nothing_written, shown_at
from insula.engine.launch.holdings import GuestMount, LoopDevice
from insula.engine.launch.release import detachment
from insula.engine.launch.runningcontainer import Running
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.spec import Device
from insula.engine.steps.guest.nodes import RemoveNode
from insula.engine.steps.guest.roottree import AttachMount
from insula.engine.steps.host.groups import ChangeDevices
from insula.errors import OperationInvalidError

_NODE = "node"


class NodeChanges:
    """Changes which device nodes a guest has. changes: performs it."""

    def __init__(self, *, facts: Facts, changes: RunningChanges) -> None:
        self._facts = facts
        self._changes = changes

    async def attach_device(self, running: Running, device: Device, write: WriteRecord = nothing_written) -> None:
        """Give a device to a guest that runs: its node below /dev, and the right to use it. See `perform`.

        Raises: OperationInvalidError if it has one of that name; InvalidArgumentError for an owner that it has not.
        """
        spec, target = running.record.spec, place_of(device)
        if any(each.guest == device.guest for each in spec.devices):
            raise OperationInvalidError(f"{running.name} has a device {target} already")
        if device.image is not None and not running.record.guards_loops:
            raise OperationInvalidError(
                f"{running.name} was started by an earlier version, and could take the image's device over: restart it"
            )
        devices = (*spec.devices, device)
        change = Change(
            host=(*fetched_node(spec, self._facts, device, _NODE), _allowing(running, devices)),
            inside=(AttachMount(why="asked for", source=_NODE, target=target),),
            holds=lambda context: (shown_at(context.fds[_NODE], target),),
            spec=replace(spec, devices=devices),
        )
        await self._changes.perform(running, change, write)

    async def detach_device(self, running: Running, device: Device, write: WriteRecord = nothing_written) -> None:
        """Take a device away: the right to open it, its node, the loop device of an image. Who has it open keeps it.

        Raises: OperationInvalidError if the guest was given none of that name; StepError.
        """
        spec, target = running.record.spec, place_of(device)
        given = next((each for each in spec.devices if each.guest == device.guest), None)
        if given is None:
            raise OperationInvalidError(f"{running.name} was given no device {target}")
        devices = tuple(each for each in spec.devices if each != given)
        holdings = running.record.holdings
        shown = tuple(each for each in holdings if isinstance(each, GuestMount) and each.target == target)
        change = Change(
            host=(_allowing(running, devices),),
            inside=(
                *map(detachment, shown),
                RemoveNode(why="no longer wanted", target=target, major=given.major, minor=given.minor),
            ),
            drops=shown,
            spec=replace(spec, devices=devices),
        )
        await self._changes.perform(running, change, write)
        await self.settle(running, write)

    async def settle(self, running: Running, write: WriteRecord = nothing_written) -> None:
        """Let go of the images of devices that the guest has not any more. Raises: as `RunningChanges.release`."""
        record = running.record
        given = {each.guest for each in record.spec.devices}
        images = [each for each in record.holdings if isinstance(each, LoopDevice) and each.made]
        await self._changes.release(running, [each for each in images if each.guest not in given], write)


def place_of(device: Device) -> str:
    """Return where the guest sees a device."""
    return f"/dev/{device.guest}"


def _allowing(running: Running, devices: Sequence[Device]) -> ChangeDevices:
    record = running.record
    tunnels = record.spec.network_share is None
    return ChangeDevices(
        why="a node alone is no right to use it",
        path=record.group,
        rules=device_rules(devices, tunnels=tunnels),
        former=device_rules(record.spec.devices, tunnels=tunnels),
    )
