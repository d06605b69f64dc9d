"""What a virtual network may be after what was asked and answered: its states, and what each verb makes of them."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from insula.model.network import NetworkDefinition
from tests.simulation import possible
from tests.simulation.model import Where
from tests.simulation.possible import Possible

HOST = "<host mac='52:54:00:00:00:09' ip='10.9.{number}.9'/>"
XML = """<network><name>{name}</name><uuid>{uuid}</uuid><title>{title}</title>
<ip address='10.9.{number}.1' prefix='24'><dhcp><range start='10.9.{number}.100' end='10.9.{number}.200'/>{host}</dhcp>
</ip></network>"""


class Described(NamedTuple):
    """What a network's document says. title: no two have the same; host: whether it has a <host> for DHCP."""

    title: str
    host: bool = False


class NetworkState(NamedTuple):
    """What a client can see of a network. defined: what is defined, None for nothing; live: what is active."""

    defined: Described | None = None
    autostart: bool = False
    live: Described | None = None

    def explains(self, seen: "NetworkState") -> bool:
        return self == seen

    def __str__(self) -> str:
        if self.defined is None and self.live is None:
            return "no network"
        return f"defined as {self.defined}, active as {self.live}{', autostart' if self.autostart else ''}"


Effect = Callable[[NetworkState], NetworkState | None]
Operation = possible.Operation[NetworkState]


class NetworkModel(Possible[NetworkState]):
    """All states that one network may be in."""

    def __init__(self) -> None:
        super().__init__(NetworkState())


def document(uuid: UUID, name: str, described: Described) -> str:
    number = uuid.int & 255
    host = HOST.format(number=number) if described.host else ""
    return XML.format(name=name, uuid=uuid, title=described.title, number=number, host=host)


def understood(network: NetworkDefinition) -> Described:
    """Return what a document said."""
    hosts = [host for ip in network.ips if ip.dhcp is not None for host in ip.dhcp.hosts]
    return Described(title=network.title or "", host=bool(hosts))


def define(described: Described) -> Effect:
    return lambda state: state._replace(defined=described)


def undefine(state: NetworkState) -> NetworkState | None:
    return None if state.defined is None else state._replace(defined=None, autostart=False)


def autostart(on: bool) -> Effect:
    return lambda state: None if state.defined is None else state._replace(autostart=on)


def start(state: NetworkState) -> NetworkState | None:
    return None if state.defined is None or state.live is not None else state._replace(live=state.defined)


def create(described: Described) -> Effect:
    return lambda state: None if state.live is not None else state._replace(live=described)


def destroy(state: NetworkState) -> NetworkState | None:
    return None if state.live is None else state._replace(live=None)


def update(where: Where, *, host: bool) -> Effect:
    """Let the network have a <host>, or have it no more."""

    def updated(state: NetworkState) -> NetworkState | None:
        live = where in (Where.LIVE, Where.BOTH) or (where is Where.CURRENT and state.live is not None)
        config = where in (Where.CONFIG, Where.BOTH) or (where is Where.CURRENT and state.live is None)
        for meant, described in ((live, state.live), (config, state.defined)):
            if meant and (described is None or described.host == host):
                return None
        return state._replace(
            live=state.live._replace(host=host) if live and state.live else state.live,
            defined=state.defined._replace(host=host) if config and state.defined else state.defined,
        )

    return updated


def autostarted(state: NetworkState) -> NetworkState:
    """The first daemon of a boot has begun."""
    return state if not state.autostart or state.live is not None else state._replace(live=state.defined)


def host_ended(state: NetworkState) -> NetworkState:
    return state._replace(live=None)
