"""What makes a freshly installed Debian root a guest's: nothing of the build or the host in it, no identity of its own.

The trees here come straight from mmdebstrap, so plain paths are safe.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from insula.storage.builders.aptsources import AptSource, render
from insula.storage.builders.debiannetwork import configure_network
from insula.storage.builders.imagebuilder import Recipe

SLIM = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)
"""dpkg options of a slim guest: they stay, so that upgrades keep it slim."""

_TRACES = (
    "etc/hostname",  # the build host's; the guest has its domain's name
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/0000main.sources",
    "etc/apt/sources.list.d/0000sources.list",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/log/bootstrap.log",
    "var/log/alternatives.log",
    "var/log/dpkg.log",
    "var/log/apt/history.log",
    "var/log/apt/term.log",
)

_HOSTS = """127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""

_AUTOLOGIN = """# written by Insula: whoever may open the console is the guest's administrator anyway
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud - 115200,38400,9600 $TERM
"""

_HOST_KEYS = """# written by Insula: the image has no keys, so that no two guests share them
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
"""


def finish(rootfs: Path, *, recipe: Recipe, sources: Sequence[AptSource], settings: Sequence[str]) -> None:
    """Turn the tree into a guest's. sources: its archives; settings: of apt, for the guest."""
    for trace in _TRACES:
        (rootfs / trace).unlink(missing_ok=True)
    _configure_apt(rootfs, recipe, sources, settings)
    _take_identity(rootfs)
    configure_network(rootfs)
    _configure_console(rootfs, recipe.option("console"))
    _empty_devices(rootfs / "dev")


def _configure_apt(rootfs: Path, recipe: Recipe, sources: Sequence[AptSource], settings: Sequence[str]) -> None:
    """Let the guest upgrade itself from the archives it was built from, and trust the same keys."""
    directory = rootfs / "etc/apt"
    target = directory / f"sources.list.d/{recipe.option('distribution')}.sources"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(sources))
    for source in sources:
        keyring = Path(source.option("Signed-By"))
        copy = rootfs / keyring.relative_to("/") if keyring.is_absolute() else None
        if copy and not copy.exists() and keyring.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(keyring, copy)
            copy.chmod(0o644)
    if settings:
        (directory / "apt.conf.d/80host").write_text("\n".join(["// as on the host it was built on", *settings, ""]))
    if recipe.option("slim") == "yes":
        (rootfs / "etc/dpkg/dpkg.cfg.d/80slim").write_text("\n".join([*SLIM, ""]))


def _take_identity(rootfs: Path) -> None:
    """Leave what a guest gets for itself: an id from its domain, its own keys, its name.

    An empty machine-id is filled in at boot without systemd taking it for a first boot, which would ask questions and
    reset which units are enabled. Source: machine-id(5), "First Boot Semantics".
    """
    etc = rootfs / "etc"
    (etc / "machine-id").write_text("")
    (etc / "machine-id").chmod(0o444)
    (etc / "hosts").write_text(_HOSTS)
    (etc / "default/locale").write_text("LANG=C.UTF-8\n")
    for key in (etc / "ssh").glob("ssh_host_*_key*"):
        key.unlink()
    if (rootfs / "usr/sbin/sshd").exists():
        _drop_in(rootfs, "ssh.service", "insula-host-keys", _HOST_KEYS)


def _configure_console(rootfs: Path, console: str) -> None:
    """systemd puts a getty on the console of a container by itself: console-getty.service."""
    if console == "autologin":
        _drop_in(rootfs, "console-getty.service", "insula-autologin", _AUTOLOGIN)


def _drop_in(rootfs: Path, unit: str, name: str, text: str) -> None:
    directory = rootfs / f"etc/systemd/system/{unit}.d"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.conf").write_text(text)


def _empty_devices(directory: Path) -> None:
    """The launcher puts a /dev of its own there; real nodes in a shared tree are only a risk."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
