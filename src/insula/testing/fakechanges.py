"""Changes of containers that run, of which only the record tells."""

from dataclasses import replace

from insula.engine.launch.changes import WriteRecord
from insula.engine.launch.holdings import GuestMount, Holding
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import ContainerSpec, Device, Mount


class FakeChanges:
    """The part of an engine that changes what runs. See `engine.launch.changes`."""

    async def attach(self, running: Running, mount: Mount, write: WriteRecord) -> None:
        spec = running.record.spec
        held = GuestMount(target=mount.target, device=1, inode=1)
        self._become(running, write, replace(spec, mounts=(*spec.mounts, mount)), (*running.record.holdings, held))

    async def detach(self, running: Running, target: str, write: WriteRecord) -> None:
        record = running.record
        holdings = [each for each in record.holdings if not (isinstance(each, GuestMount) and each.target == target)]
        mounts = tuple(each for each in record.spec.mounts if each.target != target)
        self._become(running, write, replace(record.spec, mounts=mounts), tuple(holdings))

    async def attach_device(self, running: Running, device: Device, write: WriteRecord) -> None:
        spec = running.record.spec
        self._become(running, write, replace(spec, devices=(*spec.devices, device)), running.record.holdings)

    async def detach_device(self, running: Running, device: Device, write: WriteRecord) -> None:
        spec = running.record.spec
        devices = tuple(each for each in spec.devices if each.guest != device.guest)
        self._become(running, write, replace(spec, devices=devices), running.record.holdings)

    async def settle(self, running: Running, write: WriteRecord) -> None:
        """Everything is done at once: nothing is ever left half."""

    @staticmethod
    def _become(running: Running, write: WriteRecord, spec: ContainerSpec, holdings: tuple[Holding, ...]) -> None:
        record = replace(running.record, spec=spec, holdings=holdings)
        write(record)
        running.record = record
