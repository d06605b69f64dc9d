"""Steps that fetch trees of the host as detached mounts: the root, its layers, and whatever is shown inside it."""

import errno
import os
import posixpath
from dataclasses import dataclass
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep, Layers
from insula.engine.steps.host.owners import map_owners
from insula.kernel.fds import Fd
from insula.kernel.lockedmounts import locked_copy
from insula.kernel.mounts import (
    MountAttribute,
    Propagation,
    change,
    detached_copy,
    make_filesystem,
)
from insula.kernel.overlay import stack


def refuse_host_root(tree: Fd, path: str) -> None:
    """Raise OSError(EPERM) if a tree's top is the host's own root: its init would take the host apart."""
    top, root = os.fstat(tree), os.stat("/")
    if (top.st_dev, top.st_ino) == (root.st_dev, root.st_ino):
        raise OSError(errno.EPERM, "this is the host's own root; a container needs a root of its own", path)


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyTree(HostStep):
    """Take a copy of what is mounted at a path of the host.

    name: how later steps call it; root: it becomes the guest's root.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "take {path} as {name}"

    name: str
    path: str
    read_only: bool
    idmapped: bool
    recursive: bool
    root: bool = False

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        tree = detached_copy(self.path, recursive=self.recursive)
        context.fds[self.name] = tree
        if self.root:
            refuse_host_root(tree, self.path)
        attributes = MountAttribute.READ_ONLY if self.read_only else MountAttribute.NOTHING
        change(tree, add=attributes, propagation=Propagation.PRIVATE, recursive=self.recursive)
        if self.idmapped:
            forgiving = self.read_only and not self.root  # a root of nobody's is none
            map_owners(context, tree, self.path, recursive=self.recursive, read_only=forgiving)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LockTree(HostStep):
    """Lock a tree that goes straight to a guest, which runs or has no user namespace: its root could make it writable,
    or uncover what is below mounts in it. Others cross the keeper's stage (`keeper.mountspace`), which locks them."""

    needs_child: ClassVar[bool] = True  # as what makes the tree does
    phrase: ClassVar[str] = "lock the attributes of {name}"

    name: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        tree = context.fds[self.name]
        context.fds[self.name] = await context.make(lambda: locked_copy(tree), os.close)
        os.close(tree)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeMemory(HostStep):
    """Make an empty file system in memory. size: bytes, None for the kernel's default; owner: the host's ids of the
    guest's root, None for root itself."""

    phrase: ClassVar[str] = "make memory as {name}"

    name: str
    size: int | None
    mode: int
    read_only: bool
    owner: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        options: list[tuple[str, str | int | None]] = [("mode", f"{self.mode:o}")]
        if self.size is not None:
            options.append(("size", str(self.size)))
        attributes = MountAttribute.READ_ONLY if self.read_only else MountAttribute.NOTHING
        if self.owner is not None:
            options += [("uid", str(self.owner[0])), ("gid", str(self.owner[1]))]
            attributes |= MountAttribute.NO_DEVICES
        context.fds[self.name] = make_filesystem("tmpfs", options, attributes=attributes)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenLayers(HostStep):
    """Take copies of directories of the host that become layers of an overlay.

    lower: the top one first; upper, work: on one file system, below one directory.
    """

    phrase: ClassVar[str] = "open the layers {lower}, and {upper} to write to"

    lower: tuple[str, ...]
    upper: str
    work: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        lower = _open_lower(context, self.lower)
        common = posixpath.commonpath([self.upper, self.work])
        tree = context.keep(open_layer(common))
        upper, work = (_open_in(context, tree, posixpath.relpath(path, common)) for path in (self.upper, self.work))
        context.layers = Layers(lower=lower, tree=tree, upper=upper, work=work, mapped_tree=True)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenLayersInMemory(HostStep):
    """Take copies of directories of the host, and make memory to write to: a root that forgets all at its end.

    size: bytes; inodes: how many files; None for the kernel's default of either; owner: the host's ids of the guest's
    root, None for root itself.
    """

    phrase: ClassVar[str] = "open the layers {lower}, and memory to write to"

    lower: tuple[str, ...]
    size: int | None
    inodes: int | None
    owner: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        lower = _open_lower(context, self.lower)
        options: list[tuple[str, str | int | None]] = [("mode", "755")]
        if self.size is not None:
            options.append(("size", str(self.size)))
        if self.inodes is not None:
            options.append(("nr_inodes", str(self.inodes)))
        tree = context.keep(make_filesystem("tmpfs", options))
        for name in ("upper", "work"):
            os.mkdir(name, dir_fd=tree)
            # The guest's root directory gets the upper one's mode, whatever our umask is.
            os.chmod(name, 0o755, dir_fd=tree)
            if self.owner is not None:
                # No id map is needed: whatever is in memory is the guest's own, by the host's ids.
                os.chown(name, *self.owner, dir_fd=tree)
        upper, work = (_open_in(context, tree, name) for name in ("upper", "work"))
        context.layers = Layers(lower=lower, tree=tree, upper=upper, work=work, mapped_tree=False)
        return ()


def _open_lower(context: HostContext, paths: tuple[str, ...]) -> tuple[Fd, ...]:
    layers = []
    for path in paths:
        layer = context.keep(open_layer(path))
        change(layer, add=MountAttribute.READ_ONLY)
        layers.append(layer)
    return tuple(layers)


def open_layer(path: str) -> Fd:
    """Return a copy of a directory of the host, attached nowhere. Raises: OSError; EPERM for the host's own root."""
    tree = detached_copy(path)
    try:
        refuse_host_root(tree, path)
    except OSError:
        os.close(tree)
        raise
    return tree


def _open_in(context: HostContext, tree: Fd, path: str) -> Fd:
    return context.keep(Fd(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)))


@dataclass(frozen=True, kw_only=True, slots=True)
class StackLayers(HostStep):
    """Stack the opened layers into an overlay that becomes the guest's root.

    acting_as: the host's ids of the guest's root, None for a container without a user namespace.
    """

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "stack the layers as {name}"

    name: str
    read_only: bool
    acting_as: tuple[int, int] | None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        layers = context.layers
        if layers is None:
            raise RuntimeError("the plan stacks layers that no step of it opens")
        if self.acting_as is not None:
            for tree in (*layers.lower, *((layers.tree,) if layers.mapped_tree else ())):
                map_owners(context, tree, self.name)
        context.fds[self.name] = stack(
            layers.lower,
            (layers.tree, layers.upper, layers.work),
            by_fd=context.facts.detached_layers,
            acting_as=self.acting_as,
        )
        if self.read_only:
            change(context.fds[self.name], add=MountAttribute.READ_ONLY)
        return ()
