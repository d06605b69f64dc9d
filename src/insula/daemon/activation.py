"""What systemd passes to a service: listening sockets, and a place to say that it is ready.

Sources: sd_listen_fds(3), sd_notify(3).
"""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import NamedTuple

_FIRST_FD = 3
_logger = logging.getLogger(__name__)


class PassedSocket(NamedTuple):
    """A listening socket and the name its unit gave it."""

    socket: socket.socket
    name: str


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[PassedSocket]:
    """Return the sockets systemd passed to this very process, and take them out of the environment."""
    count = environment.pop("LISTEN_FDS", "0")
    pid = environment.pop("LISTEN_PID", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    passed = []
    for index in range(int(count)):
        listener = socket.socket(fileno=_FIRST_FD + index)
        listener.set_inheritable(False)
        listener.setblocking(False)
        passed.append(PassedSocket(listener, names[index] if index < len(names) else ""))
    return passed


def notify(*lines: str, environment: MutableMapping[str, str] = os.environ) -> bool:
    """Tell the service manager, such as `READY=1`; return whether there was one to tell."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        _logger.warning("cannot notify the service manager at %s: %s", address, error)
        return False
    return True
