"""Which definition a change or a question is about: the live one, the persistent one, or both; and changing it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from insula.engine.spec import Limits
from insula.errors import InsulaError, InvalidArgumentError, OperationInvalidError, OperationUnsupportedError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect
from insula.service import live
from insula.service.defining import DefinitionVerbs
from insula.service.documents import Documents
from insula.service.livelimits import LiveLimits
from insula.service.managed import ManagedDomain, Run
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """run: the present run, when the live definition is meant; config: what is defined, when that is meant."""

    run: Run | None
    config: DomainDefinition | None


def impact(managed: ManagedDomain, affect: Affect) -> Impact:
    """Return what affect means for the domain in its present state, as libvirt resolves it.

    Raises: OperationInvalidError if the live one is meant and nothing runs, or the persistent one of a transient
    domain.
    """
    if affect == Affect.CURRENT:
        affect = Affect.LIVE if managed.is_active else Affect.CONFIG
    return Impact(
        run=managed.require_run() if Affect.LIVE in affect else None,
        config=managed.require_config() if Affect.CONFIG in affect else None,
    )


def asked(managed: ManagedDomain, affect: Affect) -> Impact:
    """Return the one definition a question is about. Raises: InvalidArgumentError if both are asked for."""
    if affect == Affect.LIVE | Affect.CONFIG:
        raise InvalidArgumentError("affect live and affect config are mutually exclusive when asking")
    return impact(managed, affect)


def definition(managed: ManagedDomain, affect: Affect) -> DomainDefinition:
    """Return the definition a question is about."""
    meant = asked(managed, affect)
    return meant.config if meant.config is not None else managed.current


Effect = Callable[[ManagedDomain, DomainDefinition], Awaitable[DomainDefinition | None]]
"""Makes the guest that runs be as a definition says; returns that with what was found out meanwhile, None: nothing was.

Raises: InsulaError, and the guest is as it was.
"""


async def _nothing(managed: ManagedDomain, domain: DomainDefinition) -> None:
    """What has no effect on the running guest."""


class Changes:
    """Changes definitions. Callers hold the domain's lock."""

    def __init__(self, *, definitions: DefinitionVerbs, runs: Runs, documents: Documents) -> None:
        self._documents = documents
        self._definitions = definitions
        self._runs = runs
        self._limits = LiveLimits(runs)

    def limiting(self, limits: Callable[[DomainDefinition], Limits]) -> Effect:
        """Return what puts limits of a definition on the control group of its run."""

        async def put(managed: ManagedDomain, domain: DomainDefinition) -> None:
            try:
                await self._limits.put(managed, limits(domain))
            except OperationUnsupportedError as error:
                # libvirt's word for a limit that this host's control groups have not.
                raise OperationInvalidError(f"domain '{domain.name}': {error}") from error

        return put

    async def change(
        self,
        managed: ManagedDomain,
        affect: Affect,
        changed: Callable[[DomainDefinition], DomainDefinition],
        *,
        apply: Effect = _nothing,
    ) -> None:
        """Replace the definitions that affect means by what changed makes of them.

        apply: called with the changed live definition, before that counts.
        Raises: whatever changed or apply raise, and OperationFailedError from the disk; nothing has changed then.
        """
        meant = impact(managed, affect)
        current = await self._documents.aside(changed, managed.current) if meant.run is not None else None
        config = await self._documents.aside(changed, meant.config) if meant.config is not None else None
        before = managed.current
        if meant.run is not None and current is not None:
            current = await apply(managed, current) or current
            connected = meant.run.container.record.connected
            self._runs.journal.change_domain(managed, live.with_host_ends(current, connected))
        if config is not None:
            try:
                await self._definitions.change(managed, config)
            except InsulaError:
                if meant.run is not None:
                    await self._restore(managed, before, apply)
                raise

    async def _restore(self, managed: ManagedDomain, before: DomainDefinition, apply: Effect) -> None:
        """Make the running guest be as it was: what it felt already could not be written down for its next start."""
        try:
            await apply(managed, before)
        except InsulaError as error:
            LOGGER.error("domain '%s' runs with a change that was refused, and keeps it: %s", managed.name, error)
            return
        self._runs.journal.change_domain(managed, before)
