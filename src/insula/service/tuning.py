"""Limits, family by family: asked for and changed, live in the control group and persistent in the definition."""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from insula.engine.spec import Limits
from insula.errors import InsulaError, InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.kernel.cgroups import Cgroup
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType
from insula.service.events import Events, Tunable
from insula.service.impact import Changes, asked
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter, Value, checked

Values = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One family of libvirt's typed parameters.

    defined: the values of a definition; live: those a control group has; changed: a definition with new values,
    refused if they make no sense (InvalidArgumentError); limits: those of a changed definition that the values are
    about; kind: of a change of them, for jobs; tunable: how the names begin in the event that tells of a change,
    None for none.
    """

    name: str
    table: Mapping[str, ParameterType]
    defined: Callable[[DomainDefinition], Values]
    live: Callable[[Cgroup, DomainDefinition], Values]
    changed: Callable[[DomainDefinition, Values], DomainDefinition]
    limits: Callable[[DomainDefinition, Values], Limits]
    kind: OperationKind = OperationKind.LIMITS
    tunable: str | None = None


class TuningVerbs:
    """Asks for limits and changes them, whatever the family."""

    def __init__(self, *, changes: Changes, events: Events) -> None:
        self._changes = changes
        self._events = events

    def parameters(self, managed: ManagedDomain, family: Family, affect: Affect) -> list[Parameter]:
        """Return the family's values; live ones are read back from the kernel."""
        meant = asked(managed, affect)
        if meant.run is None:
            assert meant.config is not None
            values = family.defined(meant.config)
        else:
            with cgroup_errors(managed, family.name):
                values = family.live(meant.run.container.group, managed.current)
        return [Parameter(name, kind, values[name]) for name, kind in family.table.items() if name in values]

    async def set_parameters(
        self, managed: ManagedDomain, family: Family, parameters: Sequence[Parameter], affect: Affect
    ) -> None:
        """Change some of the family's values.

        Raises: InvalidArgumentError, and nothing is changed; OperationFailedError if the kernel or the disk refuses.
        """
        values = checked(parameters, family.table)

        async def work() -> None:
            await self._changes.change(
                managed,
                affect,
                lambda domain: family.changed(domain, values),
                apply=self._changes.limiting(lambda domain: family.limits(domain, values)),
            )
            if family.tunable is not None and managed.is_active and affect != Affect.CONFIG:
                told = tuple(Parameter(family.tunable + each.name, each.kind, each.value) for each in parameters)
                self._events.publish(Tunable(domain=managed.ref, parameters=told))

        await managed.lock.perform(f"set {family.name}", work, change=family.kind)


@contextmanager
def cgroup_errors(managed: ManagedDomain, what: str) -> Iterator[None]:
    """Turn what the kernel says about a control group into an error about the domain."""
    try:
        yield
    except OSError as error:
        raise _explained(error, managed.name, what) from error


def _explained(error: OSError, name: str, what: str) -> InsulaError:
    if error.errno == errno.EOPNOTSUPP:
        return OperationInvalidError(f"the {what} of domain '{name}' cannot be had: {error.strerror}")
    if error.errno == errno.EINVAL:
        return InvalidArgumentError(f"the {what} of domain '{name}' cannot be had: {error.strerror}")
    return OperationFailedError(f"the {what} of domain '{name}' cannot be had: {error.strerror}")
