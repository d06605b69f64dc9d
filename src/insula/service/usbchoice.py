"""Which of the host's USB devices a domain gets: by model or by address, and none for two domains.

As libvirt has it, a model of which the host has several free devices does not say which one is meant. The live
definition tells the address of a device that is given by its model, which is found again when it is plugged in
elsewhere.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, InvalidArgumentError, ResourceBusyError, UnsupportedConfigError
from insula.kernel.usbbus import NODES, UsbAddress, UsbDevice, model_name, usb_devices
from insula.model.devices import HostDevice, HostDeviceAddress, StartupPolicy, is_found_address
from insula.model.domain import DomainDefinition
from insula.model.scalars import BusNumber, YesNo
from insula.service.domains import Domains
from insula.service.managed import ManagedDomain

Holders = Mapping[UsbAddress, str]
"""Names of other domains that have a device, or are about to."""
Choosing = Callable[[HostDevice, Holders], tuple[UsbAddress | None, str | None]]
"""Returns the address of the device that is meant, or none, and why it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """A domain with the addresses of its USB devices; absent: what is not there, in words."""

    domain: DomainDefinition
    absent: tuple[str, ...] = ()


class UsbChoice:
    """Chooses devices for domains."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self.concerned: set[UUID] = set()
        """Domains that were given USB devices, or are to be when these are plugged in."""
        self.choosing: set[UUID] = set()
        """Domains that are being given theirs, such as those that start."""
        self._chosen: dict[UUID, dict[UsbAddress, str]] = {}
        """By domains that have not got them yet: the devices that others may not have."""
        self._told: dict[UUID, tuple[str, ...]] = {}
        """What is absent, by domains of which an administrator was told so."""

    @asynccontextmanager
    async def located(self, managed: ManagedDomain, domain: DomainDefinition) -> AsyncIterator[Located]:
        """Give the domain with its devices' addresses; nobody else is given these until this is over.

        One that may be absent and is has no address, or, given by its address, is left out; so is one that a guest that
        runs had, whatever else is asked for.
        Raises: UnsupportedConfigError for one that is not there; ResourceBusyError for one that another domain has;
        InvalidArgumentError for a model that several are of.
        """
        if not has_usb(domain):
            yield Located(domain=domain)
            return
        self.concerned.add(managed.uuid)
        self.choosing.add(managed.uuid)
        try:
            present = await in_own_thread(usb_devices)
            had = managed.current.devices.host_devices if managed.run is not None else ()

            def choose(device: HostDevice, holders: Holders) -> tuple[UsbAddress | None, str | None]:
                return (_to_be_had if device in had else _asked)(present, device, holders)

            with self._choosing(managed, domain, choose) as located:
                yield located
        finally:
            self.choosing.discard(managed.uuid)

    @asynccontextmanager
    async def found_again(self, managed: ManagedDomain) -> AsyncIterator[Located]:
        """Give a domain that runs as it is with what is plugged in now: what is gone, or cannot be had, is absent."""
        if not has_usb(managed.current):
            yield Located(domain=managed.current)
            return
        present = await in_own_thread(usb_devices)
        with self._choosing(managed, managed.current, partial(_to_be_had, present)) as located:
            yield located

    def tell(self, managed: ManagedDomain, located: Located) -> None:
        """Have the domain's notices say what is absent now, and no more what is there again or was taken away."""
        for each in self._told.pop(managed.uuid, ()):
            managed.withdraw(each)
        for each in located.absent:
            managed.notice(each)
        if located.absent:
            self._told[managed.uuid] = located.absent

    def forget(self, uuid: UUID) -> None:
        """Keep nothing of a domain that does not run any more, or did not come to run."""
        self.concerned.discard(uuid)
        self._told.pop(uuid, None)

    @contextmanager
    def _choosing(self, managed: ManagedDomain, domain: DomainDefinition, choose: Choosing) -> Iterator[Located]:
        located, chosen = _located(domain, choose, self._held_by_others(managed.uuid))
        self._chosen[managed.uuid] = dict.fromkeys(chosen, managed.name)
        try:
            yield located
        finally:
            del self._chosen[managed.uuid]

    def _held_by_others(self, uuid: UUID) -> dict[UsbAddress, str]:
        """By the records of runs, which name a node that is given by its path as well."""
        held: dict[UsbAddress, str] = {}
        for other, chosen in self._chosen.items():
            held |= chosen if other != uuid else {}
        for each in self._domains:
            if each.uuid == uuid:
                continue
            devices = each.run.container.record.spec.devices if each.run is not None else ()
            held |= {address: each.name for device in devices if (address := address_of_node(device.host)) is not None}
        return held


def located_alone(domain: DomainDefinition) -> DomainDefinition:
    """Return a domain with its devices' addresses, as if nobody else had any; blocks.

    Raises: as `UsbChoice.located`.
    """
    return _located(domain, partial(_asked, usb_devices()), {})[0].domain if has_usb(domain) else domain


def _located(domain: DomainDefinition, choose: Choosing, taken: Holders) -> tuple[Located, list[UsbAddress]]:
    absent: list[str] = []
    chosen: dict[UsbAddress, str] = {}
    devices: list[HostDevice] = []
    for each in domain.devices.host_devices:
        if not each.is_usb:
            devices.append(each)
            continue
        address, why = choose(each, {**taken, **chosen})
        if why is not None:
            absent.append(why)
        if address is not None:
            chosen[address] = domain.name
        if address is not None or _asked_address(each) is None:
            devices.append(_at(each, address))
    if tuple(devices) != domain.devices.host_devices:
        domain = replace(domain, devices=replace(domain.devices, host_devices=tuple(devices)))
    return Located(domain=domain, absent=tuple(absent)), list(chosen)


def has_usb(domain: DomainDefinition) -> bool:
    return any(each.is_usb for each in domain.devices.host_devices)


def address_of_node(path: str) -> UsbAddress | None:
    """Return whose node a path of the host is; None: no USB device's."""
    directory, _, rest = path.partition(f"{NODES}/")
    bus, _, device = rest.partition("/")
    if directory or not (bus.isdecimal() and device.isdecimal()):
        return None
    return UsbAddress(bus=int(bus), device=int(device))


def _asked(present: Sequence[UsbDevice], device: HostDevice, holders: Holders) -> tuple[UsbAddress | None, str | None]:
    matching = [each for each in present if _is_meant(each, device)]
    if not matching:
        why = f"the host has no USB device {in_words(device)}"
        if device.source.startup_policy is StartupPolicy.OPTIONAL:
            return None, f"{why} yet" if _asked_address(device) is None else why
        raise UnsupportedConfigError(f"{why}; plug it in, or let it be absent (<source startupPolicy='optional'>)")
    free = [each.address for each in matching if each.address not in holders]
    if not free:
        raise ResourceBusyError(
            f"the USB device {in_words(device)} is in use by domain '{holders[matching[0].address]}'; detach it there"
        )
    former = _address(device.source.address)
    if former in free:
        return former, None
    if len(free) > 1:
        there = ", ".join(f"bus='{each.bus}' device='{each.device}'" for each in free)
        raise InvalidArgumentError(
            f"the host has several USB devices {in_words(device)}: say by <address> which: {there}"
        )
    return free[0], None


def _to_be_had(
    present: Sequence[UsbDevice], device: HostDevice, holders: Holders
) -> tuple[UsbAddress | None, str | None]:
    try:
        return _asked(present, device, holders)
    except InsulaError as error:
        return None, str(error)


def _is_meant(present: UsbDevice, device: HostDevice) -> bool:
    source, address = device.source, _asked_address(device)
    return (
        (address is None or present.address == address)
        and (source.vendor is None or present.vendor == source.vendor)
        and (source.product is None or present.product == source.product)
    )


def _asked_address(device: HostDevice) -> UsbAddress | None:
    address = device.source.address
    return None if address is None or is_found_address(address) else _address(address)


def _address(address: HostDeviceAddress | None) -> UsbAddress | None:
    if address is None or address.bus is None or address.device is None:
        return None
    return UsbAddress(bus=address.bus, device=address.device)


def usb_address(device: HostDevice) -> UsbAddress | None:
    """Return where a device is; None: it is no USB device, or one that is not plugged in."""
    return _address(device.source.address) if device.is_usb else None


def is_same_plug(present: HostDevice, asked: HostDevice) -> bool:
    """Whether a device that there is is where another is said to be, by whatever it was given."""
    address = usb_address(asked)
    return address is not None and usb_address(present) == address


def without_node(device: HostDevice) -> HostDevice:
    """Return a device that is given by its model as one that is not plugged in, all others as they are."""
    return _at(device, None) if device.is_usb else device


def _at(device: HostDevice, address: UsbAddress | None) -> HostDevice:
    if _asked_address(device) is not None:
        return device
    found = None
    if address is not None:
        bus, number = BusNumber(address.bus), BusNumber(address.device)
        found = HostDeviceAddress(bus=bus, device=number, found=YesNo.YES)
    return replace(device, source=replace(device.source, address=found))


def in_words(device: HostDevice) -> str:
    """Return which device a definition means."""
    source, address = device.source, _asked_address(device)
    model = None
    if source.vendor is not None and source.product is not None:
        model = model_name(source.vendor, source.product)
    return " at ".join(each for each in (model, str(address) if address is not None else None) if each)
