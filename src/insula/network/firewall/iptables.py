"""Others' rules by the programs that they use themselves, iptables(8) and ip6tables(8): looked at, and added to where
that is allowed.

The program knows which of the kernel's two ways (nf_tables, or the older x_tables) the host's rules go.
"""

import shutil
import subprocess
from collections.abc import Sequence

from insula.errors import OperationFailedError
from insula.network.firewall.otherfirewalls import FilterListing, read_listing

PROGRAMS = {4: "iptables", 6: "ip6tables"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 10.0
_LOCK = ("-w", "5")
"""Wait so many seconds for whoever changes rules at the same time."""


class Iptables:
    """The program for a version of IP, 4 or 6."""

    def __init__(self, version: int) -> None:
        self._name = PROGRAMS[version]

    def listing(self) -> FilterListing | None:
        """Return what it tells, None where it is not installed or cannot tell. Makes no table."""
        if shutil.which(self._name, path=_PATH) is None:
            return None
        done = self._run("-S")
        return None if done.returncode else read_listing(done.stdout)

    def insert(self, rule: Sequence[str], comment: str) -> None:
        """Have a rule in front of its chain. rule: the chain, then what it says. Raises: OperationFailedError."""
        chain, *said = rule
        self._perform("-I", chain, "-m", "comment", "--comment", comment, *said)

    def delete(self, rule: Sequence[str]) -> None:
        """Take a rule away, as it is listed. Raises: OperationFailedError."""
        self._perform("-D", *rule)

    def _perform(self, *arguments: str) -> None:
        done = self._run(*arguments)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            said = lines[0] if lines else f"it ended with status {done.returncode}"
            raise OperationFailedError(f"{self._name} {' '.join(arguments)}: {said}")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._name, *_LOCK, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OperationFailedError(f"cannot run {self._name}: {error}") from error
