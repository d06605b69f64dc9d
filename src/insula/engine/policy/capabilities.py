"""Which capabilities a container's init keeps, and why it loses the others.

With a user namespace of its own a capability counts only for what that namespace owns, so nearly all stay; what goes
has a meaning for the whole host only, and its absence tells the guest not to try (systemd's ConditionCapability= skips
units). Without one, everything that reaches past the container goes. Source: capabilities(7); the policies are
libvirt's (`<features><capabilities policy=''>`).
"""

from collections.abc import Mapping
from enum import StrEnum

from insula.errors import InvalidArgumentError
from insula.kernel.privileges import CAPABILITIES

HOST_ONLY = {
    "sys_module": "loads code into the host's kernel",
    "sys_rawio": "reads and writes ports, memory and disks past the kernel",
    "sys_time": "sets the host's clock, which no namespace holds",
    "syslog": "reads and empties the host's kernel log",
    "audit_control": "configures the host's audit",
    "audit_read": "reads the host's audit",
    "wake_alarm": "wakes the host from sleep",
    "block_suspend": "keeps the host from sleeping",
    "perfmon": "measures all of the host's processors",
    "bpf": "loads programs into the host's kernel",
}
"""Taken from every container: they have no meaning inside a user namespace."""

PAST_THE_CONTAINER = {
    "mac_admin": "changes the host's mandatory access control",
    "mac_override": "ignores the host's mandatory access control",
    "mknod": "makes nodes of the host's devices; those a container may use are there already",
    "linux_immutable": "makes files that the host's own tools cannot remove",
}
"""Taken besides from a privileged container, whose capabilities count for the host."""


class CapabilityPolicy(StrEnum):
    """What single states are changes to; the values are libvirt's words."""

    DEFAULT = "default"
    """Our safe set."""
    ALLOW = "allow"
    """Everything but what is switched off."""
    DENY = "deny"
    """Nothing but what is switched on."""


def default_kept(*, privileged: bool) -> frozenset[str]:
    """Return what init keeps when nothing is said. privileged: without a user namespace of its own."""
    taken = HOST_ONLY | (PAST_THE_CONTAINER if privileged else {})
    return frozenset(CAPABILITIES) - taken.keys()


def kept(policy: CapabilityPolicy, states: Mapping[str, bool], *, privileged: bool) -> frozenset[str]:
    """Return what init keeps by a policy and single states on top of it (True: on).

    states: by name, lower case, without `cap_`. Raises: InvalidArgumentError for a name that is no capability.
    """
    for name in states:
        if name not in CAPABILITIES:
            raise InvalidArgumentError(f"there is no capability '{name}'; see capabilities(7), without the cap_")
    start = {
        CapabilityPolicy.DEFAULT: default_kept(privileged=privileged),
        CapabilityPolicy.ALLOW: frozenset(CAPABILITIES),
        CapabilityPolicy.DENY: frozenset(),
    }[policy]
    on = {name for name, state in states.items() if state}
    return frozenset((start | on) - (states.keys() - on))
