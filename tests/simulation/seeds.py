"""Walks by seed: the same seed is the same walk, on every machine."""

import itertools
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.simulation.steps import choose, opening
from tests.simulation.walk import Walk
from tests.unit.service.hosttree import two_node_host

LENGTHS = (3, 6, 12)
"""How many steps walks have."""
_MEMORY = Path("/dev/shm")


@cache
def _place() -> Path:
    """Return a directory in memory that goes with this process."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="insula-simulation-", dir=parent))


_numbers = itertools.count()


def new_walk(seed: int, say: Callable[[str], None] | None = None) -> Walk:
    """Return a walk in a directory of its own, which the caller removes."""
    host_root = _place() / "host"
    if not host_root.exists():
        two_node_host(host_root)
    directory = _place() / str(next(_numbers))
    directory.mkdir()
    return Walk(seed, directory=directory, host_root=host_root, say=say)


def walked(seed: int, say: Callable[[str], None] | None = None) -> int:
    """Walk one seed to its end; return how many callbacks that took. Raises: AssertionError for what must not be."""
    walk = new_walk(seed, say)
    try:
        with walk.installed():
            try:
                walk.begin_daemon()
                walk.run(turns=1000)
                for step in opening(walk.random):
                    walk.say(f"-- {step.name}")
                    step.take(walk, "web")
                    walk.run(turns=walk.random.choice((1000, 1000, 5)))
                for _ in range(walk.random.choice(LENGTHS)):
                    step, name, turns = choose(walk.random)
                    walk.say(f"-- {step.name}")
                    step.take(walk, name)
                    walk.run(turns=turns)
                walk.end()
            finally:
                walk.close()
    finally:
        shutil.rmtree(walk.directory, ignore_errors=True)
    return walk.world.turns
