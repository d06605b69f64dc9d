"""The virtual networks of a walk: what is asked of them, what befalls them, and what must hold."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import UUID

from insula.daemon.incomingcall import Services
from insula.errors import NetworkNotFoundError
from insula.layout import Layout
from insula.model.network import load_network
from insula.model.networknumbers import NetworkUpdateCommand, NetworkUpdateSection
from insula.service.managednetwork import ManagedNetwork
from tests import invariants
from tests.invariants import CardTold, NetworkThere
from tests.simulation import networkmodel as model
from tests.simulation.affects import AFFECT
from tests.simulation.fakelinks import FakeLinks
from tests.simulation.model import Where
from tests.simulation.networkmodel import HOST, Described, NetworkModel, NetworkState, Operation
from tests.simulation.networkperformer import served

NETWORKS = {"lan": UUID(int=0x10), "dmz": UUID(int=0x11)}
OWN_BRIDGE = "br0"
"""One that is the host's own."""
DESTROY = Operation(name="net-destroy", effect=model.destroy)
UNDEFINE = Operation(name="net-undefine", effect=model.undefine)

Ask = Callable[[Services], Coroutine[Any, Any, object]]


class Asking(Protocol):
    """Asks the living daemon for something about a network, if there is one."""

    def __call__(self, name: str, operation: Operation, ask: Ask) -> None: ...


class Networks:
    """links: what the host has of them; asks: who asks for verbs; say: told what happens."""

    def __init__(self, links: FakeLinks, asks: Asking, say: Callable[[str], None]) -> None:
        self._links, self._asks, self._say = links, asks, say
        self.models = {name: NetworkModel() for name in NETWORKS}
        self._titles = 0
        links.add_bridge(OWN_BRIDGE)

    def _described(self) -> Described:
        self._titles += 1
        return Described(title=f"n{self._titles}")

    # Verbs

    def define(self, name: str) -> None:
        described = self._described()
        network = load_network(model.document(NETWORKS[name], name, described))
        operation = Operation(name=f"net-define {described.title}", effect=model.define(described))
        self._asks(name, operation, lambda services: services.network_verbs.define(network))

    def create(self, name: str) -> None:
        described = self._described()
        network = load_network(model.document(NETWORKS[name], name, described))
        operation = Operation(name=f"net-create {described.title}", effect=model.create(described))
        self._asks(name, operation, lambda services: services.network_verbs.create(network))

    def start(self, name: str) -> None:
        operation = Operation(name="net-start", effect=model.start)
        self._asks(name, operation, lambda services: services.network_verbs.start(_of(services, name)))

    def destroy(self, name: str) -> None:
        self._asks(name, DESTROY, lambda services: services.network_verbs.destroy(_of(services, name)))

    def undefine(self, name: str) -> None:
        self._asks(name, UNDEFINE, lambda services: services.network_verbs.undefine(_of(services, name)))

    def autostart(self, name: str, *, on: bool) -> None:
        operation = Operation(name=f"net-autostart {on}", effect=model.autostart(on))
        self._asks(name, operation, lambda services: services.network_verbs.set_autostart(_of(services, name), on=on))

    def update(self, name: str, where: Where, *, host: bool) -> None:
        command = NetworkUpdateCommand.ADD_LAST if host else NetworkUpdateCommand.DELETE
        xml = HOST.format(number=NETWORKS[name].int & 255)
        operation = Operation(
            name=f"net-update {'add' if host else 'delete'} {where.name}",
            effect=model.update(where, host=host),
            halves=tuple(model.update(each, host=host) for each in (Where.LIVE, Where.CONFIG) if where is Where.BOTH),
        )
        self._asks(
            name,
            operation,
            lambda services: services.network_verbs.update(
                _of(services, name),
                command,
                NetworkUpdateSection.IP_DHCP_HOST,
                parent_index=-1,
                xml=xml,
                affect=AFFECT[where],
            ),
        )

    def active(self) -> list[str]:
        """Return those that may be active: a guest's card may be in one."""
        return [name for name, known in self.models.items() if any(each.live for each in known.states())]

    # What befalls them

    def trouble(self) -> None:
        for each in self.models.values():
            each.trouble()

    def crash(self) -> None:
        for each in self.models.values():
            each.crash()

    def begin(self, layout: Layout) -> None:
        """A daemon begins: the first of a boot starts what starts with the host."""
        if not (layout.run / "networks-autostarted").exists():
            for each in self.models.values():
                each.befall("autostart", model.autostarted, may_fail=True)

    def reboot(self) -> None:
        self._links.reboot()
        for each in self.models.values():
            each.trouble()
            each.finish()
            each.befall("host reboots", model.host_ended)
            each.finish()

    def kill_server(self, name: str) -> None:
        if str(NETWORKS[name]) in self._links.servers:
            self._say(f"the server of {name} is killed")
            self.trouble()
            self._links.end_server(str(NETWORKS[name]))

    def delete_bridge(self, name: str) -> None:
        """Somebody deletes a network's bridge."""
        for bridge in [each for each, one in self._links.bridges.items() if one.network == str(NETWORKS[name])]:
            self._say(f"the bridge {bridge} of {name} is deleted")
            self.trouble()
            self._links.delete_bridge(bridge)

    def delete_own_bridge(self) -> None:
        self._say("the host's own bridge is deleted")
        self._links.delete_bridge(OWN_BRIDGE)

    def add_own_bridge(self) -> None:
        if OWN_BRIDGE not in self._links.bridges:
            self._say("the host's own bridge is made again")
            self._links.add_bridge(OWN_BRIDGE)

    # What holds

    def state(self, services: Services, name: str) -> NetworkState:
        """Return what a client can see of a network."""
        managed = services.networks.find(NETWORKS[name])
        if managed is None:
            return NetworkState()
        return NetworkState(
            defined=None if managed.config is None else model.understood(managed.config),
            autostart=managed.autostart,
            live=None if managed.run is None else model.understood(managed.run.network),
        )

    def check_at_rest(self, services: Services, layout: Layout) -> None:
        for name, known in self.models.items():
            assert known.quiet, f"never answered: {known.history}"
            known.finish()
            known.see(self.state(services, name))
        told = {each.name: _told(each) for each in services.networks if each.run is not None}
        there = {name: self._there(name) for name in NETWORKS}
        invariants.networks_told_are_there(told, {name: each for name, each in there.items() if each is not None})
        records = {each.stem for each in layout.running_networks.glob("*.json")}
        invariants.nothing_is_left({"records of networks": records - {str(NETWORKS[name]) for name in told}})
        invariants.cards_are_plugged_in_or_named(self._cards(services))

    def _there(self, name: str) -> NetworkThere | None:
        uuid = str(NETWORKS[name])
        bridges = [(bridge, each.index) for bridge, each in self._links.bridges.items() if each.network == uuid]
        rules, server = self._links.rules.get(name), self._links.servers.get(uuid)
        if not bridges and rules is None and server is None:
            return None
        assert len(bridges) <= 1, f"network {name} has the bridges {bridges}"
        bridge, index = bridges[0] if bridges else (None, None)
        return NetworkThere(
            bridge=bridge,
            index=index,
            ruled=rules,
            server=None if server is None else server[0],
            served=None if server is None else server[1],
        )

    def _cards(self, services: Services) -> list[CardTold]:
        found = []
        for domain in services.domains:
            if domain.run is None or not domain.run.container.described:
                continue
            card = next(iter(domain.current.devices.interfaces), None)
            source = card.source if card is not None else None
            for each in domain.run.container.record.connected:
                end = self._links.ends.get(each.host)
                bridge = self._links.bridges.get(end.bridge) if end is not None and end.bridge is not None else None
                meant = source.network if source is not None else None
                found.append(
                    CardTold(
                        end=each.host,
                        plugged=bridge is not None,
                        possible=self._is_there(services, meant, str(each.bridge)),
                        right=bridge is None or bridge.network == (str(NETWORKS[meant]) if meant else None),
                        notices=domain.notices,
                    )
                )
        return found

    def _is_there(self, services: Services, network: str | None, bridge: str) -> bool:
        """Whether a card can be plugged in: its network is active, or its bridge of the host's own is there."""
        if network is None:
            return bridge in self._links.bridges
        managed = services.networks.find(NETWORKS[network])
        return managed is not None and managed.is_active

    def left(self) -> dict[str, list[str]]:
        """Return what there is of networks still, by its kind."""
        return {
            "bridges": [name for name, each in self._links.bridges.items() if each.network is not None],
            "rules": list(self._links.rules),
            "servers": list(self._links.servers),
        }


def _of(services: Services, name: str) -> ManagedNetwork:
    found = services.networks.find(NETWORKS[name])
    if found is None:
        raise NetworkNotFoundError(f"no network {name}")
    return found


def _told(managed: ManagedNetwork) -> NetworkThere:
    run = managed.require_run()
    return NetworkThere(
        bridge=run.record.bridge,
        index=run.record.index,
        ruled=run.record.bridge,
        server=run.record.dnsmasq,
        served=served(run.network),
    )
