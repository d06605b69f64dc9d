"""What runs have of storage and ids: made for a start, marked to vanish with a run, removed, given back."""

import logging
from functools import partial
from uuid import UUID

from insula.engine.spec import ContainerSpec
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationInvalidError, StepError
from insula.model.domain import DomainDefinition
from insula.model.filesystems import FilesystemType
from insula.service.containers import Preparation
from insula.service.runrecord import RunRecord
from insula.service.translate import PidOf

LOGGER = logging.getLogger(__name__)


class RunStorage:
    """The storage of domains as their runs see it. Callers hold the domain's lock."""

    def __init__(self, preparation: Preparation, pid_of: PidOf) -> None:
        self._preparation = preparation
        self._pid_of = pid_of
        self._prepared: set[UUID] = set()
        """Domains whose files and ids are there, as was seen at their definition or at a start."""

    def is_owned(self, uuid: UUID) -> bool:
        """See `Preparation.owns_storage`."""
        return self._preparation.owns_storage(uuid)

    async def specified(self, domain: DomainDefinition, record: RunRecord) -> tuple[ContainerSpec, list[str]]:
        """What the engine launches, and what an administrator should know of it, in words.

        The first time in a thread, since files and ids may have to be made; with devices that the host's files
        describe, or a root to be mounted before it can be looked at, each time: both may last.
        """
        if domain.uuid in self._prepared and not domain.settings.grants and not _is_mounted(domain):
            return self._specify(domain, record)
        found = await in_own_thread(partial(self._specify, domain, record))
        self._prepared.add(domain.uuid)
        return found

    def _specify(self, domain: DomainDefinition, record: RunRecord) -> tuple[ContainerSpec, list[str]]:
        if record.ephemeral:
            self._preparation.keep(record.uuid, ephemeral=True)
        remarks: list[str] = []
        return self._preparation.specify(domain, self._pid_of, remarks.append), remarks

    def reason(self, domain: DomainDefinition, error: Exception) -> Exception:
        """Return why a start failed: a network that was stopped meanwhile took along what the host said was missing."""
        if not isinstance(error, StepError):
            return error
        try:
            self._preparation.require_networks(domain)
        except InsulaError as why:
            found = OperationInvalidError(f"{why} any more ({error}); start that, and then domain '{domain.name}'")
            found.__cause__ = error
            return found
        return error

    async def mark(self, uuid: UUID, *, ephemeral: bool) -> None:
        """Note where the next daemon, and the next boot, find it whether a domain's storage goes with its run.

        Raises: OSError, and the note is as it was.
        """
        await in_own_thread(partial(self._preparation.keep, uuid, ephemeral=ephemeral))

    def is_doomed(self, uuid: UUID) -> bool:
        """Whether an earlier domain of this UUID was to leave nothing of its storage."""
        return self._preparation.doomed(uuid)

    def discard_doomed(self, uuid: UUID) -> None:
        """Remove what an earlier domain of this UUID was to leave nothing of: in a thread. Raises: OSError."""
        if self._preparation.doomed(uuid):
            self._prepared.discard(uuid)
            self._preparation.discard(uuid)

    async def discard(self, uuid: UUID) -> None:
        """Remove a domain's writable layer. What cannot be removed is named in the log, and stops nobody."""
        self._prepared.discard(uuid)
        try:
            await in_own_thread(partial(self._preparation.discard, uuid))
        except (OSError, InsulaError) as error:
            LOGGER.error("the storage of domain %s is left behind: %s", uuid, error)

    def rehearsed(self, domain: DomainDefinition) -> ContainerSpec | None:
        """Give a domain its ids at its definition, and return what a start would launch, None if it could not now."""
        try:
            idmap = self._preparation.reserve(domain)
        except (OSError, InsulaError) as error:
            LOGGER.warning("no ids are reserved for domain '%s' yet: %s", domain.name, error)
            return None
        try:
            spec = self._preparation.rehearse(domain, self._pid_of, idmap=idmap)
        except (OSError, InsulaError) as error:
            LOGGER.debug("domain '%s' could not be started now: %s", domain.name, error)
            return None
        if self._preparation.is_ready(domain, idmap):
            self._prepared.add(domain.uuid)
        else:
            self._prepared.discard(domain.uuid)
        return spec

    async def release(self, uuid: UUID) -> None:
        """Let others have the ids of a domain that is no more."""
        self._prepared.discard(uuid)
        try:
            await in_own_thread(partial(self._preparation.release, uuid))
        except (OSError, InsulaError) as error:
            LOGGER.error("the ids of domain %s are not given back: %s", uuid, error)


def _is_mounted(domain: DomainDefinition) -> bool:
    """Whether a start mounts what its root is, with all that its journal has to say."""
    return domain.root is not None and domain.root.type in (FilesystemType.FILE, FilesystemType.BLOCK)
