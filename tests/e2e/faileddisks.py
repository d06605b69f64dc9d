"""Disks as a daemon's host sees them when they fail: read-only, or full, with all that was there."""

import shutil
from contextlib import suppress
from pathlib import Path

from tests import libc
from tests.insulad import Insulad
from tests.libc import MountFlag


def read_only(insulad: Insulad, directory: Path) -> None:
    """Let the daemon's host see a directory as a file system that its errors made read-only."""

    def remount() -> None:
        libc.mount(str(directory), str(directory), flags=MountFlag.BIND)
        libc.mount("", str(directory), flags=MountFlag.BIND | MountFlag.REMOUNT | MountFlag.READ_ONLY)

    insulad.host.inside(remount)


def fill(insulad: Insulad, directory: Path) -> None:
    """Let what is in a directory lie on a file system in memory, and nothing more fit there."""
    kept = insulad.prefix.with_name(f"kept-{directory.name}")
    mode = f"{directory.stat().st_mode & 0o7777:o}"
    shutil.copytree(directory, kept, symlinks=True)

    def cover() -> None:
        libc.mount("full", str(directory), "tmpfs", options=f"size=1m,nr_inodes=200,mode={mode}")
        shutil.copytree(kept, directory, symlinks=True, dirs_exist_ok=True)
        with suppress(OSError), (directory / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

    insulad.host.inside(cover)
    shutil.rmtree(kept)


def writable(insulad: Insulad, directory: Path) -> None:
    insulad.host.run("umount", str(directory))
