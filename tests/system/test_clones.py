"""Trees that fight back with root's means, and the overlay that a clone is for."""

import asyncio
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from insula.layout import Layout
from insula.storage.builders.catalogue import recipe_for
from insula.storage.imagestore import ImageStore
from insula.storage.removal import remove_tree
from tests import libc
from tests.libc import MountFlag

pytestmark = pytest.mark.machine("mounts")


def remove(directory: Path, name: str) -> None:
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_tree(parent, name)
    finally:
        os.close(parent)


@pytest.mark.requires("cap.linux_immutable")
@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_immutable_and_append_only_files_are_removed(scratch: Path, flag: str) -> None:
    tree = scratch / "tree"
    (tree / "locked").mkdir(parents=True)
    (tree / "locked/file").write_text("x")
    subprocess.run(["chattr", flag, str(tree / "locked/file"), str(tree / "locked"), str(tree)], check=True)
    remove(scratch, "tree")
    assert os.listdir(scratch) == []


def test_device_nodes_and_sockets_are_removed_unopened(scratch: Path) -> None:
    tree = scratch / "tree"
    tree.mkdir()
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    os.mknod(tree / "whiteout", 0o20000, os.makedev(0, 0))
    os.mknod(tree / "disk", 0o60660, os.makedev(8, 0))
    remove(scratch, "tree")
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_in_a_tree_is_not_touched(scratch: Path, kind: str) -> None:
    precious = scratch / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    target = scratch / "tree/deep/mount"
    target.mkdir(parents=True)
    if kind == "bind":
        libc.mount(str(precious), str(target), flags=MountFlag.BIND)
    else:
        libc.mount("none", str(target), "tmpfs")
        (target / "file").write_text("x")
    try:
        with pytest.raises(OSError, match="something is mounted there"):
            remove(scratch, "tree")
        assert (target / "file").read_text() == "x"
    finally:
        libc.unmount(str(target))
    remove(scratch, "tree")
    assert (precious / "file").exists()
    assert os.listdir(scratch) == ["precious"]


@pytest.mark.requires("busybox", "fs.overlay")
def test_a_clone_is_the_image_until_it_is_written_to_and_discarding_it_leaves_the_image(scratch: Path) -> None:
    store = ImageStore(Layout.prefix(scratch))
    asyncio.run(store.build("busybox", recipe_for("busybox")))
    rootfs = store.rootfs("busybox")
    before = sorted(str(each) for each in rootfs.rglob("*"))
    web = uuid4()
    clone = store.clone("busybox", web)
    merged = scratch / "merged"
    merged.mkdir()
    libc.mount(
        "overlay", str(merged), "overlay", options=f"lowerdir={rootfs},upperdir={clone.upper},workdir={clone.work}"
    )
    try:
        assert merged.stat().st_mode == rootfs.stat().st_mode
        (merged / "etc/passwd").write_text("changed")
        (merged / "bin/ls").unlink()
        (merged / "new").mkdir()
    finally:
        libc.unmount(str(merged))
    assert (rootfs / "etc/passwd").read_text().startswith("root:")
    store.clones.discard(web)
    assert sorted(str(each) for each in rootfs.rglob("*")) == before
    assert os.listdir(store.clones.directory) == []


def test_discarding_while_somebody_stands_inside_works(scratch: Path) -> None:
    tree = scratch / "tree/sub"
    tree.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"], cwd=tree) as sleeper:
        remove(scratch, "tree")
        assert os.listdir(scratch) == []
        sleeper.kill()
