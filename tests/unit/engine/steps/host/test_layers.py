"""Tests of insula.engine.steps.host.layers, as far as they need no privilege: id maps are tried in tests/system."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from insula.engine.steps.host.hoststep import HostContext, HostStep, Layers
from insula.engine.steps.host.layers import (
    CopyTree,
    OpenLayers,
    OpenLayersInMemory,
    StackLayers,
    refuse_host_root,
)
from insula.kernel.fds import Fd
from insula.kernel.mounts import make_filesystem
from tests.descriptors import open_fds
from tests.unit.engine.steps.host.sites import context, perform
from tests.unit.engine.steps.inchild import in_namespaces

T = TypeVar("T")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in ("tree", "base", "clone/upper", "clone/work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tree/file").write_text("content")
    return tmp_path


def performed(step: HostStep, look: Callable[[HostContext], T]) -> T:
    """Return what is seen at a context where the step was performed, which closes without leaving an fd."""

    def work() -> T:
        before = len(open_fds())
        at = context()
        assert perform(step, at) == ()
        result = look(at)
        at.close()
        assert len(open_fds()) == before
        return result

    return in_namespaces(work)


def attributes(fd: int) -> tuple[bool, int]:
    """Return whether the mount behind an fd is read-only, and the mode of its top."""
    return bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY), stat.S_IMODE(os.fstat(fd).st_mode)


def copy(path: object, *, read_only: bool = False, root: bool = False, recursive: bool = False) -> CopyTree:
    return CopyTree(
        why="test", name="tree", path=str(path), read_only=read_only, idmapped=False, recursive=recursive, root=root
    )


@pytest.mark.parametrize("read_only", [True, False])
def test_a_copy_shows_the_hosts_files_with_the_access_asked_for(host: Path, read_only: bool) -> None:
    def look(at: HostContext) -> tuple[bool, str]:
        with open(os.open("file", os.O_RDONLY, dir_fd=at.fds["tree"])) as file:
            return attributes(at.fds["tree"])[0], file.read()

    assert performed(copy(host / "tree", read_only=read_only, root=True), look) == (read_only, "content")


def test_a_missing_source_is_named(host: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        performed(copy(host / "missing"), lambda at: None)
    assert caught.value.filename == str(host / "missing")


@pytest.mark.parametrize("path", ["/", "/proc/self/root", "/usr/.."])
def test_the_hosts_own_root_is_refused_under_whatever_name(path: str) -> None:
    with pytest.raises(PermissionError, match="the host's own root") as caught:
        performed(copy(path, root=True, recursive=True), lambda at: None)
    assert (caught.value.errno, caught.value.filename) == (errno.EPERM, path)


def test_the_hosts_root_is_known_by_what_it_is_not_by_its_name(host: Path) -> None:
    root, other = os.open("/", os.O_PATH), os.open(host, os.O_PATH)
    with pytest.raises(PermissionError):
        refuse_host_root(Fd(root), "/innocent")
    refuse_host_root(Fd(other), "/")
    os.close(root)
    os.close(other)


def test_layers_are_opened_apart_and_only_the_writable_one_may_be_written(host: Path) -> None:
    step = OpenLayers(
        why="test",
        lower=(str(host / "tree"), str(host / "base")),
        upper=str(host / "clone/upper"),
        work=str(host / "clone/work"),
    )

    def look(at: HostContext) -> tuple[list[bool], list[int], bool, list[int]]:
        layers = at.layers
        assert layers is not None
        return (
            [attributes(fd)[0] for fd in (*layers.lower, layers.tree)],
            [os.fstat(fd).st_ino for fd in layers.lower],
            layers.mapped_tree,
            [os.fstat(fd).st_ino for fd in (layers.tree, layers.upper, layers.work)],
        )

    read_only, lower, mapped, upper = performed(step, look)
    assert read_only == [True, True, False]
    assert lower == [(host / name).stat().st_ino for name in ("tree", "base")]
    assert mapped
    assert upper == [(host / name).stat().st_ino for name in ("clone", "clone/upper", "clone/work")]


def test_what_is_refused_as_a_layer_is_closed(monkeypatch: pytest.MonkeyPatch, host: Path) -> None:
    """The base stands for the host's root, of which a user namespace cannot copy a part."""

    def refuse(tree: Fd, path: str) -> None:
        if path == str(host / "base"):
            raise PermissionError(errno.EPERM, "the host's own root", path)

    monkeypatch.setattr("insula.engine.steps.host.layers.refuse_host_root", refuse)
    step = OpenLayersInMemory(
        why="test", lower=(str(host / "tree"), str(host / "base")), size=None, inodes=None, owner=None
    )

    def work() -> int:
        at = context()
        before = len(open_fds())
        with pytest.raises(PermissionError, match="base"):
            perform(step, at)
        at.close()
        return len(open_fds()) - before

    assert in_namespaces(work) == 0


def test_memory_to_write_to_has_its_size_and_the_modes_of_a_root_whatever_the_umask(host: Path) -> None:
    step = OpenLayersInMemory(why="test", lower=(str(host / "tree"),), size=1 << 20, inodes=9, owner=(0, 0))

    def look(at: HostContext) -> tuple[int, int, bool, int, int]:
        layers = at.layers
        assert layers is not None
        made = os.fstatvfs(layers.tree)
        return (
            made.f_blocks * made.f_frsize,
            made.f_files,
            layers.mapped_tree,
            attributes(layers.upper)[1],
            attributes(layers.work)[1],
        )

    former = os.umask(0o077)
    try:
        assert performed(step, look) == (1 << 20, 9, False, 0o755, 0o755)
    finally:
        os.umask(former)


def test_layers_must_be_opened_before_they_are_stacked() -> None:
    with pytest.raises(RuntimeError, match="stacks layers that no step of it opens"):
        perform(StackLayers(why="test", name="root", read_only=False, acting_as=None), context())


@pytest.mark.parametrize("read_only", [True, False])
def test_the_stack_of_the_opened_layers_becomes_the_named_tree(
    monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    asked: list[object] = []

    def stack(lower: object, upper: object, *, by_fd: bool, acting_as: object) -> Fd:
        asked.append((lower, upper, by_fd, acting_as))
        return make_filesystem("tmpfs")

    monkeypatch.setattr("insula.engine.steps.host.layers.stack", stack)

    def work() -> tuple[list[object], bool]:
        at = context()
        at.layers = Layers(lower=(Fd(7), Fd(8)), tree=Fd(9), upper=Fd(10), work=Fd(11), mapped_tree=True)
        perform(StackLayers(why="test", name="root", read_only=read_only, acting_as=None), at)
        return asked, attributes(at.fds["root"])[0]

    assert in_namespaces(work) == ([((7, 8), (9, 10, 11), True, None)], read_only)
