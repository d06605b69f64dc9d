"""The step that makes a block device of an image file, for one guest alone, and what follows from its numbers."""

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from insula.engine.launch.holdings import Holding, LoopDevice
from insula.engine.spec import ContainerSpec, Device
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.cgroups import DeviceRule
from insula.kernel.loopdevices import clear_loops, loop_device


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachImage(HostStep):
    """Attach an image file to a loop device, which stays until the run is over. guest: the node's name; access: as
    `Device` has it: without w it cannot be written to at all."""

    phrase: ClassVar[str] = "attach the image {path} as {guest}"

    guest: str
    path: str
    access: str

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (LoopDevice(guest=self.guest, made=False),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        holding = LoopDevice(guest=self.guest)
        mark = holding.mark(context.launch)
        major, minor = await context.make(partial(self._attached, mark), lambda _: clear_loops(mark))
        context.images[self.guest] = DeviceRule(kind="b", major=major, minor=minor, access=self.access)
        return (holding,)

    def _attached(self, mark: str) -> tuple[int, int]:
        device, node = loop_device(self.path, read_only="w" not in self.access, mark=mark)
        os.close(device)
        status = os.stat(node)
        return os.major(status.st_rdev), os.minor(status.st_rdev)


def attachments(device: Device) -> list[HostStep]:
    """Return the step that a device needs before it has numbers, if it is an image."""
    if device.image is None:
        return []
    why = "a block device of the guest's own"
    return [AttachImage(why=why, guest=device.guest, path=device.image, access=device.access)]


def numbered(spec: ContainerSpec, context: HostContext) -> ContainerSpec:
    """Return the spec with the numbers of images that were attached; itself if there are none."""
    if not context.images:
        return spec
    return replace(spec, devices=tuple(_numbered(each, context.images.get(each.guest)) for each in spec.devices))


def _numbered(device: Device, rule: DeviceRule | None) -> Device:
    if device.image is None or rule is None or rule.major is None or rule.minor is None:
        return device
    return replace(device, major=rule.major, minor=rule.minor)
