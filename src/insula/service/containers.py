"""The engine as the verbs use it. Its launcher fits this protocol; tests bring their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from insula.engine.attach import Executed
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.launcher import Held
from insula.engine.looking import Sight
from insula.engine.plan import LaunchPlan
from insula.engine.running import Record, Running
from insula.engine.spec import ContainerSpec, Process
from insula.kernel.fds import Fd

StandardStreams = tuple[int, int, int]
WindowSize = tuple[int, int]
"""Rows and columns."""


class Looking(Protocol):
    """Looks into guests, with a deadline; see `insula.engine.looking.Looker`."""

    async def look(
        self, sight: Sight, look: str, arguments: Mapping[str, Any], fds: Mapping[str, int], *, seconds: float = ...
    ) -> Any: ...


class Engine(Protocol):
    """Launches containers and ends them; see `insula.engine.launcher` for what each does and raises."""

    @property
    def facts(self) -> Facts: ...
    def plan(self, spec: ContainerSpec) -> LaunchPlan: ...
    async def launch(
        self,
        spec: ContainerSpec,
        *,
        inherited: Sequence[int] = (),
        paused: bool = False,
        note: Callable[[dict[str, Any]], None] | None = None,
    ) -> Running: ...
    async def undo(self, note: Mapping[str, Any]) -> None: ...
    async def resume(self, running: Running) -> None: ...
    async def destroy(self, running: Running) -> ExitStatus: ...
    async def release(self, running: Running, status: ExitStatus) -> None: ...
    async def execute(
        self,
        running: Running,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
    ) -> Executed: ...
    async def forget_execution(self, executed_id: str) -> None: ...
    async def signal(self, running: Running, number: int) -> None: ...
    async def namespaces(self, running: Running) -> list[Fd]: ...
    async def held(self) -> list[Held]: ...
    async def recover(self, record: Record) -> Running | None: ...
    async def adopt(self, running: Running) -> None: ...
    async def keep(self, running: Running) -> None: ...
    async def adopt_execution(self, executed: Executed) -> None: ...
