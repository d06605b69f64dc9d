"""From a domain's definition to the network its container gets: which namespace, which interfaces in it."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from insula.engine.spec import Namespace, NetworkKind, SharedNamespace, VethInterface
from insula.errors import UnsupportedConfigError, XmlError
from insula.model.domain import Domain
from insula.model.extensions import Share, ShareType
from insula.model.interfaces import Interface
from insula.network.types import type_of

_NAME = re.compile(r"[!-$&-.0-9;-~]{1,15}\Z")
"""What Linux takes as an interface's name: 15 bytes without space, slash and colon; `%` would make it a pattern."""
_RESERVED = frozenset({".", "..", "lo", "all", "default"})


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
    Raises: XmlError, UnsupportedConfigError.
    """
    interfaces = translated(domain.devices.interfaces)
    share = domain.lxc.network if domain.lxc else None
    if share is None:
        return GuestNetwork(kind=NetworkKind.PRIVATE, interfaces=interfaces)
    if interfaces:
        raise UnsupportedConfigError(
            "a domain that shares another's network with <lxc:sharenet> cannot have an <interface> of its own; "
            "remove one of them"
        )
    if share.type is ShareType.PID and share.value == "1":
        return GuestNetwork(kind=NetworkKind.HOST)
    path = _namespace_path(share, pid_of)
    return GuestNetwork(kind=NetworkKind.PRIVATE, shared=(SharedNamespace(kind=Namespace.NETWORK, path=path),))


def _namespace_path(share: Share, pid_of: Callable[[str], int]) -> str:
    match share.type:
        case ShareType.NETNS:
            if "/" in share.value or share.value in ("", ".", ".."):
                raise XmlError(f"'{share.value}' cannot be the name of a network namespace below /run/netns")
            return f"/run/netns/{share.value}"
        case ShareType.PID:
            if not share.value.isdecimal():
                raise XmlError(f"<lxc:sharenet type='pid'>: '{share.value}' is no process id")
            return f"/proc/{share.value}/ns/net"
        case ShareType.NAME:
            return f"/proc/{pid_of(share.value)}/ns/net"


def translated(interfaces: Collection[Interface]) -> tuple[VethInterface, ...]:
    """Return what the engine shall connect; cards without a name in the guest become the free ones of eth0, eth1, …

    Raises: XmlError, UnsupportedConfigError.
    """
    given = [each.guest.device for each in interfaces if each.guest and each.guest.device]
    for name in given:
        if given.count(name) > 1:
            raise XmlError(f"two interfaces of the guest have the name '{name}'")
        check_name(name)
    free = (name for number in range(len(interfaces) + len(given)) if (name := f"eth{number}") not in given)
    found = []
    for each in interfaces:
        if each.target is not None:
            check_name(each.target)
        guest = (each.guest and each.guest.device) or next(free)
        found.append(type_of(each).translate(each, guest))
    return tuple(found)


def check_name(name: str) -> None:
    """Raises: XmlError if Linux does not take name for an interface."""
    if name in _RESERVED or not _NAME.match(name):
        raise XmlError(
            f"'{name}' cannot name an interface: expected at most 15 characters without space, '/', ':' and '%'"
        )
