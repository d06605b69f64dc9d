"""What a call is about, as access drivers are told: the kind of object, and the details that rules match.

The names of details are libvirt's; `connect_driver` is `LXC` for all objects, as where one libvirt daemon has all
drivers. Of what has no name yet, because the call brings it into being, the document is read first; where that has no
UUID, none is told: what is brought into being is given one only once it may be.
Source: libvirt's documentation of its polkit access control.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final
from uuid import UUID

from insula.daemon.incomingcall import Services
from insula.errors import (
    DomainNotFoundError,
    InvalidArgumentError,
    NetworkFilterNotFoundError,
    NetworkNotFoundError,
)
from insula.model.nwfilter import load_filter
from insula.model.scalars import read_uuid
from insula.model.xmlsource import parse
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.service.jsonrequests import json_object

_DRIVER: Final = ("connect_driver", "LXC")


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessObject:
    """kind: as permissions have it, such as `domain`; name: for people, empty for the connection itself."""

    kind: str
    name: str = ""
    details: tuple[tuple[str, str], ...] = (_DRIVER,)

    def __str__(self) -> str:
        if self.kind == "connect":
            return "the connection"
        word = self.kind.replace("_", " ")
        return f"{word} '{self.name}'" if self.name else f"a {word}"


CONNECTION: Final = AccessObject(kind="connect")


def domain_object(name: str, uuid: UUID | None) -> AccessObject:
    """A domain, as it is or will be. uuid: None for one that has none yet."""
    return AccessObject(kind="domain", name=name, details=_named("domain", name, uuid))


def network_object(name: str, uuid: UUID | None) -> AccessObject:
    """A virtual network. uuid: None for one that has none yet."""
    return AccessObject(kind="network", name=name, details=_named("network", name, uuid))


def port_object(network: AccessObject, uuid: UUID) -> AccessObject:
    """A port of a network."""
    return AccessObject(
        kind="network_port", name=str(uuid), details=(*network.details, ("network_port_uuid", str(uuid)))
    )


def filter_object(name: str, uuid: UUID | None) -> AccessObject:
    """A network filter. uuid: None for one that has none yet."""
    return AccessObject(kind="nwfilter", name=name, details=_named("nwfilter", name, uuid))


def binding_object(port: str) -> AccessObject:
    """A network filter that stands before a port."""
    return AccessObject(kind="nwfilter_binding", name=port, details=(_DRIVER, ("nwfilter_binding_portdev", port)))


def image_object(name: str) -> AccessObject:
    """An image, which is to rules what a volume of a pool `images` is."""
    details = (_DRIVER, ("pool_name", "images"), ("vol_name", name), ("vol_key", name))
    return AccessObject(kind="storage_vol", name=name, details=details)


def _named(kind: str, name: str, uuid: UUID | None) -> tuple[tuple[str, str], ...]:
    named = (_DRIVER, (f"{kind}_name", name))
    return named if uuid is None else (*named, (f"{kind}_uuid", str(uuid)))


Found = AccessObject | None
Finder = Callable[[Services, Sequence[Any]], Found | Awaitable[Found]]
"""Returns what a call's arguments mean; None for what is not there, which the call's answer will say."""


async def object_of(call: Call, kind: str, services: Services) -> Found:
    """Return the object of a kind that a call is about; None if there is none of that name.

    Raises: XmlError and others for a document that describes nothing.
    """
    if kind == CONNECTION.kind:
        return CONNECTION
    finder = finder_of(call.procedure, kind)
    if finder is None:
        return AccessObject(kind=kind)
    found = finder(services, call.arguments)
    return await found if isawaitable(found) else found


def finder_of(row: Procedure, kind: str) -> Finder | None:
    """Return what finds a call's object of a kind; None where there are no objects of that kind."""
    return _BY_ROW.get(row) or _BY_REFERENCE.get((kind, row.refers_to))


def _domain(services: Services, uuid: UUID) -> Found:
    found = services.domains.find(uuid)
    return None if found is None else domain_object(found.name, found.uuid)


def _referred_domain(services: Services, arguments: Sequence[Any]) -> Found:
    return _domain(services, UUID(bytes=arguments[0].uuid))


def _domain_by_id(services: Services, arguments: Sequence[Any]) -> Found:
    with suppress(DomainNotFoundError):
        return _domain(services, services.domains.by_id(arguments[0]).uuid)
    return None


def _domain_by_name(services: Services, arguments: Sequence[Any]) -> Found:
    with suppress(DomainNotFoundError):
        return _domain(services, services.domains.by_name(arguments[0]).uuid)
    return None


def _domain_by_uuid(services: Services, arguments: Sequence[Any]) -> Found:
    return _domain(services, UUID(bytes=arguments[0]))


async def _uuid_in(services: Services, xml: str) -> UUID | None:
    """Return the UUID that a document says, which has been read before; None if it says none."""
    text = await services.documents.read(_uuid_text, xml)
    return read_uuid(text) if text else None


def _uuid_text(xml: str) -> str:
    return (parse(xml).findtext("uuid") or "").strip()


async def _described_domain(services: Services, arguments: Sequence[Any]) -> Found:
    described = await services.incoming.read(arguments[0])
    return domain_object(described.name, await _uuid_in(services, arguments[0]))


def _domain_of_program(services: Services, arguments: Sequence[Any]) -> Found:
    """Of a program whose domain is not known any more nobody is told by a rule about one domain."""
    try:
        uuid = services.guest.domain_of_executed(arguments[0])
    except InvalidArgumentError:
        return None
    return (None if uuid is None else _domain(services, uuid)) or AccessObject(kind="domain")


def _network(services: Services, uuid: UUID) -> Found:
    found = services.networks.find(uuid)
    return None if found is None else network_object(found.name, found.uuid)


def _referred_network(services: Services, arguments: Sequence[Any]) -> Found:
    return _network(services, UUID(bytes=arguments[0].uuid))


def _network_by_name(services: Services, arguments: Sequence[Any]) -> Found:
    with suppress(NetworkNotFoundError):
        return _network(services, services.networks.by_name(arguments[0]).uuid)
    return None


def _network_by_uuid(services: Services, arguments: Sequence[Any]) -> Found:
    return _network(services, UUID(bytes=arguments[0]))


async def _described_network(services: Services, arguments: Sequence[Any]) -> Found:
    described = await services.incoming_networks.read(arguments[0])
    return network_object(described.name, await _uuid_in(services, arguments[0]))


def _offered_network(services: Services, arguments: Sequence[Any]) -> Found:
    json_object(arguments[1], "the request")
    return network_object(arguments[0], None)


def _port_by_uuid(services: Services, arguments: Sequence[Any]) -> Found:
    network = _referred_network(services, arguments)
    return None if network is None else port_object(network, UUID(bytes=arguments[1]))


def _referred_port(services: Services, arguments: Sequence[Any]) -> Found:
    port = arguments[0]
    network = _network(services, UUID(bytes=port.net.uuid))
    return None if network is None else port_object(network, UUID(bytes=port.uuid))


def _filter(services: Services, uuid: UUID) -> Found:
    found = services.filters.registry.find(uuid)
    return None if found is None else filter_object(found.name, found.uuid)


def _referred_filter(services: Services, arguments: Sequence[Any]) -> Found:
    return _filter(services, UUID(bytes=arguments[0].uuid))


def _filter_by_name(services: Services, arguments: Sequence[Any]) -> Found:
    with suppress(NetworkFilterNotFoundError):
        return _filter(services, services.filters.registry.by_name(arguments[0]).uuid)
    return None


def _filter_by_uuid(services: Services, arguments: Sequence[Any]) -> Found:
    return _filter(services, UUID(bytes=arguments[0]))


async def _described_filter(services: Services, arguments: Sequence[Any]) -> Found:
    described = await services.documents.read(load_filter, arguments[0])
    return filter_object(described.name, await _uuid_in(services, arguments[0]))


def _binding_of_port(services: Services, arguments: Sequence[Any]) -> Found:
    return binding_object(arguments[0])


def _referred_binding(services: Services, arguments: Sequence[Any]) -> Found:
    return binding_object(arguments[0].portdev)


def _image(services: Services, arguments: Sequence[Any]) -> Found:
    return image_object(arguments[0])


def _tag(services: Services, arguments: Sequence[Any]) -> Found:
    return image_object(arguments[1])


_BY_REFERENCE: dict[tuple[str, str], Finder] = {
    ("domain", "dom"): _referred_domain,
    ("network", "net"): _referred_network,
    ("network_port", "nport"): _referred_port,
    ("nwfilter", "nwf"): _referred_filter,
    ("nwfilter_binding", "nwfb"): _referred_binding,
}
"""By the kind of object, and what the call's first argument refers to."""

_BY_ROW: dict[Procedure, Finder] = {
    Remote.DOMAIN_LOOKUP_BY_ID: _domain_by_id,
    Remote.DOMAIN_LOOKUP_BY_NAME: _domain_by_name,
    Remote.DOMAIN_LOOKUP_BY_UUID: _domain_by_uuid,
    Remote.DOMAIN_DEFINE_XML: _described_domain,
    Remote.DOMAIN_DEFINE_XML_FLAGS: _described_domain,
    Remote.DOMAIN_CREATE_XML: _described_domain,
    Remote.DOMAIN_CREATE_XML_WITH_FILES: _described_domain,
    Insula.EXEC_WAIT: _domain_of_program,
    Insula.EXEC_SIGNAL: _domain_of_program,
    Insula.EXEC_EXPLANATION: _domain_of_program,
    Remote.NETWORK_LOOKUP_BY_NAME: _network_by_name,
    Remote.NETWORK_LOOKUP_BY_UUID: _network_by_uuid,
    Remote.NETWORK_DEFINE_XML: _described_network,
    Remote.NETWORK_DEFINE_XML_FLAGS: _described_network,
    Remote.NETWORK_CREATE_XML: _described_network,
    Remote.NETWORK_CREATE_XML_FLAGS: _described_network,
    Insula.NETWORK_OFFER: _offered_network,
    Remote.NETWORK_PORT_LOOKUP_BY_UUID: _port_by_uuid,
    Remote.NWFILTER_LOOKUP_BY_NAME: _filter_by_name,
    Remote.NWFILTER_LOOKUP_BY_UUID: _filter_by_uuid,
    Remote.NWFILTER_DEFINE_XML: _described_filter,
    Remote.NWFILTER_DEFINE_XML_FLAGS: _described_filter,
    Remote.NWFILTER_BINDING_LOOKUP_BY_PORT_DEV: _binding_of_port,
    Insula.IMAGE_BUILD: _image,
    Insula.IMAGE_REMOVE: _image,
    Insula.IMAGE_TAG: _tag,
}
"""Calls that say otherwise what they are about."""
