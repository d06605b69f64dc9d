"""An engine, a keeper's memory and a host without kernel: for tests of the verbs.

What a real keeper would remember after the daemon's death is in a directory, so that a second set of verbs over the
same directory is the daemon's successor. A guest's "pidfd" is the read end of a pipe, readable once the guest is gone.
"""

import asyncio
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast
from uuid import UUID

from insula.daemon.wiring import Patience, wire
from insula.engine.enter.attachment import EnteredProcess
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.keeper.held import StartPhase
from insula.engine.launch.guestlabels import GuestLabel, GuestLabels
from insula.engine.launch.holdings import ControlGroup, Interfaces, Remains
from insula.engine.launch.runningcontainer import ContainerRecord, Running, boot_id
from insula.engine.launch.succession import Held, HeldEntered
from insula.engine.look.looking import Sight
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec, DirectoryRoot, Process
from insula.errors import InsulaError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.cgroups.stats import Stats, TaskUse
from insula.kernel.fds import Fd
from insula.layout import Layout
from insula.service.events import Event, Events
from insula.service.host import HostNode
from insula.service.images import Images
from insula.testing.emptyprograms import NOTHING
from insula.testing.fakechanges import FakeChanges
from insula.testing.fakeengine import FACTS
from insula.testing.fakegroups import FakeCpu, FakeCpuTime, FakeIo, FakeMemory
from tests.unit.service.fakepreparation import FakePreparation
from tests.unit.service.hosttree import two_node_host
from tests.verbs import Verbs
from tests.waiting import scaled

PID_MAX_LIMIT = 1 << 22
"""No process has such a pid, or a higher one. Source: proc_sys_kernel(5), pid_max."""

XML = """
<domain type='lxc'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='KiB'>65536</memory>
  <vcpu>2</vcpu>
  <os><type>exe</type></os>
  {more}
  <devices>
    <filesystem type='mount'><source dir='/srv/{name}'/><target dir='/'/></filesystem>
  </devices>
</domain>
"""
WEB, MAIL = UUID(int=1), UUID(int=2)
EXITED, CRASHED, REBOOTED, POWERED_OFF = 0, 0x0100, 1, 2
"""Wait statuses: returned 0, returned 1, killed by SIGHUP, killed by SIGINT."""


def domain_xml(name: str = "web", uuid: UUID = WEB, more: str = "") -> str:
    return XML.format(name=name, uuid=uuid, more=more)


async def until(condition: Callable[[], Any]) -> None:
    """Return once condition holds, which others bring about meanwhile. Raises: TimeoutError."""
    async with asyncio.timeout(scaled(5)):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


class FakeGroup:
    """A control group that only remembers. frozen is kept by the keeper's memory, as the kernel would."""

    def __init__(self, path: Path | None = None) -> None:
        self.hierarchies = Hierarchies()
        self.path = str(path)
        self._mark = path
        self.memory = FakeMemory()
        self.cpu = FakeCpu()
        self.cpu_time = FakeCpuTime()
        self.io = FakeIo()

    def repeat_limits(self, controllers: Iterable[str]) -> None:
        """Nobody looks at what a guest sees."""

    def guarantee_memory(self, memory: int) -> None:
        """Where the real one raises the groups above, this one remembers that it was asked to."""
        self.memory.limits["guarantee"] = memory

    def exists(self) -> bool:
        return self._mark is not None

    @property
    def frozen(self) -> bool:
        return self._mark is not None and self._mark.exists()

    def freeze(self) -> None:
        assert self._mark is not None
        self._mark.touch()

    def thaw(self) -> None:
        assert self._mark is not None
        self._mark.unlink(missing_ok=True)

    def processes(self) -> list[int]:
        return [os.getpid()]

    def limits(self) -> Any:
        return type("Held", (), {"cpus": "0-1"})()

    def stats(self) -> Stats:
        return Stats(
            memory=self.memory.use(),
            cpu=self.cpu_time.use(),
            tasks=TaskUse(current=3, limit=None, refused=0),
            devices=self.io.use(),
            oom_kills=0,
        )


class FakeEngine:
    """Launches nothing. memory: what the keeper and the kernel know, a file a guest, outliving the daemon."""

    def __init__(self, memory: Path) -> None:
        memory.mkdir(parents=True, exist_ok=True)
        self._memory = memory
        self._writers: dict[str, int] = {}
        self.calls: list[str] = []
        self.entered_before: list[HeldEntered] = []
        """What an earlier daemon has put into guests."""
        self.failure: InsulaError | None = None
        self.cannot_begin: InsulaError | None = None
        """Raised when a guest that was started paused is to begin; it has ended then."""
        self.cannot_undo: Exception | None = None
        self.cannot_release: Exception | None = None
        self.writes_labels = True
        self.after_launch: Callable[[], None] = lambda: None
        self.terminals: list[int] = []
        """The guests' ends of consoles; each launch opens as many ptys as there are in consoles."""
        self.consoles = 0
        self.connected: tuple[ConnectedInterface, ...] = ()
        self.changes = FakeChanges()
        self.domains: Verbs | None = None
        self.kept: dict[str, int] = {}
        """How many descriptors are kept for later daemons."""

    @property
    def facts(self) -> Facts:
        return FACTS

    # What the keeper and the kernel remember

    def _file(self, uuid: str) -> Path:
        return self._memory / f"{uuid}.json"

    def remember(self, uuid: str, **values: Any) -> None:
        known = json.loads(self._file(uuid).read_text()) if self._file(uuid).exists() else {}
        new = self._file(uuid).with_suffix(".new")
        new.write_text(json.dumps(known | values))
        new.replace(self._file(uuid))

    def guests(self) -> dict[str, dict[str, Any]]:
        return {each.stem: json.loads(each.read_text()) for each in sorted(self._memory.glob("*.json"))}

    def _handle(self, uuid: str, record: ContainerRecord, group: Cgroup) -> Running:
        reader, writer = os.pipe()
        self._writers[uuid] = writer
        return Running(record=record, group=group, pidfd=Fd(reader))

    def end(self, uuid: UUID, status: int | None) -> None:
        """The guest ends by itself, and the keeper tells the daemon, if there is one."""
        key = str(uuid)
        self.remember(key, status=status, ended=True)
        if key in self._writers:
            os.close(self._writers.pop(key))
        if self.domains is not None:
            self.domains.guest_ended(uuid, ExitStatus(status=status))

    def close(self) -> None:
        for fd in (*self._writers.values(), *self.terminals):
            os.close(fd)
        self._writers.clear()
        self.terminals.clear()

    # Engine

    def plan(self, spec: ContainerSpec) -> LaunchPlan:
        return cast("LaunchPlan", spec)

    def program(self, spec: ContainerSpec) -> Program:
        return Program(image=NOTHING, passed=(), marks=(), meanings={})

    async def launch(
        self,
        spec: ContainerSpec,
        *,
        inherited: Sequence[int] = (),
        paused: bool = False,
        write_intent: Callable[[Remains], None] | None = None,
        while_inside: Callable[[Running], None] | None = None,
    ) -> Running:
        self.calls.append(f"launch {spec.name}")
        if self.failure is not None:
            raise self.failure
        assert spec.uuid not in self.guests(), "the guest runs already"
        assert len(inherited) == spec.inherited_fds
        pid = PID_MAX_LIMIT + len(self.calls)
        if write_intent is not None:
            write_intent(Remains(uuid=spec.uuid, launch=str(pid), holdings=(ControlGroup(path="g", made=False),)))
        holdings = (ControlGroup(path="g"), Interfaces(connected=self.connected))
        record = ContainerRecord(
            spec=replace(spec, consoles=self.consoles),
            id=pid,
            pid=pid,
            born=1,
            boot=boot_id(),
            group="g",
            launch=str(pid),
            holdings=holdings,
        )
        known = {"launch": str(pid), "label": self.writes_labels and record.encode()}
        self.remember(spec.uuid, pid=pid, ended=False, held=paused, **known)
        running = self._handle(spec.uuid, record, self._group(spec.uuid))
        if while_inside is not None:
            while_inside(running)
        for _ in range(self.consoles):
            master, slave = os.openpty()
            running.consoles.append(Fd(master))
            self.terminals.append(slave)
        running.awaiting_exec = paused
        self.after_launch()
        return running

    def _group(self, uuid: str) -> Cgroup:
        return cast("Cgroup", FakeGroup(self._memory / f"{uuid}.frozen"))

    async def take_away(self, remains: Remains) -> None:
        self.calls.append("take away")
        if self.cannot_undo is not None:
            raise self.cannot_undo
        if remains.launch in (None, self.guests().get(remains.uuid, {}).get("launch")):
            self._file(remains.uuid).unlink(missing_ok=True)

    async def resume(self, running: Running) -> None:
        running.group.thaw()
        if running.awaiting_exec and self.cannot_begin is not None:
            running.awaiting_exec = False
            raise self.cannot_begin
        if running.awaiting_exec:
            running.awaiting_exec = False
            self.remember(running.uuid, held=False)

    async def destroy(self, running: Running) -> ExitStatus:
        self.calls.append(f"destroy {running.name}")
        if running.status is None:
            known = self.guests().get(running.uuid, {"ended": True, "status": None})
            status = ExitStatus(status=known["status"] if known["ended"] else 9)
            await self.release(running, status)
        return running.status or ExitStatus(status=None)

    async def release(self, running: Running, status: ExitStatus) -> None:
        self.calls.append(f"release {running.name}")
        known = running.status
        running.status = status
        if self.cannot_release is not None:
            raise self.cannot_release
        if known is not None and not self._file(running.uuid).exists():
            return
        self._file(running.uuid).unlink(missing_ok=True)
        (self._memory / f"{running.uuid}.frozen").unlink(missing_ok=True)
        if running.uuid in self._writers:
            os.close(self._writers.pop(running.uuid))
        running.close()

    @property
    def entrance(self) -> Self:
        return self

    async def execute(self, running: Running, process: Process, **options: Any) -> EnteredProcess:
        reader, writer = os.pipe()
        self._writers[f"x{writer}"] = writer
        return EnteredProcess(id=str(writer), uuid=running.uuid, pid=77, pidfd=Fd(reader), master=None)

    async def forget_execution(self, executed_id: str) -> None:
        self.calls.append(f"forget {executed_id}")

    async def signal(self, running: Running, number: int) -> None:
        self.calls.append(f"signal {running.name} {number}")

    async def namespaces(self, running: Running) -> list[Fd]:
        return []

    async def held(self) -> list[Held]:
        return [
            Held(
                uuid=uuid,
                pid=known["pid"],
                phase=StartPhase.EXITED if known["ended"] else StartPhase.RUNNING,
                status=ExitStatus(status=known["status"]) if known["ended"] else None,
            )
            for uuid, known in self.guests().items()
        ]

    async def forget(self, uuid: str) -> None:
        self.calls.append("forget")
        if self.guests().get(uuid, {}).get("ended"):
            self._file(uuid).unlink(missing_ok=True)

    def labels(self) -> GuestLabels:
        found = [each["label"] for each in self.guests().values() if each["label"] and not each["ended"]]
        return GuestLabels(living=tuple(GuestLabel(record=ContainerRecord.decode(each), data=each) for each in found))

    def handle(self, record: ContainerRecord) -> Running:
        return Running(record=record, group=self._group(record.spec.uuid))

    def unrecorded(self, held: Held, name: str) -> Running:
        spec = ContainerSpec(name=name, uuid=held.uuid, root=DirectoryRoot(path="/"))
        record = ContainerRecord(spec=spec, id=held.pid, pid=held.pid, born=1, boot=boot_id(), group="g")
        return Running(record=record, group=self._group(held.uuid), described=False)

    async def recover(self, record: ContainerRecord) -> Running | None:
        known = self.guests().get(record.spec.uuid)
        if known is None or known["pid"] != record.pid:
            return None
        running = self._handle(record.spec.uuid, record, self._group(record.spec.uuid))
        running.awaiting_exec = known["held"]
        if known["ended"]:
            os.close(self._writers.pop(record.spec.uuid))
            running.status = ExitStatus(status=known["status"])
        return running

    async def adopt(self, running: Running) -> None:
        self.calls.append(f"adopt {running.name}")

    async def keep(self, running: Running) -> None:
        self.kept[running.uuid] = len(running.kept())

    async def entered(self) -> list[HeldEntered]:
        return list(self.entered_before)

    def opened(self, entered: HeldEntered) -> EnteredProcess | None:
        return entered.opened(lambda pid: Fd(os.pidfd_open(pid)))

    async def adopt_execution(self, executed: EnteredProcess, born: int | None) -> None:
        self.calls.append(f"adopt program {executed.id}")


class FakeLooker:
    """Sees nothing. looks: what was to be seen, and with which arguments; sights: what is seen, "asked" if unset."""

    def __init__(self) -> None:
        self.looks: list[tuple[str, Mapping[str, Any]]] = []
        self.sights: list[Any] = []

    async def look(
        self, sight: Sight, look: str, arguments: Mapping[str, Any], fds: Mapping[str, int], *, seconds: float = 5
    ) -> Any:
        self.looks.append((look, arguments))
        seen = self.sights.pop(0) if self.sights else {"kind": arguments["kind"], "answer": "asked"}
        if isinstance(seen, Exception):
            raise seen
        return await seen if inspect.isawaitable(seen) else seen


class Rig:
    """The verbs over the fakes, below one directory. A second one there is the daemon's successor."""

    def __init__(self, directory: Path, patience: Patience | None = None) -> None:
        self.layout = Layout.prefix(directory / "prefix")
        self.engine, self.looker = FakeEngine(directory / "keeper"), FakeLooker()
        self.preparation = FakePreparation(directory)
        self.events = Events()
        self.told: list[Event] = []
        self.events.subscribe(self.told.append)
        self.domains = Verbs(
            wire(
                layout=self.layout,
                engine=self.engine,
                preparation=self.preparation,
                events=self.events,
                host=HostNode(root=two_node_host(directory / "host")),
                looker=self.looker,
                patience=patience or Patience(lock=5, shutdown=60),
                images=cast("Images", None),
                daemon_info=dict,
            )
        )
        self.engine.domains = self.domains

    async def close(self) -> None:
        await self.domains.close()
        self.engine.close()
