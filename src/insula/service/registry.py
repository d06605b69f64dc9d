"""All domains, found by UUID, name or id. In memory, so looking never waits."""

from collections.abc import Iterator
from uuid import UUID

from insula.errors import DomainExistsError, DomainNotFoundError
from insula.model.domain import Domain
from insula.service.jobs import LOCK_PATIENCE, Jobs
from insula.service.managed import ManagedDomain


class Registry:
    """Domains in the order they came. Names are unique, and so are UUIDs. patience: see StateChangeLock."""

    def __init__(self, patience: float = LOCK_PATIENCE) -> None:
        self._patience = patience
        self.jobs = Jobs()
        """What is being done to these domains."""
        self._by_uuid: dict[UUID, ManagedDomain] = {}
        self._by_name: dict[str, UUID] = {}

    def __iter__(self) -> Iterator[ManagedDomain]:
        return iter(tuple(self._by_uuid.values()))

    def __len__(self) -> int:
        return len(self._by_uuid)

    def add(self, current: Domain, *, config: Domain | None = None, autostart: bool = False) -> ManagedDomain:
        """Return a new domain, described by current, and defined when there is a config.

        Raises: DomainExistsError if its name or UUID is taken.
        """
        if self.admit(current.name, current.uuid) is not None:
            raise DomainExistsError(f"domain '{current.name}' already exists with uuid {current.uuid}")
        managed = ManagedDomain(
            current=current, config=config, autostart=autostart, patience=self._patience, jobs=self.jobs
        )
        self._by_uuid[managed.uuid] = managed
        self._by_name[managed.name] = managed.uuid
        return managed

    def remove(self, managed: ManagedDomain) -> None:
        """Forget a domain; verbs that wait for their turn find it gone."""
        if not managed.gone:
            del self._by_uuid[managed.uuid]
            del self._by_name[managed.name]
            managed.gone = True

    def admit(self, name: str, uuid: UUID) -> ManagedDomain | None:
        """Return the domain that has both this name and this UUID, None when neither is taken.

        Raises: DomainExistsError when only one of them belongs to a domain.
        """
        known = self._by_uuid.get(uuid)
        if known is not None and known.name != name:
            raise DomainExistsError(f"domain '{known.name}' is already defined with uuid {uuid}")
        if known is None and name in self._by_name:
            raise DomainExistsError(f"domain '{name}' already exists with uuid {self._by_name[name]}")
        return known

    def find(self, uuid: UUID) -> ManagedDomain | None:
        """Return the domain with this UUID, None if there is none."""
        return self._by_uuid.get(uuid)

    def by_uuid(self, uuid: UUID) -> ManagedDomain:
        """Raises: DomainNotFoundError."""
        found = self._by_uuid.get(uuid)
        if found is None:
            raise DomainNotFoundError(f"no domain with matching uuid '{uuid}'")
        return found

    def by_name(self, name: str) -> ManagedDomain:
        """Raises: DomainNotFoundError."""
        uuid = self._by_name.get(name)
        if uuid is None:
            raise DomainNotFoundError(f"no domain with matching name '{name}'")
        return self._by_uuid[uuid]

    def by_id(self, number: int) -> ManagedDomain:
        """Return the running domain with this id. Raises: DomainNotFoundError."""
        for managed in self._by_uuid.values():
            if managed.run is not None and managed.id == number:
                return managed
        raise DomainNotFoundError(f"no domain with matching id {number}")
