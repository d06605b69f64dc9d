"""A network filter before one port: `<filterbinding>`."""

from dataclasses import dataclass
from typing import Annotated

from insula.model.interfaces import FilterReference
from insula.model.networkport import PortOwner
from insula.model.scalars import MacAddress
from insula.model.xmlmap import Element, Mapped
from insula.model.xmlwriter import dump


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterBinding(Mapped):
    """`<filterbinding>`. owner: the domain whose card it is; port: the card's end on the host."""

    owner: Annotated[PortOwner, Element("owner")]
    port: Annotated[str, Element("portdev", attribute="name")]
    mac: Annotated[MacAddress, Element("mac", attribute="address")]
    reference: Annotated[FilterReference, Element("filterref")]


def dump_binding(binding: FilterBinding) -> str:
    """Return a binding as libvirt's `nwfilter-binding-dumpxml` shows it."""
    return dump(binding, "filterbinding")
