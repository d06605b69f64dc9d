"""Networks offered ready-made: a definition whose subnets collide with nothing, for whoever wants one to be made."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from insula.engine.threads import in_own_thread
from insula.errors import InvalidArgumentError, OperationFailedError
from insula.model.network import NetworkDefinition, load_network
from insula.model.networkchecks import validate_network
from insula.model.networkforward import ForwardMode
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.hostroutes import Subnet
from insula.network.virtual.networkplan import taken_subnets
from insula.network.virtual.subnets import colliding, free_ipv4, free_ula
from insula.service.networks import VirtualNetworks

MODES = tuple(each for each in ForwardMode if each.owns_bridge)
"""Of networks that can be offered: those with a bridge and subnets of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedNetwork:
    """What a network is to be like. subnet: its IPv4 subnet, None for a free one; ipv6: whether it has one of IPv6."""

    name: str
    mode: ForwardMode = ForwardMode.NAT
    subnet: IPv4Network | None = None
    ipv6: bool = True


def wanted_network(name: str, request: dict[str, Any]) -> WantedNetwork:
    """Return what a client asks for: `mode`, `subnet`, `ipv6`. Raises: InvalidArgumentError naming the field."""
    if unknown := request.keys() - {"mode", "subnet", "ipv6"}:
        raise InvalidArgumentError(f"'{min(unknown)}' is nothing that an offered network has")
    mode, subnet, ipv6 = request.get("mode", ForwardMode.NAT), request.get("subnet"), request.get("ipv6", True)
    if mode not in MODES:
        raise InvalidArgumentError(f"'mode' must be one of {', '.join(MODES)}; other networks are defined by XML")
    if not isinstance(ipv6, bool):
        raise InvalidArgumentError("'ipv6' must be true or false")
    return WantedNetwork(name=name, mode=ForwardMode(mode), subnet=_subnet(subnet), ipv6=ipv6)


def _subnet(text: object) -> IPv4Network | None:
    if text is None:
        return None
    try:
        found = ip_network(text) if isinstance(text, str) else None
    except ValueError as error:
        raise InvalidArgumentError(f"'subnet': {error}") from error
    if not isinstance(found, IPv4Network) or not 8 <= found.prefixlen <= 29:
        raise InvalidArgumentError("'subnet' must be one of IPv4, of 8 to 29 bits, such as 192.168.122.0/24")
    return found


def offered(wanted: WantedNetwork, taken: Collection[Subnet]) -> NetworkDefinition:
    """Return the definition of such a network. taken: what its free subnets must not collide with. Pure, but its UUID.

    Raises: OperationFailedError if nothing is free, or what is wanted is not; XmlError for what cannot be a name.
    """
    uuid = uuid4()
    if wanted.subnet is not None and (other := colliding(wanted.subnet, taken)) is not None:
        raise OperationFailedError(
            f"network '{wanted.name}': its subnet {wanted.subnet} collides with {other}, which the host or another "
            "network has: choose another, or none, and a free one is chosen"
        )
    subnet = wanted.subnet or free_ipv4(taken)
    first, last = subnet.network_address + 1, subnet.broadcast_address - 1
    address = (
        f"<ip address='{first}' netmask='{subnet.netmask}'><dhcp><range start='{first + 1}' end='{last}'/></dhcp></ip>"
    )
    ula = free_ula(str(uuid), taken) if wanted.ipv6 else None
    address6 = f"<ip family='ipv6' address='{ula[1]}' prefix='{ula.prefixlen}'/>" if ula is not None else ""
    nat = "<nat ipv6='yes'/>" if wanted.mode is ForwardMode.NAT and wanted.ipv6 else ""
    forward = "" if wanted.mode is ForwardMode.NONE else f"<forward mode='{wanted.mode}'>{nat}</forward>"
    # A bridge that leads nowhere else has no loops to look for, which takes a guest's first four seconds.
    parts = f"{forward}<bridge stp='off'/>{address}{address6}"
    network = load_network(f"<network><name>{escape(wanted.name)}</name><uuid>{uuid}</uuid>{parts}</network>")
    validate_network(network)
    return network


def host_subnets() -> tuple[Subnet, ...]:
    """Return what this host reaches, and the subnets of its addresses; waits for the kernel."""
    with Rtnetlink() as kernel:
        return taken_subnets(kernel)


class NetworkOffers:
    """Offers networks. host: the host's subnets, which waits for the kernel."""

    def __init__(self, registry: VirtualNetworks, host: Callable[[], Collection[Subnet]] = host_subnets) -> None:
        self._registry = registry
        self._host = host

    async def offer(self, wanted: WantedNetwork) -> NetworkDefinition:
        """Return the definition of such a network, which is not made or kept.

        Raises: NetworkExistsError if one of that name is there; what `offered` raises.
        """
        self._registry.refuse_name(wanted.name)
        others = [
            each.interface.network
            for managed in self._registry
            for each in managed.current.ips
            if each.interface is not None
        ]
        return await in_own_thread(lambda: offered(wanted, (*self._host(), *others)))
