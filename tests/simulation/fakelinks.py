"""What a walk's host has of networks: bridges, rules, servers of addresses, and guests' ends plugged into bridges."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import VethInterface
from insula.kernel.processidentity import ProcessIdentity

Change = Callable[[str, bool], None]


@dataclass
class FakeBridge:
    """network: the UUID of the network whose mark it bears, None for a bridge of somebody else's."""

    index: int
    network: str | None = None


@dataclass
class FakeEnd:
    """A guest's end on the host. guest: the domain's UUID; bridge: what it is a port of, None for nothing."""

    guest: str
    bridge: str | None


@dataclass
class FakeLinks:
    """before: called with what is about to be changed, and may raise OSError; rules: the bridge of each network that
    has some; servers: of addresses, by network, with what each was told."""

    before: Callable[[str], None]
    bridges: dict[str, FakeBridge] = field(default_factory=dict)
    ends: dict[str, FakeEnd] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    servers: dict[str, tuple[ProcessIdentity, str]] = field(default_factory=dict)
    watched: Change | None = None
    """Told that a bridge of a name has come, or gone."""
    ended: Callable[[str], None] | None = None
    """Told that a network's server has ended."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add_bridge(self, name: str, network: str | None = None) -> None:
        self.before(f"make bridge {name}")
        if name in self.bridges:
            raise FileExistsError(17, "File exists", name)
        self.bridges[name] = FakeBridge(index=next(self._numbers), network=network)
        if self.watched is not None:
            self.watched(name, True)

    def delete_bridge(self, name: str) -> None:
        self.before(f"delete bridge {name}")
        if self.bridges.pop(name, None) is None:
            return
        for end in self.ends.values():
            if end.bridge == name:
                end.bridge = None
        if self.watched is not None:
            self.watched(name, False)

    def set_rules(self, network: str, bridge: str) -> None:
        self.before(f"set rules of {network}")
        self.rules[network] = bridge

    def remove_rules(self, network: str) -> None:
        self.before(f"remove rules of {network}")
        self.rules.pop(network, None)

    def serve(self, network: str, told: str) -> ProcessIdentity:
        """Start a server of a network's, instead of one that there is."""
        self.end_server(network)
        self.before(f"start server of {network}")
        number = next(self._numbers)
        identity = ProcessIdentity(pid=100_000 + number, started=number)
        self.servers[network] = identity, told
        return identity

    def end_server(self, network: str) -> None:
        self.before(f"end server of {network}")
        if self.servers.pop(network, None) is not None and self.ended is not None:
            self.ended(network)

    # Guests

    def connect(self, guest: str, wanted: VethInterface) -> ConnectedInterface:
        """Plug a guest that starts in. Raises: OSError if there is no such bridge."""
        self.before(f"connect {guest}")
        if wanted.bridge not in self.bridges:
            raise FileNotFoundError(19, "No such device", str(wanted.bridge))
        number = next(self._numbers)
        self.ends[f"vnet{number}"] = FakeEnd(guest=guest, bridge=wanted.bridge)
        return ConnectedInterface(
            guest=wanted.guest,
            host=f"vnet{number}",
            host_index=number,
            bridge=wanted.bridge,
            mac=wanted.mac or f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
        )

    def disconnect(self, guest: str) -> None:
        """A guest has ended, and its ends with it."""
        self.ends = {name: each for name, each in self.ends.items() if each.guest != guest}

    def plug(self, end: str, bridge: str) -> None:
        self.before(f"plug {end} into {bridge}")
        if bridge not in self.bridges:
            raise FileNotFoundError(19, "No such device", bridge)
        if end in self.ends:
            self.ends[end].bridge = bridge

    def reboot(self) -> None:
        """Nothing of it outlives the host but its own bridge, which comes with it."""
        own = {name: each for name, each in self.bridges.items() if each.network is None}
        self.bridges, self.ends, self.rules, self.servers = own, {}, {}, {}
