"""Having the host resolve a network's names by its own server: systemd-resolved's servers and domains of a link.

What is said of a link goes with the link, and systemd-resolved keeps it over its own restarts. Source: resolvectl(1).
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_RUNNING = Path("/run/systemd/resolve/io.systemd.Resolve")
"""The socket of a systemd-resolved that runs."""
_PATIENCE = 20.0


def register_domain(bridge: str, domain: str, servers: Sequence[str], *, socket: Path = _RUNNING) -> str | None:
    """Let the host ask servers about names below domain, by a link; return why that cannot be, None if it is so.

    No other question goes there: the domain only routes (`~`), and the link is nobody's default.
    """
    program = shutil.which("resolvectl")
    if program is None or not socket.exists():
        return "systemd-resolved does not run"
    for words in (("dns", bridge, *servers), ("domain", bridge, f"~{domain}"), ("default-route", bridge, "no")):
        try:
            done = subprocess.run(
                [program, *words], capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"resolvectl {words[0]}: {error}"
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            return f"resolvectl {words[0]}: {said[-1]}"
    return None
