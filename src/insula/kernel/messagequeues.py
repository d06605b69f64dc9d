"""POSIX message queues of another IPC namespace. Source: mq_overview(7)."""

from concurrent.futures import ThreadPoolExecutor

from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, make_filesystem
from insula.kernel.process import CloneFlag, setns


def queues_of(namespace: Fd) -> Fd:
    """Return a detached mount that shows the queues of an IPC namespace.

    The kernel lets only the root of the user namespace that it belongs to make one, or a root above, and only from
    inside, so a thread of a moment goes there. Raises: OSError.
    """

    def made() -> Fd:
        setns(namespace, CloneFlag.NEWIPC)
        attributes = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC
        return make_filesystem("mqueue", [], attributes=attributes)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(made).result()
