"""Virtual networks of a walk on a real host: virsh asks, and what there is on the host is held against what is told."""

import copy
import os
import re
import signal
import time
from collections.abc import Callable
from uuid import UUID

from insula.model.network import load_network
from insula.model.networknumbers import NetworkUpdateCommand
from tests.insulad import Insulad
from tests.simulation import networkmodel as model
from tests.simulation.model import Where
from tests.simulation.networkmodel import HOST, Described, NetworkModel, NetworkState, Operation
from tests.simulation.networks import DESTROY, NETWORKS, OWN_BRIDGE, UNDEFINE
from tests.simulation.possible import UnexplainedError
from tests.testhost import TestHost
from tests.waiting import scaled

_AFFECT = {Where.CURRENT: "--current", Where.LIVE: "--live", Where.CONFIG: "--config"}


class RealNetworks:
    """See tests.simulation.networks.Networks. asks: asks virsh, and tells the model what it answered."""

    def __init__(
        self,
        insulad: Insulad,
        host: TestHost,
        asks: Callable[[NetworkModel, str, Operation, tuple[str, ...]], None],
        say: Callable[[str], None],
    ) -> None:
        self.models = {name: NetworkModel() for name in NETWORKS}
        self._insulad, self._host, self._asks, self._say = insulad, host, asks, say
        self._titles = 0
        self.add_own_bridge()

    def _ask(self, name: str, operation: Operation, *words: str) -> None:
        self._asks(self.models[name], name, operation, words)

    def _document(self, name: str) -> tuple[Described, str]:
        self._titles += 1
        described = Described(title=f"n{self._titles}")
        path = self._insulad.prefix.with_name(f"{name}-network.xml")
        path.write_text(model.document(NETWORKS[name], name, described))
        return described, str(path)

    def define(self, name: str) -> None:
        described, path = self._document(name)
        self._ask(name, Operation(name="net-define", effect=model.define(described)), "net-define", path)

    def create(self, name: str) -> None:
        described, path = self._document(name)
        self._ask(name, Operation(name="net-create", effect=model.create(described)), "net-create", path)

    def start(self, name: str) -> None:
        self._ask(name, Operation(name="net-start", effect=model.start), "net-start", _uuid(name))

    def destroy(self, name: str) -> None:
        self._ask(name, DESTROY, "net-destroy", _uuid(name))

    def undefine(self, name: str) -> None:
        self._ask(name, UNDEFINE, "net-undefine", _uuid(name))

    def autostart(self, name: str, *, on: bool) -> None:
        off = () if on else ("--disable",)
        operation = Operation(name=f"net-autostart {on}", effect=model.autostart(on))
        self._ask(name, operation, "net-autostart", _uuid(name), *off)

    def update(self, name: str, where: Where, *, host: bool) -> None:
        command = NetworkUpdateCommand.ADD_LAST if host else NetworkUpdateCommand.DELETE
        word = "add-last" if command is NetworkUpdateCommand.ADD_LAST else "delete"
        affect = ("--live", "--config") if where is Where.BOTH else (_AFFECT[where],)
        halves = tuple(model.update(each, host=host) for each in (Where.LIVE, Where.CONFIG) if where is Where.BOTH)
        operation = Operation(name=f"net-update {word}", effect=model.update(where, host=host), halves=halves)
        xml = HOST.format(number=NETWORKS[name].int & 255)
        self._ask(name, operation, "net-update", _uuid(name), word, "ip-dhcp-host", xml, *affect)

    def active(self) -> list[str]:
        """Return those that may be active: a guest's card may be in one."""
        return [name for name, known in self.models.items() if any(each.live for each in known.states())]

    # What befalls them

    def crash(self) -> None:
        for each in self.models.values():
            each.crash()

    def begin(self) -> None:
        """A daemon begins."""
        if not (self._insulad.layout.run / "networks-autostarted").exists():
            for each in self.models.values():
                each.befall("autostart", model.autostarted, may_fail=True)

    def kill_server(self, name: str) -> None:
        for pid in self._servers(name):
            self._say(f"the dnsmasq of {name} is killed")
            os.kill(pid, signal.SIGKILL)

    def delete_bridge(self, name: str) -> None:
        for each in self._bridges(name):
            self._say(f"the bridge {each} of {name} is deleted")
            self._host.run("ip", "link", "delete", each, check=False)

    def flush_rules(self) -> None:
        self._say("the ruleset is flushed")
        self._host.run("nft", "flush", "ruleset")

    def delete_own_bridge(self) -> None:
        self._host.run("ip", "link", "delete", OWN_BRIDGE, check=False)

    def add_own_bridge(self) -> None:
        self._host.run("ip", "link", "add", OWN_BRIDGE, "type", "bridge", check=False)

    # What holds

    def _bridges(self, name: str) -> list[str]:
        text = self._host.run("ip", "-o", "link", "show", "type", "bridge").stdout
        return [line.split(": ")[1] for line in text.splitlines() if f"network {NETWORKS[name]}" in line]

    def _servers(self, name: str) -> list[int]:
        there = self._insulad.layout.running_networks / str(NETWORKS[name])
        text = self._host.run("pgrep", "-f", f"^dnsmasq --conf-file={there}/", check=False).stdout
        return [int(each) for each in text.split()]

    def _there(self, name: str) -> list[str]:
        bridges = self._bridges(name)
        rules = self._host.run("nft", "list", "ruleset").stdout
        ruled = [f"rules for {each}" for each in bridges if f'"{each}"' in rules]
        return [*bridges, *ruled, *("server" for _ in self._servers(name))]

    def state(self, name: str) -> NetworkState:
        """Return what a client can see of a network."""
        virsh, uuid = self._insulad.virsh, _uuid(name)
        if uuid not in virsh("net-list", "--all", "--uuid").stdout.split():
            return NetworkState()
        told = dict(re.findall(r"^(\w+): +(\w+)$", virsh("net-info", uuid).stdout, re.MULTILINE))
        return NetworkState(
            defined=self._described(uuid, "--inactive") if told["Persistent"] == "yes" else None,
            autostart=told["Autostart"] == "yes",
            live=self._described(uuid) if told["Active"] == "yes" else None,
        )

    def _described(self, uuid: str, *words: str) -> Described:
        return model.understood(load_network(self._insulad.virsh("net-dumpxml", uuid, *words).stdout))

    def rest(self) -> None:
        """Wait until each network is what it may be, and whole or not there."""
        self.add_own_bridge()
        deadline = time.monotonic() + scaled(60)
        for name in self.models:
            while True:
                try:
                    self._look(name)
                    break
                except (AssertionError, UnexplainedError):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)

    def _look(self, name: str) -> None:
        state, tried = self.state(name), copy.deepcopy(self.models[name])
        tried.finish()
        tried.see(state)
        there = self._there(name)
        bridges = self._bridges(name)
        whole = [*bridges, *(f"rules for {each}" for each in bridges), "server"]
        assert there == (whole if state.live is not None else []), f"{name} is {state}, and of it there is {there}"
        assert len(bridges) == (state.live is not None)
        self.models[name] = tried

    def end(self) -> None:
        """Take all of them away."""
        for name in self.models:
            state = self.state(name)
            if state.live is not None:
                self._insulad.virsh("net-destroy", _uuid(name))
            if state.defined is not None:
                self._insulad.virsh("net-undefine", _uuid(name))
            assert self._there(name) == [], f"left of {name}: {self._there(name)}"
        self.delete_own_bridge()


def _uuid(name: str) -> str:
    return str(UUID(int=NETWORKS[name].int))
