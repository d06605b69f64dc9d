"""The persistent definitions of one noun: an XML file each, and a link for those that start with the daemon.

A file is `NAME.xml`, readable by hand and by grep; the daemon reads them once, at its start. What a text says that an
earlier daemon has understood is made out only once it is needed (`service/definitionindex.py`). What it cannot use it
names in the log and sets aside under another name: one bad file never keeps the others, or the daemon, from working.
One that cannot be read just now (no descriptors, a failing disk) stays where it is, for the next daemon.
"""

import errno
import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from insula.errors import InsulaError
from insula.kernel.durable import Commit, Durability, make_link, remove_file, replace_file, sweep
from insula.service.definitionindex import DefinitionIndex
from insula.service.documents import SMALL

LOGGER = logging.getLogger(__name__)

SUFFIX = ".xml"
ONCE = ".once"
"""What follows a name's suffix in the link of one that starts with the host once, as libvirt has it."""
SET_ASIDE = ".set-aside"
SIZE_MAX = 4 * 1024 * 1024
"""Bytes: what libvirt's wire lets a definition have."""

HEADER = """\
<!--
  insulad keeps this file. To change the {word} use: {editor} {name}
  What is written here by hand counts from the daemon's next start on.
-->
"""


class Definable(Protocol):
    """A noun of the model."""

    @property
    def name(self) -> str: ...

    @property
    def uuid(self) -> UUID: ...


N = TypeVar("N", bound=Definable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form(Generic[N]):
    """How definitions of a noun are written.

    editor: the command that changes one; load: raises ValueError or InsulaError.
    """

    word: str
    editor: str
    load: Callable[[str], N]
    dump: Callable[[N], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition(Generic[N]):
    """What one file holds. known: what its text says, None if that was not made out yet; read: makes it out; changed:
    when the file was, in nanoseconds; autostart: whether a link to it stands in the autostart directory;
    autostart_once: whether one does that goes with the host's next start."""

    name: str
    uuid: UUID
    text: str
    read: Callable[[str], N]
    known: N | None
    changed: int
    autostart: bool = False
    autostart_once: bool = False

    @property
    def config(self) -> N:
        """What it defines."""
        return self.read(self.text) if self.known is None else self.known


class Definitions(Generic[N]):
    """A directory of definitions. Its methods wait for the disk: call them in a thread where that matters."""

    def __init__(self, form: Form[N], *, directory: Path, autostart: Path, index: DefinitionIndex) -> None:
        """index: of texts that were read before."""
        self._form = form
        self._index = index
        self._directory = directory
        self._autostart = autostart
        self._unread: set[Path] = set()
        """Files that could not be read when they were asked for: what they define is not known."""

    def load(self) -> tuple[Definition[N], ...]:
        """Return every usable definition, in the order of their names; set the others aside.

        Of two files with one UUID, as a rename that was cut short leaves them, the younger counts.
        """
        with suppress(OSError):  # a file system that is read-only now: what is there is read all the same
            self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (self._directory, self._autostart):
            if (error := sweep(each)) is not None:
                LOGGER.warning("what was left half written in '%s' stays there: %s", each, error)
        self._index.open()
        by_uuid: dict[UUID, Definition[N]] = {}
        for name in _names_in(self._directory):
            found = self._read(self._path(name))
            if found is None:
                continue
            older = by_uuid.get(found.uuid)
            if older is not None and older.changed >= found.changed:
                self._give_up(found, younger=older)
                continue
            if older is not None:
                self._give_up(older, younger=found)
            by_uuid[found.uuid] = found
        unread = {path.name.removesuffix(SUFFIX) for path in self._unread}
        names = {each.name for each in by_uuid.values()}
        links, once = self._links(SUFFIX), self._links(SUFFIX + ONCE)
        self._drop_dangling_links([self._link(name) for name in sorted(links - names - unread)])
        self._drop_dangling_links([self._link(name, once=True) for name in sorted(once - names - unread)])
        self._index.keep_only([each.text for each in by_uuid.values()])
        linked = (
            replace(each, autostart=each.name in links, autostart_once=each.name in once)
            if each.name in links | once
            else each
            for each in by_uuid.values()
        )
        return tuple(sorted(linked, key=lambda each: each.name))

    def save(self, config: N) -> Commit:
        """Keep config; what is returned says whether it would survive a loss of power.

        Raises: OSError, and the old definition stands.
        """
        self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(config.name)
        if path in self._unread:
            what = f"it could not be read when insulad started, and may define another {self._form.word}"
            raise OSError(errno.EBUSY, f"{what}: start insulad again", os.fspath(path))
        if not os.path.lexists(path):
            # One that an earlier thing of this name could not be rid of would let the new one start with the host.
            for each in (self._link(config.name), self._link(config.name, once=True)):
                remove_file(each, Durability.PROCESS_DEATH)
        shown = config.name.replace("--", "- -")
        text = HEADER.format(word=self._form.word, editor=self._form.editor, name=shown) + self._form.dump(config)
        commit = replace_file(path, text.encode())
        self._index.note(text, config.name, config.uuid)
        return commit

    def remove(self, name: str) -> Commit:
        """Forget a definition, if it is there. Raises: OSError, and it is as it was.

        Its file goes first, and that counts: a link that points nowhere is dropped by load, and by the next save.
        """
        commit = remove_file(self._path(name))
        for link in (self._link(name), self._link(name, once=True)):
            if not link.is_symlink():
                continue
            try:
                removed = remove_file(link)
            except OSError as error:
                LOGGER.warning("the autostart link of '%s', which is undefined, stays behind: %s", name, error)
                continue
            commit = commit if commit.unsynced is not None else removed
        return commit

    def rename(self, name: str, config: N, *, autostart: bool, autostart_once: bool = False) -> Commit:
        """Keep what name defined as config, which has another name. Raises: OSError, and it is as it was.

        The new file counts from when it is there, being younger: see load.
        """
        commit = self.save(config)
        try:
            if autostart:
                self.set_autostart(config.name, on=True)
            if autostart_once:
                self.set_autostart(config.name, on=True, once=True)
            removed = self.remove(name)
        except OSError:
            try:
                self.remove(config.name)
            except OSError as error:
                LOGGER.error(
                    "'%s' could not be renamed, and its definition as '%s' stays: %s", name, config.name, error
                )
            raise
        return commit if commit.unsynced is not None else removed

    def _finish_rename(self, former: str, name: str) -> None:
        """Let what was being renamed start with the host as it did."""
        for once in (False, True):
            if self._link(former, once=once).is_symlink() and not self._link(name, once=once).is_symlink():
                try:
                    self.set_autostart(name, on=True, once=once)
                except OSError as error:
                    LOGGER.error("'%s' was renamed to '%s', which does not start by itself: %s", former, name, error)

    def set_autostart(self, name: str, *, on: bool, once: bool = False) -> Commit:
        """Make or remove the link to a definition. Raises: OSError, and it is as it was.

        once: the link that goes with the host's next start.
        """
        link = self._link(name, once=once)
        if not on:
            return remove_file(link)
        if link.is_symlink():
            return Commit()
        self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_link(link, os.path.join(os.pardir, self._path(name).name))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{SUFFIX}"

    def _link(self, name: str, *, once: bool = False) -> Path:
        return self._autostart / f"{name}{SUFFIX}{ONCE if once else ''}"

    def _read(self, path: Path) -> Definition[N] | None:
        """What a file defines; None when it was set aside."""
        config: N | None = None
        try:
            changed, text = _regular_text(path)
            found = self._index.find(text) if len(text) <= SMALL else None
            if found is None:
                config = self._form.load(text)
                found = config.name, config.uuid
            name, uuid = found
            if path.name != f"{name}{SUFFIX}":
                raise ValueError(f"it defines the {self._form.word} '{name}', so it should be named {name}{SUFFIX}")
        except OSError as error:
            self._unread.add(path)
            LOGGER.error("the definition '%s' cannot be read now, and is left to the next insulad: %s", path, error)
            return None
        except (ValueError, InsulaError) as error:
            self._set_aside(path, str(error))
            return None
        if config is not None:
            if uuid.hex in text.replace("-", "").lower():
                self._index.note(text, name, uuid)
            else:
                self._keep_uuid(config)
        return Definition(
            name=name,
            uuid=uuid,
            text=text,
            read=self._form.load,
            known=config,
            changed=changed,
        )

    def _keep_uuid(self, config: N) -> None:
        """Write down the UUID that a file made by hand lacks, or it would define another thing at every start."""
        try:
            self.save(config)
        except OSError as error:
            word = self._form.word
            LOGGER.warning(
                "%s '%s' has no UUID in its file, and it cannot be written there: %s", word, config.name, error
            )

    def _set_aside(self, path: Path, reason: str) -> None:
        try:
            aside = _free_name(path)
            path.rename(aside)
        except OSError as error:
            LOGGER.error("the definition '%s' is ignored: %s; it cannot be set aside: %s", path, reason, error)
        else:
            LOGGER.error("the definition '%s' is set aside as '%s': %s", path, aside.name, reason)

    def _give_up(self, older: Definition[N], *, younger: Definition[N]) -> None:
        """Let the younger of two with one UUID count: a rename was cut short."""
        self._finish_rename(older.name, younger.name)
        path, other = self._path(older.name), self._path(younger.name)
        self._set_aside(path, f"its UUID {older.uuid} is that of '{other.name}', which is younger")

    def _links(self, suffix: str) -> set[str]:
        """Return the names that have an autostart link with this suffix."""
        try:
            with os.scandir(self._autostart) as entries:
                return {e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix) and e.is_symlink()}
        except FileNotFoundError:
            return set()

    def _drop_dangling_links(self, links: list[Path]) -> None:
        for link in links:
            LOGGER.warning("the autostart link '%s' points to no definition and is removed", link)
            try:
                link.unlink(missing_ok=True)
            except OSError as error:
                LOGGER.warning("it cannot be removed, and does not count: %s", error)


def _names_in(directory: Path) -> list[str]:
    """Return the names of all definitions in a directory, in order; none if it is not there."""
    try:
        return sorted(each.removesuffix(SUFFIX) for each in os.listdir(directory) if each.endswith(SUFFIX))
    except FileNotFoundError:
        return []


def _regular_text(path: Path) -> tuple[int, str]:
    """When a file was changed (ns), and its text. Raises: ValueError, OSError; never waits on a fifo or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > SIZE_MAX:
            raise ValueError(f"it is larger than {SIZE_MAX} bytes")
        return status.st_mtime_ns, file.read().decode()


def _free_name(path: Path) -> Path:
    """path with a suffix that no file has yet."""
    candidate, number = path.with_name(path.name + SET_ASIDE), 1
    while os.path.lexists(candidate):
        candidate, number = path.with_name(f"{path.name}{SET_ASIDE}.{number}"), number + 1
    return candidate
