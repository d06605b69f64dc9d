"""How many descriptors the daemon may have: as many as the host lets it; what it starts has as many as ever."""

import os
import resource
import subprocess
import sys
from pathlib import Path

from insula.engine.keeperprocess import spawn_keeper
from insula.errors import KeeperError

Limits = tuple[int, int]
"""Soft and hard limit of descriptors: getrlimit(2)."""


def raise_limit() -> Limits:
    """Let this process have as many descriptors as it may; return the limits as they were."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    return limits


def spawn_keeper_within(limits: Limits, path: Path, *, log: int) -> None:
    """Do what `spawn_keeper` does with other limits than our own: a keeper hands on to guests what it begins with.

    Through a process of its own, since limits are a whole process's. Raises: KeeperError.
    """
    code = f"from {__name__} import main; main()"
    spawning = subprocess.run(
        [sys.executable, "-I", "-c", code, str(limits[0]), os.fspath(path)],
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        check=False,
    )
    if spawning.returncode:
        raise KeeperError(spawning.stdout.decode() or "the keeper did not start; its log says why")


def main() -> None:
    """Spawn a keeper: the soft limit and its socket are the arguments, standard error is its log."""
    soft, path = int(sys.argv[1]), Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        spawn_keeper(path, log=2)
    except (OSError, KeeperError) as error:
        sys.stdout.write(str(error))
        sys.exit(1)
