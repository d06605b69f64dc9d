"""File systems of block devices and image files, as mounts attached nowhere."""

import errno
import os
from contextlib import ExitStack

from insula.kernel.fds import Fd
from insula.kernel.loopdevices import FilePart, filesystem_on, is_block_device, loop_device
from insula.kernel.mounts import MountAttribute, make_filesystem


def mounted_image(path: str, *, fstype: str | None = None, start: int = 0, size: int = 0, read_only: bool) -> Fd:
    """Mount the file system on a block device, or in a file by a loop device that lasts as long as the mount.

    fstype: None to look what it is; start, size: which part of the image it is, in bytes, a size of 0 for all that
    follows. Blocking: a journal may have to be replayed.
    Raises: OSError; EBUSY while the image is in use by others.
    """
    fstype = fstype or filesystem_on(path, start=start)
    if fstype is None:
        raise OSError(errno.EINVAL, "no file system known to us is on it; name its type", path)
    with ExitStack() as held:
        source = path
        if start or size or not is_block_device(path):
            device, source = loop_device(path, read_only=read_only, extent=FilePart(start=start, size=size))
            held.callback(os.close, device)
        options: list[tuple[str, str | int | None]] = [("source", source)]
        if read_only:
            options.append(("ro", None))
        attributes = MountAttribute.READ_ONLY if read_only else MountAttribute.NOTHING
        return make_filesystem(fstype, options, attributes=attributes)
