"""Tests of insula.kernel.imagelocks: who may have an image together with whom."""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.kernel.imagelocks import claim_image, is_claimed


@contextmanager
def opened(path: Path, flags: int = os.O_RDWR) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(512))
    return path


@pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, False)])
def test_who_writes_an_image_has_it_alone(image: Path, first: bool, second: bool) -> None:
    with opened(image) as one, opened(image) as other:
        claim_image(one, str(image), read_only=first)
        with pytest.raises(OSError, match="by another guest") as raised:
            claim_image(other, str(image), read_only=second)
        assert raised.value.errno == errno.EBUSY


def test_many_may_read_an_image(image: Path) -> None:
    with opened(image, os.O_RDONLY) as one, opened(image, os.O_RDONLY) as other:
        claim_image(one, str(image), read_only=True)
        claim_image(other, str(image), read_only=True)


def test_who_is_refused_leaves_nothing_behind_and_who_closes_lets_go(image: Path) -> None:
    with opened(image) as third:
        with opened(image, os.O_RDONLY) as one, opened(image) as other:
            claim_image(one, str(image), read_only=True)
            with pytest.raises(OSError, match="in use"):
                claim_image(other, str(image), read_only=False)
            claim_image(third, str(image), read_only=True)
        claim_image(third, str(image), read_only=False)


def test_a_program_that_uses_the_same_bytes_is_seen(image: Path) -> None:
    """As QEMU has them: byte 100 plus the permission is had, byte 200 plus the permission is not granted to others."""
    with opened(image) as machine, opened(image) as ours:
        fcntl.fcntl(machine, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 201, 1, 0))
        claim_image(ours, str(image), read_only=True)
        with pytest.raises(OSError, match="virtual machine"):
            claim_image(ours, str(image), read_only=False)


@pytest.mark.parametrize("read_only", [False, True])
def test_whether_an_image_is_claimed_is_told(image: Path, read_only: bool) -> None:
    with opened(image) as other:
        assert not is_claimed(other)
        with opened(image) as one:
            claim_image(one, str(image), read_only=read_only)
            assert is_claimed(other)
        assert not is_claimed(other)


def test_a_file_system_without_such_locks_goes_without(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "fcntl", refuses)
    with opened(image) as one:
        claim_image(one, str(image), read_only=False)
        assert not is_claimed(one)
