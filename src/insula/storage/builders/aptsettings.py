"""How the host's apt reaches its archives (proxies, clock checks, credentials), for the build and for the guest."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

_NETWORK = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::ForceIPv", "Acquire::Check-")
"""Prefixes of the settings that a build needs to reach what the host reaches."""
_FOR_GUESTS = ("Acquire::http::Proxy ", "Acquire::https::Proxy ", "Acquire::Check-")
"""Prefixes of those that a guest needs later on, to be upgradable from the same archives."""
_LOOPBACK = ("//localhost", "//127.", "//[::1]")


def host_settings() -> list[str]:
    """Return apt's settings for fetching, as lines of apt.conf(5); none where the host has no apt."""
    try:
        dump = subprocess.run(
            ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return network_settings(dump.splitlines())


def network_settings(lines: Iterable[str]) -> list[str]:
    """Return those settings that have a value and concern the network."""
    return [line for line in lines if line.startswith(_NETWORK) and not line.endswith(' "";')]


def guest_settings(lines: Iterable[str]) -> list[str]:
    """Return those of the settings that hold in a guest too; a proxy on the host's loopback does not."""
    return [line for line in lines if line.startswith(_FOR_GUESTS) and not any(each in line for each in _LOOPBACK)]


def credential_settings(directory: Path = Path("/etc/apt")) -> list[str]:
    """Return settings that let a build use the host's passwords for archives; a guest never gets them."""
    lines = []
    if (directory / "auth.conf").is_file():
        lines.append(f'Dir::Etc::netrc "{directory / "auth.conf"}";')
    if (directory / "auth.conf.d").is_dir():
        lines.append(f'Dir::Etc::netrcparts "{directory / "auth.conf.d"}/";')
    return lines
