"""What a guest that runs tells of itself, and its file systems, as verbs: see `verbs`."""

from collections.abc import Sequence
from dataclasses import dataclass

from insula.model.numbers import GuestInfo
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.conversation import Conversation, ask

_SYSTEM = "insula.system"


@dataclass(frozen=True, kw_only=True, slots=True)
class MountedFilesystem:
    """A file system as a guest has it. name: of its device, else of what was mounted; point: where; kind: such as
    ext4."""

    name: str
    point: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemState:
    """What a guest's systemd says of the guest. state: such as running, starting or degraded; failed: how many units
    have failed; failed_units: the names of the first of them."""

    state: str
    failed: int
    failed_units: tuple[str, ...]


def guest_info(domain: DomainRef) -> Conversation[dict[str, int | float | str]]:
    """Return what the guest tells of itself, by libvirt's names (`os.id`, `user.0.name`, `fs.0.used-bytes`).

    Raises: OperationInvalidError if it is off, or paused; OperationTimeoutError if its file system does not answer.
    """
    parameters = yield from ask(Remote.DOMAIN_GET_GUEST_INFO, domain, 0, 0)
    return {name: value for name, _, value in parameters}


def system_state(domain: DomainRef) -> Conversation[SystemState | None]:
    """Return what the guest's systemd says over its bus; None if it has none, or that does not answer.

    Raises: as guest_info.
    """
    parameters = yield from ask(Remote.DOMAIN_GET_GUEST_INFO, domain, GuestInfo.OS, 0)
    said = {name: value for name, _, value in parameters}
    if f"{_SYSTEM}.state" not in said:
        return None
    units = tuple(
        str(value) for name, value in said.items() if name.startswith(f"{_SYSTEM}.failed.") and name.endswith(".name")
    )
    return SystemState(state=said[f"{_SYSTEM}.state"], failed=said[f"{_SYSTEM}.failed.count"], failed_units=units)


def filesystems(domain: DomainRef) -> Conversation[list[MountedFilesystem]]:
    """Return the guest's file systems that keep something, by their mount points. Raises: as guest_info."""
    found, _ = yield from ask(Remote.DOMAIN_GET_FSINFO, domain, 0)
    return [MountedFilesystem(name=each.name, point=each.mountpoint, kind=each.fstype) for each in found]


def quiesce(domain: DomainRef, points: Sequence[str] = ()) -> Conversation[int]:
    """Let a guest stand still with its file systems written out; return how many were.

    points: which are written out, all for none. Raises: as guest_info; InvalidArgumentError.
    """
    count = yield from ask(Remote.DOMAIN_FSFREEZE, domain, list(points), 0)
    return int(count)


def unquiesce(domain: DomainRef) -> Conversation[int]:
    """Let a guest go on that `quiesce` let stand still; return how many file systems that frees, 0 for any other."""
    count = yield from ask(Remote.DOMAIN_FSTHAW, domain, [], 0)
    return int(count)


def trim(domain: DomainRef, point: str | None = None) -> Conversation[None]:
    """Have the devices of file systems that are the guest's alone know which blocks are not used.

    Raises: OperationUnsupportedError if it has none; InvalidArgumentError.
    """
    yield from ask(Remote.DOMAIN_FSTRIM, domain, point, 0, 0)


def dump(
    domain: DomainRef, path: str, *, live: bool = False, crash: bool = False, reset: bool = False
) -> Conversation[None]:
    """Write what its processes have in memory into an archive of ELF cores; return once that is there.

    path: from the root, on the daemon's host; live: not all processes stand still at once; crash, reset: what becomes
    of the guest then. Raises: OperationInvalidError if it is off; OperationFailedError, and there is no file;
    OperationAbortedError if the job was given up.
    """
    from insula.rpc.codes.domaincodes import DumpFlags  # only who dumps pays for it

    flags = DumpFlags.LIVE * live | DumpFlags.CRASH * crash | DumpFlags.RESET * reset
    yield from ask(Remote.DOMAIN_CORE_DUMP, domain, path, flags)
