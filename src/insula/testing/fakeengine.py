"""An engine over a `FakeHost`: the launcher itself, and no kernel hears of it."""

from contextlib import suppress

from insula.engine.accounts import Account
from insula.engine.facts import Facts
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.keeper.link import KeeperLink
from insula.engine.launch.attempt import LaunchAttempt
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.pids import Pids
from insula.engine.launch.runningcontainer import Running
from insula.engine.look.looking import Sight
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec
from insula.engine.steps.host.hoststep import Offload, inline
from insula.kernel.fds import Fd
from insula.testing.emptyprograms import EmptyPrograms
from insula.testing.fakechanges import FakeChanges
from insula.testing.fakefacts import FACTS
from insula.testing.fakehost import FakeHost
from insula.testing.fakeinterfacechanges import FakeInterfaceChanges
from insula.testing.fakelaunch import Connect, FakeAttempt, FakeRelease, fake_plan
from insula.testing.fakesuccession import FakeSuccession


class FakeEngine(Launcher):
    """Fits `service.containers.ContainerEngine`. host: what it works on; link: a way to that host's keeper.

    connected: the interfaces that every guest is said to have; connect: makes them instead.
    """

    changes: FakeChanges  # type: ignore[assignment]
    mounts: FakeChanges  # type: ignore[assignment]
    nodes: FakeChanges  # type: ignore[assignment]
    views: FakeChanges  # type: ignore[assignment]
    interfaces: FakeInterfaceChanges  # type: ignore[assignment]

    def __init__(
        self,
        *,
        host: FakeHost,
        link: KeeperLink,
        offload: Offload = inline,
        connected: tuple[ConnectedInterface, ...] = (),
    ) -> None:
        super().__init__(
            facts=FACTS,
            link=link,
            offload=offload,
            find_account=_find_root,
            programs=EmptyPrograms(),
            release=FakeRelease(hierarchies=FACTS.hierarchies, offload=offload, host=host),
        )
        self._host = host
        self._pids = _FreePids(host)
        self.connected = connected
        self.connect: Connect = lambda _: self.connected
        self.succession = FakeSuccession(host, link)
        self.changes = self.mounts = self.nodes = self.views = FakeChanges()
        self.interfaces = FakeInterfaceChanges()

    @property
    def facts(self) -> Facts:
        return FACTS

    def plan(self, spec: ContainerSpec) -> LaunchPlan:
        return fake_plan(spec)

    def _launching(
        self,
        plan: LaunchPlan,
        program: Program,
        spec: ContainerSpec,
        identity: int,
        launch: str,
        processors: str | None,
    ) -> LaunchAttempt:
        return FakeAttempt(
            self._host,
            connect=self.connect,
            launch=launch,
            reserve=self._reserve,
            plan=plan,
            program=program,
            spec=spec,
            facts=FACTS,
            link=self._link,
            interfaces=None,
            identity=identity,
            processors=processors,
            release=self._release,
            scopes=self._ready_scopes,
            loaded=self._loaded,
            offload=self._offload,
        )

    def _label(self, running: Running) -> None:
        with suppress(OSError):
            self._host.label(running.record.group, running.record.encode())

    async def namespaces(self, running: Running) -> list[Fd]:
        """Return none: a guest of memory has no namespaces."""
        return []


class _FreePids(Pids):
    """Pids that no process of a fake host has had."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__(FACTS.pids_max)
        self._host = host

    def next(self) -> int:
        return self._host.next_pid()


async def _find_root(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
    """Whoever is looked for in a guest is its root."""
    return Account(0, 0, [], "/root")
