"""Programs in Go with go-libvirt, which speaks libvirt's protocol by itself and not through libvirt's library."""

import os
import subprocess
from pathlib import Path

from tests.waiting import patience

GOPATH = Path("/usr/share/gocode")
"""Where Debian's packages put the sources of Go libraries."""


def built(source: str, directory: Path) -> Path:
    """Compile a program's one file below a directory and return the executable."""
    (directory / "main.go").write_text(source)
    subprocess.run(
        ["go", "build", "-o", "program", "main.go"],
        cwd=directory,
        env={**os.environ, "GOPATH": str(GOPATH), "GO111MODULE": "off", "GOCACHE": str(directory / "cache")},
        check=True,
        timeout=patience(300),
    )
    return directory / "program"
