"""The root of a guest that does not run, as a mount attached nowhere: what is written there the guest will have.

Owners are as the files have them: nothing is mapped, as the guest that they would be mapped for is not there.
"""

import os
import posixpath
from contextlib import ExitStack

from insula.engine.guestroot import mounted_root
from insula.engine.spec import Access, DirectoryRoot, ImageRoot, OverlayRoot, Root
from insula.engine.steps.host.layers import open_layer, refuse_host_root
from insula.errors import UnsupportedConfigError
from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, Propagation, change
from insula.kernel.overlay import stack

_HARMLESS = MountAttribute.NO_DEVICES | MountAttribute.NO_SUID | MountAttribute.NO_EXEC


def stopped_root(root: Root, *, detached_layers: bool) -> Fd:
    """Return the root; the caller closes it, and with that it is gone. Blocking: disks are asked.

    detached_layers: as the host's facts have it. An image below is read-only here too: what changes is copied up.
    Raises: OSError; UnsupportedConfigError for a root that keeps nothing.
    """
    with ExitStack() as held:
        match root:
            case OverlayRoot():
                tree = _overlay(root, held, detached_layers=detached_layers)
            case DirectoryRoot(access=Access.READ_WRITE):
                tree = open_layer(root.path)
            case ImageRoot(access=Access.READ_WRITE):
                tree = mounted_root(root)
            case DirectoryRoot() | ImageRoot():
                raise UnsupportedConfigError("its root is read-only")
            case _:
                raise UnsupportedConfigError("its root forgets everything when it stops")
        try:
            if not isinstance(root, OverlayRoot):
                refuse_host_root(tree, _path_of(root))
            change(tree, add=_HARMLESS, propagation=Propagation.PRIVATE)
        except BaseException:
            os.close(tree)
            raise
        return tree


def _path_of(root: Root) -> str:
    match root:
        case DirectoryRoot(path=path) | ImageRoot(source=path):
            return path
    return "/"


def _overlay(root: OverlayRoot, held: ExitStack, *, detached_layers: bool) -> Fd:
    def keep(descriptor: int) -> Fd:
        held.callback(os.close, descriptor)
        return Fd(descriptor)

    lower = [keep(open_layer(path)) for path in root.lower]
    for layer in lower:
        change(layer, add=MountAttribute.READ_ONLY)
    common = posixpath.commonpath([root.upper, root.work])
    tree = keep(open_layer(common))
    upper, work = (
        keep(os.open(posixpath.relpath(path, common), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree))
        for path in (root.upper, root.work)
    )
    return stack(lower, (tree, upper, work), by_fd=detached_layers)
