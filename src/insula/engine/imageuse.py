"""An image as the ground below a container of a program's own: found by its name, and held as long as it is used.

Nothing is written down: who uses an image has a lock on its description, which ends with the program, however that
ends. Who removes images asks for it (`storage.imagestore`). An image is never changed: what the guest writes lies above
it.
"""

import errno
import fcntl
import os

from insula.errors import ImageNotFoundError, OperationFailedError, ResourceBusyError
from insula.layout import Layout, layout_from


class ImageUse:
    """A lock on an image; `close` lets go of it. Raises: ImageNotFoundError; ResourceBusyError while it is removed."""

    def __init__(self, name: str, layout: Layout) -> None:
        description = layout.image_description(name)
        try:
            self._fd = os.open(description, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_to_be_had(error, name, layout) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not os.path.exists(description) or not os.path.samestat(os.fstat(self._fd), os.stat(description)):
                raise BlockingIOError(errno.EWOULDBLOCK, "it is not there any more")
        except OSError as error:
            os.close(self._fd)
            raise ResourceBusyError(f"image '{name}' is being removed") from error

    def close(self) -> None:
        os.close(self._fd)


def image_root(name: str) -> str:
    """Return the directory with the root of an image of this installation's. Raises: ImageNotFoundError."""
    layout = layout_from(None)
    root = layout.image_root(name)
    try:
        os.stat(root)
        os.stat(layout.image_description(name))
    except OSError as error:
        raise _not_to_be_had(error, name, layout) from error
    return os.fspath(root)


def _not_to_be_had(error: OSError, name: str, layout: Layout) -> ImageNotFoundError | OperationFailedError:
    if error.errno == errno.EACCES:
        return OperationFailedError(
            f"image '{name}' cannot be read: only root may, as whoever could would have its files"
        )
    try:
        found = sorted(each for each in os.listdir(layout.images) if not each.startswith("."))
    except OSError:
        found = []
    there = f"there are {', '.join(found)}" if found else "there are none yet"
    return ImageNotFoundError(f"no image named '{name}'; {there}; build it with: insula image build {name}")
