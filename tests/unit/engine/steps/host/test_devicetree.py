"""Tests of insula.engine.steps.host.devicetree."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.steps.host.devicetree import CopyNode, DeviceNode, MakeDevices, TakeNode
from tests.descriptors import open_fds
from tests.unit.engine.steps.host.sites import context, perform
from tests.unit.engine.steps.inchild import in_namespaces

EMPTY = MakeDevices(why="test", name="dev", nodes=(), links=(), directories=(), files=(), uid=0, gid=0)
WHITEOUT = DeviceNode(name="nothing", kind="c", major=0, minor=0, mode=0o640, uid=0, gid=0)
"""The one node that may be made in a user namespace. Source: mknod(2), whiteouts of overlayfs."""


def test_a_tree_has_its_places_and_links_and_belongs_to_the_guests_root() -> None:
    step = replace(
        EMPTY, links=(("fd", "/proc/self/fd"), ("ptmx", "pts/ptmx")), directories=("pts", "shm"), files=("console",)
    )

    def make() -> tuple[set[str], dict[str, str], int, int, int]:
        at = context()
        assert perform(step, at) == ()
        tree = os.open(".", os.O_RDONLY, dir_fd=at.fds["dev"])
        kinds = {name: os.stat(name, dir_fd=tree, follow_symlinks=False) for name in os.listdir(tree)}
        links = {name: os.readlink(name, dir_fd=tree) for name in kinds if stat.S_ISLNK(kinds[name].st_mode)}
        assert {(each.st_uid, each.st_gid) for each in kinds.values()} == {(0, 0)}
        assert os.fstatvfs(tree).f_flag & os.ST_NOSUID
        assert not os.fstatvfs(tree).f_flag & os.ST_NODEV
        return set(kinds), links, kinds["pts"].st_mode, kinds["console"].st_mode, os.fstat(tree).st_mode

    names, links, directory, file, top = in_namespaces(make)
    assert names == {"fd", "ptmx", "pts", "shm", "console"}
    assert links == {"fd": "/proc/self/fd", "ptmx": "pts/ptmx"}
    assert (directory, file, top) == (stat.S_IFDIR | 0o755, stat.S_IFREG | 0o600, stat.S_IFDIR | 0o755)


def test_a_node_below_directories_gets_these_and_its_mode_whatever_the_umask() -> None:
    nodes = (replace(WHITEOUT, name="a/b/nothing", mode=0o666), replace(WHITEOUT, name="a/other"))

    def make() -> list[int]:
        os.umask(0o077)
        at = context()
        perform(replace(EMPTY, nodes=nodes), at)
        return [os.stat(name, dir_fd=at.fds["dev"]).st_mode for name in ("a/b/nothing", "a/other", "a/b")]

    first, second, directory = in_namespaces(make)
    assert (first, second) == (stat.S_IFCHR | 0o666, stat.S_IFCHR | 0o640)
    assert directory == stat.S_IFDIR | 0o755


@pytest.mark.requires("root", "cap.mknod")
def test_nodes_have_their_kind_numbers_and_owners() -> None:
    nodes = (
        DeviceNode(name="null", kind="c", major=1, minor=3, mode=0o666, uid=100000, gid=100000),
        DeviceNode(name="mapper/disk", kind="b", major=253, minor=7, mode=0o660, uid=100000, gid=100006),
    )
    at = context()
    perform(replace(EMPTY, nodes=nodes, uid=100000, gid=100001, directories=("pts",), files=("console",)), at)
    tree = at.fds["dev"]
    null, disk = (os.stat(node.name, dir_fd=tree) for node in nodes)
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev, null.st_uid) == (True, os.makedev(1, 3), 100000)
    assert (stat.S_ISBLK(disk.st_mode), disk.st_rdev, disk.st_gid) == (True, os.makedev(253, 7), 100006)
    for name in ("mapper", "pts", "console", "."):
        made = os.stat(name, dir_fd=tree)
        assert (made.st_uid, made.st_gid) == (100000, 100001), name
    with open(os.open("null", os.O_WRONLY, dir_fd=tree), "wb") as sink:
        sink.write(b"gone")
    at.close()


def test_a_tree_that_fails_half_way_goes_with_the_site() -> None:
    def make() -> None:
        at = context()
        before = len(open_fds())
        with pytest.raises(FileExistsError):
            perform(replace(EMPTY, directories=("pts",), links=(("pts", "elsewhere"),)), at)
        at.close()
        assert len(open_fds()) == before

    in_namespaces(make)


def test_a_node_of_the_hosts_is_taken_as_it_is() -> None:
    def copy() -> bool:
        at = context()
        assert perform(CopyNode(why="test", name="node0", path="/dev/null"), at) == ()
        return os.fstat(at.fds["node0"]).st_rdev == os.stat("/dev/null").st_rdev

    assert in_namespaces(copy)


def test_a_node_that_the_host_lacks_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(FileNotFoundError) as caught:
        in_namespaces(lambda: perform(CopyNode(why="test", name="node0", path=missing), context()))
    assert caught.value.filename == missing


def test_one_node_is_taken_alone_with_its_owner_and_mode() -> None:
    step = TakeNode(why="test", name="node", node=WHITEOUT)

    def take() -> tuple[int, int, int]:
        at = context()
        assert perform(step, at) == ()
        found = os.fstat(at.fds["node"])
        at.close()
        return found.st_mode, found.st_rdev, found.st_uid

    assert in_namespaces(take) == (stat.S_IFCHR | 0o640, 0, 0)
