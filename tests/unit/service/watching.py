"""What tests see of the verbs: events in short, states in words, launches that take as long as a test wants."""

import asyncio
from typing import Any

from insula.service.events import DomainRef, Event, Lifecycle
from tests.unit.service.fakes import Rig


def said(event: Event) -> str:
    """An event in short: `started booted`, `reboot`."""
    if isinstance(event, Lifecycle):
        return f"{event.kind.name} {event.detail.name}".lower()
    return type(event).__name__.lower()


def told(rig: Rig) -> list[str]:
    return [said(each) for each in rig.told]


def hold_launches(rig: Rig) -> asyncio.Event:
    """Let launches take until the event that is returned is set."""
    go, launch = asyncio.Event(), rig.engine.launch

    async def slow(*arguments: Any, **options: Any) -> Any:
        await go.wait()
        return await launch(*arguments, **options)

    rig.engine.launch = slow  # type: ignore[method-assign]
    return go


def state(rig: Rig, ref: DomainRef) -> tuple[str, str]:
    now = rig.domains.state(ref)
    return now.state.name.lower(), now.reason.name.lower()
