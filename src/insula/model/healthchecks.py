"""Whether a guest is well, and what follows if it is not: a setting of ours in `<insula:domain>`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from insula.model.probes import SECONDS_MAX, Probe
from insula.model.xmlmap import Attribute

RETRIES_MAX = 1000


class HealthAction(StrEnum):
    """What follows once a guest is unhealthy. RESTART: it is reset; DESTROY: killed; SHUTDOWN: asked to power off."""

    NONE = "none"
    RESTART = "restart"
    DESTROY = "destroy"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, kw_only=True, slots=True)
class DefinedHealthCheck(Probe):
    """`<insula:healthcheck port='' interval='30' timeout='5' retries='3' start-period='0' action='none'/>`.

    timeout: seconds a try may take; retries: how many fail in a row until it is unhealthy; start_period: seconds from
    its start in which none counts that fails, unless one has succeeded.
    """

    interval: Annotated[int, Attribute("interval", within=(1, SECONDS_MAX))] = 30
    timeout: Annotated[int, Attribute("timeout", within=(1, SECONDS_MAX))] = 5
    retries: Annotated[int, Attribute("retries", within=(1, RETRIES_MAX))] = 3
    start_period: Annotated[int, Attribute("start-period", within=(0, SECONDS_MAX))] = 0
    action: Annotated[HealthAction, Attribute("action")] = HealthAction.NONE
