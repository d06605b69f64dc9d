"""Services without an engine: what sessions and handlers are tested with. In memory, honest about what they hold."""

import asyncio
import os
import pty
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from insula.daemon.access import AccessCheck, ByConnection
from insula.daemon.authority.authentication import Authentication
from insula.daemon.dispatch.table import answer
from insula.daemon.incomingcall import IncomingCall, Services
from insula.daemon.subscriptions import Subscriptions
from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.console.consolelog import ConsoleLog
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.spec import Process
from insula.errors import OperationInvalidError
from insula.kernel.fds import Fd
from insula.model.domain import DomainDefinition
from insula.model.domainstates import Happening
from insula.model.numbers import Affect, MetadataType, ParameterType, ShutdownMode
from insula.model.sizes import CpuSet
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Procedure
from insula.service.documents import Documents
from insula.service.domains import Domains
from insula.service.events import DomainIdentity, Events
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.managed import ManagedDomain, Run
from insula.service.networks import VirtualNetworks
from insula.service.parameters import Parameter
from insula.service.startoptions import Launch, Storage
from insula.service.tuning import Family
from insula.storage.builders.imagebuilder import Progress

P = ParamSpec("P")
T = TypeVar("T")

WEB = DomainIdentity(name="web", uuid=UUID("11111111-2222-3333-4444-555555555555"))
MAIL = DomainIdentity(name="mail", uuid=UUID("66666666-7777-8888-9999-aaaaaaaaaaaa"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeExecuted:
    id: int
    pid: int
    master: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeStopped:
    reason: str
    status: int | None


def managed(name: str, uuid: UUID, events: Events | None = None) -> ManagedDomain:
    """A domain that is defined and off."""
    names = f"<name>{name}</name><uuid>{uuid}</uuid>"
    domain = DomainDefinition.load(
        f"<domain type='lxc'>{names}<memory>65536</memory><os><type>exe</type></os></domain>"
    )
    return ManagedDomain(description=domain, definition=domain, events=events or Events())


@dataclass(kw_only=True)
class FakeDomains:
    """Two domains, `web` and `mail`, and every service's verbs on them.

    calls: every changing verb as it was called; gate: closed, verbs wait for it.
    """

    events: Events
    registry: Domains = field(default_factory=Domains)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    gone: list[object] = field(default_factory=list)
    hub: ConsoleHub | None = None
    guest: int = -1
    values: list[Parameter] = field(default_factory=list)
    path: Path = Path("/nonexistent")
    error: Exception | None = None
    next_id: int = 100
    owners: list[object] = field(default_factory=list)
    """Whose going away ends what was executed."""

    def __post_init__(self) -> None:
        self.gate.set()
        for each in (WEB, MAIL):
            self.registry.add(managed(each.name, each.uuid, self.events))

    def close(self) -> None:
        if self.guest >= 0:
            os.close(self.guest)

    async def _change(self, *call: Any) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        self.calls.append(tuple(each() if callable(each) else each for each in call))

    # looking

    def parameters(self, managed: ManagedDomain, family: Family, affect: Affect) -> list[Parameter]:
        return list(self.values)

    def metadata(self, managed: ManagedDomain, kind: MetadataType, uri: str | None, affect: Affect) -> str:
        return f"{managed.name} {kind.name} {uri} {affect!r}"

    # changing

    async def start(self, managed: ManagedDomain, launch: Launch) -> ManagedDomain:
        fds = launch.fds
        await self._change(
            "start", managed.name, launch.paused, launch.owner is not None, lambda: [os.read(each, 100) for each in fds]
        )
        self.next_id += 1
        run = SimpleNamespace(container=SimpleNamespace(id=self.next_id), adoption=None, consoles=())
        managed.begin(cast("Run", run), managed.current, Happening.BOOTED)
        return managed

    async def destroy(self, managed: ManagedDomain) -> None:
        await self._change("destroy", managed.name)
        managed.require_run()
        managed.end(Happening.DESTROYED)

    async def undefine(self, managed: ManagedDomain, storage: Storage) -> None:
        await self._change("undefine", managed.name, storage)

    async def shutdown(self, managed: ManagedDomain, modes: ShutdownMode) -> None:
        await self._change("shutdown", managed.name, modes)

    async def set_parameters(
        self, managed: ManagedDomain, family: Family, parameters: Sequence[Parameter], affect: Affect
    ) -> None:
        await self._change(f"set {family.name}", managed.name, tuple(parameters), affect)

    async def set_memory(self, managed: ManagedDomain, kib: int, affect: Affect) -> None:
        await self._change("set_memory", managed.name, kib, affect)

    async def set_maximum_memory(self, managed: ManagedDomain, kib: int, affect: Affect) -> None:
        await self._change("set_maximum_memory", managed.name, kib, affect)

    async def set_count(self, managed: ManagedDomain, number: int, affect: Affect) -> None:
        await self._change("set_count", managed.name, number, affect)

    async def set_maximum(self, managed: ManagedDomain, number: int, affect: Affect) -> None:
        await self._change("set_maximum", managed.name, number, affect)

    async def enable(self, managed: ManagedDomain, vcpus: CpuSet, affect: Affect, *, enabled: bool) -> None:
        await self._change("enable", managed.name, set(vcpus), affect, enabled)

    async def pin(self, managed: ManagedDomain, vcpu: int, cpus: CpuSet, affect: Affect) -> None:
        await self._change("pin", managed.name, vcpu, cpus, affect)

    async def pin_emulator(self, managed: ManagedDomain, cpus: CpuSet, affect: Affect) -> None:
        await self._change("pin_emulator", managed.name, cpus, affect)

    async def attach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        await self._change("attach", managed.name, xml, affect)

    async def detach(self, managed: ManagedDomain, xml: str, affect: Affect, *, force: bool = False) -> None:
        await self._change("detach", managed.name, xml, affect, *(["by force"] if force else []))

    async def detach_alias(self, managed: ManagedDomain, alias: str, affect: Affect, *, force: bool = False) -> None:
        await self._change("detach_alias", managed.name, alias, affect, *(["by force"] if force else []))

    async def enlarge(self, managed: ManagedDomain, path: str, size: int) -> None:
        await self._change("enlarge", managed.name, path, size)

    async def update(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        await self._change("update", managed.name, xml, affect)

    async def send_signal(self, managed: ManagedDomain, pid: int, number: int) -> None:
        await self._change("send_signal", managed.name, pid, number)

    async def connection_closed(self, owner: object) -> None:
        self.gone.append(owner)

    async def wait(self, managed: ManagedDomain) -> FakeStopped:
        await self._change("wait", managed.name)
        return FakeStopped(reason="shutdown", status=2)

    async def namespaces(self, managed: ManagedDomain) -> list[int]:
        await self._change("namespaces", managed.name)
        return [os.open(f"/proc/self/ns/{each}", os.O_RDONLY) for each in ("user", "ipc", "uts", "net", "pid", "mnt")]

    async def execute(
        self,
        managed: ManagedDomain,
        process: Process,
        *,
        stdio: tuple[int, int, int] | None,
        terminal: tuple[int, int] | None,
        capabilities: frozenset[str] | None = None,
        owner: object | None = None,
    ) -> FakeExecuted:
        self.owners.append(owner)
        await self._change("execute", managed.name, process, terminal, capabilities)
        if stdio is not None:
            os.write(stdio[1], b"output")
        master = None
        if terminal is not None:
            master, slave = pty.openpty()
            os.close(slave)
        return FakeExecuted(id=7, pid=4711, master=master)

    def wait_executed(self, number: int, waiter: object | None = None) -> asyncio.Future[int | None]:
        return asyncio.ensure_future(self._wait_executed(number))

    async def _wait_executed(self, number: int) -> int | None:
        await self._change("wait_executed", number)
        return 7 << 8

    def signal_executed(self, number: int, signal_number: int) -> None:
        self.calls.append(("signal_executed", number, signal_number))

    # who may log in

    async def set_password(self, managed: ManagedDomain, user: str, password: str, *, hashed: bool) -> None:
        await self._change("set_password", managed.name, user, password, hashed)

    async def keys(self, managed: ManagedDomain, user: str) -> list[str]:
        return [f"ssh-rsa AAAA of {user}"]

    async def set_keys(
        self, managed: ManagedDomain, user: str, keys: Sequence[str], *, append: bool, remove: bool
    ) -> None:
        await self._change("set_keys", managed.name, user, keys, append, remove)

    # consoles

    def log(self, managed: ManagedDomain, device: str | None) -> Path:
        return self.path

    def open_console(self, log: ConsoleLog | None = None) -> None:
        """Give `web` a console whose guest's side is `guest`."""
        master, self.guest = pty.openpty()
        tty.setraw(self.guest)
        self.hub = ConsoleHub(Fd(master), watch=TerminalWatch(), logs=() if log is None else (log,))

    def follow(self, managed: ManagedDomain, device: str | None) -> ConsoleChannel:
        return self.open(managed, device, viewing=Viewing.WATCHING)

    def open(
        self,
        managed: ManagedDomain,
        device: str | None = None,
        *,
        viewing: Viewing = Viewing.INTERACTIVE,
        force: bool = False,
    ) -> ConsoleChannel:
        if self.hub is None:
            raise OperationInvalidError("domain is not running")
        return self.hub.attach(viewing, force=force)


class FakeDocuments:
    """Reads what it is given at once."""

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)

    async def read(self, read: Callable[[str], T], document: str) -> T:
        return read(document)


@dataclass(kw_only=True)
class FakeImages:
    """Builds by telling of progress in two steps, then waits for its gate."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    error: Exception | None = None

    async def build(self, name: str, recipe: str, progress: Callable[[Progress], None]) -> None:
        progress(Progress(phase="fetch", text=f"{recipe} of {name}", fraction=0.5))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        progress(Progress(phase="done", text="", fraction=1.0))


def services_of(domains: FakeDomains, images: FakeImages | None = None) -> Services:
    """The fakes in the place of the services."""
    fake: Any = domains
    return Services(
        domains=domains.registry,
        documents=cast("Documents", FakeDocuments()),
        incoming=fake,
        access=fake,
        definitions=fake,
        lifecycle=fake,
        boot=fake,
        readiness=fake,
        health=fake,
        disks=fake,
        shutdown=fake,
        planning=fake,
        conversions=fake,
        tuning=fake,
        interface_tuning=fake,
        vcpus=fake,
        memory=fake,
        metadata=fake,
        lifecycle_actions=fake,
        core_dumps=fake,
        devices=fake,
        guest=fake,
        explaining=fake,
        doctor=fake,
        guest_system=fake,
        guest_filesystems=fake,
        processes=fake,
        consoles=fake,
        channels=fake,
        host=HostNode(),
        events=domains.events,
        images=cast("Images", images or FakeImages()),
        networks=VirtualNetworks(events=domains.events),
        network_verbs=fake,
        network_offers=fake,
        device_offers=fake,
        incoming_networks=fake,
        filters=fake,
        daemon_info=lambda: {"version": "test"},
    )


def parameter(name: str, value: int) -> Parameter:
    """A typed parameter of the service."""
    return Parameter(name, ParameterType.ULLONG, value)


class FakeClient:
    """What handlers may do to a connection; opened: whether it was, and read-only."""

    def __init__(self, events: Events) -> None:
        self.subscriptions = Subscriptions(events, lambda procedure, *values: None)
        self.authentication = Authentication()
        self.access: AccessCheck = ByConnection(read_only=False)
        self.passes_fds = True
        self.close_callback = False
        self.opened: list[bool] = []
        self.closing = False
        self.pinged = False
        self.bulk = asyncio.Lock()

    def open(self, *, read_only: bool) -> None:
        self.opened.append(read_only)

    def close_soon(self) -> None:
        self.closing = True

    def start_keepalive(self) -> None:
        self.pinged = True


def answered(services: Services, procedure: Procedure, *arguments: Any, client: FakeClient | None = None) -> Any:
    """What a client would read as the answer of a procedure's handler; a coroutine is run to its end."""
    row = procedure.arguments
    call = Call(procedure, 1, row.unpack(row.pack(arguments)), ())
    request = IncomingCall(call=call, client=client or FakeClient(services.events), services=services)
    given = answer(request)
    values = asyncio.run(given) if asyncio.iscoroutine(given) else given
    return procedure.results.unpack(procedure.results.pack(values or ()))
