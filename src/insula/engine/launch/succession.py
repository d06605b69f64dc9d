"""What a later daemon finds of an earlier one's guests: from the keeper, from the kernel, or by pid."""

import errno
import itertools
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula.engine.enter.attachment import EnteredProcess
from insula.engine.exitstatus import ExitStatus
from insula.engine.facts import Facts
from insula.engine.keeper.farewell import ended_before
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.link import KeeperLink
from insula.engine.keeper.protocol import Message, Verb
from insula.engine.launch.guestlabels import GuestLabels, guest_labels, lives
from insula.engine.launch.holdings import holding_of_group
from insula.engine.launch.machineregister import Machine
from insula.engine.launch.placement import unit_around
from insula.engine.launch.runningcontainer import ContainerRecord, Running, boot_id
from insula.engine.launch.systemdscope import Manager, Scopes
from insula.engine.machineviews import MachineViews, viewed_guest
from insula.engine.spec import ContainerSpec, DirectoryRoot
from insula.errors import InsulaError, KeeperError, OperationFailedError
from insula.kernel.cgroups import PAYLOAD, groups_of, machine_name
from insula.kernel.fds import NO_FD, Fd, close_all, contents
from insula.kernel.privileges import permitted_mask
from insula.kernel.process import start_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A guest that the keeper holds. status: how it has ended, if its phase is EXITED."""

    uuid: str
    pid: int
    phase: StartPhase
    status: ExitStatus | None

    @property
    def lives(self) -> bool:
        """Whether its program runs, or is about to: not one whose launch was cut short."""
        return self.phase in (StartPhase.RUNNING, StartPhase.HELD, StartPhase.EXECUTING)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldEntered:
    """A process that entered a guest before our time. status: as wait(2) has it, of one that has ended, if known."""

    id: str
    uuid: str
    pid: int
    ended: bool
    status: int | None


class Succession:
    """Finds guests again, and hands them to a keeper that does not hold them.

    installation: whose, since several may be on one host; scopes: who makes those of systemd; ends: what keepers wrote
    down before they ended (`keeper.farewell`), None where they write nothing; views: serve machine views.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        link: KeeperLink,
        installation: str,
        scopes: Scopes | None = None,
        ends: Path | None = None,
        views: MachineViews | None = None,
    ) -> None:
        self._facts = facts
        self._ends = ends
        self._views = views
        self._scopes = scopes
        self._link = link
        self._installation = installation
        self.permitted = permitted_mask()
        """The mask of the keeper's capabilities; ours until one has said hello."""

    @property
    def boot(self) -> str:
        """What is different after every boot of the host."""
        return boot_id()

    async def held(self) -> list[Held]:
        """Return all guests that the keeper holds.

        From now on it tells events on this link, and leaves the consoles to us.
        """
        answer = await self._link.answer(self._link.ask(Verb.HELLO, {"forgetting": False}, {}))
        answer.close()
        self.permitted = int(answer.body.get("permitted", self.permitted))
        return [_held(each) for each in answer.body["guests"]]

    async def entered(self) -> list[HeldEntered]:
        """Return the processes that entered guests, as far as the keeper holds them. From now on it tells events."""
        answer = await self._link.answer(self._link.ask(Verb.HELLO, {"forgetting": False}, {}))
        answer.close()
        return [
            HeldEntered(
                id=str(each["id"]),
                uuid=str(each["uuid"]),
                pid=int(each["pid"]),
                ended=each["state"] == StartPhase.EXITED.name,
                status=each["status"],
            )
            for each in answer.body["executions"]
            if each["state"] in (StartPhase.RUNNING.name, StartPhase.EXITED.name)
        ]

    def opened(self, entered: HeldEntered) -> EnteredProcess | None:
        """Return what entered before as one of ours, with a pidfd that is the caller's; None if it has ended."""
        if entered.ended:
            return None
        try:
            pidfd = self._pidfd_of(entered.pid)
        except ProcessLookupError:
            return None
        return EnteredProcess(id=entered.id, uuid=entered.uuid, pid=entered.pid, pidfd=pidfd, master=None)

    def handle(self, record: ContainerRecord) -> Running:
        """Return a handle, without fds, of a container that an earlier daemon launched; nothing is looked up."""
        return Running(record=record, group=record.group_in(self._facts.hierarchies))

    def labels(self) -> GuestLabels:
        """Return the records of guests, as the kernel keeps them: true without any disk."""
        return guest_labels(self._facts.hierarchies, self._installation)

    async def recover(self, record: ContainerRecord) -> Running | None:
        """Return the handle of a container that an earlier daemon launched, None if it is gone without a trace.

        From the keeper if it holds it, with what its consoles said meanwhile; else, if init still runs, by its pid, and
        the keeper is given it: its consoles are lost then. One that has ended has its `status` set.
        Raises: OSError, InsulaError if that cannot be found out, which does not mean that it has ended.
        """
        if record.boot != self.boot:
            return None
        try:
            answer = await self._link.answer(self._link.ask(Verb.FETCH, _meant(record), {}))
        except KeeperError:
            return await self._found_by_pid(record)
        if answer.body["pid"] != record.pid:
            answer.close()
            return await self._found_by_pid(record)
        self._register(record)
        running = _taken(answer, self.handle(record))
        self._show(running)
        return running

    def _show(self, running: Running) -> None:
        """Have its machine view served, if it has one: by the view that does, or the next."""
        record = running.record
        if self._views is None or not running.view or record.launch is None or running.status is not None:
            return
        guest = viewed_guest(
            uuid=running.uuid,
            launch=record.launch,
            name=running.name,
            group=running.group,
            pid=record.pid,
            born=record.born,
            idmap=record.spec.idmap,
            time_offsets=record.spec.time_offsets,
        )
        self._views.show(guest, running.view)

    def _register(self, record: ContainerRecord) -> None:
        """Have systemd-machined know a container if it does not: who started it may have died right before."""
        if self._scopes is not None and self._facts.manager is Manager.MACHINED:
            machine = Machine(
                name=machine_name(record.id, record.spec.name),
                uuid=record.spec.uuid,
                leader=record.pid,
                unit=unit_around(record.group),
            )
            self._scopes.register(machine, self._facts.manager, perhaps=True)

    def unrecorded(self, held: Held, name: str) -> Running:
        """Return a handle, without fds, of a guest of which only the keeper tells: it can be watched and ended.

        Raises: OSError, OperationFailedError if its control group cannot be told.
        """
        group, born = self._seen(held.pid)
        record = ContainerRecord(
            spec=ContainerSpec(name=name, uuid=held.uuid, root=DirectoryRoot(path="/")),
            id=held.pid,
            pid=held.pid,
            born=born,
            boot=self.boot,
            group=group,
            holdings=(holding_of_group(group),),
        )
        running = self.handle(record)
        running.described = False
        return running

    async def adopt(self, running: Running) -> None:
        """Hand a running container to a keeper that does not hold it: the one before has died."""
        fds: dict[str, Fd] = {
            "pidfd": running.pidfd,
            **{f"console{n}": master for n, master in enumerate(running.consoles)},
        }
        fds |= running.kept()
        if running.channel >= 0:
            fds["channel"] = running.channel
        body = {**_meant(running.record), "pid": running.pid, "born": running.record.born}
        (await self._link.answer(self._link.ask(Verb.ADOPT, body, fds))).close()

    async def adopt_execution(self, executed: EnteredProcess, born: int | None) -> None:
        """Hand an entered process to a keeper that does not hold it, likewise.

        born: its start time in clock ticks since boot, None if it ended before that was looked at.
        """
        body = {"uuid": executed.uuid, "id": executed.id, "pid": executed.pid, "born": born}
        (await self._link.answer(self._link.ask(Verb.ADOPT, body, {"pidfd": executed.pidfd}))).close()

    async def keep(self, running: Running) -> None:
        """Have the keeper keep for later daemons what this one made for the container since its launch.

        Raises: KeeperError if there is no keeper, or one that is too old for that.
        """
        (await self._link.answer(self._link.ask(Verb.KEEP, {"uuid": running.uuid}, running.kept()))).close()

    async def keep_if_possible(self, running: Running) -> None:
        """As `keep`; where that fails, what was made lives as long as this daemon."""
        with suppress(InsulaError):
            await self.keep(running)

    async def _found_by_pid(self, record: ContainerRecord) -> Running | None:
        running = self.handle(record)
        try:
            running.pidfd = self._opened(record)
        except ProcessLookupError:
            return await self._ended_unheld(record)
        try:
            await self.adopt(running)
        except BaseException:
            running.close()
            raise
        return running

    def _opened(self, record: ContainerRecord) -> Fd:
        """Return a pidfd of the init that a record tells of. Raises: ProcessLookupError if it is there no more."""
        pidfd = self._pidfd_of(record.pid)
        try:
            if not lives(record):
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        except BaseException:
            os.close(pidfd)
            raise
        return pidfd

    def _pidfd_of(self, pid: int) -> Fd:
        """Raises: ProcessLookupError if there is no such process."""
        return Fd(os.pidfd_open(pid))

    def _seen(self, pid: int) -> tuple[str, int]:
        """Return the path of the container's group that a process lives in, and its start time.

        Raises: OSError, OperationFailedError if that cannot be told.
        """
        return _group_around(pid), start_time(pid)

    async def _ended_unheld(self, record: ContainerRecord) -> Running | None:
        """Return the handle of a container that ended while there was no keeper, None if nobody knows how."""
        number = self._link.ask(Verb.STATUS, {"pid": record.pid, "born": record.born}, {})
        try:
            answer = await self._link.answer(number)
        except KeeperError:
            return None
        answer.close()
        status = answer.body.get("status")
        if status is None and self._ends is not None:
            status = ended_before(self._ends, record.spec.uuid, record.launch, record.pid)
        if status is None:
            return None
        running = self.handle(record)
        running.status = ExitStatus(status=int(status))
        return running


def _meant(record: ContainerRecord) -> dict[str, Any]:
    """The fields by which the keeper knows a guest."""
    return {"uuid": record.spec.uuid, "launch": record.launch}


def _held(guest: Mapping[str, Any]) -> Held:
    phase = StartPhase[guest["state"]]
    status = ExitStatus(status=guest["status"]) if phase is StartPhase.EXITED else None
    return Held(uuid=guest["uuid"], pid=int(guest["pid"]), phase=phase, status=status)


def _taken(answer: Message, running: Running) -> Running:
    """Give a handle what an answer to FETCH has for it; the rest is closed."""
    try:
        running.pidfd = answer.fds.pop("pidfd")
        running.awaiting_exec = answer.body["state"] == StartPhase.HELD.name
        running.channel = answer.fds.pop("channel", NO_FD)
        for number in itertools.count():
            master = answer.fds.pop(f"console{number}", None)
            if master is None:
                break
            running.consoles.append(master)
            ring = answer.fds.get(f"ring{number}")
            running.said.append(b"" if ring is None else contents(ring))
        running.take_kept(answer.fds)
    except BaseException:
        running.close()
        raise
    finally:
        close_all(answer.fds.values())
        answer.fds.clear()
    if answer.body["state"] == StartPhase.EXITED.name:
        running.status = ExitStatus(status=answer.body["status"])
    return running


def _group_around(pid: int) -> str:
    """Return the path of the container's group that a process of it lives in."""
    paths = [path.split("/") for path in groups_of(pid).values()]
    for words in paths:
        if PAYLOAD in words:
            return "/".join(words[: words.index(PAYLOAD)])
    for words in paths:
        if words[-1].endswith(".scope"):
            return "/".join(words)
    raise OperationFailedError(f"the control group of process {pid} is none that was made for a guest")
