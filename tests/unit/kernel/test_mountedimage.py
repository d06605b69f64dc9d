"""Tests of insula.kernel.mountedimage, as far as they need no privilege: it mounts in tests/system."""

import errno
from pathlib import Path

import pytest

from insula.kernel.mountedimage import mounted_image


def test_what_has_no_file_system_at_that_place_is_named(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1080) + b"\x53\xef" + bytes(4096))
    with pytest.raises(OSError, match="no file system known to us") as caught:
        mounted_image(str(image), start=512, read_only=True)
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(image))
