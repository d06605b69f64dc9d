"""A directory of things that take long to build, each under a key made from its recipe: same recipe, same thing.

An interrupted build leaves nothing that looks finished: work happens in a hidden directory that is renamed at the end,
and a lock per name keeps two sessions from building the same.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CACHE_VARIABLE = "INSULA_TEST_CACHE"
KEPT_UNUSED = 14 * 24 * 3600
"""Seconds for which a thing of another recipe stays after its last use."""


Build = Callable[[Path, Path], None]
"""Fills its first argument, an existing directory, which is then renamed to the second."""


def directory() -> Path:
    """Return where things are kept: `$INSULA_TEST_CACHE`, else `insula-tests` in the user's or the system's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "insula-tests"


def place(name: str, recipe: str) -> Path:
    """Return where the thing made by that recipe is, or would be."""
    return directory() / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def built(name: str, recipe: str, build: Build) -> Path:
    """Return the directory of the thing, building it first if it is not there."""
    final = place(name, recipe)
    if not final.exists():
        directory().mkdir(parents=True, exist_ok=True)
        with _locked(name):
            if not final.exists():
                _build(name, final, build)
    os.utime(final)
    return final


def _build(name: str, final: Path, build: Build) -> None:
    for abandoned in directory().glob(f".{name}-building-*"):
        shutil.rmtree(abandoned)
    work = Path(tempfile.mkdtemp(prefix=f".{name}-building-", dir=directory()))
    work.chmod(0o755)
    try:
        build(work, final)
        work.rename(final)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    _prune(name, final)


def _prune(name: str, current: Path) -> None:
    """Remove what an older recipe of the same name left, if nobody has used it for long."""
    for other in directory().glob(f"{name}-" + "[0-9a-f]" * 12):
        with contextlib.suppress(OSError):
            if other != current and time.time() - other.stat().st_mtime > KEPT_UNUSED:
                shutil.rmtree(other)


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    with (directory() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
