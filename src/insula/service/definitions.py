"""The persistent definitions: one XML file a domain, and a link for those that start with the daemon.

A file is `NAME.xml`, readable by hand and by grep; the daemon reads them once, at its start. What it cannot use it
names in the log and sets aside under another name: one bad file never keeps the others, or the daemon, from working.
One that cannot be read just now (no descriptors, a failing disk) stays where it is, for the next daemon.
"""

import errno
import logging
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insula.errors import InsulaError
from insula.kernel.durable import Commit, Durability, make_link, remove_file, replace_file, sweep
from insula.layout import Layout
from insula.model.domain import Domain
from insula.model.numbers import XmlFlags

LOGGER = logging.getLogger(__name__)

SUFFIX = ".xml"
SET_ASIDE = ".set-aside"
SIZE_MAX = 4 * 1024 * 1024
"""Bytes: what libvirt's wire lets a definition have."""

HEADER = """\
<!--
  insulad keeps this file. To change the domain use: virsh edit {name}
  What is written here by hand counts from the daemon's next start on.
-->
"""

PERSISTENT = XmlFlags.INACTIVE | XmlFlags.SECURE


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What one file holds. autostart: whether a link to it stands in the autostart directory."""

    domain: Domain
    autostart: bool


class Definitions:
    """The directory of definitions. Its methods wait for the disk: call them in a thread where that matters."""

    def __init__(self, layout: Layout) -> None:
        self._directory = layout.definitions
        self._autostart = layout.autostart
        self._unread: set[Path] = set()
        """Files that could not be read when they were asked for: what they define is not known."""

    def load(self) -> tuple[Definition, ...]:
        """Return every usable definition, in the order of their names; set the others aside.

        Of two files with one UUID, as a rename that was cut short leaves them, the younger is the domain.
        """
        with suppress(OSError):  # a file system that is read-only now: what is there is read all the same
            self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (self._directory, self._autostart):
            if (error := sweep(each)) is not None:
                LOGGER.warning("what was left half written in '%s' stays there: %s", each, error)
        by_uuid: dict[object, tuple[int, Path, Domain]] = {}
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            if (found := self._read(path)) is None:
                continue
            changed, domain = found
            older = by_uuid.get(domain.uuid)
            if older is not None and older[0] >= changed:
                self._set_aside(path, f"its UUID {domain.uuid} is that of '{older[1].name}', which is younger")
                continue
            if older is not None:
                self._set_aside(older[1], f"its UUID {domain.uuid} is that of '{path.name}', which is younger")
            by_uuid[domain.uuid] = (changed, path, domain)
        domains = sorted((domain for _, _, domain in by_uuid.values()), key=lambda domain: domain.name)
        unread = {path.name.removesuffix(SUFFIX) for path in self._unread}
        self._drop_dangling_links({domain.name for domain in domains} | unread)
        return tuple(Definition(domain=each, autostart=self._link(each.name).is_symlink()) for each in domains)

    def save(self, domain: Domain) -> Commit:
        """Keep domain; what is returned says whether it would survive a loss of power.

        Raises: OSError, and the old definition stands.
        """
        self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(domain.name)
        if path in self._unread:
            text = "it could not be read when insulad started, and may define another domain: start insulad again"
            raise OSError(errno.EBUSY, text, os.fspath(path))
        if not os.path.lexists(path):
            # One that an earlier domain of this name could not be rid of would let the new one start with the host.
            remove_file(self._link(domain.name), Durability.PROCESS_DEATH)
        text = HEADER.format(name=domain.name.replace("--", "- -")) + domain.dump(PERSISTENT)
        return replace_file(path, text.encode())

    def remove(self, name: str) -> Commit:
        """Forget the domain, if it is there. Raises: OSError, and it is as it was.

        Its file goes first, and that counts: a link that points nowhere is dropped by load, and by the next save.
        """
        commit = remove_file(self._path(name))
        try:
            link = remove_file(self._link(name))
        except OSError as error:
            LOGGER.warning("the autostart link of '%s', which is undefined, stays behind: %s", name, error)
            return commit
        return commit if commit.unsynced is not None else link

    def set_autostart(self, name: str, *, on: bool) -> Commit:
        """Make or remove the link of a domain that has a definition. Raises: OSError, and it is as it was."""
        link = self._link(name)
        if not on:
            return remove_file(link)
        if link.is_symlink():
            return Commit()
        self._autostart.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_link(link, os.path.join(os.pardir, self._path(name).name))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{SUFFIX}"

    def _link(self, name: str) -> Path:
        return self._autostart / f"{name}{SUFFIX}"

    def _read(self, path: Path) -> tuple[int, Domain] | None:
        """When the file was changed, and its domain; None when it was set aside."""
        try:
            changed, text = _regular_text(path)
            domain = Domain.load(text, bounded=False)
            if path.name != f"{domain.name}{SUFFIX}":
                raise ValueError(f"it defines the domain '{domain.name}', so it should be named {domain.name}{SUFFIX}")
        except OSError as error:
            self._unread.add(path)
            LOGGER.error("the definition '%s' cannot be read now, and is left to the next insulad: %s", path, error)
            return None
        except (ValueError, InsulaError) as error:
            self._set_aside(path, str(error))
            return None
        if domain.uuid.hex not in text.replace("-", "").lower():
            self._keep_uuid(domain)
        return changed, domain

    def _keep_uuid(self, domain: Domain) -> None:
        """Write down the UUID that a file made by hand lacks, or the domain would be another one at every start."""
        try:
            self.save(domain)
        except OSError as error:
            LOGGER.warning(
                "domain '%s' has no UUID in its file, and it cannot be written there: %s", domain.name, error
            )

    def _set_aside(self, path: Path, reason: str) -> None:
        try:
            aside = _free_name(path)
            path.rename(aside)
        except OSError as error:
            LOGGER.error("the definition '%s' is ignored: %s; it cannot be set aside: %s", path, reason, error)
        else:
            LOGGER.error("the definition '%s' is set aside as '%s': %s", path, aside.name, reason)

    def _drop_dangling_links(self, names: set[str]) -> None:
        for link in self._autostart.glob(f"*{SUFFIX}"):
            if link.is_symlink() and link.name.removesuffix(SUFFIX) not in names:
                LOGGER.warning("the autostart link '%s' points to no definition and is removed", link)
                try:
                    link.unlink(missing_ok=True)
                except OSError as error:
                    LOGGER.warning("it cannot be removed, and does not count: %s", error)


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
