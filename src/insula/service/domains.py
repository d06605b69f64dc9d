"""All domains of this host: the registry of the noun that this daemon is for."""

from functools import partial
from pathlib import Path

from insula import model
from insula.errors import DomainExistsError, DomainNotFoundError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.service.definitionindex import DefinitionIndex, modules_of
from insula.service.definitions import Definitions, Form
from insula.service.events import Events
from insula.service.managed import ManagedDomain
from insula.service.registry import Noun, Registry
from insula.service.statelock import LOCK_PATIENCE
from insula.service.tasks import BackgroundTasks
from insula.service.unread import Description

DOMAIN = Noun(word="domain", missing=DomainNotFoundError, exists=DomainExistsError)

FORM = Form(
    word="domain",
    editor="virsh edit",
    load=partial(DomainDefinition.load, bounded=False),
    dump=lambda domain: domain.dump(XmlFlags.INACTIVE | XmlFlags.SECURE),
)


INDEX = "definitions.index"


def definitions_of(layout: Layout) -> Definitions[DomainDefinition]:
    """Return the definitions of domains below a layout."""
    index = DefinitionIndex(layout.run / INDEX, modules_of(Path(model.__file__).parent))
    return Definitions(FORM, directory=layout.definitions, autostart=layout.autostart, index=index)


class Domains(Registry[ManagedDomain]):
    """The domains. patience: see StateChangeLock; events: where they tell what happens to them."""

    def __init__(self, *, patience: float = LOCK_PATIENCE, events: Events | None = None) -> None:
        super().__init__(DOMAIN)
        self._patience = patience
        self._events = events or Events()
        self.tasks = BackgroundTasks()
        """What is being done to these domains."""
        self._by_id: dict[int, ManagedDomain] = {}
        """Domains that were found by their ids, which may be others, or none, by now."""

    def new(
        self,
        current: Description,
        *,
        definition: Description | None = None,
        autostart: bool = False,
        autostart_once: bool = False,
    ) -> ManagedDomain:
        """Return a new domain, described by current, and defined when there is a definition.

        Raises: DomainExistsError if its name or UUID is taken.
        """
        return self.add(
            ManagedDomain(
                description=current,
                definition=definition,
                autostart=autostart,
                autostart_once=autostart_once,
                patience=self._patience,
                tasks=self.tasks,
                events=self._events,
            )
        )

    def by_id(self, number: int) -> ManagedDomain:
        """Return the running domain with this id. Raises: DomainNotFoundError."""
        known = self._by_id.get(number)
        if known is None or known.gone or not known.is_shown_active or known.id != number:
            self._by_id = {each.id: each for each in self if each.is_shown_active}
            known = self._by_id.get(number)
        if known is None:
            raise DomainNotFoundError(f"no domain with matching id {number}")
        return known

    def pid_of(self, name: str) -> int:
        """Return the pid of the first process of the domain with this name: a PidOf.

        Raises: DomainNotFoundError, OperationInvalidError if it does not run.
        """
        return self.by_name(name).require_run().container.pid
