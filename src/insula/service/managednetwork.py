"""One virtual network as the service knows it: what is defined, and what is active."""

from dataclasses import dataclass, field
from uuid import UUID

from insula.errorcodes import ErrorDomain
from insula.errors import NetworkNotFoundError, OperationInvalidError, without_errno
from insula.model.network import NetworkDefinition
from insula.model.networknumbers import NetworkEventKind
from insula.model.numbers import Affect
from insula.service.events import Events, NetworkIdentity, NetworkLifecycle
from insula.service.networkruns import NetworkRun
from insula.service.statelock import LOCK_PATIENCE, StateChangeLock
from insula.service.tasks import BackgroundTasks


def network_refusal(text: str) -> OperationInvalidError:
    """Return the error for what a network's state does not allow, as libvirt's network driver tells it."""
    error = OperationInvalidError(text)
    error.domain = ErrorDomain.NETWORK
    return error


@dataclass(slots=True, kw_only=True)
class ManagedNetwork:
    """A network that is defined, or active, or both.

    name, uuid: never change; config: what is defined, None for a transient one; run: its present life, None while it is
    inactive; remains: of a start or a stop that was cut short, and could not be taken away yet; notices: what an
    administrator should know about it; gone: the registry has it no more; lock: what changes it takes turns there;
    last: what described it last, or will once its first start is over.
    """

    name: str
    uuid: UUID
    config: NetworkDefinition | None = None
    run: NetworkRun | None = None
    remains: NetworkRun | None = None
    autostart: bool = False
    notices: tuple[str, ...] = ()
    gone: bool = False
    patience: float = LOCK_PATIENCE
    tasks: BackgroundTasks = field(default_factory=BackgroundTasks)
    events: Events = field(default_factory=Events)
    lock: StateChangeLock = field(init=False)
    last: NetworkDefinition | None = None

    def __post_init__(self) -> None:
        self.lock = StateChangeLock(
            self.name, noun="network", patience=self.patience, tasks=self.tasks, admit=self._refuse_if_gone
        )

    def _refuse_if_gone(self) -> None:
        if self.gone:
            raise NetworkNotFoundError(f"no network with matching uuid '{self.uuid}'")

    @property
    def ref(self) -> NetworkIdentity:
        return NetworkIdentity(name=self.name, uuid=self.uuid)

    @property
    def is_active(self) -> bool:
        return self.run is not None

    @property
    def is_persistent(self) -> bool:
        return self.config is not None

    @property
    def current(self) -> NetworkDefinition:
        """What describes it now: the live definition, or what is defined; what it was or will be for one
        that is gone, or comes for the first time."""
        found = self.run.network if self.run is not None else self.config or self.last
        if found is None:
            raise NetworkNotFoundError(f"no network with matching uuid '{self.uuid}'")
        return found

    def define(self, config: NetworkDefinition | None) -> None:
        """Take config as what is defined; an active one goes on as it is."""
        self.last = self.current if config is None else None
        self.config = config

    def begin(self, run: NetworkRun) -> None:
        """It is active from now on."""
        self.run, self.notices = run, ()

    def end(self) -> None:
        """It is inactive from now on."""
        if self.run is not None:
            self.last = self.run.network
        self.run = None

    def require_run(self) -> NetworkRun:
        """Return the present run. Raises: OperationInvalidError if it is inactive."""
        if self.run is None:
            raise network_refusal(f"network '{self.name}' is not active")
        return self.run

    def notice(self, text: str) -> None:
        """Tell the administrator something about the network, once."""
        text = without_errno(text)
        if text not in self.notices:
            self.notices = (*self.notices, text)

    def withdraw(self, text: str) -> None:
        """Say something no more that `notice` has said: it is so no more."""
        self.notices = tuple(each for each in self.notices if each != without_errno(text))

    def tell(self, kind: NetworkEventKind) -> None:
        """Tell everybody what has happened to it."""
        self.events.publish(NetworkLifecycle(network=self.ref, kind=kind))


def meant(managed: ManagedNetwork, affect: Affect) -> Affect:
    """Return which definitions affect means in the network's present state, as libvirt resolves it.

    Raises: OperationInvalidError if the live one is meant and it is inactive, or the persistent one of a transient one.
    """
    if affect == Affect.CURRENT:
        affect = Affect.LIVE if managed.is_active else Affect.CONFIG
    if Affect.LIVE in affect and not managed.is_active:
        raise network_refusal("network is not running")
    if Affect.CONFIG in affect and not managed.is_persistent:
        raise network_refusal("cannot change persistent config of a transient network")
    return affect
