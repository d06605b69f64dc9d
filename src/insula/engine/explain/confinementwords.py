"""What holds a guest, in words: for who asks why something was refused before it has been tried."""

from collections.abc import Iterator
from dataclasses import dataclass

from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.powerverdicts import ranges
from insula.engine.explain.verdict import Layer
from insula.engine.fragments.kernelfiles import HIDDEN, READ_ONLY
from insula.engine.policy.capabilities import HOST_ONLY, PAST_THE_CONTAINER
from insula.engine.policy.devicepolicy import DEFAULT
from insula.engine.policy.syscalls import REFUSED
from insula.engine.spec import Access, SeccompProfile
from insula.kernel.privileges import CAPABILITIES


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldBy:
    """One layer of a guest's confinement. says: what it does with this guest; change: where the domain's XML has it;
    refused: how often it said no, as far as the kernel counts; None where nobody does."""

    layer: Layer
    says: str
    change: str = ""
    refused: int | None = None


def confinement(guest: GuestConfinement) -> tuple[HeldBy, ...]:
    """Return every layer that holds a guest, the outermost first."""
    return tuple(_layers(guest))


def _layers(guest: GuestConfinement) -> Iterator[HeldBy]:
    yield _namespace(guest)
    yield _filter(guest)
    yield _capabilities(guest)
    yield _devices(guest)
    yield from _paths(guest)
    yield from _limits(guest)
    if guest.security_label not in ("", "unconfined"):
        yield HeldBy(
            layer=Layer.SECURITY_MODULE,
            says=f"its first process is confined as '{guest.security_label}'; the host's log has each denial",
        )


def _namespace(guest: GuestConfinement) -> HeldBy:
    if guest.privileged:
        return HeldBy(
            layer=Layer.USER_NAMESPACE,
            says="none of its own: its root is the host's, and all that keeps it in is what follows",
            change="<insula:privileged/>",
        )
    return HeldBy(
        layer=Layer.USER_NAMESPACE,
        says=f"users {ranges(guest)} are its own; its capabilities count for what belongs to these, and nothing else",
        change="<idmap>, <insula:subordinate ids=''/>",
    )


def _filter(guest: GuestConfinement) -> HeldBy:
    seccomp = guest.seccomp
    if seccomp.profile is SeccompProfile.UNCONFINED and not seccomp.refuse:
        return HeldBy(layer=Layer.FILTER, says="none: every system call reaches the kernel")
    let = [
        *(f"family {each}" for each in seccomp.families),
        *(f"netlink {each}" for each in seccomp.netlink),
        *(f"transport {each}" for each in seccomp.transports),
        *seccomp.allow,
    ]
    refused = sum(len(each.names) for each in REFUSED)
    further = f"; let through besides: {', '.join(let)}" if let else ""
    return HeldBy(
        layer=Layer.FILTER,
        says=f"profile {seccomp.profile.value}: {refused} calls are refused by name, unknown ones fail{further}",
        change="<insula:allow/>",
    )


def _capabilities(guest: GuestConfinement) -> HeldBy:
    missing = sorted(set(CAPABILITIES) - guest.capabilities)
    reasons = {**HOST_ONLY, **PAST_THE_CONTAINER}
    told = [f"{each} ({reasons[each]})" if each in reasons else each for each in missing]
    return HeldBy(
        layer=Layer.CAPABILITY,
        says=f"its first process has not: {', '.join(told)}" if told else "it has every capability",
        change="<features><capabilities policy='default'>",
    )


def _devices(guest: GuestConfinement) -> HeldBy:
    given = [each.guest for each in guest.spec.devices if each.access]
    names = ", ".join(each.name for each in DEFAULT)
    further = f"; of its definition: {', '.join(given)}" if given else ""
    return HeldBy(
        layer=Layer.DEVICES,
        says=f"it may use {names}{further}, and no other node",
        change="<hostdev mode='capabilities'>, <disk>",
    )


def _paths(guest: GuestConfinement) -> Iterator[HeldBy]:
    if guest.privileged:
        yield HeldBy(
            layer=Layer.READ_ONLY,
            says=f"{', '.join(f'/{each}' for each in READ_ONLY)} and /sys are the host's, and read-only",
            change="<insula:sysctl name='' value=''/>",
        )
        yield HeldBy(
            layer=Layer.MASK, says=f"{len(HIDDEN)} paths below /proc and /sys are covered, such as /proc/kcore"
        )
    else:
        yield HeldBy(
            layer=Layer.READ_ONLY,
            says="/sys is read-only; settings below /proc/sys that are the host's belong to nobody inside",
            change="<insula:sysctl name='' value=''/>",
        )
    read_only = [each.target for each in guest.spec.mounts if each.access is Access.READ_ONLY]
    if read_only:
        yield HeldBy(layer=Layer.READ_ONLY, says=f"by its definition: {', '.join(read_only)}", change="<readonly/>")


def _limits(guest: GuestConfinement) -> Iterator[HeldBy]:
    read = guest.readings
    if read.tasks_limit is not None:
        yield HeldBy(
            layer=Layer.PROCESS_LIMIT,
            says=f"{read.tasks} of {read.tasks_limit} processes and threads are there",
            change="<insula:pids limit=''/>",
            refused=read.tasks_refused,
        )
    if read.memory_limit is not None:
        yield HeldBy(
            layer=Layer.MEMORY_LIMIT,
            says=f"{read.memory} of {read.memory_limit} bytes are in use; whoever needs more is killed",
            change="<memory>",
            refused=read.oom_kills,
        )
    for each in guest.spec.resource_limits:
        hard = "unlimited" if each.hard is None else each.hard
        yield HeldBy(
            layer=Layer.RESOURCE_LIMIT,
            says=f"{each.name} is at most {hard} for each process",
            change=f"<insula:rlimit name='{each.name.lower()}' soft='' hard=''/>",
        )
