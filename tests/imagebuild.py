"""Builds an image below a prefix and prints its progress.

    python -m tests.imagebuild PREFIX NAME [SOURCE [OPTION=VALUE …]]

A program of its own, so that it can be run where the package mirror can be reached, and killed.
"""

import asyncio
import sys
from pathlib import Path

from insula.layout import Layout
from insula.storage.builders.catalogue import recipe_for
from insula.storage.builders.imagebuilder import Progress
from insula.storage.imagestore import ImageStore


def main(arguments: list[str]) -> int:
    prefix, name, source, *options = [*arguments, *arguments[1:]] if len(arguments) == 2 else arguments
    chosen = dict(each.split("=", 1) for each in options)
    store = ImageStore(Layout.prefix(Path(prefix)))
    asyncio.run(store.build(name, recipe_for(source, chosen), _report))
    return 0


def _report(progress: Progress) -> None:
    percent = "" if progress.fraction is None else f"{progress.fraction:.0%} "
    print(f"{percent}{progress.text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
