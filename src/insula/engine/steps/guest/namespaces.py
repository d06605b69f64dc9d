"""Steps that settle a process in its namespaces."""

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.steps.guest.gueststep import ChildContext, GuestStep
from insula.kernel.process import CloneFlag, set_dumpable, set_hostname, setns, unshare

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeNetwork(GuestStep):
    """Make a network namespace; it takes longer than all the others together, so the child does it while others work.

    netlink: hand the keeper a netlink socket opened inside, through which the host's side configures interfaces.
    """

    phrase: ClassVar[str] = "make the network namespace"

    netlink: bool

    def perform(self, context: ChildContext) -> None:
        unshare(CloneFlag.NEWNET)
        if self.netlink:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as netlink:
                context.tell({"netlink": True}, {"netlink": netlink.fileno()})


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinGroups(GuestStep):
    """Move into the control groups whose `tasks` files were passed as join0 and so on.

    A thread that moves itself waits for nobody, unlike one that is moved, and the opener's credentials count.
    """

    phrase: ClassVar[str] = "join the control groups of the v1 hierarchies"

    def perform(self, context: ChildContext) -> None:
        for name, fd in context.fds.items():
            if name.startswith("join"):
                os.write(fd, b"0")


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeTime(GuestStep):
    """Make a time namespace for children, whose offsets the host sets before it is entered."""

    phrase: ClassVar[str] = "make the time namespace"

    def perform(self, context: ChildContext) -> None:
        unshare(CloneFlag.NEWTIME)


@dataclass(frozen=True, kw_only=True, slots=True)
class BecomeRoot(GuestStep):
    """Take the ids that are root's inside the user namespace, once its maps are written."""

    phrase: ClassVar[str] = "become the guest's root"

    def perform(self, context: ChildContext) -> None:
        os.setresgid(0, 0, 0)
        os.setgroups([])
        os.setresuid(0, 0, 0)
        # A change of ids makes a process dumpable again: proc_pid_coredump_filter(5), PR_SET_DUMPABLE.
        set_dumpable(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RootTheGroups(GuestStep):
    """Make a cgroup namespace whose root is where this process is now."""

    phrase: ClassVar[str] = "let the container's control group be the root of all it sees"

    def perform(self, context: ChildContext) -> None:
        unshare(CloneFlag.NEWCGROUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterTime(GuestStep):
    """Enter the time namespace this process made for its children, whose offsets are set by now."""

    phrase: ClassVar[str] = "enter the time namespace"

    def perform(self, context: ChildContext) -> None:
        fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
        setns(fd, CloneFlag.NEWTIME)
        os.close(fd)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetHostname(GuestStep):
    """Set the UTS namespace's host name."""

    phrase: ClassVar[str] = "set the host name to {name}"

    name: str

    def perform(self, context: ChildContext) -> None:
        set_hostname(self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class BringUpLoopback(GuestStep):
    """Switch lo on. Source: netdevice(7)."""

    phrase: ClassVar[str] = "bring the loopback interface up"

    def perform(self, context: ChildContext) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterContainer(GuestStep):
    """Join every namespace of the container's init but the PID one, which this process was born into.

    One call does it for all, so nothing of the guest is looked up on the way; it also moves root and working directory
    to the guest's root.
    """

    phrase: ClassVar[str] = "enter the container's {kinds} namespaces"

    kinds: list[str]

    def perform(self, context: ChildContext) -> None:
        flags = CloneFlag.NOTHING
        for kind in self.kinds:
            flags |= NAMESPACE_FLAGS[kind]
        setns(context.fds["init"], flags)
        set_dumpable(False)


NAMESPACE_FLAGS = {
    "mnt": CloneFlag.NEWNS,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "pid": CloneFlag.NEWPID,
    "net": CloneFlag.NEWNET,
    "user": CloneFlag.NEWUSER,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
}
"""The names below /proc/PID/ns and clone(2)'s flags for them."""
