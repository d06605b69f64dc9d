"""The service over a real keeper and real containers, without the wire: what system tests of the verbs stand on."""

import asyncio
import functools
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from insula.daemon.keeperlink import KeeperSupervisor
from insula.daemon.wiring import Patience, wire
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.link import KeeperEvent as KeeperEvent
from insula.engine.keeper.protocol import VERSION, EventKind
from insula.engine.keeper.startup import connect, spawn_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.look.looking import Looker
from insula.engine.spec import Process
from insula.errors import DomainNotFoundError, OperationInvalidError
from insula.layout import Layout
from insula.network.netlink import NetlinkPerformer
from insula.service.events import DomainIdentity, Event, Events, LifecycleEvent
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.networks import VirtualNetworks
from insula.service.nwfilters import NetworkFilters
from insula.service.preparation import HostPreparation
from insula.storage.imagestore import ImageStore
from insula.testing import FakeNetworkPerformer
from insula.testing.fakecardports import FakeCardPorts
from insula.testing.fakefirewall import FakeFirewall
from tests.verbs import Verbs
from tests.waiting import patience, scaled

PATIENCE = 60.0
"""Seconds for what a guest does on a usual host: nothing is told from how long it took, only that it happened."""

UUID_OF_GUEST = UUID("11111111-2222-3333-4444-555555555555")


Test = Callable[..., Coroutine[Any, Any, None]]


def driven(test: Test) -> Callable[..., None]:
    """Let pytest run a coroutine function whose first argument is a service, on that service's own loop.

    A loop made by a plugin would live around the leak check, and be a leak to it.
    """

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        service: Service = fixtures["service"]
        service.runner.run(test(**fixtures))

    return run


@contextmanager
def serving(layout: Layout, *, labels: bool = False) -> Iterator["Service"]:
    """A service of its own loop and keeper; every domain ends with it. labels: groups tell whose guests they are."""
    with asyncio.Runner() as runner:
        service = Service(layout=layout, runner=runner, labels=labels)
        runner.run(service.open())
        try:
            yield service
        finally:
            runner.run(service.close())


def guest_xml(
    root: str, *, name: str = "guest", uuid: UUID = UUID_OF_GUEST, init: str = "", more: str = "", devices: str = ""
) -> str:
    """Return a definition. root: a whole <filesystem>, or the path of a directory; init: lines for <os>."""
    if not root.startswith("<"):
        root = f"<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>"
    return f"""
    <domain type='lxc'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
      <os><type>exe</type>{init}</os>{more}
      <devices>{root}{devices}<console type='pty'/></devices>
    </domain>"""


def program(*script: str) -> str:
    """Return lines for <os>: a shell that runs the script as the guest's first program."""
    lines = "\n".join(script).replace("&", "&amp;").replace("<", "&lt;")
    return f"<init>/bin/sh</init><initarg>-c</initarg><initarg>{lines}</initarg>"


@dataclass
class Output:
    status: int | None
    text: str


@dataclass
class Service:
    """The verbs with everything real below them. A second one over the same layout is the successor of the first."""

    layout: Layout
    runner: asyncio.Runner
    told: list[Event] = field(default_factory=list)
    restored: int = 0
    gone: bool = False
    labels: bool = False

    async def open(self, patience: Patience | None = None) -> "Service":
        """Connect to the keeper below the layout, or start one, and take over what there is."""
        for each in (self.layout.run, self.layout.logs):
            each.mkdir(parents=True, exist_ok=True)
        self.link = KeeperSupervisor(obtain=self._keeper, on_event=self._heard, restored=self._restored)
        self.network = NetlinkPerformer()
        self.looker = Looker()
        installation = str(self.layout.root) if self.labels else None
        self.launcher = Launcher(
            facts=Facts.detect(), link=self.link, interfaces=self.network, installation=installation
        )
        self.store = ImageStore(self.layout)
        events = Events()
        events.subscribe(self.told.append)
        self.domains = Verbs(
            wire(
                layout=self.layout,
                engine=self.launcher,
                preparation=HostPreparation(self.layout, self.store),
                events=events,
                host=HostNode(),
                looker=self.looker,
                patience=patience or Patience(lock=scaled(10), shutdown=scaled(60)),
                images=cast("Images", None),
                networks=VirtualNetworks(events=events),
                network_performer=FakeNetworkPerformer(),
                card_ports=FakeCardPorts(),
                filters=NetworkFilters(),
                firewall=FakeFirewall(),
                daemon_info=dict,
            )
        )
        try:
            await self.link.start()
            await self.domains.recover()
        except BaseException:
            await self.close()
            raise
        return self

    async def vanish(self) -> None:
        """Be gone: guests and keeper stay."""
        self.gone = True
        await _each_of(self.link.close, self.domains.close, self.looker.close, self._close_network)

    async def succeeded(self) -> "Service":
        """Vanish, and return a successor that has taken over."""
        await self.vanish()
        return await Service(layout=self.layout, runner=self.runner).open()

    async def close(self) -> None:
        """End every domain, and the keeper, and close all, whatever fails of that; one that has vanished has nothing to
        end."""
        if self.gone:
            return
        self.gone = True
        quit_keeper = partial(self.link.close, quit_keeper=True)
        await _each_of(self._end_domains, self.domains.close, self.looker.close, quit_keeper, self._close_network)

    async def _end_domains(self) -> None:
        for ref in self.domains.list():
            if self.domains.is_active(ref):
                # One that ends by itself just now is said not to run, or to be unknown, when it is over.
                with suppress(OperationInvalidError, DomainNotFoundError):
                    await self.domains.destroy(ref)

    async def _close_network(self) -> None:
        self.network.close()

    def events(self) -> list[str]:
        """Return what was told, in short."""
        return [
            f"{each.kind.name} {each.detail.name}".lower()
            if isinstance(each, LifecycleEvent)
            else type(each).__name__.lower()
            for each in self.told
        ]

    async def until_told(self, word: str, times: int = 1) -> None:
        """Return once such an event was told so often. Raises: TimeoutError naming what was."""
        await until(lambda: self.events().count(word) >= times, f"'{word}' being told", self.events)

    async def run(self, ref: DomainIdentity, *argv: str) -> Output:
        """Run a program in the guest and return its status and all it printed."""
        reader, writer = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            put = await self.domains.execute(ref, Process(argv=argv), stdio=(null, writer, writer))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
            os.close(null)
        text = await asyncio.to_thread(_read_all, reader)
        return Output(status=await self.domains.wait_executed(put.id), text=text)

    async def console_says(self, ref: DomainIdentity, wanted: Sequence[str], typed: str = "") -> str:
        """Return the console's output up to each of the wanted texts in turn. Raises: TimeoutError with what came."""
        channel, said = self.domains.console(ref, force=True), ""
        try:
            async with asyncio.timeout(patience(PATIENCE)):
                if typed:
                    await channel.write(typed.encode())
                while not _in_turn(said, wanted):
                    said += (await channel.read()).decode(errors="replace")
        except TimeoutError:
            raise TimeoutError(f"the console did not say {wanted}, but {said!r}") from None
        finally:
            channel.close()
        return said

    def _keeper(self) -> socket.socket:
        with (self.layout.logs / "keeper.log").open("ab") as log:
            spawn_keeper(self.layout.keeper_socket(VERSION), log=log.fileno())
        return connect(self.layout.keeper_socket(VERSION))

    def _heard(self, event: KeeperEvent) -> None:
        if event.kind is EventKind.EXITED:
            self.domains.guest_ended(UUID(event.uuid), ExitStatus(status=event.status))
        else:
            self.domains.process_ended(event.execution, event.status, held=event.held)

    async def _restored(self) -> None:
        await self.domains.keeper_replaced()
        self.restored += 1


async def _each_of(*works: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do each in turn, also after one that fails: what stays open would be found as garbage, in another test."""
    async with AsyncExitStack() as left:
        for each in reversed(works):
            left.push_async_callback(each)


def _read_all(reader: int) -> str:
    with open(reader, "rb") as output:
        return output.read().decode(errors="replace")


async def until(condition: Callable[[], Any], what: str, seen: Callable[[], Any] = lambda: "nothing") -> None:
    """Return once condition holds, while the loop goes on. Raises: TimeoutError with what was seen instead."""
    try:
        async with asyncio.timeout(patience(PATIENCE)):
            while not condition():  # noqa: ASYNC110 - what tests wait for has no event of its own
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise TimeoutError(f"{what} did not happen; seen: {seen()}") from None


def _in_turn(said: str, wanted: Sequence[str]) -> bool:
    place = 0
    for each in wanted:
        place = said.find(each, place) + len(each)
        if place < len(each):
            return False
    return True


def layout_below(directory: Path) -> Layout:
    return Layout.prefix(directory / "p")
