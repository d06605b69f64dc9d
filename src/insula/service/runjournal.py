"""What is written down of a run that goes on: for the next daemon, which knows nothing else of it."""

from dataclasses import replace

from insula.engine.launch.runningcontainer import Running
from insula.model.domain import DomainDefinition
from insula.service.managed import ManagedDomain
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import RunRecord
from insula.service.seating import Seating


class RunJournal:
    """Keeps the record of a run, and its live definition, true. Callers hold the domain's lock."""

    def __init__(self, directory: RunDirectory, seating: Seating) -> None:
        self._directory = directory
        self._seating = seating

    def change(self, managed: ManagedDomain, record: RunRecord) -> None:
        """Write down what changed about the present run."""
        run = managed.require_run()
        self._directory.write(record)
        run.record = record

    def write_record(self, managed: ManagedDomain, record: RunRecord) -> None:
        """Keep for the next daemon what happens to the present run, whether it can be written now or not."""
        run = managed.require_run()
        run.record = record
        self._directory.write_or_owe(record)

    def note_storage(self, managed: ManagedDomain, *, ephemeral: bool) -> None:
        """Let what was marked hold for the present run, or the one that is over and was kept."""
        if managed.run is not None:
            self.write_record(managed, replace(managed.run.record, ephemeral=ephemeral))
        elif managed.ended_record is not None:
            managed.ended_record = replace(managed.ended_record, ephemeral=ephemeral)
            self._directory.write_or_owe(managed.ended_record)

    def keep_ended(self, managed: ManagedDomain, record: RunRecord) -> None:
        """Keep for the next daemon what follows a run that is over."""
        managed.ended_record = record
        self._directory.write_or_owe(record)

    def is_ephemeral(self, managed: ManagedDomain) -> bool:
        """Whether the domain's storage vanishes with its present run, or the one that was kept."""
        record = managed.ended_record if managed.run is None else managed.run.record
        return record is not None and record.ephemeral

    def change_domain(self, managed: ManagedDomain, current: DomainDefinition) -> None:
        """Let a change of the live definition, which the guest has felt already, count, and write it down."""
        managed.description = current
        self._directory.write_domain_or_owe(managed.uuid, current)
        if managed.run is not None:
            self.record_container(managed, managed.run.container)

    def record_container(self, managed: ManagedDomain, container: Running) -> None:
        """Let the record tell of the running container as it is now, its limits for one."""
        record = managed.require_run().record
        # Until the live definition is written, a later daemon goes by the former one, and must know what to take back.
        if not self._directory.owes_domain(managed.uuid):
            limiting = managed.require_run().limiting()
            record = replace(record, limiting=limiting, attaching=False, claiming=False)
        record = replace(record, seated=self._seating.of(managed.uuid))
        if container.described:
            record = replace(record, container=container.record.encode())
        if record != managed.require_run().record:
            self.write_record(managed, record)

    def repair(self, record: RunRecord) -> None:
        """Write down anew what was lost about a run that goes on."""
        self._directory.repair(record)
