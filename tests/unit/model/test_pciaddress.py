from insula.model.pciaddress import PciAddress
from insula.model.scalars import PciBus, PciDomain, PciFunction


def test_an_address_on_the_pci_bus_is_written_as_the_kernel_does() -> None:
    address = PciAddress(type="pci", domain=PciDomain(1), bus=PciBus(0x3A), slot=PciBus(0x1F), function=PciFunction(7))
    assert str(address) == "0001:3a:1f.7"
