"""What tests see of the verbs: events in short, states in words, launches that take as long as a test wants."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from insula.service.events import DomainIdentity, Event, LifecycleEvent
from tests.unit.service.fakes import Rig, domain_xml


def said(event: Event) -> str:
    """An event in short: `started booted`, `reboot`."""
    if isinstance(event, LifecycleEvent):
        return f"{event.kind.name} {event.detail.name}".lower()
    return type(event).__name__.lower()


def told(rig: Rig) -> list[str]:
    return [said(each) for each in rig.told]


@contextmanager
def after_launches(rig: Rig, work: Callable[[], None]) -> Iterator[None]:
    """Have work done after each launch, before who asked for it goes on, while the block lasts."""
    launch = rig.engine.launch

    async def launched(*arguments: Any, **options: Any) -> Any:
        running = await launch(*arguments, **options)
        work()
        return running

    rig.engine.launch = launched  # type: ignore[method-assign]
    try:
        yield
    finally:
        rig.engine.launch = launch  # type: ignore[method-assign]


def hold_launches(rig: Rig) -> asyncio.Event:
    """Let launches take until the event that is returned is set."""
    go, launch = asyncio.Event(), rig.engine.launch

    async def slow(*arguments: Any, **options: Any) -> Any:
        await go.wait()
        return await launch(*arguments, **options)

    rig.engine.launch = slow  # type: ignore[method-assign]
    return go


def state(rig: Rig, ref: DomainIdentity) -> tuple[str, str]:
    now = rig.domains.state(ref)
    return now.state.name.lower(), now.reason.name.lower()


def launched(rig: Rig, ref: DomainIdentity, times: int) -> bool:
    """Whether the domain runs, and was launched that often."""
    return rig.launches() == times and rig.domains.is_active(ref)


async def defined(rig: Rig, more: str = "") -> DomainIdentity:
    """Return a domain that was defined, which nobody tells of."""
    ref = await rig.domains.define(domain_xml(more=more))
    rig.told.clear()
    return ref
