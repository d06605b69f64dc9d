"""What a look is asked with that visits a running guest: the asker's side of `visit`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from insula.engine.enter.attachment import group_fds, namespaces_of
from insula.engine.spec import Namespace
from insula.kernel.fds import Fd, close_all

if TYPE_CHECKING:
    from insula.engine.launch.runningcontainer import Running
    from insula.engine.spec import ContainerSpec

_STAYED_OUT_OF = frozenset({Namespace.MOUNT, Namespace.TIME})
"""The first one on purpose (`visit`), the other as nothing depends on it."""


def stayed_in(spec: "ContainerSpec") -> list[str]:
    """Return the names, below /proc/PID/ns, of the namespaces that who visits a guest enters."""
    return [each.value for each in namespaces_of(spec) if each not in _STAYED_OUT_OF]


@contextmanager
def visiting(running: "Running", *, frozen: bool = False) -> Iterator[tuple[dict[str, Any], dict[str, Fd]]]:
    """Give the arguments and the descriptors that `visit.visit` takes.

    frozen: the guest may stand still, and who visits it is not held to its limits. Raises: OperationInvalidError if it
    is paused, or has ended.
    """
    if not frozen:
        running.refuse_unless_entered()
    kinds = stayed_in(running.record.spec)
    groups = {} if frozen else group_fds(running.group)
    try:
        yield {"pid": running.pid, "namespaces": kinds}, {"init": running.pidfd, **groups}
    finally:
        close_all(groups.values())
