"""Plans and kill points: whatever step fails, and wherever the daemon is killed, one walk leaves nothing on the host.

The host is a directory: control groups in it are made by the real steps, the keeper's guests and the interfaces are
files. The launch happens in a fork, which ends without a word at the kill point.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insula.engine.facts import Facts
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface, VethInterface
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Message, Verb
from insula.engine.launch.holdings import Holding, Remains
from insula.engine.launch.launcher import Launcher
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.plan.plan import LaunchPlan
from insula.engine.steps.host.childsetup import ConnectInterfaces
from insula.engine.steps.host.groups import MakeControllerGroups, MakeGroup
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import InsulaError, KeeperError
from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, set_maker
from insula.kernel.fds import Fd
from insula.kernel.process import start_time
from tests.nolinks import NoLinks
from tests.plans import UNIFIED
from tests.unit.engine.fakes import SPEC, null, plan_of

FOREIGN = r"machine.slice/machine-lxc\x2d1\x2dforeign.scope"


KILLED = 3
"""The exit status of a launch that was cut short."""


@dataclass(kw_only=True, slots=True)
class Clock:
    """Counts what happens to the host; before the change number `fatal` the process ends."""

    fatal: int | None = None
    ticks: int = 0

    def happen(self, change: Callable[[], Any]) -> Any:
        self.ticks += 1
        if self.ticks == self.fatal:
            os._exit(KILLED)
        return change()


@dataclass(kw_only=True, slots=True)
class Host(NoLinks):
    """What is there, as files below a directory."""

    top: Path
    clock: Clock
    keeper: bool = True
    """Whether there is a keeper that kills whom it is told to."""
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        for name in ("unified", "pids", "guests", "links"):
            (self.top / name).mkdir(exist_ok=True)
        v1 = (V1Hierarchy(mount=f"{self.top}/pids", controllers=("pids",)),)
        self.facts = replace(UNIFIED, hierarchies=Hierarchies(v1=v1, v2=f"{self.top}/unified"))
        foreign = Cgroup(self.facts.hierarchies, FOREIGN)
        for directory in foreign.directories:
            os.makedirs(directory, exist_ok=True)
        set_maker(foreign, "another launch")

    def left(self) -> list[str]:
        """Return what is there, but for what is another's."""
        found = [*self.top.glob("*/machine.slice/*"), *self.top.glob("guests/*"), *self.top.glob("links/*")]
        return sorted(str(path.relative_to(self.top)) for path in found if "foreign" not in path.name)

    def foreign_is_there(self) -> bool:
        return all(os.path.isdir(each) for each in Cgroup(self.facts.hierarchies, FOREIGN).directories)

    # A keeper's link

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        self.asked = (verb, dict(body))
        if verb is Verb.LAUNCH:
            self.clock.happen(lambda: self._begin(str(body["launch"])))
        elif verb in (Verb.KILL, Verb.ABORT) and self.keeper:
            self.clock.happen(lambda: self._end(body.get("launch")))
        return 0

    @property
    def guest(self) -> Path:
        return self.top / "guests" / SPEC.uuid

    def _begin(self, launch: str) -> None:
        self.guest.write_text(launch)
        for group in self.top.glob("unified/machine.slice/*web.scope"):
            (group / "cgroup.procs").write_text("4711\n")

    def _end(self, launch: str | None) -> None:
        """The guest's process ends, and with it its network."""
        if self.guest.exists() and launch in (None, self.guest.read_text()):
            self.guest.unlink()
            for inhabited in self.top.glob("unified/machine.slice/*web.scope/cgroup.procs"):
                inhabited.unlink()
            shutil.rmtree(self.top / "links")
            (self.top / "links").mkdir()

    def killed_by(self) -> Callable[[Cgroup], None]:
        """Return what the kernel does about a group that is killed."""

        def killed(group: Cgroup) -> None:
            assert group.path != FOREIGN
            self._end(None)

        return killed

    async def answer(self, number: int) -> Message:
        verb, _ = self.asked
        if verb is Verb.GO:
            return Message({"pid": os.getpid()}, {"pidfd": Fd(os.pidfd_open(os.getpid())), "console0": null()})
        if verb in (Verb.KILL, Verb.ABORT, Verb.FORGET) and not (self.keeper and self.guest.exists()):
            raise KeeperError("no guest with that UUID is held")
        return Message({"pid": os.getpid(), "status": None}, {})

    asked: tuple[Verb, dict[str, Any]] = field(init=False)

    # A performer of interfaces

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        self.clock.happen((self.top / "links" / "vnet0").touch)
        return (ConnectedInterface(guest="eth0", host="vnet0", host_index=3, bridge=None, mac="52:54:00:00:00:01"),)

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        for each in connected:
            (self.top / "links" / each.host).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refuse(HostStep):
    """A step that the kernel refuses."""

    phrase: ClassVar[str] = "fail"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        raise OSError(errno.EIO, "the disk says no")


@dataclass(frozen=True, kw_only=True, slots=True)
class Halfway(MakeControllerGroups):
    """A step that has made its group when the kernel refuses the rest."""

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        self.make(context, replace(context.facts.hierarchies, v2=None))
        raise OSError(errno.EIO, "the disk says no")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing(HostStep):
    """A step that leaves nothing."""

    phrase: ClassVar[str] = "do nothing"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        return ()


GROUP = MakeGroup(why="-", partition="machine.slice", domain="web", name=None, owner=None)
CONTROLLERS = MakeControllerGroups(why="-", partition="machine.slice", domain="web", name=None, owner=None)
TAKEN = replace(GROUP, domain="foreign", name=FOREIGN.rpartition("/")[2])
CONNECT = ConnectInterfaces(why="-", interfaces=(VethInterface(guest="eth0"),))
HALFWAY = Halfway(why="-", partition="machine.slice", domain="web", name="half-{id}.scope", owner=None)
REFUSE, NOTHING = Refuse(why="-"), Nothing(why="-")


FAILING = {Refuse, Halfway}


@st.composite
def plans(draw: st.DrawFn) -> LaunchPlan:
    """A plan of real and idle steps in any order that makes sense, in which one may fail, anywhere."""
    before: list[HostStep] = draw(st.lists(st.just(NOTHING), max_size=1))
    before.insert(draw(st.integers(0, len(before))), GROUP)
    meanwhile: list[HostStep] = draw(st.permutations([CONTROLLERS, CONNECT, NOTHING]))
    fails = draw(st.sampled_from((None, REFUSE, TAKEN, HALFWAY)))
    if fails is not None:
        steps = before if draw(st.booleans()) else meanwhile
        steps.insert(draw(st.integers(0, len(steps))), fails)
    return plan_of(*meanwhile, before=tuple(before))


def launched(host: Host, plan: LaunchPlan) -> None:
    """Launch, as the service does: the intent is written before, the record after, and what failed is taken away."""
    written = host.top / "record"
    intents: list[Remains] = []

    def write(remains: dict[str, Any], kind: str) -> None:
        host.clock.happen(lambda: written.write_text(json.dumps({kind: remains})))

    def write_intent(remains: Remains) -> None:
        intents.append(remains)
        write(remains.encode(), "intent")

    launcher = Launcher(facts=host.facts, link=host, interfaces=host)
    launcher.plan = lambda spec: plan  # type: ignore[method-assign]
    try:
        running = completed(launcher.launch(SPEC, write_intent=write_intent))
    except (OSError, InsulaError):
        assert FAILING & {type(step) for step in (*plan.before, *plan.meanwhile)} or TAKEN in (
            *plan.before,
            *plan.meanwhile,
        )
        assert host.left() == [], "the launch takes back itself what it has made"
        assert host.foreign_is_there()
        with suppress(InsulaError):
            completed(launcher.teardown.take_away(intents[-1]))
        written.unlink()
        return
    assert running.record.born == start_time(os.getpid())
    write(running.record.encode(), "container")


def found(host: Host) -> Remains | None:
    """Return what a later daemon reads of the run."""
    try:
        data = json.loads((host.top / "record").read_text())
    except FileNotFoundError:
        return None
    if "intent" in data:
        return Remains.decode(data["intent"])
    return ContainerRecord.decode(data["container"]).remains


def watched(clock: Clock) -> None:
    """In the fork: let each change that a step makes by itself count."""
    for name in ("mkdir", "setxattr"):
        real = getattr(os, name)

        def counted(*arguments: Any, real: Any = real, **options: Any) -> Any:
            return clock.happen(lambda: real(*arguments, **options))

        setattr(os, name, counted)


@settings(max_examples=20, deadline=None)
@given(plan=plans(), keeper=st.booleans())
def test_one_walk_leaves_nothing_whatever_fails_and_wherever_the_daemon_is_killed(
    plan: LaunchPlan, keeper: bool
) -> None:
    """keeper: whether one lives that the later daemon can ask to kill the guest."""
    fatal = 1
    while was_killed_at(fatal, plan, keeper=keeper):
        fatal += 1
    assert fatal > 2, "the intent and what failed, at least, are kill points"


def was_killed_at(fatal: int, plan: LaunchPlan, *, keeper: bool) -> bool:
    """Launch in a fork that is killed there, take away what it left, and return whether it was."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        host = Host(top=Path(name), clock=Clock())
        patched.setattr(Cgroup, "kill", host.killed_by())
        patched.setattr(Cgroup, "join_fds", lambda group: [null()])
        child = os.fork()
        if child == 0:
            status = 1
            try:
                host.clock = Clock(fatal=fatal)
                watched(host.clock)
                launched(host, plan)
                status = 0
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, KILLED)
        remains = found(host)
        if remains is not None:
            host.keeper = keeper
            later = Launcher(facts=host.facts, link=host, interfaces=host)
            for _ in range(2):
                with suppress(InsulaError):
                    completed(later.teardown.take_away(remains))
        assert host.left() == []
        assert host.foreign_is_there()
        return status == KILLED
