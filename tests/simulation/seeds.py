"""Walks by seed: the same seed is the same walk, on every machine."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from insula.layout import Layout
from tests.simulation.lastly import end
from tests.simulation.steps import choose, opening
from tests.simulation.walk import Walk
from tests.unit.service.hosttree import two_node_host

LENGTHS = (2, 4, 8)
"""How many steps walks have."""
_MEMORY = Path("/dev/shm")


@cache
def _place() -> Path:
    """Return a directory in memory that goes with this process."""
    parent = _MEMORY if _MEMORY.is_dir() else None
    place = tempfile.mkdtemp(prefix="insula-simulation-", dir=parent)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


@cache
def _layout() -> Layout:
    """Return where the daemons of this process's walks keep their files, a walk after the other."""
    return Layout.prefix(_place() / "walk")


def new_walk(seed: int, say: Callable[[str], None] | None = None) -> Walk:
    """Return a walk in an empty directory; there is one walk at a time."""
    host_root = _place() / "host"
    if not host_root.exists():
        two_node_host(host_root)
    layout = _layout()
    shutil.rmtree(layout.root, ignore_errors=True)
    layout.root.mkdir()
    return Walk(seed, layout=layout, host_root=host_root, say=say)


def walked(seed: int, say: Callable[[str], None] | None = None) -> int:
    """Walk one seed to its end; return how many callbacks that took. Raises: AssertionError for what must not be."""
    walk = new_walk(seed, say)
    with walk.kernel.installed():
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
            end(walk)
        finally:
            walk.close()
    return walk.world.turns
