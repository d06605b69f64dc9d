"""When a domain starts beside others: settings of ours in `<insula:domain>`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.model.scalars import DomainName, YesNo
from insula.model.xmlmap import Attribute, Mapped

ORDER_MAX = 2**31 - 1
SECONDS_MAX = 86400
"""Seconds that a start may wait for something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartPlace(Mapped):
    """`<insula:autostart order='10' delay='5' group='web'/>`: its place among the domains that start with the host.

    order: those with a lower number start before, those without one last; delay: seconds from its start to that of
    those with a higher one; group: only domains of the same group have an order among each other.
    """

    order: Annotated[int | None, Attribute("order", within=(0, ORDER_MAX))] = None
    delay: Annotated[int, Attribute("delay", within=(0, SECONDS_MAX))] = 0
    group: Annotated[str | None, Attribute("group")] = None


class Awaited(StrEnum):
    """What is waited for of another domain. READY: see `probes`; one whose definition says nothing of it is as it
    runs."""

    RUNNING = "running"
    READY = "ready"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependency(Mapped):
    """`<insula:depends-on domain='db' until='ready' required='no'/>`: another domain that is to be up before.

    required: without it this one does not start with the host.
    """

    domain: Annotated[DomainName, Attribute("domain")]
    until: Annotated[Awaited, Attribute("until")] = Awaited.READY
    required: Annotated[YesNo, Attribute("required")] = YesNo.YES
