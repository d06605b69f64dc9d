"""Whose the files of a tree of the host's are to the guest, and what can be done where the kernel cannot say so."""

import errno
import logging
import os
from collections.abc import Mapping

from insula.engine.steps.host.hoststep import HostContext
from insula.kernel.fds import Fd
from insula.kernel.mountinfo import mounts_of_process
from insula.kernel.mounts import map_ids
from insula.kernel.statx import cached_status_of

logger = logging.getLogger(__name__)

_MAPPED_BY_SERVER = "have the server give all to the guest's root (all_squash,anonuid={uid},anongid={gid})"
_MAPPED_BY_MOUNT = "mount it with uid={uid},gid={gid}, the guest's root"
_MAPPED_BY_FUSE = "mount it with allow_other and, where its program can (sshfs does), uid={uid},gid={gid}"
_MAPPED_BY_BINDFS = "show it by bindfs --uid-offset={uid} --gid-offset={gid}, and that to the guest"

ADVICE: Mapping[str, str] = {
    "nfs": _MAPPED_BY_SERVER,
    "nfs4": _MAPPED_BY_SERVER,
    "cifs": _MAPPED_BY_MOUNT,
    "smb3": _MAPPED_BY_MOUNT,
    "exfat": _MAPPED_BY_MOUNT,
    "fuse": _MAPPED_BY_FUSE,
    "overlay": _MAPPED_BY_BINDFS,
    "9p": _MAPPED_BY_BINDFS,
}
"""How files of a file system come to be the guest's without the kernel's help, by the type's name or its beginning."""


def map_owners(context: HostContext, tree: Fd, path: str, *, recursive: bool = False, read_only: bool = False) -> None:
    """Show a detached tree's files as owned by the guest's ids.

    One whose own file system cannot, and which is read-only, is left under the host's owners: they are nobody's in the
    guest, which reads there what everybody may, and can leave nothing. Raises: OSError that says what else may help.
    """
    try:
        map_ids(tree, context.user_namespace, recursive=recursive)
        return
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        below = recursive and _is_mapped_alone(context, tree)
        if read_only and not below:
            logger.warning("'%s' is shown to a guest under the host's owners: its file system has no others", path)
            return
        raise OSError(errno.EINVAL, _refusal(context, tree, below=below), path) from error


def _is_mapped_alone(context: HostContext, tree: Fd) -> bool:
    """Whether only what is mounted below the tree's top keeps it from being mapped."""
    try:
        map_ids(tree, context.user_namespace)
    except OSError:
        return False
    return True


def _refusal(context: HostContext, tree: Fd, *, below: bool) -> str:
    if below:
        return (
            "a file system that is mounted below it cannot show files under other owners (NFS, CIFS, FUSE, overlays "
            "cannot); show what is mounted there by a <filesystem> of its own, or switch the id mapping of this one "
            "off (insula:idmap='off'): the guest then sees all of it as nobody's"
        )
    kind = _type_of(tree)
    uid, gid = _guests_root(context)
    hints = [advice for name, advice in ADVICE.items() if kind == name or kind.startswith(f"{name}.")]
    hint = "".join(f"{each.format(uid=uid, gid=gid)}, or " for each in hints[:1])
    return (
        f"its file system{f' ({kind})' if kind else ''} cannot show files under other owners; {hint}make it "
        "<readonly/>, or switch the id mapping of this mount off (insula:idmap='off'): the guest then sees its files "
        "as nobody's"
    )


def _guests_root(context: HostContext) -> tuple[int, int]:
    """Return the host's ids of the guest's root."""
    return _first_id(context, "uid_map"), _first_id(context, "gid_map")


def _first_id(context: HostContext, name: str) -> int:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=context.process)
    try:
        lines = os.read(fd, 1 << 16).decode().splitlines()
    finally:
        os.close(fd)
    return next((int(outside) for inside, outside, _ in map(str.split, lines) if inside == "0"), 0)


def _type_of(tree: Fd) -> str:
    """Return what the kernel calls the file system that a tree's top is on, empty if it is mounted nowhere here."""
    device = cached_status_of(tree).device
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((each.kind for each in mounts_of_process() if each.device == wanted), "")
