"""Every kind of interface, by what a spec calls it and by what is recorded of it."""

from typing import Any

from insula.engine.interfaceperformer import InterfaceKind
from insula.engine.interfacespec import (
    Interface,
    IpvlanInterface,
    MacvlanInterface,
    MovedInterface,
    UserInterface,
    VethInterface,
)
from insula.network.kinds.interfacedriver import InterfaceDriver
from insula.network.kinds.ipvlan import IpvlanKind
from insula.network.kinds.macvlan import MacvlanKind
from insula.network.kinds.moved import MovedKind
from insula.network.kinds.userports import UserKind
from insula.network.kinds.veth import VethKind

KINDS: dict[type[Interface], InterfaceDriver[Any]] = {
    VethInterface: VethKind(),
    MacvlanInterface: MacvlanKind(),
    MovedInterface: MovedKind(),
    IpvlanInterface: IpvlanKind(),
    UserInterface: UserKind(),
}
BY_RECORD: dict[InterfaceKind, InterfaceDriver[Any]] = {each.kind: each for each in KINDS.values()}
