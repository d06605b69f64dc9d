"""Directories that others change while they are listed."""

import os
from collections.abc import Iterator
from pathlib import Path


def everything_below(directory: Path) -> Iterator[Path]:
    """Yield what is below a directory, and pass over what vanishes meanwhile, as Path.rglob does not."""
    for where, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield Path(where, name)
