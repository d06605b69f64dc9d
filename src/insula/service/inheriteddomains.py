"""The domains whose guests an earlier daemon ran, in the registry, in their true states: before anybody may ask."""

import logging
from dataclasses import replace
from uuid import UUID

from insula.engine.launch.runningcontainer import Running
from insula.errors import InsulaError, OperationFailedError
from insula.model.domain import DomainDefinition
from insula.model.scalars import DomainName
from insula.service.containers import ContainerEngine, Preparation
from insula.service.definitions import Definition
from insula.service.discovery import described, free_name
from insula.service.domains import Domains
from insula.service.endings import state_after
from insula.service.live import defined
from insula.service.managed import ManagedDomain
from insula.service.recoveryplan import Evidence
from insula.service.rundirectory import RunDirectory, RunEntry
from insula.service.runrecord import RunPhase, RunRecord, StopReason
from insula.service.runs import Runs
from insula.service.unread import Description, UnreadDefinition

LOGGER = logging.getLogger(__name__)


class InheritedDomains:
    """Lets a domain be there as it is. Nothing here waits, and no more is read than must be known."""

    def __init__(
        self,
        *,
        registry: Domains,
        directory: RunDirectory,
        engine: ContainerEngine,
        runs: Runs,
        preparation: Preparation,
        boot_id: str,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._engine = engine
        self._runs = runs
        self._preparation = preparation
        self._boot_id = boot_id

    def defined(self, found: Definition[DomainDefinition]) -> ManagedDomain:
        """Let a domain be there that is defined; what its definition says is made out once somebody asks for it."""

        def read() -> DomainDefinition:
            try:
                return found.read(found.text)
            except (ValueError, InsulaError) as error:  # an earlier daemon with the very same reader has understood it
                raise OperationFailedError(
                    f"the definition of domain '{found.name}' cannot be understood any more ({error}); restart insulad"
                ) from error

        unread = UnreadDefinition(name=found.name, uuid=found.uuid, text=found.text, read=read)
        described_by = found.known or unread
        return self._registry.new(
            described_by,
            definition=described_by,
            autostart=found.autostart,
            autostart_once=found.autostart_once,
        )

    def running(self, kept: RunEntry) -> ManagedDomain:
        """Show a guest as its record has it. Raises: ValueError if that makes no sense."""
        managed = self._known(kept.description)
        handle = self._engine.succession.handle(kept.container())
        self._runs.show(managed, self._described(managed, kept, handle), handle, kept.record)
        return managed

    def _described(self, managed: ManagedDomain, kept: RunEntry, handle: Running) -> Description:
        """What describes a guest that is shown, under the name it is shown by; read once somebody asks for it."""
        described_by = kept.description
        if not isinstance(described_by, UnreadDefinition):
            return replace(described_by, name=DomainName(managed.name))

        def read() -> DomainDefinition:
            try:
                found = described_by.value()
            except Exception as error:  # whatever it was: it runs, and is described as well as can be
                LOGGER.error("the live definition of domain '%s' cannot be read: %s", managed.name, error)
                managed.notice(f"what it was started from cannot be read: {error}")
                found = managed.config or described(managed.uuid, managed.name, handle)
            return replace(found, name=DomainName(managed.name))

        return UnreadDefinition(name=managed.name, uuid=managed.uuid, text=described_by.text, read=read)

    def unrecorded(self, uuid: UUID, facts: Evidence) -> ManagedDomain:
        """Show a guest that lives and has no record of its own, as far as the kernel and the keeper describe it."""
        known = self._registry.find(uuid)
        label = facts.labelled.get(uuid)
        name = known.name if known is not None else label.spec.name if label is not None else str(uuid)
        handle = (
            self._engine.succession.handle(label)
            if label is not None
            else self._engine.succession.unrecorded(facts.held[uuid], name)
        )
        source = self._directory.domain_of(uuid)
        domain = source or (known.current if known is not None else described(uuid, name, handle))
        managed = self._known(domain)
        record = RunRecord(
            uuid=uuid,
            name=managed.name,
            boot_id=self._boot_id,
            phase=RunPhase.RUNNING,
            begun=0,
            container=handle.record.encode() if handle.described else None,
            ephemeral=not managed.is_persistent and self._preparation.doomed(uuid),
        )
        self._runs.show(managed, replace(domain, name=DomainName(managed.name)), handle, record)
        if handle.described:
            managed.notice("what was written down about its run was lost, and is known from its control group")
            self._runs.journal.repair(record)
        else:
            managed.notice("how it was started is not known any more: it can be watched and ended, not entered")
        LOGGER.warning("domain '%s' runs, and %s", managed.name, managed.notices[-1])
        return managed

    def _known(self, domain: Description) -> ManagedDomain:
        """The domain of a run; one that nothing defines is transient, and has another name if its own is taken."""
        known = self._registry.find(domain.uuid)
        if known is not None:
            return known
        name = free_name(domain, self._registry.has_name)
        if name != domain.name:
            LOGGER.error("domain '%s' runs while another has its name: it is shown as '%s'", domain.name, name)

        def renamed(found: DomainDefinition) -> DomainDefinition:
            return replace(defined(found), name=DomainName(name))

        if isinstance(domain, UnreadDefinition):
            return self._registry.new(replace(domain.then(renamed), name=name))
        return self._registry.new(renamed(domain))

    def ended(self, kept: RunEntry) -> ManagedDomain:
        """Make a run that is over and not forgotten its domain's again."""
        managed = self._known(kept.domain)
        managed.ended_record = kept.record
        managed.description = defined(kept.domain)
        managed.found(state_after(kept.record.reason or StopReason.UNKNOWN, kept.record.next))
        return managed

    def tell_end(self, record: RunRecord) -> None:
        """Let a domain that is off say how its last run ended."""
        if (managed := self._registry.find(record.uuid)) is not None:
            managed.found(state_after(record.reason or StopReason.UNKNOWN, record.next))
