"""The plug point for where images come from: a builder turns a recipe into a root file system.

The next ones (archives, image servers, registries) are one class and one word in `catalogue.BUILT_IN` each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from insula.errors import InvalidArgumentError

ROOTFS = "rootfs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What to build, complete: kept with the image. builder: its name; options: the builder's own words, sorted."""

    builder: str
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str, default: str = "") -> str:
        """Return an option's value."""
        return dict(self.options).get(name, default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a build has come.

    phase: one word of few; text: what is being done; fraction: 0 to 1 of the whole, None if it cannot be told;
    received: bytes that have been downloaded so far.
    """

    phase: str
    text: str
    fraction: float | None = None
    received: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """Where an image is built: a directory nobody sees, on the file system of the images.

    lock: a locked fd that every started program inherits (`pass_fds`): as long as one of them lives, the lock is held,
    and nobody takes the directory for a dead build's.
    """

    directory: Path
    lock: int
    report: Callable[[Progress], None]

    @property
    def rootfs(self) -> Path:
        """Where the builder puts the root file system; not there at first."""
        return self.directory / ROOTFS


class ImageBuilder(Protocol):
    """One kind of source. name: as it stands in recipes."""

    name: str

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        """Return the complete recipe for a source such as `debian-12`, None if this builder does not know the source.

        Raises: InvalidArgumentError for an option that it does not know or cannot use.
        """
        ...

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        """Make the root file system at `workplace.rootfs`. When cancelled, every process it started has ended.

        Raises: OperationFailedError; what is half done in the workplace is removed by the caller.
        """
        ...


def check_options(source: str, options: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Refuse options that a source does not know. known: name → what it means."""
    for name in options:
        if name not in known:
            listed = ", ".join(f"{each} ({meaning})" for each, meaning in known.items())
            raise InvalidArgumentError(f"'{source}' has no option '{name}'; it knows {listed}")


def choice(source: str, name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return value if it is among the allowed ones. Raises: InvalidArgumentError."""
    if value not in allowed:
        raise InvalidArgumentError(f"option '{name}' of '{source}' is '{value}'; expected {' or '.join(allowed)}")
    return value
