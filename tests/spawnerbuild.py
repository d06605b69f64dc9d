"""The spawner built again, by the compilers that are here."""

import functools
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.waiting import patience

_CHECKOUT = Path(__file__).parents[1]
SOURCE = _CHECKOUT / "src/insula/engine/spawner"


def build(directory: Path) -> None:
    """Build it into a directory, for every machine whose compiler is here."""
    command = [str(_CHECKOUT / "scripts/build-spawner"), str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=patience(120))


@functools.cache
def builders() -> Mapping[str, str]:
    """Return each machine's line of what is built here: its compiler and linker."""
    with tempfile.TemporaryDirectory(prefix="it-spawner-") as directory:
        build(Path(directory))
        lines = (Path(directory) / "BUILT_WITH").read_text().splitlines()
    return {line.split()[0]: line for line in lines}
