"""How a domain would be launched, every step with its reason; nothing is made."""

import asyncio

from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.model.domain import DomainDefinition
from insula.service.containers import ContainerEngine, Preparation
from insula.service.live import defined
from insula.service.managed import ManagedDomain
from insula.service.translate import PidOf
from insula.service.usbchoice import located_alone


class PlanVerbs:
    """Plans launches. pid_of: see PidOf."""

    def __init__(self, *, engine: ContainerEngine, preparation: Preparation, pid_of: PidOf) -> None:
        self._engine = engine
        self._preparation = preparation
        self._pid_of = pid_of

    async def plan(self, managed: ManagedDomain) -> LaunchPlan:
        """Return how the domain would be launched as it is described now."""
        current = managed.current
        return await asyncio.to_thread(lambda: self._planned(defined(current)))

    async def plan_of(self, domain: DomainDefinition) -> LaunchPlan:
        """Return how domain would be launched, whether it is known here or not."""
        return await asyncio.to_thread(self._planned, domain)

    async def program(self, managed: ManagedDomain) -> Program:
        """Return which system calls the domain's first process would make, up to its init."""
        current = managed.current
        return await asyncio.to_thread(lambda: self._compiled(defined(current)))

    async def program_of(self, domain: DomainDefinition) -> Program:
        """Return the same for a domain, whether it is known here or not."""
        return await asyncio.to_thread(self._compiled, domain)

    def _planned(self, domain: DomainDefinition) -> LaunchPlan:
        return self._engine.plan(self._preparation.rehearse(located_alone(domain), self._pid_of))

    def _compiled(self, domain: DomainDefinition) -> Program:
        return self._engine.program(self._preparation.rehearse(located_alone(domain), self._pid_of))
