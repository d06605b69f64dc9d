"""The engine and the host's preparation as the verbs use them; tests bring their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from insula.engine.enter.attachment import EnteredProcess
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.interfacespec import Interface
from insula.engine.launch.changes import WriteRecord
from insula.engine.launch.guestlabels import GuestLabels
from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.launch.succession import Held, HeldEntered
from insula.engine.look.looking import Sight
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.spec import Access, ContainerSpec, Device, IdMap, Mount, Process, Root
from insula.kernel.fds import Fd
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface as Card
from insula.service.grantednodes import DeviceGrants
from insula.service.translate import PidOf

StandardStreams = tuple[int, int, int]
WindowSize = tuple[int, int]
"""Rows and columns."""


class Looking(Protocol):
    """Looks into guests, with a deadline; see `insula.engine.look.looking.Looker`."""

    async def look(
        self,
        sight: Sight,
        look: str,
        arguments: Mapping[str, Any],
        fds: Mapping[str, int],
        *,
        seconds: float | None = ...,
    ) -> Any: ...


class Entering(Protocol):
    """Starts processes inside; see `insula.engine.launch.entrance`."""

    async def execute(
        self,
        running: Running,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
        detached: bool = False,
        probing: bool = False,
        asked: list[str] | None = None,
        tracer: int | None = None,
    ) -> EnteredProcess: ...


class Ending(Protocol):
    """Ends what runs, and takes away what is left of it; see `insula.engine.launch.teardown`."""

    async def destroy(self, running: Running) -> ExitStatus: ...
    async def release(self, running: Running, status: ExitStatus) -> None: ...
    async def take_away(self, remains: Remains) -> None: ...
    async def forget(self, remains: Remains) -> None: ...
    async def forget_execution(self, executed_id: str) -> None: ...


class Finding(Protocol):
    """Finds again what runs after a daemon's death, or a keeper's; see `insula.engine.launch.succession`."""

    async def held(self) -> list[Held]: ...
    async def entered(self) -> list[HeldEntered]: ...
    def opened(self, entered: HeldEntered) -> EnteredProcess | None: ...
    def labels(self) -> GuestLabels: ...
    def handle(self, record: ContainerRecord) -> Running: ...
    def unrecorded(self, held: Held, name: str) -> Running: ...
    async def recover(self, record: ContainerRecord) -> Running | None: ...
    async def adopt(self, running: Running) -> None: ...
    async def adopt_execution(self, executed: EnteredProcess, born: int | None) -> None: ...
    async def keep(self, running: Running) -> None: ...


class Mounting(Protocol):
    """Changes which mounts run with a guest; see `insula.engine.launch.mountchanges`."""

    async def attach(self, running: Running, mount: Mount, write: WriteRecord) -> None: ...
    async def detach(self, running: Running, target: str, write: WriteRecord, *, force: bool) -> None: ...
    async def settle(self, running: Running, write: WriteRecord) -> None: ...


class NodeChanging(Protocol):
    """Changes which device nodes run with a guest; see `insula.engine.launch.nodechanges`."""

    async def attach_device(self, running: Running, device: Device, write: WriteRecord) -> None: ...
    async def detach_device(self, running: Running, device: Device, write: WriteRecord) -> None: ...
    async def settle(self, running: Running, write: WriteRecord) -> None: ...


class ViewRenewing(Protocol):
    """Renews what running guests see of the host; see `insula.engine.launch.viewrenewal`."""

    async def renew(self, running: Running, target: str, write: WriteRecord, *, access: Access) -> None: ...


class Changing(Protocol):
    """Takes back what changes of what runs have left; see `insula.engine.launch.changes`."""

    async def settle(self, running: Running, write: WriteRecord) -> None: ...


class Plugging(Protocol):
    """Changes which interfaces run with a guest; see `insula.engine.launch.interfacechanges`."""

    async def attach(self, running: Running, interface: Interface, write: WriteRecord) -> None: ...
    async def detach(self, running: Running, guest: str, write: WriteRecord) -> None: ...
    async def change_port(self, running: Running, interface: Interface, write: WriteRecord) -> None: ...
    async def revive(self, running: Running, guest: str, write: WriteRecord) -> None: ...
    async def adopt(self, running: Running) -> None: ...
    async def settle(self, running: Running, write: WriteRecord) -> None: ...


class ContainerEngine(Protocol):
    """Launches containers and ends them; see `insula.engine.launch.launcher` for what each does and raises."""

    @property
    def facts(self) -> Facts: ...
    def plan(self, spec: ContainerSpec) -> LaunchPlan: ...
    def program(self, spec: ContainerSpec) -> Program: ...
    def get_ready(self, spec: ContainerSpec) -> None: ...
    async def launch(
        self,
        spec: ContainerSpec,
        *,
        inherited: Sequence[int] = (),
        paused: bool = False,
        processors: str | None = None,
        write_intent: Callable[[Remains], None] | None = None,
        while_inside: Callable[[Running], None] | None = None,
    ) -> Running: ...
    async def resume(self, running: Running) -> None: ...
    @property
    def teardown(self) -> Ending: ...
    @property
    def entrance(self) -> Entering: ...
    @property
    def mounts(self) -> Mounting: ...
    @property
    def nodes(self) -> NodeChanging: ...
    @property
    def views(self) -> ViewRenewing: ...
    @property
    def changes(self) -> Changing: ...
    @property
    def interfaces(self) -> Plugging: ...
    @property
    def succession(self) -> Finding: ...
    async def signal(self, running: Running, number: int) -> None: ...
    async def namespaces(self, running: Running) -> list[Fd]: ...


Remark = Callable[[str], None]


def unheard(text: str) -> None:
    """A remark that nobody asked for."""


class Preparation(Protocol):
    """What a start needs of the host before the engine, and what an end gives back. grants: of device classes."""

    @property
    def grants(self) -> DeviceGrants: ...

    def specify(self, domain: DomainDefinition, pid_of: PidOf, remark: Remark = unheard) -> ContainerSpec:
        """Return what the engine is to launch; the files and ids it needs are there.

        remark: takes what an administrator should know of what the guest gets, in words.
        Raises: UnsupportedConfigError for a domain that cannot, or must not, be started.
        """
        ...

    def root(self, domain: DomainDefinition) -> tuple[Root, IdMap | None]:
        """Return the root that a start would have, made if it is not there, and the domain's ids.

        Raises: UnsupportedConfigError, ImageNotFoundError, ResourceBusyError, OperationFailedError, OSError.
        """
        ...

    def reserve(self, domain: DomainDefinition) -> IdMap | None:
        """Give a defined domain the ids that are its own until it is undefined, and return them; None: it needs none.

        Raises: OperationFailedError.
        """
        ...

    def rehearse(self, domain: DomainDefinition, pid_of: PidOf, *, idmap: IdMap | None = None) -> ContainerSpec:
        """Return what specify would, with nothing made: for a plan that is only looked at. idmap: its ids, if known."""
        ...

    def is_ready(self, domain: DomainDefinition, idmap: IdMap | None) -> bool:
        """Whether nothing has to be made for a start of a domain to which `reserve` gave these ids."""
        ...

    def require_networks(self, domain: DomainDefinition) -> None:
        """Raises: InsulaError if a network of the domain's cards is not there, or not active, now."""
        ...

    def plug(self, card: Card, guest: str) -> Interface:
        """Return what the engine is to connect for one card of a running domain, under that name in the guest.

        Raises: UnsupportedConfigError; OperationFailedError for a network that has none to give.
        """
        ...

    def owns_storage(self, uuid: UUID) -> bool:
        """Whether the domain has a writable layer that was made for it."""
        ...

    def keep(self, uuid: UUID, *, ephemeral: bool) -> None:
        """Note whether the domain's storage is to vanish with its run; that survives us, and the host's reboot."""
        ...

    def doomed(self, uuid: UUID) -> bool:
        """Whether the domain's storage is noted to vanish."""
        ...

    def all_doomed(self) -> frozenset[UUID]:
        """Return all domains whose storage is noted to vanish."""
        ...

    def discard(self, uuid: UUID) -> None:
        """Remove the writable layer, if there is one, and what keep noted."""
        ...

    def release(self, uuid: UUID) -> None:
        """Let others have the ids of a domain that is no more."""
        ...

    def release_others(self, domains: frozenset[UUID]) -> None:
        """Let others have the ids of all domains that are not among these, which are no more."""
        ...

    def sweep(self, runs: frozenset[UUID]) -> None:
        """Discard what was to vanish with runs that are not among these."""
        ...
