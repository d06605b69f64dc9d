"""The run directory: what we must know of a running domain after anybody died, one directory a domain.

    <uuid>/record.json   where its run stands (the commit: a directory without one means nothing)
    <uuid>/domain.xml    what it was started from, with all live changes; a transient domain has no other
    <uuid>/channel0      the socket of its first channel, and so on
    <uuid>/console0      what its first console printed last, and so on (engine.console.consolering)

It lives below /run: what is there is of this boot, or (on a host that keeps /run) of an earlier one by its boot id.
Every file is replaced as a whole (those of consoles grow in between), so a daemon killed at any instant leaves the
state before or the state after.
"""

import logging
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

from insula.engine.launch.guestlabels import GuestLabel
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.errors import InsulaError
from insula.kernel.durable import Durability, replace_file, sweep, whole_text
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.xmlmap import Part
from insula.service.runrecord import LaterFormatError, RunPhase, RunRecord
from insula.service.unread import Description, UnreadDefinition

LOGGER = logging.getLogger(__name__)

LIVE = XmlFlags.LIVE | XmlFlags.SECURE
"""How a live definition is written."""
RECORD, DOMAIN = "record.json", "domain.xml"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEntry:
    """What the run directory holds of one domain: where its run stands, and what it was started from."""

    record: RunRecord
    description: Description
    decoded: ContainerRecord | None = None

    def labelled(self, label: GuestLabel | None) -> "RunEntry":
        """Return it with what a label has decoded already, if that says the very same."""
        if label is None or label.data != self.record.container:
            return self
        return replace(self, decoded=label.record)

    def container(self) -> ContainerRecord:
        """Return what the engine needs to find the guest again. Raises: ValueError if that makes no sense."""
        return self.decoded or ContainerRecord.decode(dict(self.record.container or {}))

    @property
    def domain(self) -> DomainDefinition:
        """Raises: ValueError, InsulaError if its document makes no sense."""
        described = self.description
        return described.value() if isinstance(described, UnreadDefinition) else described


class RunDirectory:
    """Reads and writes the records. Below /run, so nothing here waits for a disk."""

    def __init__(self, layout: Layout) -> None:
        self._directory = layout.running
        self._prefix = os.fspath(layout.running)
        self._owed: dict[tuple[UUID, str], str] = {}
        """What could not be written when it happened: the texts of files, by domain and name."""
        self._over: set[UUID] = set()
        """Runs that are over, and whose files could not be removed."""
        self._later: set[UUID] = set()
        """Runs whose record is of a later format."""

    def path(self, uuid: UUID) -> Path:
        return self._directory / str(uuid)

    def _file(self, uuid: UUID, name: str) -> str:
        """A path as plain text: this is on the way of every start."""
        return f"{self._prefix}/{uuid}/{name}"

    def begin(self, record: RunRecord, domain: DomainDefinition) -> None:
        """Keep the first record of a run. The domain goes first: a record without one would be of no use."""
        self._make(record.uuid)
        self._replace(record.uuid, DOMAIN, domain.dump(LIVE))
        self._write(record)

    def write(self, record: RunRecord) -> None:
        """Replace the record; also where somebody has cleared the run directory away meanwhile."""
        self._over.discard(record.uuid)
        try:
            self._write(record)
        except FileNotFoundError:
            self._make(record.uuid)
            self._write(record)

    def write_or_owe(self, record: RunRecord) -> None:
        """Replace the record of what has happened already. Where it cannot be written, any later write tries again."""
        self._write_or_owe(record.uuid, RECORD, record.to_json())

    def owes(self, uuid: UUID) -> bool:
        """Whether the record on the disk is not the present one."""
        return (uuid, RECORD) in self._owed

    def owes_domain(self, uuid: UUID) -> bool:
        """Whether the live definition on the disk is not the present one."""
        return (uuid, DOMAIN) in self._owed

    def write_domain_or_owe(self, uuid: UUID, domain: DomainDefinition) -> None:
        """Replace the live definition after a change that has happened already."""
        self._write_or_owe(uuid, DOMAIN, domain.dump(LIVE))

    def _write(self, record: RunRecord) -> None:
        self._replace(record.uuid, RECORD, record.to_json())

    def _write_or_owe(self, uuid: UUID, name: str, text: str) -> None:
        self._over.discard(uuid)
        try:
            try:
                self._replace(uuid, name, text)
            except FileNotFoundError:
                self._make(uuid)
                self._replace(uuid, name, text)
        except OSError as error:
            if (uuid, name) not in self._owed:
                LOGGER.error("'%s' cannot be written, and is kept in mind: %s", self._file(uuid, name), error)
            self._owed[uuid, name] = text

    def _replace(self, uuid: UUID, name: str, text: str) -> None:
        replace_file(self._file(uuid, name), text.encode(), Durability.PROCESS_DEATH)
        self._owed.pop((uuid, name), None)
        self.pay()

    def pay(self) -> None:
        """Write what is owed, and remove what is over, as far as that is possible now: at any later write, and before
        the daemon ends."""
        for uuid, name in list(self._owed):
            try:
                self._make(uuid)
                replace_file(self._file(uuid, name), self._owed[uuid, name].encode(), Durability.PROCESS_DEATH)
            except OSError:
                return
            del self._owed[uuid, name]
        for uuid in list(self._over):
            try:
                self._remove(uuid)
            except OSError:
                return
            self._over.discard(uuid)

    def _make(self, uuid: UUID) -> None:
        self._over.discard(uuid)
        with suppress(FileExistsError):
            try:
                os.mkdir(f"{self._prefix}/{uuid}", 0o700)
            except FileNotFoundError:
                os.makedirs(f"{self._prefix}/{uuid}", 0o700)

    def console(self, uuid: UUID, place: int) -> Path:
        """Return the file that keeps what a console printed last."""
        return self.path(uuid) / f"console{place}"

    def channel(self, uuid: UUID, number: int) -> Path:
        """Return where a channel has its socket, if its definition does not say."""
        return self.path(uuid) / f"channel{number}"

    def remove(self, uuid: UUID) -> None:
        """Forget the run: the record first, so that a half-removed directory is no run any more."""
        for name in (RECORD, DOMAIN):
            self._owed.pop((uuid, name), None)
        try:
            self._remove(uuid)
        except OSError as error:
            LOGGER.error("what a run that is over wrote down is left behind, and is kept in mind: %s", error)
            self._over.add(uuid)

    def _remove(self, uuid: UUID) -> None:
        directory = f"{self._prefix}/{uuid}"
        try:
            os.unlink(f"{directory}/{RECORD}")
            for name in os.listdir(directory):
                os.unlink(f"{directory}/{name}")
            os.rmdir(directory)
        except OSError:  # the record was gone before, or somebody has put something else there
            with suppress(FileNotFoundError):
                shutil.rmtree(directory)

    def load(self) -> tuple[RunEntry, ...]:
        """Return every run that is recorded. A directory without a record is removed; one we cannot read is named."""
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tuple(kept for name in sorted(self._listed()) if (kept := self._load(name)) is not None)

    def uuids(self) -> frozenset[UUID]:
        """Return the domains that have a directory, whether it can be read or not."""
        return frozenset(uuid for name in self._listed() if (uuid := _uuid(name)) is not None)

    def _listed(self) -> list[str]:
        try:
            return os.listdir(self._prefix)
        except FileNotFoundError:
            return []
        except OSError as error:
            LOGGER.error("the run directory cannot be read: %s", error)
            return []

    def domain_of(self, uuid: UUID) -> DomainDefinition | None:
        """Return the live definition of a run, also of one whose record cannot be read; None if that cannot either."""
        try:
            domain = _read((self.path(uuid) / DOMAIN).read_text())
        except (OSError, ValueError, InsulaError):
            return None
        return domain if domain.uuid == uuid else None

    def repair(self, record: RunRecord) -> None:
        """Write a record anew that was lost or makes no sense, unless one of a later format is there."""
        if record.uuid not in self._later:
            self.write_or_owe(record)

    def _load(self, name: str) -> RunEntry | None:
        path = f"{self._prefix}/{name}"
        try:
            text = whole_text(f"{path}/{RECORD}")
        except FileNotFoundError:
            LOGGER.info("'%s' holds no run of a domain and is removed", path)
            shutil.rmtree(path, ignore_errors=True)
            return None
        except (OSError, ValueError) as error:
            LOGGER.error("the run directory '%s' cannot be read: %s", path, error)
            return None
        sweep(path)
        try:
            record = RunRecord.from_json(text)
            description = _description(whole_text(f"{path}/{DOMAIN}"), read=record.phase is not RunPhase.RUNNING)
            if not str(record.uuid) == name == str(description.uuid):
                raise ValueError(f"it is about {record.uuid} and {description.uuid}")
        except LaterFormatError as error:
            LOGGER.error("the run directory '%s' cannot be read: %s", path, error)
            if (uuid := _uuid(name)) is not None:
                self._later.add(uuid)
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, InsulaError) as error:
            LOGGER.error("the run directory '%s' cannot be read: %s", path, error)
            return None
        return RunEntry(record=record, description=description)


_BEGINNING = re.compile(r"<domain[^<>]*>\s*<name>([^<>&]+)</name>\s*<uuid>([0-9a-f-]{36})</uuid>")
"""How a live definition begins, as we write it."""


def _description(text: str, *, read: bool) -> Description:
    """Return what a live definition describes: read now, or only once it is needed."""
    beginning = None if read else _BEGINNING.match(text)
    if beginning is None:
        return _read(text)
    return UnreadDefinition(name=beginning[1], uuid=UUID(beginning[2]), text=text, read=partial(_read, text))


def _read(text: str) -> DomainDefinition:
    return DomainDefinition.load(text, Part.LIVE | Part.SECRET, bounded=False)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
