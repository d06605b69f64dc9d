"""Changes of containers that run, of which only the record tells."""

from contextlib import suppress
from dataclasses import replace

from insula.engine.launch.changes import WriteRecord
from insula.engine.launch.holdings import GuestMount, Holding
from insula.engine.launch.nodechanges import place_of
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Access, ContainerSpec, Device, Mount
from insula.errors import OperationInvalidError


class FakeChanges:
    """The part of an engine that changes what runs: announced, then made. See `engine.launch.changes`."""

    async def attach(self, running: Running, mount: Mount, write: WriteRecord) -> None:
        spec = running.record.spec
        self._show(running, mount.target, replace(spec, mounts=(*spec.mounts, mount)), write)

    async def detach(self, running: Running, target: str, write: WriteRecord, *, force: bool = True) -> None:
        spec = running.record.spec
        if all(each.target != target for each in spec.mounts):
            raise OperationInvalidError(f"nothing was attached at {target} of {running.name}")
        mounts = tuple(each for each in spec.mounts if each.target != target)
        self._hide(running, target, replace(spec, mounts=mounts), write)

    async def attach_device(self, running: Running, device: Device, write: WriteRecord) -> None:
        spec = running.record.spec
        self._show(running, place_of(device), replace(spec, devices=(*spec.devices, device)), write)

    async def detach_device(self, running: Running, device: Device, write: WriteRecord) -> None:
        spec = running.record.spec
        devices = tuple(each for each in spec.devices if each.guest != device.guest)
        self._hide(running, place_of(device), replace(spec, devices=devices), write)

    async def renew(self, running: Running, target: str, write: WriteRecord, *, access: Access) -> None:
        running.refuse_unless_entered()
        spec = running.record.spec
        mounts = tuple(replace(each, access=access) if each.target == target else each for each in spec.mounts)
        self._become(running, write, replace(spec, mounts=mounts), running.record.holdings)

    async def settle(self, running: Running, write: WriteRecord) -> None:
        record = running.record
        kept = [each for each in record.holdings if getattr(each, "made", True)]
        if len(kept) != len(record.holdings):
            self._become(running, write, record.spec, tuple(kept))

    def _show(self, running: Running, target: str, spec: ContainerSpec, write: WriteRecord) -> None:
        running.refuse_unless_entered()
        if any(held.target == target for held in _shown(running)):
            raise OperationInvalidError(f"something is attached at {target} of {running.name} already")
        before, held = running.record, GuestMount(target=target, device=1, inode=1)
        try:
            self._become(running, write, before.spec, (*before.holdings, replace(held, made=False)))
            self._become(running, write, spec, (*before.holdings, held))
        except BaseException:
            running.record = before
            with suppress(OSError):
                write(before)
            raise

    def _hide(self, running: Running, target: str, spec: ContainerSpec, write: WriteRecord) -> None:
        running.refuse_unless_entered()
        held = running.record.holdings
        kept = [each for each in held if not (isinstance(each, GuestMount) and each.target == target)]
        self._become(running, write, spec, tuple(kept))

    @staticmethod
    def _become(running: Running, write: WriteRecord, spec: ContainerSpec, holdings: tuple[Holding, ...]) -> None:
        record = replace(running.record, spec=spec, holdings=holdings)
        write(record)
        running.record = record


def _shown(running: Running) -> list[GuestMount]:
    return [each for each in running.record.holdings if isinstance(each, GuestMount)]
