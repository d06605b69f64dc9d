"""What the guest's tree is made of: its root, and what the spec shows inside it."""

from insula.engine.facts import Facts
from insula.engine.fragments.memorysizes import memory_sizes
from insula.engine.spec import (
    Access,
    BindMount,
    ContainerSpec,
    DirectoryRoot,
    GuestBindMount,
    ImageMount,
    ImageRoot,
    Mount,
    OverlayRoot,
    TmpfsMount,
    TmpfsRoot,
)
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import AttachMount, MountMemory, ShowElsewhere
from insula.engine.steps.host.hoststep import HostStep
from insula.engine.steps.host.imagemounts import MountImage
from insula.engine.steps.host.layers import (
    CopyTree,
    LockTree,
    MakeMemory,
    OpenLayers,
    OpenLayersInMemory,
    StackLayers,
)
from insula.errors import InvalidArgumentError

ROOT = "root"


def root_tree(spec: ContainerSpec, facts: Facts) -> list[HostStep]:
    """Return the steps that fetch the root: first what can be done before there is a child, then what cannot."""
    owner = None if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid)
    match spec.root:
        case DirectoryRoot(path=path, access=access, idmapped=idmapped):
            return [
                CopyTree(
                    why="the root, under the guest's owners, whatever the host's are",
                    name=ROOT,
                    path=path,
                    read_only=access is Access.READ_ONLY,
                    idmapped=idmapped and spec.idmap is not None,
                    recursive=True,
                    root=True,
                ),
                *_locked(spec, facts, access, ROOT),
            ]
        case ImageRoot(access=access):
            why = "the root, under the guest's owners, whatever the image's are"
            return [_mounted(spec, spec.root, ROOT, why, root=True), *_locked(spec, facts, access, ROOT)]
        case OverlayRoot(lower=lower, upper=upper, work=work):
            why = "the image stays as it is, and what the guest writes is its own"
            opened: HostStep = OpenLayers(why=why, lower=lower, upper=upper, work=work)
        case TmpfsRoot(lower=lower, size=size):
            why = "the image stays as it is, and what the guest writes ends with it"
            sizes = memory_sizes(spec, facts)
            opened = OpenLayersInMemory(
                why=why,
                lower=lower,
                size=sizes.default if size is None else size,
                inodes=sizes.root_inodes,
                owner=owner,
            )
    why = "each layer under the guest's owners, as overlayfs cannot change them itself"
    access = Access.READ_ONLY if root_is_read_only(spec) else Access.READ_WRITE
    stacked = StackLayers(why=why, name=ROOT, read_only=access is Access.READ_ONLY, acting_as=owner)
    return [opened, stacked, *_locked(spec, facts, access, ROOT)]


def root_is_read_only(spec: ContainerSpec) -> bool:
    """Whether the guest must not be able to write to its root."""
    return not isinstance(spec.root, TmpfsRoot) and spec.root.access is Access.READ_ONLY


def is_fetched(mount: Mount) -> bool:
    """Whether a mount shows a tree of the host's, which reaches the guest by an fd."""
    return isinstance(mount, BindMount | ImageMount)


def fetched_alive(spec: ContainerSpec, facts: Facts, mount: Mount, name: str) -> tuple[HostStep, ...]:
    """Return the steps that fetch what is to be attached in a guest that runs: all of it is made on the host.

    Raises: InvalidArgumentError for what is the guest's own (`shown_elsewhere`).
    """
    fetched = _fetched_alive(spec, facts, mount, name)
    if spec.idmap is None:
        return fetched, *_locked(spec, facts, mount.access, name)
    return fetched, LockTree(why="nobody inside can change what was asked for", name=name)


def _locked(spec: ContainerSpec, facts: Facts, access: Access, name: str) -> list[HostStep]:
    """Return the step that keeps a privileged guest's root from making writable what is read-only.

    It may remount what is there (`remount,bind`), and for other guests the keeper's stage locks all trees.
    """
    if spec.idmap is not None or access is not Access.READ_ONLY or not facts.user_namespaces:
        return []
    return [LockTree(why="its root could make it writable", name=name)]


def _fetched(spec: ContainerSpec, mount: BindMount | ImageMount, name: str) -> HostStep:
    read_only, idmapped = mount.access is Access.READ_ONLY, mount.idmapped and spec.idmap is not None
    match mount:
        case BindMount(source=path, recursive=recursive):
            return CopyTree(
                why="asked for", name=name, path=path, read_only=read_only, idmapped=idmapped, recursive=recursive
            )
        case ImageMount():
            return _mounted(spec, mount, name, "asked for")


def _mounted(
    spec: ContainerSpec, image: ImageRoot | ImageMount, name: str, why: str, *, root: bool = False
) -> HostStep:
    return MountImage(
        why=why,
        name=name,
        path=image.source,
        fstype=image.fstype,
        start=image.start,
        size=image.size,
        read_only=image.access is Access.READ_ONLY,
        idmapped=image.idmapped and spec.idmap is not None,
        root=root,
    )


def _fetched_alive(spec: ContainerSpec, facts: Facts, mount: Mount, name: str) -> HostStep:
    read_only = mount.access is Access.READ_ONLY
    owner = None if spec.idmap is None else (spec.idmap.root_uid, spec.idmap.root_gid)
    match mount:
        case BindMount() | ImageMount():
            return _fetched(spec, mount, name)
        case TmpfsMount():
            return MakeMemory(
                why="asked for",
                name=name,
                size=_size(mount, spec, facts),
                mode=mount.mode,
                read_only=read_only,
                owner=owner,
            )
    raise InvalidArgumentError(f"what is to be at {mount.target} is not the host's")


def shown_elsewhere(mount: GuestBindMount) -> GuestStep:
    """Return the step that shows what is the guest's own."""
    read_only = mount.access is Access.READ_ONLY
    return ShowElsewhere(why="asked for", source=mount.source, target=mount.target, read_only=read_only)


def _size(mount: TmpfsMount, spec: ContainerSpec, facts: Facts) -> int | None:
    return memory_sizes(spec, facts).default if mount.size is None else mount.size


def spec_mounts(spec: ContainerSpec, facts: Facts) -> tuple[list[HostStep], list[GuestStep], list[str]]:
    """Return the steps that fetch and show the spec's mounts, in its order, and the names of trees of the host."""
    host: list[HostStep] = []
    inner: list[GuestStep] = []
    fetched: list[str] = []
    for number, mount in enumerate(spec.mounts):
        name = f"mount{number}"
        read_only = mount.access is Access.READ_ONLY
        match mount:
            case BindMount() | ImageMount():
                host.append(_fetched(spec, mount, name))
            case TmpfsMount():
                inner.append(
                    MountMemory(
                        why="asked for",
                        target=mount.target,
                        size=_size(mount, spec, facts),
                        mode=mount.mode,
                        read_only=read_only,
                    )
                )
                continue
            case GuestBindMount():
                inner.append(shown_elsewhere(mount))
                continue
        host += _locked(spec, facts, mount.access, name)
        fetched.append(name)
        inner.append(AttachMount(why="asked for", source=name, target=mount.target))
    return host, inner, fetched
