"""What the daemon tells, as typed values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from insula.rpc.connection import Notification
from insula.rpc.wiretypes import DomainRef

if TYPE_CHECKING:  # only who asks for a state or for what happens pays for the enumerations
    from insula.model.domainstates import DomainState, LifecycleKind, Reason

STANDARD: Final = (0, 1, 2)
"""Our own standard input, output and error."""
Json = Mapping[str, Any]
"""A JSON object, as the daemon sent it."""


class State(NamedTuple):
    """What a domain is doing. reason: None where the state has none that is known."""

    state: "DomainState"
    reason: "Reason | None"


class Usage(NamedTuple):
    """What a domain has and takes. maximum, memory: KiB; cpu_time: nanoseconds."""

    state: "DomainState"
    maximum: int
    memory: int
    cpus: int
    cpu_time: int


class NodeInfo(NamedTuple):
    """The host's hardware. memory: KiB; mhz: megahertz."""

    model: str
    memory: int
    cpus: int
    mhz: int
    nodes: int
    sockets: int
    cores: int
    threads: int


class Statistics(NamedTuple):
    """Bulk statistics of one domain: libvirt's keys, such as `cpu.time`."""

    domain: DomainRef
    values: Mapping[str, int | float | str]


class Lifecycle(NamedTuple):
    """Something that happened to a domain. detail: as the event's own enumeration has it, such as `StoppedDetail`."""

    domain: DomainRef
    event: "LifecycleKind"
    detail: int


class Outcome(NamedTuple):
    """How a domain stopped. status: its guest init's raw wait status, None if that is not known; out_of_memory: that
    was killed because the domain had no memory left."""

    reason: str
    status: int | None
    out_of_memory: bool = False


class Started(NamedTuple):
    """A program started in a domain. terminal: its master, the receiver's to close; None without one."""

    handle: int
    pid: int
    terminal: int | None


class ExecRequest(NamedTuple):
    """A program to be run in a domain.

    argv: the program and its arguments; env: what is added to the environment; cwd: in the guest; user, group: names or
    numbers of the guest; tty: give it a terminal of rows and columns instead of descriptors; capabilities: the set it
    keeps, None for the domain's.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    tty: bool = False
    rows: int = 0
    columns: int = 0
    capabilities: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """What DOMAIN_EXEC takes: the fields that say something."""
        fields = self._asdict()
        defaults = self._field_defaults
        return {name: value for name, value in fields.items() if name not in defaults or value != defaults[name]}


def state_of(number: int, reason: int) -> State:
    """A state as the wire has it; numbers of a newer daemon come back as NOSTATE and None."""
    from insula.model.domainstates import REASONS, DomainState

    try:
        state = DomainState(number)
    except ValueError:
        return State(DomainState.NOSTATE, None)
    reasons = REASONS.get(state)
    try:
        return State(state, reasons(reason) if reasons is not None else None)
    except ValueError:
        return State(state, None)


def lifecycle_of(message: Notification) -> Lifecycle | None:
    """What a lifecycle message says; None if it tells of something that only a newer daemon knows."""
    from insula.model.domainstates import LifecycleKind

    domain, event, detail = message.values.msg
    try:
        return Lifecycle(domain, LifecycleKind(event), detail)
    except ValueError:
        return None


def uuid_text(uuid: bytes) -> str:
    """A UUID as people write it: 8-4-4-4-12."""
    digits = uuid.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
