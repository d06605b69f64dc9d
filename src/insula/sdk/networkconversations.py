"""The verbs of virtual networks as conversations: see `verbs`. Errors are the daemon's."""

import json
from typing import TYPE_CHECKING, NamedTuple

from insula.model.numbers import Affect, MetadataType
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import NetworkRef
from insula.sdk.conversation import Conversation, ask, ask_for
from insula.sdk.values import Json
from insula.sdk.verbs import json_list, json_mapping, uuid_bytes

if TYPE_CHECKING:  # only who passes such numbers pays for them
    from insula.model.networknumbers import ListNetworks, NetworkUpdateCommand, NetworkUpdateSection


class NetworkLease(NamedTuple):
    """An address that a guest was given.

    expiry: seconds since 1970, 0: none; version: 4 or 6; prefix: bits; client: its id (IPv4) or DUID (IPv6); iaid: of
    IPv6.
    """

    interface: str
    expiry: int
    version: int
    mac: str | None
    iaid: str | None
    address: str
    prefix: int
    hostname: str | None
    client: str | None


def networks(flags: "ListNetworks | int" = 0) -> Conversation[tuple[NetworkRef, ...]]:
    """The networks that match the filter (`ListNetworks`), all without one."""
    found = yield from ask(Remote.CONNECT_LIST_ALL_NETWORKS, 1, flags)
    return tuple(found.nets)


def network_overview(flags: "ListNetworks | int" = 0) -> Conversation[list[Json]]:
    """A few facts of each network that matches the filter (`ListNetworks`)."""
    return json_list((yield from ask(Insula.NETWORK_LIST, flags)))


def network_by_name(name: str) -> Conversation[NetworkRef]:
    """Raises: NetworkNotFoundError."""
    return (yield from ask_for(NetworkRef, Remote.NETWORK_LOOKUP_BY_NAME, name))


def network_by_uuid(uuid: str | bytes) -> Conversation[NetworkRef]:
    """uuid: its text, with or without dashes, or its bytes.

    Raises: NetworkNotFoundError; InvalidArgumentError if that is no UUID.
    """
    return (yield from ask_for(NetworkRef, Remote.NETWORK_LOOKUP_BY_UUID, uuid_bytes(uuid)))


def offer_network(name: str, *, mode: str = "nat", subnet: str | None = None, ipv6: bool = True) -> Conversation[str]:
    """The XML of a network whose subnets collide with nothing of the host's; it is not made.

    mode: nat, route, open or none; subnet: its IPv4 subnet, None for a free one; ipv6: a free one of IPv6, too.
    Raises: NetworkExistsError.
    """
    request = {"mode": mode, "subnet": subnet, "ipv6": ipv6}
    return (yield from ask_for(str, Insula.NETWORK_OFFER, name, json.dumps(request), 0))


def define_network(xml: str) -> Conversation[NetworkRef]:
    """Make a network known for good, or change its definition."""
    return (yield from ask_for(NetworkRef, Remote.NETWORK_DEFINE_XML_FLAGS, xml, 0))


def create_network(xml: str) -> Conversation[NetworkRef]:
    """Start a network that is forgotten when it stops."""
    return (yield from ask_for(NetworkRef, Remote.NETWORK_CREATE_XML_FLAGS, xml, 0))


def start_network(network: NetworkRef) -> Conversation[None]:
    """Start it."""
    yield from ask(Remote.NETWORK_CREATE, network)


def destroy_network(network: NetworkRef) -> Conversation[None]:
    """Stop it at once, whoever is plugged into it."""
    yield from ask(Remote.NETWORK_DESTROY, network)


def undefine_network(network: NetworkRef) -> Conversation[None]:
    """Forget its definition; an active one goes on until it stops."""
    yield from ask(Remote.NETWORK_UNDEFINE, network)


def network_xml(network: NetworkRef, *, inactive: bool = False) -> Conversation[str]:
    """Its document. inactive: what its next start goes by, though it is active."""
    return (yield from ask_for(str, Remote.NETWORK_GET_XML_DESC, network, int(inactive)))


def network_is_active(network: NetworkRef) -> Conversation[bool]:
    """Whether it runs."""
    return bool((yield from ask(Remote.NETWORK_IS_ACTIVE, network)))


def network_is_persistent(network: NetworkRef) -> Conversation[bool]:
    """Whether it has a definition."""
    return bool((yield from ask(Remote.NETWORK_IS_PERSISTENT, network)))


def network_autostart(network: NetworkRef) -> Conversation[bool]:
    """Whether it starts with the host."""
    return bool((yield from ask(Remote.NETWORK_GET_AUTOSTART, network)))


def set_network_autostart(network: NetworkRef, *, wanted: bool) -> Conversation[None]:
    """Let it start with the host, or not."""
    yield from ask(Remote.NETWORK_SET_AUTOSTART, network, int(wanted))


def network_bridge(network: NetworkRef) -> Conversation[str]:
    """The bridge that guests are plugged into. Raises: InternalError, as libvirt has it, if it has none."""
    return (yield from ask_for(str, Remote.NETWORK_GET_BRIDGE_NAME, network))


def network_info(network: NetworkRef) -> Conversation[Json]:
    """What is known of it, with the guests that are plugged into it."""
    return json_mapping((yield from ask(Insula.NETWORK_INFO, network, 0)))


def network_leases(network: NetworkRef, mac: str | None = None) -> Conversation[list[NetworkLease]]:
    """The addresses that guests were given, or those of one card."""
    found = yield from ask(Remote.NETWORK_GET_DHCP_LEASES, network, mac, 1, 0)
    return [NetworkLease(*each)._replace(version=6 if each.type else 4) for each in found.leases]


def update_network(
    network: NetworkRef,
    command: "NetworkUpdateCommand",
    section: "NetworkUpdateSection",
    xml: str,
    *,
    parent_index: int = -1,
    flags: Affect | int = 0,
) -> Conversation[None]:
    """Add, delete or modify an element of its definitions (`Affect`). parent_index: which `<ip>`, -1: what fits."""
    yield from ask(Remote.NETWORK_UPDATE, network, command, section, parent_index, xml, flags)


def network_metadata(
    network: NetworkRef, kind: MetadataType, uri: str | None = None, flags: Affect | int = 0
) -> Conversation[str]:
    """Its title, description, or the element of a namespace. Raises: NetworkMetadataNotFoundError."""
    return (yield from ask_for(str, Remote.NETWORK_GET_METADATA, network, kind, uri, flags))


def set_network_metadata(
    network: NetworkRef,
    kind: MetadataType,
    value: str | None,
    key: str | None = None,
    uri: str | None = None,
    flags: Affect | int = 0,
) -> Conversation[None]:
    """Set a text or an element, or, for None, take it away. key: the element's prefix."""
    yield from ask(Remote.NETWORK_SET_METADATA, network, kind, value, key, uri, flags)
