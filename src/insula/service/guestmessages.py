"""What a guest finds in its own kernel log about changes of its machine, as a kernel tells of its hardware."""

from collections.abc import Callable
from uuid import UUID

from insula.model.domainstates import LifecycleKind
from insula.service.domains import Domains
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceRemoved,
    DomainEvent,
    Event,
    LifecycleEvent,
    Tunable,
    VcpusChanged,
)

_LIFE = {LifecycleKind.SUSPENDED: "stands still from now on", LifecycleKind.RESUMED: "goes on"}


class GuestMessages:
    """Tells guests that have a kernel log of their own; a subscriber of `Events`.

    launch_of: the launch that a domain runs by, None if it does not run; tell: writes a line into the log of the guest
    with a launch, if it has one.
    """

    def __init__(self, launch_of: Callable[[UUID], str | None], tell: Callable[[str, str], None]) -> None:
        self._launch_of = launch_of
        self._tell = tell

    def heard(self, event: Event) -> None:
        text = message_of(event)
        if text is None or not isinstance(event, DomainEvent):
            return
        launch = self._launch_of(event.domain.uuid)
        if launch is not None:
            self._tell(launch, text)


def launch_of(domains: Domains, domain: UUID) -> str | None:
    """Return the launch that a domain runs by, None if it does not run."""
    managed = domains.find(domain)
    return None if managed is None or managed.run is None else managed.run.container.record.launch


def message_of(event: Event) -> str | None:
    """Return the line that an event is worth, None if it is none of the guest's business."""
    match event:
        case LifecycleEvent(kind=kind) if kind in _LIFE:
            return f"insula: the machine {_LIFE[kind]}"
        case DeviceAdded(alias=alias):
            return f"insula: device {alias} is plugged in"
        case DeviceRemoved(alias=alias):
            return f"insula: device {alias} is taken away"
        case BalloonChange(actual=actual):
            return f"insula: memory: {actual} KiB"
        case Tunable(parameters=parameters) if parameters:
            told = ", ".join(f"{each.name.partition('.')[2] or each.name} {each.value}" for each in parameters)
            return f"insula: limits: {told}"
        case VcpusChanged():
            return "insula: other processors are in use than before"
    return None
