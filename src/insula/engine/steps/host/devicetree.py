"""The step that makes a guest's /dev: a file system of the host's, so that its nodes work in user namespaces too."""

import contextlib
import os
import stat
from dataclasses import dataclass, replace
from typing import ClassVar

from insula.engine.launch.holdings import Holding
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute, detached_copy, make_filesystem
from insula.kernel.partsofmounts import part_of

_KINDS = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceNode:
    """A device node. name: below /dev; uid, gid: the host's."""

    name: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeDevices(HostStep):
    """Make a tree with nodes, links and empty directories, owned by the guest's root.

    links: pairs of name and target; directories, files: places for what is mounted later.
    """

    phrase: ClassVar[str] = "make /dev with {nodes}"

    name: str
    nodes: tuple[DeviceNode, ...]
    links: tuple[tuple[str, str], ...]
    directories: tuple[str, ...]
    files: tuple[str, ...]
    uid: int
    gid: int

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        options = [("mode", "755"), ("size", "1m"), ("uid", str(self.uid)), ("gid", str(self.gid))]
        tree = context.fds[self.name] = make_filesystem("tmpfs", options, attributes=MountAttribute.NO_SUID)
        for directory in self.directories:
            self._make_directory(tree, directory)
        for node in self.nodes:
            self._make_node(tree, with_numbers(node, context))
        for path in self.files:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=tree))
            os.chown(path, self.uid, self.gid, dir_fd=tree)
        for link, target in self.links:
            os.symlink(target, link, dir_fd=tree)
            os.chown(link, self.uid, self.gid, dir_fd=tree, follow_symlinks=False)
        return ()

    def _make_directory(self, tree: Fd, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, dir_fd=tree)
            # Whatever our umask is.
            os.chmod(path, 0o755, dir_fd=tree)
            os.chown(path, self.uid, self.gid, dir_fd=tree)

    def _make_node(self, tree: Fd, node: DeviceNode) -> None:
        parts = node.name.split("/")
        for depth in range(1, len(parts)):
            self._make_directory(tree, "/".join(parts[:depth]))
        _make_node(tree, node.name, node)


def with_numbers(node: DeviceNode, context: HostContext) -> DeviceNode:
    """Return a node with the numbers of the image that it shows, itself if it shows none."""
    rule = context.images.get(node.name)
    if rule is None or rule.major is None or rule.minor is None:
        return node
    return replace(node, major=rule.major, minor=rule.minor)


def _make_node(tree: Fd, name: str, node: DeviceNode) -> None:
    os.mknod(name, _KINDS[node.kind] | node.mode, os.makedev(node.major, node.minor), dir_fd=tree)
    # Whatever our umask is.
    os.chmod(name, node.mode, dir_fd=tree)
    os.chown(name, node.uid, node.gid, dir_fd=tree)


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyNode(HostStep):
    """Take one of the host's own nodes, to be shown in the guest: where making nodes is not permitted."""

    phrase: ClassVar[str] = "take the device {path} as {name}"

    name: str
    path: str

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        context.fds[self.name] = detached_copy(self.path)
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeNode(HostStep):
    """Make one node, to be shown in a guest that runs: on a file system of ours, so that it works there."""

    phrase: ClassVar[str] = "make the device {node} as {name}"

    name: str
    node: DeviceNode

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        options = [("mode", "700"), ("size", "4k"), ("nr_inodes", "2")]
        tree = context.keep(make_filesystem("tmpfs", options, attributes=MountAttribute.NO_SUID))
        _make_node(tree, "node", with_numbers(self.node, context))
        context.fds[self.name] = part_of(tree, "node")
        return ()
