"""Overlays made of detached layers: by fd where the kernel takes that, else through a passing mount namespace."""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.identity import acting_on_files_as
from insula.kernel.mounts import Propagation, attach, change, make_filesystem
from insula.kernel.process import CloneFlag, unshare

T = TypeVar("T")
Option = tuple[str, str | int | None]

_TEXT_MAX = 255
"""Bytes of an option's value. Source: linux/fs/fsopen.c, FSCONFIG_SET_STRING."""


_AS_ONE: tuple[Option, ...] = (
    ("redirect_dir", "on"),
    ("xino", "auto"),
    ("index", "off"),
    ("nfs_export", "off"),
    ("metacopy", "off"),
)
"""What makes an overlay behave more like one file system, as far as that binds its upper layer to no other files.

A directory of the lower layer is renamed by a path that the upper one keeps, and numbers of inodes are told apart in
memory; both survive that layers are copied or moved. The others, which distributions may have as their default, keep
handles of the lower layer's very files. Source: kernel document `filesystems/overlayfs`.
"""


def stack(
    lower: Sequence[int],
    upper: tuple[int, int, int] | None,
    *,
    by_fd: bool,
    acting_as: tuple[int, int] | None = None,
) -> Fd:
    """Return an overlay, mounted and attached nowhere.

    lower: fds of detached mounts, the top one first; upper: fds of a detached mount, and of the upper and the work
    directory in it; None for a read-only overlay of at least two layers. by_fd: as `takes_detached_layers` says.
    acting_as: the uid and gid the overlay works with below; with idmapped layers they must be among the mapped ones,
    else it cannot make its work directory and is silently read-only.

    Raises: OSError with what overlayfs had to say; E2BIG for more layers than can be named where fds are not taken.
    """
    if by_fd:
        return _stack_by_fd(lower, upper, acting_as)
    return _in_passing_namespace(lambda: _stack_by_path(lower, upper, acting_as))


def _mount(options: Sequence[Option], acting_as: tuple[int, int] | None) -> Fd:
    with contextlib.nullcontext() if acting_as is None else acting_on_files_as(*acting_as):
        if any(key == "upperdir" for key, _ in options):
            # Refused to who is root of a user namespace alone.
            with contextlib.suppress(PermissionError):
                return make_filesystem("overlay", (*options, *_AS_ONE))
        return make_filesystem("overlay", options)


def _stack_by_fd(lower: Sequence[int], upper: tuple[int, int, int] | None, acting_as: tuple[int, int] | None) -> Fd:
    options: list[Option] = [("lowerdir+", int(layer)) for layer in lower]
    if upper is not None:
        options += [("upperdir", int(upper[1])), ("workdir", int(upper[2]))]
    return _mount(options, acting_as)


def _stack_by_path(lower: Sequence[int], upper: tuple[int, int, int] | None, acting_as: tuple[int, int] | None) -> Fd:
    """Attach the layers here and now, so that overlayfs can see them; until Linux 6.15 it takes no others."""
    mounts = [*lower, *(() if upper is None else upper[:1])]
    names = ":".join(str(number) for number in range(len(lower)))
    if len(names) > _TEXT_MAX:
        raise OSError(errno.E2BIG, f"{len(lower)} layers are more than overlayfs takes by name")
    change(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    with contextlib.ExitStack() as open_fds:
        # Whoever the overlay acts as has to get through.
        ground = make_filesystem("tmpfs", [("mode", "711")])
        open_fds.callback(os.close, ground)
        # Any directory serves, as nobody else is in this namespace; only /proc is needed below.
        _attach_at("/sys", ground, AT_FDCWD)
        for number, mount in enumerate(mounts):
            os.mkdir(str(number), dir_fd=ground)
            _attach_at(str(number), mount, ground)
        # This thread's own working directory since it has a mount namespace of its own: unshare(2), CLONE_NEWNS.
        os.fchdir(ground)
    options: list[Option] = [("lowerdir", names)]
    if upper is not None:
        options += [("upperdir", _path(upper[1])), ("workdir", _path(upper[2]))]
    return _mount(options, acting_as)


def _attach_at(path: str, mount: int, directory: int) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=None if directory == AT_FDCWD else directory)
    attach(mount, target)
    os.close(target)


def _path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def _in_passing_namespace(work: Callable[[], T]) -> T:
    """Run work in a thread that has a mount namespace of its own, which ends with it, and return its result."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            unshare(CloneFlag.NEWNS)
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="insula-overlay")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def takes_detached_layers() -> bool:
    """Whether the running kernel's overlayfs takes fds of detached mounts as layers (since Linux 6.15); by trying."""
    try:
        layers = [make_filesystem("tmpfs", [("mode", "700")]) for _ in range(2)]
        try:
            os.close(stack(layers, None, by_fd=True))
        finally:
            for layer in layers:
                os.close(layer)
    except OSError:
        return False
    return True
