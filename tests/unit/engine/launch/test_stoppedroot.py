"""The root of a guest that is off: which layers it is made of, and what is none; real ones are in tests/e2e."""

import os
from pathlib import Path
from typing import Any

import pytest

from insula.engine.launch import stoppedroot
from insula.engine.launch.stoppedroot import stopped_root
from insula.engine.spec import Access, DirectoryRoot, ImageRoot, OverlayRoot, Root, TmpfsRoot
from insula.errors import UnsupportedConfigError
from insula.kernel.fds import Fd
from insula.kernel.mounts import MountAttribute
from tests.descriptors import open_fds


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, MountAttribute]]:
    """Directories stand for mounts; returned is what was set on each, by its path."""
    made: list[tuple[str, MountAttribute]] = []

    def change(tree: int, *, add: MountAttribute, **_: Any) -> None:
        made.append((os.readlink(f"/proc/self/fd/{tree}"), add))

    monkeypatch.setattr(stoppedroot, "open_layer", lambda path: Fd(os.open(path, os.O_PATH | os.O_DIRECTORY)))
    monkeypatch.setattr(stoppedroot, "change", change)
    return made


HARMLESS = MountAttribute.NO_DEVICES | MountAttribute.NO_SUID | MountAttribute.NO_EXEC


def test_an_image_is_read_only_below_the_domains_own_layer(
    tmp_path: Path, changes: list[tuple[str, MountAttribute]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("image", "clone/upper", "clone/work", "merged"):
        (tmp_path / each).mkdir(parents=True)
    stacked: list[list[str]] = []

    def stack(lower: list[int], upper: tuple[int, int, int], *, by_fd: bool) -> Fd:
        assert by_fd
        stacked.append([os.readlink(f"/proc/self/fd/{each}") for each in (*lower, *upper)])
        return Fd(os.open(tmp_path / "merged", os.O_PATH | os.O_DIRECTORY))

    monkeypatch.setattr(stoppedroot, "stack", stack)
    before = open_fds()
    root = OverlayRoot(lower=(f"{tmp_path}/image",), upper=f"{tmp_path}/clone/upper", work=f"{tmp_path}/clone/work")
    os.close(stopped_root(root, detached_layers=True))
    names = ("image", "clone", "clone/upper", "clone/work")
    assert stacked == [[str(tmp_path / each) for each in names]]
    assert changes == [(f"{tmp_path}/image", MountAttribute.READ_ONLY), (f"{tmp_path}/merged", HARMLESS)]
    assert open_fds() == before


def test_a_directory_is_taken_without_devices(tmp_path: Path, changes: list[tuple[str, MountAttribute]]) -> None:
    os.close(stopped_root(DirectoryRoot(path=str(tmp_path)), detached_layers=True))
    assert changes == [(str(tmp_path), HARMLESS)]


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (DirectoryRoot(path="/srv", access=Access.READ_ONLY), "its root is read-only"),
        (TmpfsRoot(lower=("/srv",)), "forgets everything"),
    ],
)
def test_a_root_that_keeps_nothing_is_refused(root: DirectoryRoot | TmpfsRoot, reason: str) -> None:
    with pytest.raises(UnsupportedConfigError, match=reason):
        stopped_root(root, detached_layers=True)


@pytest.mark.parametrize("root", [DirectoryRoot(path="/"), ImageRoot(source="/dev/host")], ids=["directory", "device"])
@pytest.mark.usefixtures("changes")
def test_the_hosts_own_root_is_nobodys(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stoppedroot, "mounted_root", lambda _: Fd(os.open("/", os.O_PATH | os.O_DIRECTORY)))
    before = open_fds()
    with pytest.raises(OSError, match="the host's own root"):
        stopped_root(root, detached_layers=True)
    assert open_fds() == before
