"""Where an installation keeps its files: a path for each kind, chosen as a whole.

The system's own uses the usual places (`/run`, `/etc`, `/var/lib`, ...); one with a prefix has the same tree below it,
so that several daemons live side by side on one host. Whoever has a layout asks it for each place, and never joins
paths of its own to where the installation stands.
"""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from insula.errors import ConfigurationError

PREFIX_VARIABLE = "INSULA_PREFIX"
ADDRESS_VARIABLE = "INSULA_DEFAULT_URI"
"""Which daemon clients mean, where nobody says and no installation is named."""
UNIX_SOCKET_PATH_MAX = 107
"""Bytes a UNIX socket's path may have; the kernel's `sun_path` holds 108 with its closing zero (unix(7))."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The files of one installation.

    root: the directory it stands below, by which it is told from others of this host; socket, socket_read_only: where
    libvirt's own LXC daemon would listen; settings: the file of insulad; run: what lives until the next boot;
    definitions, network_definitions, filter_definitions: one XML file a persistent domain, network or network filter,
    `NAME.xml`; clones: writable layers of domains, a directory each, named by UUID; state: what survives a reboot and
    is neither a definition nor an image.
    """

    root: Path
    socket: Path
    socket_read_only: Path
    settings: Path
    run: Path
    definitions: Path
    network_definitions: Path
    filter_definitions: Path
    images: Path
    clones: Path
    state: Path
    logs: Path
    cache: Path

    @classmethod
    def system(cls) -> Self:
        """Return the layout of the host's own installation."""
        return cls(
            root=Path("/"),
            socket=Path("/run/libvirt/virtlxcd-sock"),
            socket_read_only=Path("/run/libvirt/virtlxcd-sock-ro"),
            settings=Path("/etc/insula/insulad.toml"),
            run=Path("/run/insula"),
            definitions=Path("/etc/insula/domains"),
            network_definitions=Path("/etc/insula/networks"),
            filter_definitions=Path("/etc/insula/nwfilters"),
            images=Path("/var/lib/insula/images"),
            clones=Path("/var/lib/insula/clones"),
            state=Path("/var/lib/insula/state"),
            logs=Path("/var/log/insula"),
            cache=Path("/var/cache/insula"),
        )

    @classmethod
    def prefix(cls, directory: Path) -> Self:
        """Return the layout of an installation that has the system's tree below a directory."""
        system = cls.system()
        return cls(**{each.name: directory / getattr(system, each.name).relative_to("/") for each in fields(cls)})

    @property
    def ends(self) -> Path:
        """One file a domain that has run, named by its UUID: how that ended."""
        return self.run / "ends"

    @property
    def described_devices(self) -> Path:
        """Where vendors describe the host's devices for good: the Container Device Interface."""
        return self.settings.parent.parent / "cdi"

    @property
    def described_devices_until_boot(self) -> Path:
        """The same until the next boot, which counts more."""
        return self.root / "var/run/cdi"

    @property
    def lock(self) -> Path:
        """What the daemon holds a lock on for as long as it lives; its process's number stands there."""
        return self.run / "insulad.pid"

    def image_root(self, name: str) -> Path:
        """The root file system of an image."""
        return self.images / name / "rootfs"

    def image_description(self, name: str) -> Path:
        """What an image is; who uses it has a lock on that."""
        return self.images / name / "image.json"

    def keeper_socket(self, version: int) -> Path:
        """Where keepers of a version of their protocol listen."""
        return self.run / ("keeper.sock" if version == 1 else f"keeper-{version}.sock")

    @property
    def view_socket(self) -> Path:
        """Where the machine view listens."""
        return self.run / "view.sock"

    @property
    def running(self) -> Path:
        """One directory a running domain, named by its UUID."""
        return self.run / "domains"

    @property
    def leases(self) -> Path:
        """One file a network, named by its UUID: the addresses that guests were given."""
        return self.state / "leases"

    @property
    def running_networks(self) -> Path:
        """One record, and one directory, an active network, named by its UUID."""
        return self.run / "networks"

    @property
    def autostart(self) -> Path:
        """Links to the definitions of domains that start with the daemon."""
        return self.definitions / "autostart"

    @property
    def network_autostart(self) -> Path:
        """Links to the definitions of networks that start with the daemon."""
        return self.network_definitions / "autostart"


def default_address() -> str | None:
    """Return what `INSULA_DEFAULT_URI` says, None if it says nothing or `INSULA_PREFIX` names an installation."""
    return None if os.environ.get(PREFIX_VARIABLE) else os.environ.get(ADDRESS_VARIABLE) or None


def layout_from(prefix: str | os.PathLike[str] | None) -> Layout:
    """Return the layout for an explicit prefix, else for `INSULA_PREFIX`, else the system's.

    Raises: ConfigurationError if the prefix is relative, or so long that the sockets' paths do not fit.
    """
    chosen = os.fspath(prefix) if prefix is not None else os.environ.get(PREFIX_VARIABLE) or "/"
    path = Path(chosen)
    if not path.is_absolute():
        raise ConfigurationError(f"the prefix '{chosen}' is relative; give an absolute directory")
    layout = Layout.prefix(path)
    longest = max(len(os.fsencode(each)) for each in (layout.socket, layout.socket_read_only, layout.keeper_socket(99)))
    if longest > UNIX_SOCKET_PATH_MAX:
        raise ConfigurationError(
            f"the prefix '{chosen}' is {longest - UNIX_SOCKET_PATH_MAX} bytes too long for a UNIX socket below it; "
            "choose a shorter one"
        )
    return layout
