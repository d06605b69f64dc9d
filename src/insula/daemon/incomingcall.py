"""What a handler of a procedure is given, and what it gives back."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, Protocol, TypeVar
from uuid import UUID

from insula.daemon.access import AccessCheck, Seen
from insula.daemon.authority.authentication import Authentication
from insula.daemon.partings import part_with
from insula.daemon.serverstreams import StreamJob
from insula.daemon.subscriptions import Subscriptions
from insula.errors import InvalidArgumentError
from insula.kernel.fds import close_all
from insula.rpc.arrivals import Call
from insula.service.bootsequence import BootSequence
from insula.service.channels import ChannelVerbs
from insula.service.consoles import ConsoleVerbs
from insula.service.conversions import ConversionVerbs
from insula.service.coredumps import CoreDumpVerbs
from insula.service.daemondoctor import DaemonDoctor
from insula.service.defining import DefinitionVerbs
from insula.service.devicechanges import DeviceVerbs
from insula.service.deviceoffers import DeviceOffers
from insula.service.disks import DiskVerbs
from insula.service.documents import Documents
from insula.service.domains import Domains
from insula.service.events import Events
from insula.service.explaining import ExplainVerbs
from insula.service.guest import GuestVerbs
from insula.service.guestaccess import AccessVerbs
from insula.service.guestfilesystems import GuestFilesystemVerbs
from insula.service.guesthealth import GuestHealth
from insula.service.guestreadiness import GuestReadiness
from insula.service.guestsystem import GuestSystemVerbs
from insula.service.host import HostNode
from insula.service.images import Images
from insula.service.incoming import IncomingDocuments
from insula.service.incomingnetworks import IncomingNetworks
from insula.service.interfacetuning import InterfaceTuningVerbs
from insula.service.lifecycle import LifecycleVerbs
from insula.service.lifecycleactions import LifecycleActionVerbs
from insula.service.memorytuning import MemoryVerbs
from insula.service.metadata import MetadataVerbs
from insula.service.networkoffers import NetworkOffers
from insula.service.networks import VirtualNetworks
from insula.service.networkverbs import NetworkVerbs
from insula.service.nwfilters import FilterVerbs
from insula.service.planning import PlanVerbs
from insula.service.processes import ProcessVerbs
from insula.service.shutdown import ShutdownVerbs
from insula.service.tuning import TuningVerbs
from insula.service.vcpuverbs import VcpuVerbs


class Identified(Protocol):
    """What has a UUID."""

    @property
    def uuid(self) -> UUID: ...


T = TypeVar("T", bound=Identified)
Values = tuple[Any, ...]
"""A reply's values, in the order of the row's results."""
Answer = Values | None
Work = Coroutine[Any, Any, Answer]
"""An answer that takes its time."""
Handler = Callable[..., Answer | Work]
"""Answers one procedure. A plain function answers at once and never waits; a coroutine function runs as a task.

It is given the request, then the row's arguments in their order; the domain that the first one refers to is looked up
before. None stands for no values.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The services that handlers call. daemon_info: what the daemon says about itself, JSON values."""

    domains: Domains
    documents: Documents
    incoming: IncomingDocuments
    conversions: ConversionVerbs
    access: AccessVerbs
    definitions: DefinitionVerbs
    lifecycle: LifecycleVerbs
    boot: BootSequence
    readiness: GuestReadiness
    health: GuestHealth
    shutdown: ShutdownVerbs
    planning: PlanVerbs
    tuning: TuningVerbs
    interface_tuning: InterfaceTuningVerbs
    vcpus: VcpuVerbs
    memory: MemoryVerbs
    metadata: MetadataVerbs
    lifecycle_actions: LifecycleActionVerbs
    core_dumps: CoreDumpVerbs
    devices: DeviceVerbs
    device_offers: DeviceOffers
    disks: DiskVerbs
    guest: GuestVerbs
    explaining: ExplainVerbs
    doctor: DaemonDoctor
    guest_system: GuestSystemVerbs
    guest_filesystems: GuestFilesystemVerbs
    processes: ProcessVerbs
    consoles: ConsoleVerbs
    channels: ChannelVerbs
    host: HostNode
    events: Events
    images: Images
    networks: VirtualNetworks
    network_verbs: NetworkVerbs
    network_offers: NetworkOffers
    incoming_networks: IncomingNetworks
    filters: FilterVerbs
    daemon_info: Callable[[], dict[str, Any]]


class ClientConnection(Protocol):
    """What a handler may know of, and do to, the connection a call came from."""

    @property
    def authentication(self) -> Authentication: ...

    @property
    def access(self) -> AccessCheck: ...

    @property
    def passes_fds(self) -> bool:
        """Whether file descriptors can go along with calls and answers."""

    @property
    def subscriptions(self) -> Subscriptions: ...

    @property
    def close_callback(self) -> bool:
        """Whether the client wants to hear when its connection ends."""

    @close_callback.setter
    def close_callback(self, wanted: bool) -> None: ...

    @property
    def bulk(self) -> asyncio.Lock:
        """Held while an answer is made that takes long: one at a time for each user."""

    def open(self, *, read_only: bool) -> None:
        """The client has opened the driver. Raises: OperationInvalidError if it had already."""

    def close_soon(self) -> None:
        """Hang up once everything queued has been sent."""

    def start_keepalive(self) -> None:
        """The client answers pings: watch it."""


@dataclass(kw_only=True, slots=True)
class IncomingCall:
    """One call being answered.

    reply_fds: what the reply is to carry; closed once sent. job: serves the stream that the reply opens. seen: keys of
    the things that a list may name, None for all.
    """

    call: Call
    client: ClientConnection
    services: Services
    reply_fds: list[int] = field(default_factory=list)
    job: StreamJob | None = None
    seen: Seen = None

    def take_fds(self) -> Sequence[int]:
        """Hand over the descriptors that came with the call; the taker closes them."""
        fds, self.call = self.call.fds, self.call._replace(fds=())
        return fds

    def visible(self, things: Iterable[T]) -> Iterable[T]:
        """Return those that the client may see, of things that have UUIDs."""
        return things if self.seen is None else [each for each in things if each.uuid in self.seen]

    def allow_flags(self, flags: int, allowed: int) -> None:
        """Refuse bits that mean nothing here, in libvirt's words.

        Raises: InvalidArgumentError.
        """
        if unknown := flags & ~int(allowed):  # an IntFlag's own complement has only the bits that have names
            raise InvalidArgumentError(f"unsupported flags (0x{unknown:x}) in function {self.call.procedure.api}")

    def exclusive_flags(self, flags: int, one: IntFlag, other: IntFlag) -> None:
        """Refuse two flags together that say the opposite of each other. Raises: InvalidArgumentError."""
        if flags & one and flags & other:
            raise InvalidArgumentError(
                f"flags '{one.name}' and '{other.name}' in function '{self.call.procedure.api}' are mutually exclusive"
            )

    def dispose(self) -> None:
        """Close the descriptors nobody took, and let go of a stream that never opened."""
        part_with(self.call.fds)
        close_all(self.reply_fds)
        self.call = self.call._replace(fds=())
        self.reply_fds = []
        if self.job is not None:
            self.job.release()
            self.job = None
