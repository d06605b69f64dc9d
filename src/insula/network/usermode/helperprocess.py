"""The processes of helpers: started, found again by a later daemon, ended.

Nobody of ours is a helper's parent: it outlives the daemon that started it. Its name, which is the first word of its
command line and the last one of its launcher's, says whose it is; by that it is found where nobody wrote its pid down.
"""

import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from insula.errors import OperationFailedError
from insula.kernel.processidentity import Command, ProcessIdentity, ended, identity_of, processes_where
from insula.network.usermode.helperlauncher import LAUNCHER, HelperLaunch

_START_PATIENCE = 60.0
"""Seconds that a start may take on a host that is very busy; then it is killed."""
_OWNER = "insula"
_NOISE = re.compile(r"Failed to send \d+ bytes to syslog|(parent|child) failed|WARNING: ")
_TIME = re.compile(r"^\d+\.\d+: ")
"""What helpers say beside the reason why they end."""


def helper_name(launch: str, mac: str) -> str:
    """Return what the helper of a card is called. launch: of the guest; mac: the card's."""
    return f"{helpers_of(launch)}:{mac.lower()}"


def helpers_of(launch: str) -> str:
    """Return what the names of a guest's helpers begin with."""
    return f"{_OWNER}:{launch}"


def start_helper(name: str, launch: HelperLaunch, enter: Callable[[int], None]) -> ProcessIdentity:
    """Start a helper, after whatever of it still runs has been ended; return once it carries traffic.

    enter: puts a process into the helper's control group before it does anything; raises OSError.
    Raises: OperationFailedError with the helper's own words; OSError.
    """
    end_helpers(name)
    with subprocess.Popen(
        [*LAUNCHER, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(launch.network, launch.host),
        text=True,
        errors="replace",
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    ) as process:
        try:
            enter(process.pid)
            told, complaint = process.communicate(launch.to_json(), timeout=_START_PATIENCE)
        except BaseException:
            process.kill()
            with suppress(OperationFailedError):
                end_helpers(name)
            raise
    if process.returncode or not told:
        end_helpers(name)
        said = [each for each in complaint.strip().splitlines() if not _NOISE.match(each)]
        reason = said[-1] if said else f"it ended with {process.returncode}"
        raise OperationFailedError(f"{Path(launch.command[0]).name} does not start: {_TIME.sub('', reason)}")
    return identity_of(int(told))


def end_helpers(name: str) -> None:
    """End a helper, or all of a launch's where name is the beginning of theirs, and launchers that are on their way.

    Raises: OperationFailedError if one does not end.
    """
    start = name.encode()

    def is_meant(command: Command, _process: Path) -> bool:
        return _belongs(command[0], start) or (_belongs(command[-1], start) and command[1:2] == (b"-I",))

    # A launcher that is killed may have begun a helper meanwhile.
    while found := processes_where(is_meant):
        if left := ended(found, (signal.SIGKILL,)):
            numbers = ", ".join(str(each.pid) for each in left)
            raise OperationFailedError(f"the helper of a card, process {numbers}, does not end though it was killed")


def _belongs(word: bytes, start: bytes) -> bool:
    return word.startswith(start) and word[len(start) : len(start) + 1] in (b"", b":", b"/")
