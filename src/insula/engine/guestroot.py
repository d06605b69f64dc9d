"""What is found before a guest starts: which init its root has, what that would try in vain, and who resolves names.

What is read is the guest's, looked up by fd, never leaving the root.
"""

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace

from insula.engine.fragments.premounts import mounts_nothing_new
from insula.engine.guestfstab import MOUNTED_BY_USERS, entries, failing_units
from insula.engine.guestinit import detect
from insula.engine.interfacespec import NetworkKind
from insula.engine.spec import ContainerSpec, DirectoryRoot, InitKind, Namespace, OverlayRoot, Root, TmpfsRoot
from insula.kernel.beneath import CONTAINED, open_beneath

_FSTAB = "etc/fstab"
_NAMED = "/run/netns/"
_MOST_BYTES = 1 << 16


def looked_through(spec: ContainerSpec) -> ContainerSpec:
    """Return the spec with what its root tells, and its host where it shares that one's network.

    That is the kind of its init, units of its systemd that could but fail, and its resolver.
    """
    kind = kind_of_init(spec.root, spec.init.argv)
    units = _failing_units(spec) if kind is InitKind.SYSTEMD else ()
    resolver = _resolver(spec)
    if (kind, units, resolver) == (spec.init_kind, spec.skipped_units, spec.resolver):
        return spec
    return replace(spec, init_kind=kind, skipped_units=units, resolver=resolver)


def _resolver(spec: ContainerSpec) -> str | None:
    """Return how names are resolved in the network that the guest shares, None if that is not known.

    A namespace by name has a file of its own: ip-netns(8).
    """
    names = [each.path.removeprefix(_NAMED) for each in spec.shared_namespaces if each.kind is Namespace.NETWORK]
    if spec.network is NetworkKind.HOST:
        path = "/etc/resolv.conf"
    elif names and "/" not in names[0]:
        path = f"/etc/netns/{names[0]}/resolv.conf"
    else:
        return None
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "surrogateescape").replace("\0", "")
    except OSError:
        return None


def kind_of_init(root: Root, argv: Sequence[str]) -> InitKind:
    """Look at the init that is going to start: what is made for it beforehand depends on its kind.

    In the layers one by one, so a program that only their sum would find counts as PLAIN until it runs.
    """
    with closing(_layers(root)) as layers:
        kinds = (detect(layer, argv) for layer in layers)
        return next((kind for kind in kinds if kind is not InitKind.PLAIN), InitKind.PLAIN)


def _layers(root: Root) -> Generator[int, None, None]:
    """Yield fds of a root's layers, the top one first; each is open until the next."""
    match root:
        case DirectoryRoot():
            paths: tuple[str, ...] = (root.path,)
        case OverlayRoot():
            paths = (root.upper, *root.lower)
        case TmpfsRoot():
            paths = root.lower
    for path in paths:
        try:
            top = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a rehearsal's layer that is not made yet; a missing root is told by the launch, by name
        try:
            yield top
        finally:
            os.close(top)


def _failing_units(spec: ContainerSpec) -> tuple[str, ...]:
    if spec.seccomp.new_mounts:
        # It may mount whatever it likes, but no root as another one.
        mountable = None
    elif mounts_nothing_new(spec):
        mountable = frozenset[str]()
    else:
        fuse = {"fuse"} if any(device.guest == "fuse" for device in spec.devices) else frozenset[str]()
        mountable = MOUNTED_BY_USERS | fuse
    return failing_units(entries(_fstab(spec.root)), mountable=mountable)


def _fstab(root: Root) -> str:
    """Return the fstab of the uppermost layer that has one, empty if that is no file or there is none."""
    with closing(_layers(root)) as layers:
        for layer in layers:
            try:
                found = open_beneath(layer, _FSTAB, os.O_PATH, resolve=CONTAINED)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                return ""
            try:
                # In an overlay a device in its place says that there is none.
                return _text(found) if stat.S_ISREG(os.fstat(found).st_mode) else ""
            except OSError:
                return ""
            finally:
                os.close(found)
    return ""


def _text(found: int) -> str:
    # Whoever holds a lease on a file would make us wait for it: fcntl(2), "Leases".
    fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, _MOST_BYTES).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
