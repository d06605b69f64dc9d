"""What follows an end of a guest's that nobody asked for, changed for its run and for its definition."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from insula.errors import InvalidArgumentError
from insula.model.boot import CrashAction, OffAction
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, LifecycleType
from insula.service.impact import Changes
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain


class LifecycleActionVerbs:
    """Changes on_poweroff, on_reboot and on_crash."""

    def __init__(self, *, changes: Changes) -> None:
        self._changes = changes

    async def set_action(
        self, managed: ManagedDomain, occasion: LifecycleType, action: CrashAction, affect: Affect
    ) -> None:
        """Have action follow; of a run from now on. Raises: as `with_action` and `Changes.change`."""

        async def work() -> None:
            await self._changes.change(managed, affect, partial(with_action, occasion=occasion, action=action))

        await managed.lock.perform("set lifecycle action", work, change=OperationKind.DEFINITION)


_OFF_ACTIONS: Mapping[str, OffAction] = {each.value: each for each in OffAction}


def with_action(domain: DomainDefinition, *, occasion: LifecycleType, action: CrashAction) -> DomainDefinition:
    """Return domain with an action. Raises: InvalidArgumentError for one that only follows crashes."""
    if occasion is LifecycleType.CRASH:
        return replace(domain, on_crash=action)
    off = _OFF_ACTIONS.get(action.value)
    if off is None:
        raise InvalidArgumentError(f"'{action}' follows crashes only; take one of {', '.join(_OFF_ACTIONS)}")
    return replace(domain, on_poweroff=off) if occasion is LifecycleType.POWEROFF else replace(domain, on_reboot=off)
