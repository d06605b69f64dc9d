"""What is found before a guest starts: which init its root has, what that would try in vain, and who resolves names.

What is read is the guest's, looked up by fd, never leaving the root.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from insula.engine.accounts import find_group
from insula.engine.fragments.guestdevices import host_id
from insula.engine.fragments.premounts import mounts_nothing_new
from insula.engine.guestfstab import MOUNTED_BY_USERS, entries, failing_units
from insula.engine.guestinit import detect
from insula.engine.guestnames import name_files
from insula.engine.interfacespec import NetworkKind
from insula.engine.securitymodule import own_profile
from insula.engine.spec import (
    Access,
    ContainerSpec,
    Device,
    DirectoryRoot,
    ImageRoot,
    InitKind,
    NameFiles,
    Namespace,
    OverlayRoot,
    Root,
    TmpfsRoot,
)
from insula.engine.systemdversion import KNOWS_V2, systemd_version
from insula.errors import OperationFailedError, ResourceBusyError
from insula.kernel.beneath import CONTAINED, open_beneath, text_of
from insula.kernel.fds import Fd, close_all
from insula.kernel.mountedimage import mounted_image

_FSTAB = "etc/fstab"
_GROUPS = "etc/group"
_NAMED = "/run/netns/"
_MOST_BYTES = 1 << 16
_MOST_BYTES_OF_GROUPS = 1 << 20
"""Far more than the groups of any distribution; those of devices are among its first."""


def looked_through(spec: ContainerSpec, *, mounting: bool = True) -> ContainerSpec:
    """Return the spec with what its root tells, its host where it shares that one's network, and its profile.

    That is the kind of its init, units of its systemd that could but fail, which control groups that knows, its
    resolver, where it keeps names, and the numbers of its groups that devices are to belong to.
    mounting: an image is mounted for it, which whoever else uses that image must not; else it tells nothing.
    Raises: as `mounted_root`.
    """
    with opened_layers(spec.root, mounting=mounting) as layers:
        kind = kind_of_init(layers, spec.init.argv)
        knows_v2 = kind is not InitKind.SYSTEMD or _knows_v2(spec, layers)
        units = _failing_units(spec, layers) if kind is InitKind.SYSTEMD else ()
        resolver, names = _resolver(spec), _name_files(spec, layers)
        devices = _owned_devices(spec, layers) if any(each.groups for each in spec.devices) else spec.devices
    found = replace(
        spec,
        init_kind=kind,
        skipped_units=units,
        resolver=resolver,
        name_files=names,
        devices=devices,
        knows_v2=knows_v2,
        profile=own_profile(privileged=spec.idmap is None) if spec.profile is None else spec.profile,
    )
    return spec if found == spec else found


@contextmanager
def opened_layers(root: Root, *, mounting: bool = True) -> Iterator[list[Fd]]:
    """Open the layers of a root that there are, the top one first; they are closed after that."""
    match root:
        case DirectoryRoot():
            paths: tuple[str, ...] = (root.path,)
        case OverlayRoot():
            paths = (root.upper, *root.lower)
        case TmpfsRoot():
            paths = root.lower
        case ImageRoot():
            paths = ()
    layers: list[Fd] = []
    try:
        if isinstance(root, ImageRoot) and mounting:
            # As it will be mounted: what has to be replayed of its journal is replayed once.
            layers.append(mounted_root(root))
        for path in paths:
            # A rehearsal's layer may not be made yet; a missing root is told by the launch, by name.
            with suppress(FileNotFoundError):
                layers.append(Fd(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)))
        yield layers
    finally:
        close_all(layers)


def mounted_root(root: ImageRoot) -> Fd:
    """Return a root that is an image, as a mount attached nowhere.

    Raises: ResourceBusyError while others use the image; OperationFailedError.
    """
    try:
        return mounted_image(
            root.source,
            fstype=root.fstype,
            start=root.start,
            size=root.size,
            read_only=root.access is Access.READ_ONLY,
        )
    except OSError as error:
        kind = ResourceBusyError if error.errno == errno.EBUSY else OperationFailedError
        raise kind(f"'{root.source}' cannot be the root: {error.strerror}") from error


def _name_files(spec: ContainerSpec, layers: Sequence[Fd]) -> NameFiles:
    """Return where names are kept in its root, as far as anything of that is to be told otherwise."""
    shared = spec.network is NetworkKind.HOST or any(each.kind is Namespace.NETWORK for each in spec.shared_namespaces)
    if not (spec.nameservers or spec.search_domains or spec.hosts or shared):
        return NameFiles()
    return name_files(layers)


def _owned_devices(spec: ContainerSpec, layers: Sequence[Fd]) -> tuple[Device, ...]:
    """Return its devices with the gids of the guest's own groups; one that it has no such group for keeps its own."""
    text = _text_of(_GROUPS, layers, _MOST_BYTES_OF_GROUPS)
    lines = text.split("\n")

    def owned(device: Device) -> Device:
        gid = find_group(lines, device.groups) if device.groups else None
        return device if gid is None or not _is_mapped(spec, gid) else replace(device, gid=gid)

    return tuple(map(owned, spec.devices))


def _is_mapped(spec: ContainerSpec, gid: int) -> bool:
    return spec.idmap is None or host_id(spec.idmap.gids, gid) is not None


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


def kind_of_init(layers: Sequence[int], argv: Sequence[str]) -> InitKind:
    """Look at the init that is going to start: what is made for it beforehand depends on its kind.

    In the layers one by one, so a program that only their sum would find counts as PLAIN until it runs.
    """
    kinds = (detect(layer, argv) for layer in layers)
    return next((kind for kind in kinds if kind is not InitKind.PLAIN), InitKind.PLAIN)


def _knows_v2(spec: ContainerSpec, layers: Sequence[int]) -> bool:
    """Return whether its systemd does; one that does not say its version is taken for a new one."""
    versions = (systemd_version(layer, spec.init.argv[0]) for layer in layers)
    return next((each for each in versions if each is not None), KNOWS_V2) >= KNOWS_V2


def _failing_units(spec: ContainerSpec, layers: Sequence[Fd]) -> tuple[str, ...]:
    if spec.seccomp.new_mounts:
        # It may mount whatever it likes, but no root as another one.
        mountable = None
    elif mounts_nothing_new(spec):
        mountable = frozenset[str]()
    else:
        fuse = {"fuse"} if any(device.guest == "fuse" for device in spec.devices) else frozenset[str]()
        mountable = MOUNTED_BY_USERS | fuse
    return failing_units(entries(_fstab(layers)), mountable=mountable)


def _fstab(layers: Sequence[Fd]) -> str:
    return _text_of(_FSTAB, layers, _MOST_BYTES)


def _text_of(path: str, layers: Sequence[Fd], most: int) -> str:
    """Return the file of the uppermost layer that has one, empty if that is no file or there is none."""
    for layer in layers:
        try:
            found = open_beneath(layer, path, os.O_PATH, resolve=CONTAINED)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            return ""
        try:
            # In an overlay a device in its place says that there is none.
            return text_of(found, most) if stat.S_ISREG(os.fstat(found).st_mode) else ""
        except OSError:
            return ""
        finally:
            os.close(found)
    return ""
