"""Services without an engine: what sessions and handlers are tested with. In memory, honest about what they hold."""

import asyncio
import os
import pty
import tty
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from insula.daemon.dispatch.table import HANDLERS
from insula.daemon.request import Request, Services
from insula.daemon.subscriptions import Subscriptions
from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.spec import Process
from insula.errors import DomainNotFoundError, OperationInvalidError
from insula.kernel.fds import Fd
from insula.model.lifecycle import (
    DomainState,
    LifecycleDetail,
    LifecycleKind,
    RunningReason,
    ShutoffReason,
    StartedDetail,
    StateWithReason,
    StoppedDetail,
)
from insula.rpc.events import Call
from insula.rpc.procedures import Procedure
from insula.service.domains import Domains
from insula.service.events import DomainRef, Events, Lifecycle, MetadataType
from insula.service.host import Host
from insula.service.images import Images
from insula.service.parameters import Parameter, ParameterType
from insula.service.requests import Affect, Filter, ShutdownMode, Storage

T = TypeVar("T")

WEB = DomainRef(name="web", uuid=UUID("11111111-2222-3333-4444-555555555555"))
MAIL = DomainRef(name="mail", uuid=UUID("66666666-7777-8888-9999-aaaaaaaaaaaa"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeExecuted:
    id: int
    pid: int
    master: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FakeStopped:
    reason: str
    status: int | None


@dataclass(kw_only=True)
class FakeDomains:
    """Two domains, `web` and `mail`. calls: every changing verb as it was called; gate: closed, verbs wait for it."""

    events: Events
    refs: dict[UUID, DomainRef] = field(default_factory=lambda: {each.uuid: each for each in (WEB, MAIL)})
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    gone: list[object] = field(default_factory=list)
    hub: ConsoleHub | None = None
    guest: int = -1
    parameters: list[Parameter] = field(default_factory=list)
    log: Path = Path("/nonexistent")
    error: Exception | None = None
    next_id: int = 100

    def settling(self, uuid: UUID) -> Awaitable[None] | None:
        """Every guest is this daemon's."""
        return None

    def __post_init__(self) -> None:
        self.gate.set()

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

    def ref(self, ref: DomainRef) -> DomainRef:
        if ref.uuid not in self.refs:
            raise DomainNotFoundError(f"no domain with matching uuid '{ref.uuid}' ({ref.name})")
        return self.refs[ref.uuid]

    def list(self, filter: Filter = Filter.ALL) -> list[DomainRef]:  # noqa: A002 - the service's own name
        active, inactive = Filter.ACTIVE in filter, Filter.INACTIVE in filter
        return [each for each in self.refs.values() if active == inactive or (each.id >= 0) == active]

    def lookup_by_name(self, name: str) -> DomainRef:
        for each in self.refs.values():
            if each.name == name:
                return each
        raise DomainNotFoundError(f"no domain with matching name '{name}'")

    def lookup_by_uuid(self, uuid: UUID) -> DomainRef:
        return self.ref(DomainRef(name="", uuid=uuid))

    def lookup_by_id(self, id: int) -> DomainRef:  # noqa: A002 - the service's own name
        for each in self.refs.values():
            if each.id == id:
                return each
        raise DomainNotFoundError(f"no domain with matching id {id}")

    def state(self, ref: DomainRef) -> StateWithReason:
        if self.is_active(ref):
            return StateWithReason(state=DomainState.RUNNING, reason=RunningReason.BOOTED)
        return StateWithReason(state=DomainState.SHUTOFF, reason=ShutoffReason.UNKNOWN)

    def is_active(self, ref: DomainRef) -> bool:
        return self.ref(ref).id >= 0

    def is_persistent(self, ref: DomainRef) -> bool:
        return self.ref(ref) is not None

    async def aside(self, question: Callable[[], T]) -> T:
        return question()

    def dump_xml(self, ref: DomainRef, *, inactive: bool = False, secure: bool = False) -> str:
        return f"<domain type='lxc'><name>{self.ref(ref).name}</name><!-- {inactive} {secure} --></domain>"

    def memory_parameters(self, ref: DomainRef, affect: Affect) -> "list_of_parameters":
        self.ref(ref)
        return list_of(self.parameters)

    def metadata(self, ref: DomainRef, kind: MetadataType, uri: str | None, affect: Affect) -> str:
        return f"{self.ref(ref).name} {kind.name} {uri} {affect!r}"

    # changing

    async def start(
        self, ref: DomainRef, *, paused: bool = False, owner: object | None = None, fds: Sequence[int] = ()
    ) -> DomainRef:
        await self._change("start", ref.name, paused, owner is not None, lambda: [os.read(each, 100) for each in fds])
        self.next_id += 1
        started = replace(self.ref(ref), id=self.next_id)
        self._become(started, LifecycleKind.STARTED, StartedDetail.BOOTED)
        return started

    async def destroy(self, ref: DomainRef) -> None:
        await self._change("destroy", ref.name)
        if not self.is_active(ref):
            raise OperationInvalidError("domain is not running")
        self._become(replace(self.ref(ref), id=-1), LifecycleKind.STOPPED, StoppedDetail.DESTROYED)

    async def undefine(self, ref: DomainRef, *, storage: Storage = Storage.KEEP) -> None:
        await self._change("undefine", ref.name, storage)

    async def shutdown(self, ref: DomainRef, modes: ShutdownMode = ShutdownMode.DEFAULT) -> None:
        await self._change("shutdown", ref.name, modes)

    async def set_memory_parameters(self, ref: DomainRef, parameters: Sequence[Parameter], affect: Affect) -> None:
        await self._change("set_memory_parameters", ref.name, tuple(parameters), affect)

    async def set_memory(self, ref: DomainRef, kib: int, affect: Affect) -> None:
        await self._change("set_memory", ref.name, kib, affect)

    async def set_maximum_memory(self, ref: DomainRef, kib: int, affect: Affect) -> None:
        await self._change("set_maximum_memory", ref.name, kib, affect)

    async def connection_closed(self, owner: object) -> None:
        self.gone.append(owner)

    async def wait(self, ref: DomainRef) -> FakeStopped:
        await self._change("wait", ref.name)
        return FakeStopped(reason="shutdown", status=2)

    async def namespaces(self, ref: DomainRef) -> "list_of_ints":
        await self._change("namespaces", ref.name)
        return [os.open(f"/proc/self/ns/{each}", os.O_RDONLY) for each in ("user", "ipc", "uts", "net", "pid", "mnt")]

    async def execute(
        self,
        ref: DomainRef,
        process: Process,
        *,
        stdio: tuple[int, int, int] | None,
        terminal: tuple[int, int] | None,
        capabilities: frozenset[str] | None = None,
    ) -> FakeExecuted:
        await self._change("execute", ref.name, process, terminal, capabilities)
        if stdio is not None:
            os.write(stdio[1], b"output")
        master = None
        if terminal is not None:
            master, slave = pty.openpty()
            os.close(slave)
        return FakeExecuted(id=7, pid=4711, master=master)

    async def wait_executed(self, number: int) -> int | None:
        await self._change("wait_executed", number)
        return 7 << 8

    def signal_executed(self, number: int, signal_number: int) -> None:
        self.calls.append(("signal_executed", number, signal_number))

    def console_log(self, ref: DomainRef, device: str | None) -> Path:
        self.ref(ref)
        return self.log

    def open_console(self) -> None:
        """Give `web` a console whose guest's side is `guest`."""
        master, self.guest = pty.openpty()
        tty.setraw(self.guest)
        self.hub = ConsoleHub(Fd(master), watch=TerminalWatch())

    def console(
        self,
        ref: DomainRef,
        device: str | None = None,
        *,
        viewing: Viewing = Viewing.INTERACTIVE,
        force: bool = False,
    ) -> ConsoleChannel:
        if self.hub is None:
            raise OperationInvalidError("domain is not running")
        return self.hub.attach(viewing, force=force)

    def _become(self, ref: DomainRef, kind: LifecycleKind, detail: LifecycleDetail) -> None:
        self.refs[ref.uuid] = ref
        self.events.publish(Lifecycle(domain=ref, kind=kind, detail=detail))


list_of = list
"""`list` is a verb of the service, and so a name inside the fake."""
list_of_parameters = list[Parameter]
list_of_ints = list[int]


@dataclass(kw_only=True)
class FakeImages:
    """Builds by telling of progress in two steps, then waits for its gate."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    error: Exception | None = None

    async def build(self, name: str, recipe: str, progress: Callable[[str, float | None, str], None]) -> None:
        progress("fetch", 0.5, f"{recipe} of {name}")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        progress("done", 1.0, "")


def services_of(domains: FakeDomains, images: FakeImages | None = None) -> Services:
    """The fakes in the place of the services."""
    return Services(
        domains=cast("Domains", domains),
        host=Host(),
        events=domains.events,
        images=cast("Images", images or FakeImages()),
        daemon_info=lambda: {"version": "test"},
    )


def parameter(name: str, value: int) -> Parameter:
    """A typed parameter of the service."""
    return Parameter(name, ParameterType.ULLONG, value)


class FakeClient:
    """What handlers may do to a connection; opened: whether it was, and read-only."""

    def __init__(self, events: Events) -> None:
        self.subscriptions = Subscriptions(events, lambda procedure, *values: None)
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
    request = Request(call=call, client=client or FakeClient(services.events), services=services)
    answer = HANDLERS[procedure](request, call.arguments)
    values = asyncio.run(answer) if asyncio.iscoroutine(answer) else answer
    return procedure.results.unpack(procedure.results.pack(values or ()))
