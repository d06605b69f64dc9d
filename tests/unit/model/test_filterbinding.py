from uuid import UUID

from insula.model.filterbinding import FilterBinding, dump_binding
from insula.model.interfaces import FilterParameter, FilterReference
from insula.model.networkport import PortOwner
from insula.model.scalars import DomainName, MacAddress


def test_a_binding_is_written_as_libvirt_shows_it() -> None:
    binding = FilterBinding(
        owner=PortOwner(name=DomainName("web"), uuid=UUID("11111111-2222-3333-4444-555555555555")),
        port="vnet0",
        mac=MacAddress("52:54:00:00:00:05"),
        reference=FilterReference(filter="clean-traffic", parameters=(FilterParameter(name="IP", value="192.0.2.7"),)),
    )
    assert dump_binding(binding) == (
        "<filterbinding>\n"
        "  <owner>\n"
        "    <name>web</name>\n"
        "    <uuid>11111111-2222-3333-4444-555555555555</uuid>\n"
        "  </owner>\n"
        "  <portdev name='vnet0'/>\n"
        "  <mac address='52:54:00:00:00:05'/>\n"
        "  <filterref filter='clean-traffic'>\n"
        "    <parameter name='IP' value='192.0.2.7'/>\n"
        "  </filterref>\n"
        "</filterbinding>\n"
    )
