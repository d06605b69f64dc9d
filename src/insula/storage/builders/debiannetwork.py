"""A Debian guest's network: its cards ask for addresses, and its names are resolved by what they are told.

By systemd-networkd, which is part of systemd, and systemd-resolved, since that alone hands on what servers say.
Sources: systemd.network(5), systemd-resolved.service(8), what `systemctl enable` makes of systemd-networkd.service.
"""

from pathlib import Path

RESOLVER = "systemd-resolved"
_WITHIN_SYSTEMD = frozenset({"bullseye", "focal", "jammy"})
"""Suites whose package systemd holds the resolver."""

_FILE = "etc/systemd/network/80-insula-dhcp.network"
_NETWORK = """# written by Insula: cards without an address in the definition ask for one; lower numbers win
[Match]
Type=ether
Virtualization=container

[Network]
DHCP=yes
"""
_UNITS = "usr/lib/systemd/system"
_ENABLED = {
    "multi-user.target.wants/systemd-networkd.service": "systemd-networkd.service",
    "sockets.target.wants/systemd-networkd.socket": "systemd-networkd.socket",
    "dbus-org.freedesktop.network1.service": "systemd-networkd.service",
}
_STUB = "../run/systemd/resolve/stub-resolv.conf"


def resolver_packages(suite: str) -> tuple[str, ...]:
    """Return the packages that a suite has the resolver in, beside systemd's own."""
    return () if suite in _WITHIN_SYSTEMD else (RESOLVER,)


def configure_network(rootfs: Path) -> None:
    """Have a root's cards ask for addresses, and its resolver answer."""
    if _service(rootfs, "systemd-networkd"):
        (rootfs / _FILE).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / _FILE).write_text(_NETWORK)
        for link, unit in _ENABLED.items():
            place = rootfs / "etc/systemd/system" / link
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(f"/{_UNITS}/{unit}")
    resolver = rootfs / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    if _service(rootfs, RESOLVER):
        resolver.symlink_to(_STUB)
    else:
        resolver.touch(0o644)


def _service(rootfs: Path, name: str) -> bool:
    """Whether a service's program is there, in a tree whose /lib may be a directory of its own."""
    return any((rootfs / directory / "systemd" / name).exists() for directory in ("usr/lib", "lib"))
