"""Tests of insula.kernel.overlay, as far as they need no privilege; tests/system/test_overlay.py has the others."""

import errno
import os
from pathlib import Path

import pytest

from insula.kernel import overlay
from insula.kernel.fds import Fd
from insula.kernel.mounts import make_filesystem
from tests.descriptors import open_fds
from tests.unit.engine.steps.inchild import in_namespaces


def test_finding_out_whether_detached_layers_are_taken_leaves_nothing() -> None:
    before = open_fds()
    overlay.takes_detached_layers()
    assert open_fds() == before


def layer(name: str) -> Fd:
    """Return a detached mount with one file in it."""
    made = make_filesystem("tmpfs", [("mode", "755")])
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=made))
    return made


def names_in(mount: int) -> list[str]:
    return sorted(os.listdir(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mount)))


def test_layers_are_stacked_in_the_way_that_the_kernel_is_said_to_take() -> None:
    def stack() -> tuple[list[str], bool]:
        upper = make_filesystem("tmpfs", [("mode", "755")])
        for name in ("upper", "work"):
            os.mkdir(name, dir_fd=upper)
        directories = [os.open(name, os.O_PATH, dir_fd=upper) for name in ("upper", "work")]
        by_fd = overlay.takes_detached_layers()
        lower = [layer("top"), layer("bottom")]
        mount = overlay.stack(lower, (upper, directories[0], directories[1]), by_fd=by_fd)
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=mount))
        return names_in(mount), names_in(directories[0]) == ["new"] and names_in(lower[0]) == ["top"]

    assert in_namespaces(stack) == (["bottom", "new", "top"], True)


def test_the_older_way_works_on_every_kernel_for_reading_too() -> None:
    def stack() -> tuple[list[str], int]:
        before = len(open_fds())
        layers = [layer("top"), layer("bottom")]
        mount = overlay.stack(layers, None, by_fd=False)
        with pytest.raises(OSError, match="Read-only file system"):
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=mount)
        return names_in(mount), len(open_fds()) - before - 3

    names, left = in_namespaces(stack)
    # One fd is what the names were read by.
    assert (names, left) == (["bottom", "top"], 1)


def test_many_layers_are_stacked_in_the_older_way_too_and_the_program_stays_where_it_is() -> None:
    def stack() -> tuple[list[str], bool]:
        before = os.getcwd()
        layers = [layer(f"{number:02}") for number in range(60)]
        return names_in(overlay.stack(layers, None, by_fd=False)), os.getcwd() == before

    assert in_namespaces(stack) == ([f"{number:02}" for number in range(60)], True)


def test_more_layers_than_can_be_named_are_refused() -> None:
    def stack() -> tuple[int | None, str | None]:
        bottom = layer("bottom")
        try:
            overlay.stack([bottom] * 89, None, by_fd=False)
        except OSError as error:
            return error.errno, error.strerror
        return None, None

    assert in_namespaces(stack) == (errno.E2BIG, "89 layers are more than overlayfs takes by name")


def test_layers_that_are_no_mounts_are_refused_either_way(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        for by_fd in (True, False):
            with pytest.raises(OSError, match=r"."):
                overlay.stack([file.fileno()], None, by_fd=by_fd)


def test_an_error_in_the_passing_namespace_comes_back_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(overlay, "unshare", refuse)
    with pytest.raises(PermissionError, match="not here"):
        overlay.stack([0], None, by_fd=False)
