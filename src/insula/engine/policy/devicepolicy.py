"""Which device nodes a container has and may use, beside those its spec gives it; everything else is refused.

The right to use a device is one thing, a node to reach it by another: inside a user namespace nobody can make nodes, so
what is allowed here is reachable only as far as the launch put nodes there. Both come from the one table below,
whatever puts the rules in force (files of cgroup v1, a program of v2).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from insula.engine.spec import Device
from insula.kernel.cgroups import DeviceRule


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedDevice:
    """A character device of every container.

    minor: None for all of the major number; shown: whether the container's /dev begins with a node of it.
    """

    name: str
    major: int
    minor: int | None
    why: str
    shown: bool = True


_TUNNELS = "net/tun"

DEFAULT = (
    AllowedDevice(name="null", major=1, minor=3, why="every program expects it"),
    AllowedDevice(name="zero", major=1, minor=5, why="every program expects it"),
    AllowedDevice(name="full", major=1, minor=7, why="every program expects it"),
    AllowedDevice(name="random", major=1, minor=8, why="every program expects it"),
    AllowedDevice(name="urandom", major=1, minor=9, why="every program expects it"),
    AllowedDevice(name="tty", major=5, minor=0, why="a process's own terminal"),
    AllowedDevice(name="console", major=5, minor=1, why="where a guest makes a node for the kernel", shown=False),
    AllowedDevice(name="ptmx", major=5, minor=2, why="makes terminals, in the devpts of the guest", shown=False),
    AllowedDevice(
        name="pts/*", major=136, minor=None, why="terminals; the guest's devpts has only its own", shown=False
    ),
    AllowedDevice(
        name=_TUNNELS, major=10, minor=200, why="makes interfaces in the guest's own network namespace, for tunnels"
    ),
)
"""Allowed for every container, but for tunnels. Numbers: the kernel's list of allocated devices, `admin-guide/devices`.

Virtual consoles (4:*) are not among them: they are the host's screen and keyboard. Nor is fuse: while a mount waits for
a server in the guest that does not answer, such as an overlay above one of FUSE, every sync(2) of the host and of other
guests waits too (the kernel's `super_lock`, for what is being mounted).
"""


def default_devices(*, tunnels: bool) -> tuple[AllowedDevice, ...]:
    """Return those of a container. tunnels: not where the network is the host's: there anybody attaches to a tap that
    the host has made for no certain user, and sends frames past all that holds the guest to its addresses."""
    return tuple(each for each in DEFAULT if tunnels or each.name != _TUNNELS)


def device_rules(devices: Iterable[Device], *, tunnels: bool = True) -> tuple[DeviceRule, ...]:
    """Return the policy for a container's control group: the default nodes and those its spec names.

    An image that is not attached yet has no numbers: its rule comes with them. tunnels: as of `default_devices`.
    """
    return (
        *(DeviceRule(kind="c", major=each.major, minor=each.minor) for each in default_devices(tunnels=tunnels)),
        *(
            DeviceRule(kind=each.kind.value, major=each.major, minor=each.minor, access=each.access)
            for each in devices
            if each.access and (each.image is None or each.major)
        ),
    )
