"""All network filters of this installation: those that are built in, and those that somebody has defined."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import UUID

from insula import model
from insula.engine.threads import in_own_thread
from insula.errorcodes import ErrorDomain
from insula.errors import (
    InsulaError,
    NetworkFilterBindingNotFoundError,
    NetworkFilterExistsError,
    NetworkFilterNotFoundError,
    OperationInvalidError,
)
from insula.layout import Layout
from insula.model.builtinfilters import NAMES, built_in_filter, built_in_uuid
from insula.model.filterbinding import FilterBinding
from insula.model.networkport import PortOwner
from insula.model.nwfilter import FilterDefinition, dump_filter, load_filter
from insula.model.scalars import DomainName
from insula.service.definitionchanges import DefinitionChanges
from insula.service.definitionindex import DefinitionIndex, modules_of
from insula.service.definitions import Definitions, Form
from insula.service.documents import Documents
from insula.service.managed import ManagedDomain
from insula.service.registry import Noun, Registry
from insula.service.schemavalidation import validate_by_schema
from insula.service.tasks import BackgroundTasks, outlived

LOGGER = logging.getLogger(__name__)

FILTER = Noun(word="nwfilter", missing=NetworkFilterNotFoundError, exists=NetworkFilterExistsError)

FILTER_FORM = Form(
    word="network filter",
    editor="virsh nwfilter-edit",
    load=partial(load_filter, bounded=False),
    dump=dump_filter,
)

FILTER_SCHEMA = Path("/usr/share/libvirt/schemas/nwfilter.rng")
"""Where libvirt's packages put it."""
FILTER_INDEX = "nwfilters.index"


def filter_definitions(layout: Layout) -> Definitions[FilterDefinition]:
    """Return the definitions of filters below a layout."""
    index = DefinitionIndex(layout.run / FILTER_INDEX, modules_of(Path(model.__file__).parent))
    # Nothing of a filter starts with the daemon, so nothing ever stands in the second directory.
    autostart = layout.filter_definitions / "autostart"
    return Definitions(FILTER_FORM, directory=layout.filter_definitions, autostart=autostart, index=index)


class FilteringFirewall(Protocol):
    """What filters stand in: see `network.firewall.firewall.Firewall`. Its methods wait, and are called in threads."""

    def refilter(self) -> None: ...

    def filters(self) -> frozenset[str]:
        """Return the names of the filters that stand before ports."""
        ...


class ManagedFilter:
    """One filter. defined: what somebody has defined, None for a built-in one that is as it came: few daemons ever
    need one of those, so what it says is made out when it is asked for."""

    def __init__(self, name: str, uuid: UUID, defined: FilterDefinition | None = None) -> None:
        self.name = name
        self.uuid = uuid
        self.defined = defined
        self.gone = False

    @property
    def definition(self) -> FilterDefinition:
        return _built_in(self.name) if self.defined is None else self.defined

    def notice(self, text: str) -> None:
        """A filter has no messages of its own: the log has it."""
        LOGGER.warning("network filter '%s': %s", self.name, text)


class NetworkFilters(Registry[ManagedFilter]):
    """The filters, the built-in ones from the beginning."""

    def __init__(self) -> None:
        super().__init__(FILTER)
        for name in NAMES:
            self.add(ManagedFilter(name, built_in_uuid(name)))

    def definition(self, name: str) -> FilterDefinition:
        """Return what a filter is. Called in threads. Raises: NetworkFilterNotFoundError."""
        return self.by_name(name).definition

    def users(self, name: str) -> tuple[str, ...]:
        """Return the filters that refer to one, directly or through others."""
        found: dict[str, None] = {}
        new = {name}
        while new:
            new = {each.name for each in self if new & set(each.definition.references)} - found.keys()
            found |= dict.fromkeys(sorted(new))
        return tuple(found)


class FilterVerbs:
    """What is done with filters. A change counts for running guests at once, or it does not happen."""

    def __init__(
        self,
        registry: NetworkFilters,
        definitions: Definitions[FilterDefinition],
        firewall: FilteringFirewall,
        documents: Documents,
        domains: Iterable[ManagedDomain] = (),
    ) -> None:
        self.registry = registry
        self._domains = domains
        self._documents = documents
        self._definitions = definitions
        self._changes = DefinitionChanges(FILTER_FORM.word, definitions)
        self._firewall = firewall
        self._lock = asyncio.Lock()
        self.tasks = BackgroundTasks()

    async def take_stock(self) -> None:
        """Know the filters that were defined; called once, before guests are known."""
        for each in await asyncio.to_thread(self._definitions.load):
            try:
                self._take(each.config)
            except (ValueError, InsulaError) as error:
                LOGGER.error("the network filter '%s' cannot be taken from its definition: %s", each.name, error)

    async def define(self, xml: str, *, by_schema: bool = False) -> ManagedFilter:
        """Have the filter that xml describes, instead of what it was. by_schema: it must be valid by libvirt's, too.

        Raises: XmlError; NetworkFilterExistsError if the name or the UUID is another's; OperationInvalidError for
        filters in a circle; OperationFailedError and others if a running guest's port cannot have it: then it is as it
        was.
        """
        if by_schema:
            await self._documents.aside(validate_by_schema, xml, FILTER_SCHEMA)
        definition = await self._documents.read(load_filter, xml)
        return await outlived(self.tasks.begin(self._define(definition), f"definition of filter {definition.name}"))

    async def undefine(self, managed: ManagedFilter) -> None:
        """Forget what was defined; a built-in filter is as it came again.

        Raises: OperationInvalidError for one in use, or built in and not defined.
        """
        await outlived(self.tasks.begin(self._undefine(managed), f"end of filter {managed.name}"))

    async def _define(self, definition: FilterDefinition) -> ManagedFilter:
        async with self._lock:
            former = self.registry.admit(definition.name, definition.uuid)
            self._refuse_circles(definition)
            managed = self._take(definition)
            try:
                if former is not None and self._is_used(definition.name):
                    await in_own_thread(self._firewall.refilter)
                await self._changes.save(managed, definition)
            except BaseException:
                await self._restore(managed, former)
                raise
            return managed

    async def _undefine(self, managed: ManagedFilter) -> None:
        async with self._lock:
            if managed.gone:
                raise NetworkFilterNotFoundError(f"no nwfilter with matching name '{managed.name}'")
            if managed.defined is None:
                raise _invalid(f"the network filter '{managed.name}' is built in; define it anew to change it")
            known = managed.name in NAMES
            if not known and (users := self.registry.users(managed.name)):
                raise _invalid(f"nwfilter is in use: by the filters {', '.join(users)}")
            if not known and self._is_used(managed.name):
                raise _invalid(f"nwfilter is in use: by {await self._guests_of(managed.name)}")
            await self._changes.remove(managed)
            self.registry.remove(managed)
            if known:
                self.registry.add(ManagedFilter(managed.name, built_in_uuid(managed.name)))
                if self._is_used(managed.name):
                    await in_own_thread(self._firewall.refilter)

    def _take(self, definition: FilterDefinition) -> ManagedFilter:
        """Let a definition count. Raises: NetworkFilterExistsError."""
        former = self.registry.admit(definition.name, definition.uuid)
        if former is not None:
            self.registry.remove(former)
        return self.registry.add(ManagedFilter(definition.name, definition.uuid, definition))

    async def _restore(self, managed: ManagedFilter, former: ManagedFilter | None) -> None:
        self.registry.remove(managed)
        if former is None:
            return
        former.gone = False
        self.registry.add(former)
        if self._is_used(former.name):
            try:
                await in_own_thread(self._firewall.refilter)
            except InsulaError as error:
                LOGGER.error("the network filter '%s' is not what it was before running guests: %s", former.name, error)

    async def _guests_of(self, name: str) -> str:
        """Return which running guests a filter stands before, in words."""
        names = {name, *self.registry.users(name)}
        found = await self._documents.aside(bindings, self._domains)
        guests = [f"'{each.owner.name}' ({each.port})" for each in found if each.reference.filter in names]
        return f"the running guests {', '.join(sorted(guests))}" if guests else "running guests"

    def _is_used(self, name: str) -> bool:
        return not self._firewall.filters().isdisjoint({name, *self.registry.users(name)})

    def _refuse_circles(self, definition: FilterDefinition) -> None:
        reached = set(definition.references)
        while True:
            further = {
                name
                for each in reached
                if self.registry.has_name(each) and each != definition.name
                for name in self.registry.by_name(each).definition.references
            }
            if further <= reached:
                break
            reached |= further
        if definition.name in reached:
            raise _invalid(f"the network filter '{definition.name}' refers, through others, to itself")


def bindings(domains: Iterable[ManagedDomain]) -> tuple[FilterBinding, ...]:
    """Return the filters before the ports of running guests. It may read long definitions: call it aside."""
    return tuple(_bindings(domains))


def _bindings(domains: Iterable[ManagedDomain]) -> Iterator[FilterBinding]:
    for domain in domains:
        if not domain.is_active:
            continue
        for card in domain.current.devices.interfaces:
            if card.filter is not None and card.target is not None and card.mac is not None:
                owner = PortOwner(name=DomainName(domain.name), uuid=domain.uuid)
                yield FilterBinding(owner=owner, port=card.target, mac=card.mac, reference=card.filter)


def binding_at(port: str, found: Collection[FilterBinding]) -> FilterBinding:
    """Return the one at a port. Raises: NetworkFilterBindingNotFoundError."""
    for each in found:
        if each.port == port:
            return each
    raise NetworkFilterBindingNotFoundError(f"no nwfilter binding for port dev '{port}'")


def _built_in(name: str) -> FilterDefinition:
    definition = built_in_filter(name)
    assert definition is not None
    return definition


def _invalid(text: str) -> OperationInvalidError:
    error = OperationInvalidError(text)
    error.domain = ErrorDomain.NWFILTER
    return error
