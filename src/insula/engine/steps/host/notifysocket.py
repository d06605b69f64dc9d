"""The socket by which a guest's init says that it is ready: bound on a file system of the host's, shown in the guest.

Source: sd_notify(3); systemd's Container Interface.
"""

import os
import socket
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, make_filesystem
from insula.kernel.partsofmounts import part_of

_SOCKET = "notify"


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeNotifySocket(HostStep):
    """Make a socket that only the guest's root may send to, each message with who has sent it.

    uid, gid: the host's, of the guest's root.
    """

    phrase: ClassVar[str] = "listen to what init says of its state, as {name}"

    name: str
    uid: int
    gid: int

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        options = [("mode", "700"), ("size", "4k"), ("nr_inodes", "2")]
        attributes = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC
        tree = context.keep(make_filesystem("tmpfs", options, attributes=attributes))
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        context.notices = Fd(listening.detach())
        with socket.socket(fileno=os.dup(context.notices)) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            bound.bind(f"/proc/self/fd/{tree}/{_SOCKET}")
        os.chmod(_SOCKET, 0o600, dir_fd=tree)  # whatever our umask is
        os.chown(_SOCKET, self.uid, self.gid, dir_fd=tree)
        context.fds[self.name] = part_of(tree, _SOCKET)
        return ()
