"""An engine over a `FakeHost`: it does what the launcher does, in the same order, and no kernel hears of it."""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

from insula.engine.accounts import Account
from insula.engine.enter.attachment import EnteredProcess
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import Verb
from insula.engine.launch import limits
from insula.engine.launch.attempt import WhileInside
from insula.engine.launch.entrance import Entrance
from insula.engine.launch.guestlabels import GuestLabel, GuestLabels
from insula.engine.launch.holdings import ControlGroup, Interfaces, Remains
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.launch.succession import Held, HeldEntered, Succession
from insula.engine.look.looking import Sight
from insula.engine.plan.plan import LaunchPlan
from insula.engine.program.program import Program
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.errors import InsulaError, KeeperError, OperationFailedError, OperationTimeoutError, StepError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import NO_FD, Fd
from insula.kernel.process import has_ended
from insula.testing.emptyprograms import EMPTY, EmptyPrograms
from insula.testing.fakechanges import FakeChanges
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakehost import FakeHost

FACTS = Facts(
    hierarchies=Hierarchies(),
    kernel="6.1.0",
    pids_max=32768,
    chosen_pids=True,
    detached_layers=True,
    device_nodes=True,
    time_namespaces=True,
    keyrings=True,
    filesystems=frozenset({"overlay"}),
)
_UNKNOWN = ExitStatus(status=None)


class Offload(Protocol):
    """Performs what may block for long."""

    def __call__(self, function: Callable[[], None], /) -> Awaitable[None]: ...


async def _find_root(sight: Sight, pid: int, pidfd: int, user: str, group: str | None) -> Account:
    """Whoever is looked for in a guest is its root."""
    return Account(0, 0, [], "/root")


async def _inline(function: Callable[[], None]) -> None:
    function()


class FakeEngine:
    """Fits `service.containers.Engine`. host: what it works on; link: a way to that host's keeper.

    connected: the interfaces that every guest is to have.
    """

    def __init__(
        self,
        *,
        host: FakeHost,
        link: KeeperLink,
        offload: Offload = _inline,
        connected: tuple[ConnectedInterface, ...] = (),
    ) -> None:
        self._host = host
        self._link = link
        self._offload = offload
        self.connected = connected
        self._succession = Succession(facts=FACTS, link=link, installation="")
        self.entrance = Entrance(
            facts=FACTS, link=link, programs=EmptyPrograms(), find_account=_find_root, permitted=lambda: 0
        )
        self.changes = FakeChanges()

    def close(self) -> None:
        """Let go of what later calls would make anew."""
        self.entrance.close()

    @property
    def facts(self) -> Facts:
        return FACTS

    def plan(self, spec: ContainerSpec) -> LaunchPlan:
        """Return the spec itself, which stands for its plan."""
        return cast("LaunchPlan", spec)

    def program(self, spec: ContainerSpec) -> Program:
        """Return an empty one."""
        return EMPTY

    # Beginnings

    async def launch(
        self,
        spec: ContainerSpec,
        *,
        inherited: Sequence[int] = (),
        paused: bool = False,
        write_intent: Callable[[Remains], None] | None = None,
        while_inside: WhileInside | None = None,
    ) -> Running:
        """Start a guest. Raises: StepError, everything undone."""
        launch = self._host.next_launch()
        path = f"machine.slice/{spec.name}-{launch}"
        if write_intent is not None:
            write_intent(Remains(uuid=spec.uuid, launch=launch, holdings=(ControlGroup(path=path, made=False),)))
        try:
            running = await self._launched(spec, launch, path, while_inside, paused=paused)
        except OSError as error:
            raise StepError(f"cannot launch {spec.name}: {error}", errno=error.errno or 0) from error
        if paused:
            try:
                await self._offload(running.group.freeze)
            except BaseException as error:
                failure = (
                    StepError(f"cannot freeze {spec.name}: {error}", errno=error.errno or 0)
                    if isinstance(error, OSError)
                    else error
                )
                try:
                    await self.destroy(running)
                except InsulaError as left:
                    failure.add_note(f"taking back failed too: {left}")
                raise failure from error
        return running

    async def _launched(
        self, spec: ContainerSpec, launch: str, path: str, while_inside: WhileInside | None, *, paused: bool
    ) -> Running:
        meant = {"uuid": spec.uuid, "launch": launch}
        asked: int | None = None
        try:
            group = self._host.make_group(path)
            limits.apply(cast("Cgroup", group), spec.limits)
            asked = self._link.ask(Verb.LAUNCH, {**meant, "group": path}, {})
            born = await self._link.answer(asked)
            going = self._link.ask(Verb.GO, {**meant, "hold": paused}, {})
            record = ContainerRecord(
                spec=replace(spec, consoles=0),
                id=int(born.body["pid"]),
                pid=int(born.body["pid"]),
                born=int(born.body["born"]),
                boot=self._host.boot,
                group=path,
                launch=launch,
                holdings=(ControlGroup(path=path), Interfaces(connected=self.connected)),
            )
            running = Running(record=record, group=cast("Cgroup", group), awaiting_exec=paused)
            try:
                try:
                    with suppress(OSError):
                        self._host.label(path, record.encode())
                    if while_inside is not None:
                        while_inside(running)
                finally:
                    answer = await self._link.answer(going)
                    running.pidfd, running.channel = answer.fds.pop("pidfd"), answer.fds.pop("channel", NO_FD)
            except BaseException:
                running.close()
                raise
        except BaseException as error:
            await self._take_back(meant, path, error, asked=asked is not None)
            raise
        return running

    async def _take_back(self, meant: dict[str, Any], path: str, failure: BaseException, *, asked: bool) -> None:
        group = self._host.group(path)
        if asked:
            try:
                (await self._link.answer(self._link.ask(Verb.ABORT, meant, {}))).close()
            except KeeperError:
                with suppress(OSError):
                    group.kill()
            except (OSError, InsulaError) as error:
                failure.add_note(f"taking back failed too: {error}")
        if isinstance(failure, KeeperError):
            with suppress(OSError):
                group.kill()
        try:
            self._host.remove_group(path)
        except OSError as error:
            failure.add_note(f"taking back failed too: {error}")

    async def take_away(self, remains: Remains) -> None:
        """Take away what is there of a launch that was cut short. Raises: OSError if something stays behind."""
        meant = {"uuid": remains.uuid, "launch": remains.launch}
        with suppress(KeeperError):
            (await self._link.answer(self._link.ask(Verb.KILL, meant, {}))).close()
        await self._forget(meant)
        for held in reversed(remains.holdings):
            if isinstance(held, ControlGroup):
                group = self._host.group(held.path)
                if group.exists() and (group.label is None or group.label["launch"] == remains.launch):
                    await self._offload(partial(self._vacate, group))

    async def resume(self, running: Running) -> None:
        """Raises: StepError if its init cannot be executed, of one that was launched paused: it has ended then."""
        if not running.awaiting_exec:
            running.group.thaw()
            return
        number = self._link.ask(Verb.PROCEED, {"uuid": running.uuid}, {})
        running.group.thaw()
        try:
            (await self._link.answer(number)).close()
        except KeeperError:
            (await self._link.answer(self._link.ask(Verb.PROCEED, {"uuid": running.uuid}, {}))).close()
        except StepError:
            running.awaiting_exec = False
            raise
        running.awaiting_exec = False
        if running.channel >= 0:
            os.close(running.channel)
            running.channel = NO_FD

    # Ends

    async def destroy(self, running: Running) -> ExitStatus:
        status = running.status
        if status is None:
            status = await self._killed(running)
        await self.release(running, status)
        return status

    async def _killed(self, running: Running) -> ExitStatus:
        group = self._group(running)
        if running.pidfd >= 0 and (process := self._host.processes.get(running.pid)) is not None:
            with suppress(OSError):
                self._host.kill(process)
        try:
            meant = {"uuid": running.uuid, "launch": running.record.launch}
            answer = await self._link.answer(self._link.ask(Verb.KILL, meant, {}))
        except KeeperError:
            with suppress(FileNotFoundError):
                await self._offload(group.kill)
            if running.pidfd >= 0 and not has_ended(running.pidfd):
                raise OperationTimeoutError(f"{running.name} is killed and has not ended yet") from None
            return _UNKNOWN
        answer.close()
        return ExitStatus(status=answer.body["status"])

    async def release(self, running: Running, status: ExitStatus) -> None:
        """Raises: OperationFailedError if something stays behind; another call tries that again."""
        running.status = status
        if running.released:
            return
        try:
            await self._offload(partial(self._vacate, self._group(running)))
        except OSError as error:
            raise OperationFailedError(f"{running.name} has ended, and its group stays behind: {error}") from error
        finally:
            record = running.record
            meant = {"uuid": running.uuid, "launch": record.launch, "pid": record.pid, "born": record.born}
            await self._forget(meant)
            running.close()
        running.released = True

    async def forget(self, uuid: str) -> None:
        await self._forget({"uuid": uuid, "launch": None})

    async def _forget(self, meant: dict[str, Any]) -> None:
        with suppress(KeeperError):
            (await self._link.answer(self._link.ask(Verb.FORGET, meant, {}))).close()

    def _vacate(self, group: FakeGroup) -> None:
        with suppress(OSError):
            group.kill()
        self._host.remove_group(group.path)

    def _group(self, running: Running) -> FakeGroup:
        return self._host.group(running.record.group)

    # Entering

    async def forget_execution(self, executed_id: str) -> None:
        with suppress(KeeperError):
            (await self._link.answer(self._link.ask(Verb.FORGET, {"id": executed_id}, {}))).close()

    async def signal(self, running: Running, number: int) -> None:
        """Nobody is there who would hear it."""

    async def namespaces(self, running: Running) -> list[Fd]:
        return []

    async def held(self) -> list[Held]:
        return (await self._succession.held())[0]

    async def entered(self) -> list[HeldEntered]:
        return await self._succession.entered()

    def opened(self, entered: HeldEntered) -> EnteredProcess | None:
        return entered.opened(self._host.opened)

    def labels(self) -> GuestLabels:
        """Return the records of guests, as their groups tell."""
        found = [
            GuestLabel(record=ContainerRecord.decode(dict(each.label)), data=each.label)
            for each in self._host.groups.values()
            if each.label
        ]
        alive = self._host.processes
        return GuestLabels(
            living=tuple(each for each in found if each.record.boot == self._host.boot and each.record.pid in alive),
            relics=tuple(each for each in found if each.record.pid not in alive),
        )

    def handle(self, record: ContainerRecord) -> Running:
        return Running(record=record, group=cast("Cgroup", self._host.group(record.group)))

    def unrecorded(self, held: Held, name: str) -> Running:
        process = self._host.processes.get(held.pid)
        if process is None:
            raise OperationFailedError(f"the control group of process {held.pid} cannot be told")
        record = ContainerRecord(
            spec=ContainerSpec(name=name, uuid=held.uuid, root=DirectoryRoot(path="/")),
            id=held.pid,
            pid=held.pid,
            born=process.born,
            boot=self._host.boot,
            group=process.group,
        )
        running = self.handle(record)
        running.described = False
        return running

    async def recover(self, record: ContainerRecord) -> Running | None:
        """Return a guest that an earlier engine launched, None if it is gone without a trace."""
        if record.boot != self._host.boot:
            return None
        meant = {"uuid": record.spec.uuid, "launch": record.launch}
        try:
            answer = await self._link.answer(self._link.ask(Verb.FETCH, meant, {}))
        except KeeperError:
            return await self._found_by_pid(record)
        if answer.body["pid"] != record.pid:
            answer.close()
            return await self._found_by_pid(record)
        running = self.handle(record)
        running.pidfd = answer.fds.pop("pidfd")
        running.channel = answer.fds.pop("channel", NO_FD)
        running.awaiting_exec = answer.body["state"] == StartPhase.HELD.name
        if answer.body["state"] == StartPhase.EXITED.name:
            running.status = ExitStatus(status=answer.body["status"])
        return running

    async def _found_by_pid(self, record: ContainerRecord) -> Running | None:
        process = self._host.processes.get(record.pid)
        if process is None:
            return await self._ended_unheld(record)
        running = self.handle(record)
        running.pidfd = self._host.pidfd_of(process)
        try:
            await self.adopt(running)
        except BaseException:
            running.close()
            raise
        return running

    async def _ended_unheld(self, record: ContainerRecord) -> Running | None:
        try:
            asked = self._link.ask(Verb.STATUS, {"pid": record.pid, "born": record.born}, {})
            answer = await self._link.answer(asked)
        except KeeperError:
            return None
        answer.close()
        if answer.body.get("status") is None:
            return None
        running = self.handle(record)
        running.status = ExitStatus(status=int(answer.body["status"]))
        return running

    async def adopt(self, running: Running) -> None:
        """Hand a guest to a keeper that does not hold it."""
        fds = {"pidfd": running.pidfd} | ({"channel": running.channel} if running.channel >= 0 else {})
        record = running.record
        body = {"uuid": running.uuid, "launch": record.launch, "pid": record.pid, "born": record.born}
        (await self._link.answer(self._link.ask(Verb.ADOPT, body, fds))).close()

    async def keep(self, running: Running) -> None:
        (await self._link.answer(self._link.ask(Verb.KEEP, {"uuid": running.uuid}, running.kept()))).close()

    async def adopt_execution(self, executed: EnteredProcess, born: int | None) -> None:
        body = {"uuid": executed.uuid, "id": executed.id, "pid": executed.pid, "born": born}
        (await self._link.answer(self._link.ask(Verb.ADOPT, body, {"pidfd": executed.pidfd}))).close()
