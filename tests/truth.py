"""What a real daemon shows, and what the kernel has: the invariants' two sides on a real host.

Guests are found by what their control groups tell, not by what the daemon or its files say.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from insula.engine.launch.guestlabels import guest_labels
from insula.errors import DomainNotFoundError
from insula.kernel.cgroups import Hierarchies
from insula.model.domainstates import DomainState
from insula.sdk.connecting import connect
from tests import invariants
from tests.invariants import Living, Shown
from tests.waiting import patience

if TYPE_CHECKING:
    from insula.layout import Layout

PAUSE = 0.05


def shown(layout: Layout) -> dict[UUID, Shown]:
    """Return every domain as the daemon of this installation shows it."""
    with connect(layout) as host:
        found = {}
        for domain in host.domains():
            state = DomainState(domain.state().state)
            active = state in (DomainState.RUNNING, DomainState.PAUSED)
            found[UUID(domain.uuid)] = Shown(
                active=active,
                id=domain.ref.id,
                paused=state is DomainState.PAUSED,
                persistent=domain.is_persistent(),
            )
        return found


def living(layout: Layout) -> list[Living]:
    """Return the installation's guests that live."""
    hierarchies = Hierarchies.detect()
    return [
        Living(uuid=UUID(each.record.spec.uuid), pid=each.record.pid, frozen=each.record.group_in(hierarchies).frozen)
        for each in guest_labels(hierarchies, str(layout.root)).living
    ]


def check(layout: Layout, *, seconds: float = 10) -> None:
    """Look at everything, as soon as nothing is under way. Raises: AssertionError for what does not become true.

    A guest that ends while it is looked at has no group any more, or one that is being removed (ENODEV), and a
    transient domain is no more: then all is looked at again.
    """
    deadline = time.monotonic() + patience(seconds)
    while True:
        try:
            guests, domains = living(layout), shown(layout)
            invariants.nobody_lives_twice(guests)
            invariants.a_living_guest_is_shown(guests, domains)
            invariants.what_is_shown_lives(guests, domains)
            return
        except (AssertionError, OSError, DomainNotFoundError):
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)
