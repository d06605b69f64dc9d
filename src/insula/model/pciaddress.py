"""Where a device of the host sits on the PCI bus."""

from dataclasses import dataclass
from typing import Annotated

from insula.model.scalars import PciBus, PciDomain, PciFunction
from insula.model.xmlmap import Attribute, Mapped

_DOMAIN, _BUS, _FUNCTION = PciDomain(0), PciBus(0), PciFunction(0)
"""What an address says where it says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PciAddress(Mapped):
    """`<address type='pci'>`; of a network's port it has no type."""

    type: Annotated[str | None, Attribute("type")] = None
    domain: Annotated[PciDomain, Attribute("domain")] = _DOMAIN
    bus: Annotated[PciBus, Attribute("bus")] = _BUS
    slot: Annotated[PciBus, Attribute("slot")] = _BUS
    function: Annotated[PciFunction, Attribute("function")] = _FUNCTION

    def __str__(self) -> str:
        """As below /sys/bus/pci/devices: `0000:03:10.1`."""
        return f"{self.domain:04x}:{self.bus:02x}:{self.slot:02x}.{self.function:x}"
