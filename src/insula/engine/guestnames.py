"""Where a root keeps what names mean: which file is its resolver's, and what its hosts file says.

What is read is the guest's, looked up by fd, never leaving the root. Links are followed as the guest's resolver would:
through links of directories only where every distribution has them.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Sequence

from insula.engine.spec import NameFiles
from insula.kernel.beneath import CONTAINED, open_beneath, text_of
from insula.kernel.fds import Fd

RESOLVER = "etc/resolv.conf"
HOSTS = "etc/hosts"
_RESOLVED = "run/systemd/resolve/"
"""Below here are the files of systemd-resolved: systemd-resolved.service(8)."""
_ALIASES = (("var/run/", "run/"),)
_LINKS_MOST = 8
_MOST_BYTES = 1 << 16


def name_files(layers: Sequence[int]) -> NameFiles:
    """Return what a root's layers have, the top one first. layers: open directories."""
    path = RESOLVER
    for _ in range(_LINKS_MOST):
        found = _uppermost(layers, path)
        if found is None:
            return NameFiles(resolver=path, there=False, resolved=path.startswith(_RESOLVED), hosts=_hosts(layers))
        try:
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                break
            target = os.readlink("", dir_fd=found)
        finally:
            os.close(found)
        path = _beneath(posixpath.join("/", posixpath.dirname(path), target))
    return NameFiles(resolver=path, there=True, resolved=path.startswith(_RESOLVED), hosts=_hosts(layers))


def _beneath(path: str) -> str:
    plain = posixpath.normpath(path).lstrip("/")
    return next((to + plain.removeprefix(alias) for alias, to in _ALIASES if plain.startswith(alias)), plain)


def _uppermost(layers: Sequence[int], path: str) -> Fd | None:
    """Return an fd of what the uppermost layer that has something there has, links not followed; None for nothing."""
    for layer in layers:
        try:
            found = Fd(open_beneath(layer, path, os.O_PATH | os.O_NOFOLLOW, resolve=CONTAINED))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                continue
            return None
        if stat.S_ISCHR(os.fstat(found).st_mode):  # in an overlay a device in its place says that there is none
            os.close(found)
            return None
        return found
    return None


def _hosts(layers: Sequence[int]) -> str:
    """Return the hosts file, empty for one that cannot be read or is none."""
    found = _uppermost(layers, HOSTS)
    if found is None:
        return ""
    try:
        is_file = stat.S_ISREG(os.fstat(found).st_mode)
        return text_of(found, _MOST_BYTES).replace("\0", "") if is_file else ""
    except OSError:
        return ""
    finally:
        os.close(found)
