"""Tests of insula.engine.steps.host.imagemounts; mounting is tried in tests/system."""

import errno
from pathlib import Path

import pytest

from insula.engine.steps.host.imagemounts import MountImage
from tests.unit.engine.steps.host.sites import context, perform


def image(path: Path, fstype: str | None = None) -> MountImage:
    return MountImage(why="test", name="mount0", path=str(path), fstype=fstype, read_only=True, idmapped=False)


@pytest.mark.parametrize("content", [b"", b"no file system"])
def test_an_image_without_a_file_system_is_named_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(OSError, match="no file system known to us is on it; name its type") as caught:
        perform(image(tmp_path / "image"), context())
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(tmp_path / "image"))


@pytest.mark.parametrize("fstype", [None, "ext4"])
def test_a_missing_image_is_named(tmp_path: Path, fstype: str | None) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        perform(image(tmp_path / "missing", fstype), context())
    assert caught.value.filename == str(tmp_path / "missing")
