"""Our Debian package, built where Debian's tools are and nothing else, and a place to install it.

Both are a root of the tests' cache with a writable layer in memory, in mount and network namespaces without a way out.
"""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import cache, roots

CHECKOUT = Path(__file__).parents[1]
_SOURCES = ("src", "share", "packaging", "docs", "examples", "README.md", "pyproject.toml", "scripts/metadatahook.py")
"""What the package is made of."""

_SESSION = """
set -e
mount -t tmpfs -o size=2g,mode=755 debian /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay debian -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
shift
cd /mnt/root
mount -t proc proc proc
mount -t tmpfs tmp tmp
mount --rbind /dev dev
for bind; do
  mkdir -p "./${bind#*=}"
  mount --bind "${bind%%=*}" "./${bind#*=}"
done
echo ready
exec cat
"""
"""Arguments: the root, then SOURCE=TARGET of each directory that is shown in it. Ends with its standard input."""

_APART = ("unshare", "--mount", "--net", "--propagation", "private", "--")

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


class Debian:
    """A Debian that may be written to, and is gone afterwards; no service runs in it."""

    def __init__(self, session: "subprocess.Popen[str]") -> None:
        self._session = session

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command in it; what it said is in the error if it fails."""
        outer = ("nsenter", f"--target={self._session.pid}", "--mount", "--net", "--", "chroot", "/mnt/root")
        done = subprocess.run(
            [*outer, *command], capture_output=True, text=True, check=False, env=_ENVIRONMENT, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return self.run("cat", path).stdout


@contextmanager
def debian(root: Path, shared: Sequence[tuple[Path, str]]) -> Iterator[Debian]:
    """Yields: a Debian on the root of the cache, with directories of the host's where they are named."""
    binds = [f"{source}={target}" for source, target in shared]
    session = subprocess.Popen(
        [*_APART, "/bin/sh", "-c", _SESSION, "session", str(root), *binds],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with session:
        assert session.stdout is not None
        assert session.stdout.readline() == "ready\n", "the root could not be mounted"
        yield Debian(session)
        assert session.stdin is not None
        session.stdin.close()


VERSIONS = ("+1", "+2")
"""What the versions of two packages end with, the older one first, of which one is an upgrade of the other."""


def versions(release: str, outside: roots.Command = lambda *command: command) -> list[Path]:
    """Return the packages of `VERSIONS`: those that this host was given, else as `built` makes them."""
    brought = roots.brought(_brought_as(release))
    if brought.exists():
        return [next(brought.glob(f"*{revision}_all.deb")) for revision in VERSIONS]
    return [built(release, revision, outside) for revision in VERSIONS]


def versions_are_there(release: str) -> bool:
    """Return whether versions(release) would not have to make what they are built with."""
    return roots.brought(_brought_as(release)).exists() or roots.packaging_is_there(release)


def _brought_as(release: str) -> str:
    return f"packages-{release}"


def built(release: str, revision: str = "", outside: roots.Command = lambda *command: command) -> Path:
    """Return the package as a release of Debian builds it, from the cache if nothing has changed since.

    revision: what its version ends with; outside: as for `roots.debian`.
    """
    root = roots.packaging(release, outside)

    def build(work: Path, _final: Path) -> None:
        with debian(root, [(CHECKOUT, "src"), (work, "out")]) as inside:
            inside.run("/src/packaging/debian/build", "--output", "/out", "--revision", revision)

    directory = cache.built(f"package-{release}{revision}", f"{root} {_digest()}", build)
    return next(directory.glob("*.deb"))


def _digest() -> str:
    """A word for the content of what the package is made of."""
    found = hashlib.sha256()
    for name in _SOURCES:
        place = CHECKOUT / name
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(CHECKOUT)}\0{file.stat().st_mode:o}\0".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()
