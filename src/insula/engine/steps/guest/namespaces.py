"""Steps that settle a process in its namespaces."""

import os
import socket
import struct
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.program.builder import Builder
from insula.engine.steps.guest.gueststep import GuestStep
from insula.kernel.process import NAMESPACE_FLAGS, CloneFlag

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeNetwork(GuestStep):
    """Make a network namespace; it takes longer than all the others together, so the child does it while others work.

    netlink: hand the keeper a netlink socket opened inside, through which the host's side configures interfaces.
    """

    phrase: ClassVar[str] = "make the network namespace"

    netlink: bool

    def compile(self, program: Builder) -> None:
        program.unshare(CloneFlag.NEWNET)
        if self.netlink:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            netlink = program.call("socket", socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
            program.say({"netlink": True}, {"netlink": netlink})
            program.close(netlink)


@dataclass(frozen=True, kw_only=True, slots=True)
class JoinGroups(GuestStep):
    """Move into the control groups whose `tasks` files were passed as join0 and so on.

    A thread that moves itself waits for nobody, unlike one that is moved, and the opener's credentials count.
    """

    phrase: ClassVar[str] = "join the control groups of the {count} v1 hierarchies"

    count: int

    def compile(self, program: Builder) -> None:
        for number in range(self.count):
            joined = program.passed(f"join{number}")
            program.write(joined, "0")
            program.close(joined)


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeTime(GuestStep):
    """Make a time namespace for children, whose offsets the host sets before it is entered."""

    phrase: ClassVar[str] = "make the time namespace"

    def compile(self, program: Builder) -> None:
        program.unshare(CloneFlag.NEWTIME)


@dataclass(frozen=True, kw_only=True, slots=True)
class BecomeRoot(GuestStep):
    """Take the ids that are root's inside the user namespace, once its maps are written."""

    phrase: ClassVar[str] = "become the guest's root"

    def compile(self, program: Builder) -> None:
        program.set_ids(0, 0)
        # A change of ids makes a process dumpable again: proc_pid_coredump_filter(5), PR_SET_DUMPABLE.
        program.set_dumpable(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RootTheGroups(GuestStep):
    """Make a cgroup namespace whose root is where this process is now."""

    phrase: ClassVar[str] = "let the container's control group be the root of all it sees"

    def compile(self, program: Builder) -> None:
        program.unshare(CloneFlag.NEWCGROUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterTime(GuestStep):
    """Enter the time namespace this process made for its children, whose offsets are set by now."""

    phrase: ClassVar[str] = "enter the time namespace"

    def compile(self, program: Builder) -> None:
        made = program.open("/proc/self/ns/time_for_children", os.O_RDONLY)
        program.setns(made, CloneFlag.NEWTIME)
        program.close(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class SetHostname(GuestStep):
    """Set the UTS namespace's host name."""

    phrase: ClassVar[str] = "set the host name to {name}"

    name: str

    def compile(self, program: Builder) -> None:
        program.call("sethostname", program.text(self.name), program.size(self.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class BringUpLoopback(GuestStep):
    """Switch lo on. Source: netdevice(7)."""

    phrase: ClassVar[str] = "bring the loopback interface up"

    def compile(self, program: Builder) -> None:
        control = program.call("socket", socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
        program.call("ioctl", control, _SIOCSIFFLAGS, program.constant(struct.pack("16sh22x", b"lo", _IFF_UP)))
        program.close(control)


@dataclass(frozen=True, kw_only=True, slots=True)
class EnterContainer(GuestStep):
    """Join every namespace of the container's init but the PID one, which this process was born into.

    One call does it for all, so nothing of the guest is looked up on the way; it also moves root and working directory
    to the guest's root.
    """

    phrase: ClassVar[str] = "enter the container's {kinds} namespaces"

    kinds: list[str]

    def compile(self, program: Builder) -> None:
        flags = CloneFlag.NOTHING
        for kind in self.kinds:
            flags |= NAMESPACE_FLAGS[kind]
        program.setns(program.passed("init"), flags)
        program.set_dumpable(False)
