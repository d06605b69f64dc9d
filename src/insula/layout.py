"""Where an installation keeps its files: one prefix, everything below it.

Without a prefix the system's usual places are used (`/run`, `/etc`, `/var/lib`, ...); with one, the same tree stands
below it, so that several daemons live side by side on one host.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from insula.errors import ConfigurationError

PREFIX_VARIABLE = "INSULA_PREFIX"
UNIX_SOCKET_PATH_MAX = 107
"""Bytes a UNIX socket's path may have; the kernel's `sun_path` holds 108 with its closing zero (unix(7))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The files of one installation. prefix: an absolute directory; `/` is the system itself."""

    prefix: Path = Path("/")

    @property
    def socket(self) -> Path:
        """The read-write libvirt socket, where libvirt's own LXC daemon would listen."""
        return self.prefix / "run/libvirt/virtlxcd-sock"

    @property
    def socket_read_only(self) -> Path:
        return self.prefix / "run/libvirt/virtlxcd-sock-ro"

    @property
    def run(self) -> Path:
        """What lives until the next boot: the keeper's socket, a directory a running domain."""
        return self.prefix / "run/insula"

    @property
    def keeper_socket(self) -> Path:
        return self.run / "keeper.sock"

    @property
    def running(self) -> Path:
        """One directory a running domain, named by its UUID."""
        return self.run / "domains"

    @property
    def definitions(self) -> Path:
        """One XML file a persistent domain, `NAME.xml`."""
        return self.prefix / "etc/insula/domains"

    @property
    def autostart(self) -> Path:
        """Links to the definitions that start with the daemon."""
        return self.definitions / "autostart"

    @property
    def images(self) -> Path:
        return self.prefix / "var/lib/insula/images"

    @property
    def clones(self) -> Path:
        """Writable layers of domains, a directory each, named by UUID."""
        return self.prefix / "var/lib/insula/clones"

    @property
    def state(self) -> Path:
        """What survives a reboot and is neither a definition nor an image: the id-range allocator's file."""
        return self.prefix / "var/lib/insula/state"

    @property
    def logs(self) -> Path:
        return self.prefix / "var/log/insula"

    @property
    def cache(self) -> Path:
        return self.prefix / "var/cache/insula"


def layout_from(prefix: str | os.PathLike[str] | None) -> Layout:
    """Return the layout for an explicit prefix, else for `INSULA_PREFIX`, else the system's.

    Raises: ConfigurationError if the prefix is relative, or so long that the sockets' paths do not fit.
    """
    chosen = os.fspath(prefix) if prefix is not None else os.environ.get(PREFIX_VARIABLE) or "/"
    path = Path(chosen)
    if not path.is_absolute():
        raise ConfigurationError(f"the prefix '{chosen}' is relative; give an absolute directory")
    layout = Layout(prefix=path)
    longest = max(len(os.fsencode(each)) for each in (layout.socket, layout.socket_read_only, layout.keeper_socket))
    if longest > UNIX_SOCKET_PATH_MAX:
        raise ConfigurationError(
            f"the prefix '{chosen}' is {longest - UNIX_SOCKET_PATH_MAX} bytes too long for a UNIX socket below it; "
            "choose a shorter one"
        )
    return layout
