"""The verbs over a host that exists in memory only, whose next daemon is a second set of verbs."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from insula.daemon.memorysettings import NO_CARE, MemorySettings
from insula.daemon.wiring import Patience, wire
from insula.engine.exitstatus import ExitStatus
from insula.engine.keeper.link import KeeperEvent
from insula.engine.keeper.protocol import EventKind
from insula.kernel.fds import Fd, close_all
from insula.layout import Layout
from insula.service.containers import StandardStreams
from insula.service.events import Event, Events
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.networks import VirtualNetworks
from insula.service.nwfilters import NetworkFilters
from insula.testing import DirectLink, FakeEngine, FakeHost, FakeLooker, FakeNetworkPerformer, FakeProcess
from insula.testing.fakecardports import FakeCardPorts
from insula.testing.fakefirewall import FakeFirewall
from tests.unit.service.fakepreparation import FakePreparation
from tests.unit.service.hosttree import two_node_host
from tests.verbs import Verbs
from tests.waiting import patience

XML = """
<domain type='lxc'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>65536</memory>
  <vcpu>2</vcpu>
  <os><type>exe</type></os>
  {more}
  <devices>
    <filesystem type='mount'><source dir='/srv/{name}'/><target dir='/'/></filesystem>
  </devices>
</domain>
"""
WEB, MAIL = UUID(int=1), UUID(int=2)
EXITED, CRASHED, REBOOTED, POWERED_OFF = 0, 0x0100, 1, 2
"""Wait statuses: returned 0, returned 1, killed by SIGHUP, killed by SIGINT."""


def domain_xml(name: str = "web", uuid: UUID = WEB, more: str = "") -> str:
    return XML.format(name=name, uuid=uuid, more=more)


async def until(condition: Callable[[], Any]) -> None:
    """Return once condition holds, which others bring about meanwhile. Raises: TimeoutError."""
    async with asyncio.timeout(patience(5)):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


class Rig:
    """The verbs over a host in memory, below one directory.

    host: what the daemon runs on, and outlives it; refusals: how the kernel refuses what begins with these words;
    changes: what it was asked for, in order ("make group …", "clone …", "execute …", "remove group …").
    """

    def __init__(
        self,
        directory: Path,
        patience: Patience | None = None,
        *,
        host: FakeHost | None = None,
        performer: FakeNetworkPerformer | None = None,
        memory: MemorySettings = NO_CARE,
    ) -> None:
        self.directory = directory
        self.layout = Layout.prefix(directory / "prefix")
        self.host = host or FakeHost()
        self.host.before = self._before
        self.refusals: dict[str, OSError] = {}
        self.changes: list[str] = []
        self._opened: list[Fd] = []
        self.link = DirectLink(self.host, self._heard)
        self.engine, self.looker = FakeEngine(host=self.host, link=self.link), FakeLooker(self.host)
        self.preparation = FakePreparation(directory)
        self.performer = performer or FakeNetworkPerformer()
        self.ports = FakeCardPorts()
        self.events = Events()
        self.told: list[Event] = []
        self.events.subscribe(self.told.append)
        self.domains = Verbs(
            wire(
                layout=self.layout,
                engine=self.engine,
                preparation=self.preparation,
                events=self.events,
                host=HostNode(root=two_node_host(directory / "host")),
                looker=self.looker,
                patience=patience or Patience(lock=5, shutdown=60),
                images=cast("Images", None),
                networks=VirtualNetworks(events=self.events),
                network_performer=self.performer,
                card_ports=self.ports,
                filters=NetworkFilters(),
                firewall=FakeFirewall(),
                daemon_info=dict,
                boot=self.host.boot,
                memory=memory,
            )
        )

    def _before(self, what: str) -> None:
        self.changes.append(what)
        for words, error in self.refusals.items():
            if what.startswith(words):
                raise error

    def _heard(self, event: KeeperEvent) -> None:
        if event.kind is EventKind.EXITED:
            self.domains.guest_ended(UUID(event.uuid), ExitStatus(status=event.status))
        else:
            self.domains.process_ended(event.execution, event.status, held=event.held)

    # The host

    def guests(self) -> list[UUID]:
        """Return which guests live."""
        return [UUID(each) for each in self.host.guests()]

    def guest(self, uuid: UUID = WEB) -> FakeProcess:
        """Return the init of a guest that lives."""
        return self.host.guests()[str(uuid)]

    def end(self, uuid: UUID, status: int | None) -> None:
        """A guest ends by itself, and the keeper tells who listens. status: None if nobody learns how."""
        self.host.end(self.guest(uuid), status)

    def launches(self, uuid: UUID = WEB) -> int:
        """Return how often a guest was begun."""
        return self.changes.count(f"clone {uuid}")

    def vanish(self, uuid: UUID = WEB) -> None:
        """A guest and its keeper are gone, and nobody knows of either."""
        guest = self.guest(uuid)
        self.host.kill_keeper()
        self.host.end(guest, None)

    def streams(self) -> StandardStreams:
        """Return what a program in a guest may have as its streams."""
        self._opened.append(Fd(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)))
        return (self._opened[-1],) * 3

    # The daemon

    def die(self) -> None:
        """The daemon is gone, as if killed: it hears and says nothing more."""
        self.link.close()

    def successor(self, patience: Patience | None = None) -> "Rig":
        """Return the next daemon on this host; this one is gone."""
        self.die()
        return Rig(self.directory, patience, host=self.host)

    async def close(self) -> None:
        await self.domains.close()
        self.link.close()
        self.engine.close()
        close_all(self._opened)
        self._opened.clear()
