"""What the system call filter says to a call: found by running the very program that the guest's processes have loaded.

Why it says so stands in the lists that it is made of.
"""

import errno
from collections.abc import Iterator

from insula.engine.explain.callsignatures import signed
from insula.engine.explain.guestconfinement import GuestConfinement
from insula.engine.explain.refusedcall import RefusedCall
from insula.engine.explain.verdict import Layer, LayerVerdict
from insula.engine.policy.callgroups import ForbiddenArgument
from insula.engine.policy.hostpolicy import HOST_WIDE_ARGUMENTS
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.socketpolicy import FAMILIES, NETLINK, TRANSPORTS
from insula.engine.policy.syscalls import FORBIDDEN_ARGUMENTS, IO_URING_CALLS, KEYRING_CALLS, REFUSED, USERFAULTFD_CALLS
from insula.engine.spec import SeccompProfile
from insula.kernel.callfilter import AUDIT_NUMBERS, Condition
from insula.kernel.filtertrial import refusal_of

_X32_CALLS = 0x40000000
_AF_NETLINK = 16
_SOL_TCP = 6
_TCP_ULP = 31
_NO_LINE = "no line of the definition lets it through"


def filter_verdict(call: RefusedCall, guest: GuestConfinement) -> LayerVerdict | None:
    """Return the verdict if the guest's filter has the call fail as it failed, None if the filter lets it pass."""
    if guest.filter_program is None:
        return None
    refusal = refusal_of(
        guest.filter_program, architecture=call.architecture, number=call.number, arguments=call.arguments
    )
    if refusal is None or refusal != call.errno:
        return None
    answer = f"the guest's filter answers this call with {errno.errorcode.get(refusal, str(refusal))}"
    strange = _strange(call)
    if strange:
        return LayerVerdict(layer=Layer.FILTER, evidence=f"{answer}: {strange}", advice=_NO_LINE)
    if call.name in guest.seccomp.refuse:
        why = "it was taken from the profile for this domain"
        if call.name == "socketcall":
            why = "with a share of the host's network, what a 32-bit program's sockets are could not be seen"
        advice = "a 64-bit program makes such sockets"
        return LayerVerdict(layer=Layer.FILTER, evidence=f"{answer}: {why}", advice=advice)
    forbidden = next((each for each in _forbidden(guest) if _meant(each, call)), None)
    change, advice = _change(call, guest, forbidden)
    return LayerVerdict(layer=Layer.FILTER, evidence=f"{answer}: {_why(call, forbidden)}", change=change, advice=advice)


def _strange(call: RefusedCall) -> str:
    if call.architecture == AUDIT_NUMBERS["x86_64"] and call.number & _X32_CALLS:
        return "it is one of the x32 calls, which no distribution's programs make"
    if call.architecture not in AUDIT_NUMBERS.values():
        return "it is a call of another machine's programs"
    return ""


def _why(call: RefusedCall, forbidden: ForbiddenArgument | None) -> str:
    if forbidden is not None:
        return forbidden.why
    for group in REFUSED:
        if call.name in group.names:
            return group.why
    if call.name in ("socket", "socketpair", "setsockopt"):
        return "few guests need that code of the kernel, and any program could have it loaded"
    if call.name == "personality":
        return "this personality lowers the defences of programs that are started later"
    if call.errno == errno.ENOSYS:
        return "it is on no list of what guests may call, as it is newer than the list or of no use to guests"
    return "what it asks for reaches past the guest"


def _forbidden(guest: GuestConfinement) -> Iterator[ForbiddenArgument]:
    yield from FORBIDDEN_ARGUMENTS
    if guest.seccomp.profile is SeccompProfile.MIGRATABLE:
        yield from MIGRATABLE_ARGUMENTS
    if guest.seccomp.new_mounts is False:
        yield from NEW_MOUNT_ARGUMENTS
        yield from HOST_WIDE_ARGUMENTS


def _meant(forbidden: ForbiddenArgument, call: RefusedCall) -> bool:
    return call.name in forbidden.names and all(_holds(each, call) for each in forbidden.conditions)


def _holds(condition: Condition, call: RefusedCall) -> bool:
    return call.arguments[condition.argument] & condition.mask & 0xFFFFFFFF == condition.value


def _change(call: RefusedCall, guest: GuestConfinement, forbidden: ForbiddenArgument | None) -> tuple[str, str]:
    """Return the line that lets it through, and advice."""
    if call.name in ("socket", "socketpair"):
        return _socket_change(call)
    if call.name == "setsockopt":
        if (signed(call.arguments[1]), signed(call.arguments[2])) == (_SOL_TCP, _TCP_ULP):
            return "<insula:allow feature='tcp-ulp'/>", "libraries do TLS themselves without it"
        return "<insula:allow feature='packet-rings'/>", "or listen to the guest's interface on the host"
    if call.name in KEYRING_CALLS:
        return "<insula:allow feature='keyrings'/>", ""
    if call.name in IO_URING_CALLS:
        return "<insula:allow feature='io-uring'/>", "most programs do without; no filter sees what a ring asks for"
    if call.name in USERFAULTFD_CALLS:
        return "<insula:allow feature='userfaultfd'/>", "the host's vm.unprivileged_userfaultfd decides besides"
    if guest.seccomp.new_mounts is False and forbidden in (*NEW_MOUNT_ARGUMENTS, *HOST_WIDE_ARGUMENTS):
        return (
            "<insula:allow feature='mounts'/>",
            "what hides the host's settings from a privileged guest can be taken off then",
        )
    if forbidden in MIGRATABLE_ARGUMENTS:
        return "", "the profile for guests that are migrated refuses it, as CRIU could not dump what it makes"
    return "", f"{_NO_LINE}: {_instead(call.name)}"


_INSTEAD = {
    "settimeofday": "the clock is the host's, set it there",
    "clock_settime": "the clock is the host's, set it there",
    "stime": "the clock is the host's, set it there",
    "init_module": "load the module on the host",
    "finit_module": "load the module on the host",
    "delete_module": "remove the module on the host",
    "swapon": "the guest's swap is the host's, as much as <swap_hard_limit> gives",
    "swapoff": "the guest's swap is the host's, as much as <swap_hard_limit> gives",
    "syslog": "the kernel's log is the host's, read it there",
    "perf_event_open": "measure the guest's processes on the host",
    "kexec_load": "a guest that needs a kernel of its own is a virtual machine",
    "kexec_file_load": "a guest that needs a kernel of its own is a virtual machine",
    "quotactl": "set quotas on the host, on what is shown to the guest",
    "quotactl_fd": "set quotas on the host, on what is shown to the guest",
    "ioctl": "give the device with <hostdev> or <disk>, prepared on the host",
}


def _instead(name: str) -> str:
    return _INSTEAD.get(name, "a guest that needs it is a virtual machine, or does it on the host")


def _socket_change(call: RefusedCall) -> tuple[str, str]:
    family, kind, protocol = (signed(each) for each in call.arguments[:3])
    if call.errno == errno.EAFNOSUPPORT:
        return _allow("family", FAMILIES, family)
    if family == _AF_NETLINK:
        return _allow("netlink", NETLINK, protocol)
    if call.errno == errno.ESOCKTNOSUPPORT:
        return _allow("transport", {"sctp": 5, "dccp": 6}, kind & 0xF)
    return _allow("transport", TRANSPORTS, protocol)


def _allow(attribute: str, names: "dict[str, int]", number: int) -> tuple[str, str]:
    name = next((each for each, known in names.items() if known == number), None)
    if name is None:
        return "", f"{_NO_LINE}: there is no name for number {number}"
    return f"<insula:allow {attribute}='{name}'/>", "the host's kernel must have it, too"
