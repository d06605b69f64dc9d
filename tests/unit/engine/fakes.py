"""A keeper, steps and control groups without kernel, which remember what was asked of them: for tests of launches."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest

from insula.engine.keeper.protocol import IMAGE, Message, Verb
from insula.engine.launch import release
from insula.engine.launch.holdings import ControlGroup, Holding
from insula.engine.plan.plan import CloneOptions, LaunchPlan
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange
from insula.engine.steps.guest.execution import Execute
from insula.engine.steps.guest.namespaces import BecomeRoot, MakeNetwork
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd, contents

RANGES = (IdRange(inside=0, outside=300000, count=65536),)
SPEC = ContainerSpec(
    name="web",
    uuid="c7a5fdbd-cdaf-9455-926a-d65c16db1809",
    root=DirectoryRoot(path="/srv/web"),
    idmap=IdMap(uids=RANGES, gids=RANGES),
)
GROUP = "machine.slice/web"
CLONE = CloneOptions(namespaces=("mnt", "pid", "user"), owner=(300000, 300000))
EARLY = (MakeNetwork(why="asked for", netlink=True),)
INNER = (
    BecomeRoot(why="its own"),
    Execute(why="the guest's own", argv=["/sbin/init"], env=[]),
)


def null() -> Fd:
    return Fd(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))


@dataclass(kw_only=True, slots=True)
class World:
    """What is there (made, in order), and what has happened (journal)."""

    made: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)

    def lose(self, name: str) -> None:
        """Have something end, if it is there."""
        with suppress(ValueError):
            self.made.remove(name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Thing:
    """A holding in a world, of a kind that `things` makes known."""

    name: str
    world: World
    stays: Exception | None

    async def take_away(self) -> None:
        self.world.journal.append(f"no {self.name}")
        self.world.made.remove(self.name)
        if self.stays is not None:
            raise self.stays


def things(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the walk that takes holdings away know things."""
    kinds: dict[Any, Any] = {**release.RELEASES, Thing: lambda walk, thing, launch, inside: thing.take_away()}
    monkeypatch.setattr(release, "RELEASES", kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Do(HostStep):
    """A step that makes something. error: raised instead; stays: raised when that is taken away, after it is."""

    phrase: ClassVar[str] = "make {name}"

    name: str
    world: World
    error: BaseException | None = None
    stays: Exception | None = None

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        self.world.journal.append(self.name)
        if self.error is not None:
            raise self.error
        assert not self.needs_child or context.child >= 0
        context.fds[self.name] = null()
        if context.group is None:
            context.group = Cgroup(context.facts.hierarchies, GROUP)
        self.world.made.append(self.name)
        return (cast("Holding", Thing(name=self.name, world=self.world, stays=self.stays)),)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoGroup(Do):
    """The same, with the control group."""

    def announce(self, identity: int) -> tuple[Holding, ...]:
        return (ControlGroup(path=f"{GROUP}{identity}", made=False),)

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        return (ControlGroup(path=GROUP), *await Do.perform(self, context))


@dataclass(frozen=True, kw_only=True, slots=True)
class DoWithChild(Do):
    """The same, once the child is born."""

    needs_child: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch(HostStep):
    """Have the netlink socket fetched, as the real step does."""

    needs_child: ClassVar[bool] = True
    phrase: ClassVar[str] = "fetch the socket"

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        context.netlink = await context.fetch_netlink()
        return ()


def plan_of(
    *meanwhile: HostStep,
    before: tuple[HostStep, ...] = (),
    clone: CloneOptions = CLONE,
) -> LaunchPlan:
    staged = tuple(step.name for step in meanwhile if isinstance(step, Do) and step.name == "root")
    return LaunchPlan(before=before, clone=clone, child_early=EARLY, meanwhile=meanwhile, inside=INNER, staged=staged)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request. fds: their names, and the image that came with it."""

    verb: Verb
    body: dict[str, Any]
    fds: tuple[str, ...]
    image: bytes


Answer = dict[str, Any] | Exception


@dataclass(kw_only=True, slots=True)
class FakeKeeper:
    """A link to a keeper that holds guests by UUID. Their init is the test's own process, unless pid says otherwise.

    answers: to be given instead of the usual ones, the first first; an error is raised, as a link does. asked: every
    request so far; unusable: raised when anything is asked.
    """

    world: World = field(default_factory=World)
    pid: int = field(default_factory=os.getpid)
    answers: dict[Verb, list[Answer]] = field(default_factory=dict)
    fds: dict[Verb, Callable[[], dict[str, Fd]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    unusable: Exception | None = None

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        if self.unusable is not None:
            raise self.unusable
        self.world.journal.append(f"ask {verb.value}")
        image = contents(fds[IMAGE]) if IMAGE in fds else b""
        assert all(os.fstat(fd) for fd in fds.values())
        self.asked.append(Asked(verb=verb, body=dict(body), fds=tuple(fds), image=image))
        if verb is Verb.LAUNCH:
            self.world.made.append("child")
        elif verb in (Verb.ABORT, Verb.KILL):
            self.world.lose("child")
        return len(self.asked) - 1

    async def answer(self, number: int) -> Message:
        verb = self.asked[number].verb
        self.world.journal.append(f"{verb.value} answered")
        waiting = self.answers.get(verb)
        answer = waiting.pop(0) if waiting else self._usual(verb)
        if isinstance(answer, Exception):
            if verb is Verb.LAUNCH:
                self.world.lose("child")
            raise answer
        return Message({"answer": number, **answer}, self.fds.get(verb, dict)() or self._usual_fds(verb))

    def _usual(self, verb: Verb) -> dict[str, Any]:
        match verb:
            case Verb.LAUNCH | Verb.GO | Verb.PROCEED | Verb.EXECUTE:
                return {"pid": self.pid}
            case Verb.KILL | Verb.ABORT:
                return {"status": 9}
            case _:
                return {}

    def _usual_fds(self, verb: Verb) -> dict[str, Fd]:
        match verb:
            case Verb.GO | Verb.PROCEED:
                return {"pidfd": Fd(os.pidfd_open(self.pid)), "console0": null()}
            case Verb.NETLINK:
                return {"netlink": null()}
            case Verb.EXECUTE:
                return {"pidfd": Fd(os.pidfd_open(self.pid))}
            case _:
                return {}

    def verbs(self) -> list[Verb]:
        return [each.verb for each in self.asked]

    def last(self, verb: Verb) -> Asked:
        return next(each for each in reversed(self.asked) if each.verb is verb)


def fake_groups(monkeypatch: pytest.MonkeyPatch, journal: list[str]) -> None:
    """Have every control group say in the journal what is done to it, and exist until it is removed.

    Somebody is in each as long as it has not been killed and removed: it cannot be removed at once.
    """
    removed: set[str] = set()

    def said(word: str) -> Callable[[Cgroup], None]:
        return lambda group: journal.append(f"{word} {group.path}")

    def remove(group: Cgroup, **options: object) -> None:
        journal.append(f"remove {group.path}")
        removed.add(group.path)

    for word in ("freeze", "thaw", "kill"):
        monkeypatch.setattr(Cgroup, word, said(word))
    monkeypatch.setattr(Cgroup, "remove", remove)
    monkeypatch.setattr(Cgroup, "removed_at_once", lambda group: group.path in removed)
    monkeypatch.setattr(Cgroup, "exists", lambda group: group.path not in removed)
    monkeypatch.setattr(Cgroup, "frozen", property(lambda group: journal[-1:] == [f"freeze {group.path}"]))
    monkeypatch.setattr(Cgroup, "exec_fd", lambda group: null())
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [null(), null()])
