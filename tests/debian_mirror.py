"""The host's own Debian mirror, as its apt knows it: the only place where the tests learn from where packages come."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


class NoMirrorError(Exception):
    """The host's apt configuration names no Debian archive."""


KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Debian's own keys, of all its releases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """A Debian archive."""

    uri: str

    def source(self, suite: str) -> str:
        """Return the one-line apt source of another suite of the same archive."""
        return f"deb [signed-by={KEYRING}] {self.uri} {suite} main"


def host_mirror() -> Mirror:
    """Return the archive that serves the host's own release.

    apt itself reads its configuration, of either style, and needs no package lists for it: sources.list(5), apt-get(8),
    "indextargets".
    Raises: NoMirrorError if none of the configured archives carries the release's name.
    """
    release = release_name()
    answer = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for stanza in answer.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        if fields.get("Release") == release and fields.get("Component") == "main":
            return Mirror(uri=fields["Repo-URI"])
    raise NoMirrorError(f"apt's sources have no archive with the suite '{release}', component main")


def network_settings() -> list[str]:
    """Return how apt is told to reach the network here (proxies, timeouts, ...), as lines of apt.conf(5)."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout
    wanted = (
        "Acquire::http",
        "Acquire::https",
        "Acquire::Retries",
        "Acquire::Check-Valid-Until",
        "Acquire::Check-Date",
    )
    return [line for line in dump.splitlines() if line.startswith(wanted) and not line.endswith(' "";')]


def release_name() -> str:
    """Return the host's release as its archive calls it, such as `bookworm`: os-release(5)."""
    fields = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"')
