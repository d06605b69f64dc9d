"""From a domain's definition to the network its container gets: which namespace, which interfaces in it."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from insula.engine.spec import Namespace, NetworkKind, SharedNamespace, VethInterface
from insula.model.domain import Domain
from insula.model.extensions import Share, ShareType
from insula.model.interfaces import Interface
from insula.network.types import type_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestNetwork:
    """The network part of a container's spec."""

    kind: NetworkKind
    interfaces: tuple[VethInterface, ...] = ()
    shared: tuple[SharedNamespace, ...] = ()


def network_of(domain: Domain, pid_of: Callable[[str], int]) -> GuestNetwork:
    """Return the network a domain asks for: its own namespace, unless it explicitly shares another.

    Without interfaces it is a namespace with nothing but lo: libvirt would share the host's, which hands the host's
    abstract sockets and ports to the guest. `<lxc:sharenet type='pid' value='1'/>` says that it is wanted.

    pid_of: gives the init's pid of another domain by name, raising what fits when it has none.
    Raises: UnsupportedConfigError, and what pid_of raises.
    """
    interfaces = translated(domain.devices.interfaces)
    share = domain.lxc.network if domain.lxc else None
    if share is None:
        return GuestNetwork(kind=NetworkKind.PRIVATE, interfaces=interfaces)
    if share.type is ShareType.PID and share.value == "1":
        return GuestNetwork(kind=NetworkKind.HOST)
    path = _namespace_path(share, pid_of)
    return GuestNetwork(kind=NetworkKind.PRIVATE, shared=(SharedNamespace(kind=Namespace.NETWORK, path=path),))


def _namespace_path(share: Share, pid_of: Callable[[str], int]) -> str:
    match share.type:
        case ShareType.NETNS:
            return f"/run/netns/{share.value}"
        case ShareType.PID:
            return f"/proc/{share.value}/ns/net"
        case ShareType.NAME:
            return f"/proc/{pid_of(share.value)}/ns/net"


def translated(interfaces: Collection[Interface]) -> tuple[VethInterface, ...]:
    """Return what the engine shall connect; cards without a name in the guest become the free ones of eth0, eth1, …

    Raises: UnsupportedConfigError.
    """
    given = {each.guest.device for each in interfaces if each.guest and each.guest.device}
    free = (name for number in itertools.count() if (name := f"eth{number}") not in given)
    return tuple(type_of(each).translate(each, (each.guest and each.guest.device) or next(free)) for each in interfaces)
