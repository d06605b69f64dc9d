"""Earlier versions of this program, kept in `tests/data/keepers`: to run them, and to upgrade from them.

    protocol-1.tar.xz   src/insula of commit e7b34e5, the last whose keeper speaks version 1 of its protocol

A version whose protocol is superseded is added by `git archive COMMIT src/insula | xz -9e`.
"""

import site
import sys
import tarfile
from pathlib import Path

_KEPT = Path(__file__).parent / "data/keepers"


def interpreter_of(protocol: int, directory: Path) -> Path:
    """Return a Python, made in a directory, that imports the version of that protocol; also with `-I`."""
    with tarfile.open(_KEPT / f"protocol-{protocol}.tar.xz") as kept:
        kept.extractall(directory)
    packages = directory / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    # Its own first; then what it needs of others, without this version, which a .pth file adds where that is read.
    (packages / "recorded.pth").write_text("\n".join([f"{directory}/src", *site.getsitepackages()]) + "\n")
    (directory / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\n")
    python = directory / "bin/python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    return python
