"""Inside a guest, without its help: its name, its addresses, its processes, and programs put into it."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Thread
from uuid import UUID

from insula.engine.enter.attachment import EnteredProcess, is_probing
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Process
from insula.engine.threads import in_own_thread
from insula.errors import (
    ArgumentUnsupportedError,
    DomainNotFoundError,
    InsulaError,
    InvalidArgumentError,
    NoHostnameError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
)
from insula.kernel.fds import Fd
from insula.kernel.process import CloneFlag, has_ended, setns
from insula.model.numbers import AddressSource
from insula.model.visible import visible
from insula.network.guestinterfaces import GuestInterface, guest_interfaces, with_addresses
from insula.service.containers import ContainerEngine, StandardStreams, WindowSize
from insula.service.domains import Domains
from insula.service.executions import Executions
from insula.service.hangup import hang_up, kill_session
from insula.service.managed import ManagedDomain

LAST_SIGNAL = 64
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedProgram:
    """A program that was put into a guest. id: ours; master: of its terminal, if it has one; the caller's."""

    id: int
    pid: int
    master: Fd | None


class GuestVerbs:
    """Looks into guests and puts programs into them."""

    def __init__(self, engine: ContainerEngine, domains: Domains) -> None:
        self._engine = engine
        self._domains = domains
        self._executions = Executions()
        self._orphaned_probes: list[EnteredProcess] = []

    async def hostname(self, managed: ManagedDomain) -> str:
        """Return what the guest calls itself now. Raises: NoHostnameError, also if that is nothing to be called.

        The kernel takes any bytes as a host name, and who asks shows the answer on a terminal.
        """
        container = managed.require_run().container
        try:
            name = await in_own_thread(partial(_hostname_inside, container.pid))
            require_alive(container)
        except OSError as error:
            raise NoHostnameError(f"domain '{managed.name}' does not tell its name: {error.strerror}") from error
        if visible(name) != name:
            raise NoHostnameError(f"domain '{managed.name}' calls itself '{visible(name)}', which is no host name")
        return name

    async def interfaces(self, managed: ManagedDomain, source: AddressSource) -> list[GuestInterface]:
        """Return the guest's interfaces with their addresses, read in its own network namespace.

        That is what a lease or the neighbour table could only guess at, so it is the answer for those sources too; they
        are about the guest's cards, and only the source AGENT tells of lo as well. Names are the guest's own words.
        """
        container = managed.require_run().container
        try:
            found = await in_own_thread(partial(guest_interfaces, container.pid))
            require_alive(container)
        except OSError as error:
            raise OperationFailedError(
                f"the interfaces of domain '{managed.name}' cannot be read: {error.strerror}"
            ) from error
        share = container.record.spec.network_share
        if share is not None:  # wherever the host has its addresses, lo included
            told = with_addresses(found, share.addresses)
        else:
            told = [each for each in found if source is AddressSource.AGENT or not each.loopback]
        return [replace(each, name=visible(each.name)) for each in told]

    async def send_signal(self, managed: ManagedDomain, pid: int, number: int) -> None:
        """Send a signal to a process of the guest, by the pid it has there.

        Raises: ArgumentUnsupportedError for a group of processes, InvalidArgumentError for what is no signal or no
        process of the guest.
        """
        if pid <= 0:
            raise ArgumentUnsupportedError(f"pid {pid}: signals go to single processes of the guest, from 1 on")
        check_signal(number, lowest=0)
        run = managed.require_run()
        if pid == 1:
            await self._engine.signal(run.container, number)
            return
        processes = await in_own_thread(run.container.group.processes)
        require_alive(run.container)
        await in_own_thread(partial(_signal_inside, run.container.pid, processes, pid, number))

    async def namespaces(self, managed: ManagedDomain) -> list[Fd]:
        """Return the guest's namespaces, in the order user, ipc, uts, net, pid, mnt; the caller closes them.

        Who enters them keeps the host's ids, its environment, terminal and descriptors, and no filter holds it. In a
        user namespace that is the host's root among processes that may trace it, and all that protects /proc and /sys
        there is that no process could be it. So that needs a permission in the definition.
        Raises: OperationUnsupportedError without it.
        """
        container = managed.require_run().container
        if container.record.spec.idmap is not None and not managed.current.settings.open_namespace:
            raise OperationUnsupportedError(
                f"domain '{managed.name}' has ids of its own, and a client would enter its namespaces "
                f"as the host's root: 'insula exec {managed.name} -- COMMAND' runs programs as the guest's, "
                "or permit it with <insula:opennamespace/> in the metadata"
            )
        return await self._engine.namespaces(container)

    async def execute(
        self,
        managed: ManagedDomain,
        process: Process,
        *,
        stdio: StandardStreams | None = None,
        terminal: WindowSize | None = None,
        capabilities: frozenset[str] | None = None,
        owner: object | None = None,
        probing: bool = False,
        tracer: int | None = None,
    ) -> StartedProgram:
        """Put a program into the guest; return once it executes. owner: whose going away ends it, None for nobody's;
        probing: the next daemon kills it; tracer: a line on which it waits to be traced (`service.explaining`)."""
        container = managed.require_run().container
        asked: list[str] = []
        try:
            executed = await self._engine.entrance.execute(
                container,
                process,
                stdio=stdio,
                terminal=terminal,
                capabilities=capabilities,
                detached=owner is None,
                probing=probing,
                asked=asked,
                tracer=tracer,
            )
        except asyncio.CancelledError:
            await self._take_on(asked, owner)
            raise
        number = self._executions.add(executed, owner)
        return StartedProgram(id=number, pid=executed.pid, master=executed.master)

    async def _take_on(self, asked: Sequence[str], owner: object | None) -> None:
        """Know a program whose client has gone right when it began, and end it, unless it is nobody's."""
        try:
            for each in await self._engine.succession.entered():
                if each.id not in asked:
                    continue
                if each.ended:
                    await self._engine.teardown.forget_execution(each.id)
                elif (executed := self._engine.succession.opened(each)) is not None:
                    number = self._executions.add(executed, owner)
                    if owner is not None:
                        await self._hang_up([(executed, self._executions.end(number))])
        except (InsulaError, OSError) as error:
            LOGGER.warning("what became of a program whose client has gone is not known: %s", error)

    def wait_executed(self, number: int, waiter: object | None = None) -> asyncio.Future[int | None]:
        """Return what becomes the wait status of a program that was put in; None if nobody could learn it.

        waiter: owns it from now on, if an earlier daemon put it in. Raises: InvalidArgumentError for an unknown one.
        """
        return self._executions.end(number, waiter)

    def domain_of_executed(self, number: int) -> UUID | None:
        """Return the domain that a program was put into, None if that is not known any more.

        Raises: InvalidArgumentError for an unknown program.
        """
        return self._executions.domain_of(number)

    def signal_executed(self, number: int, signal_number: int) -> None:
        """Send a signal to a program that was put in; one that has ended does not mind.

        Raises: InvalidArgumentError for an unknown one, or what is no signal.
        """
        check_signal(signal_number, lowest=1)
        self._executions.signal(number, signal_number)

    async def kill_executed(self, number: int) -> None:
        """Kill a program that was put in, and what it has begun in its session; one that has ended does not mind."""
        executed = self._executions.running_one(number)
        if executed is not None:
            await self._kill(executed)

    async def _kill(self, executed: EnteredProcess) -> None:
        try:
            group = self._domains.by_uuid(UUID(executed.uuid)).require_run().container.group
        except (DomainNotFoundError, OperationInvalidError):
            return  # the guest has ended, and all in it
        await in_own_thread(partial(kill_session, executed.pid, group.processes))

    def process_ended(self, identity: str, status: int | None) -> None:
        """Take the keeper's word that a program has ended."""
        self._executions.ended(identity, status)

    async def forget(self, identity: str) -> None:
        """Let the keeper forget a program that has ended."""
        await self._engine.teardown.forget_execution(identity)

    async def inherit(self) -> None:
        """Know the programs that earlier daemons put in: called once, before anybody may ask for one."""
        try:
            entered = await self._engine.succession.entered()
        except InsulaError as error:
            LOGGER.error("what was put into guests before is not known: %s", error)
            return
        for each in entered:
            executed = self._engine.succession.opened(each)
            self._executions.inherit(each.id, executed)
            if executed is not None and is_probing(each.id):
                self._orphaned_probes.append(executed)
            if each.ended:
                self._executions.ended(each.id, each.status)
                await self._engine.teardown.forget_execution(each.id)

    async def end_probes(self) -> None:
        """Kill the probes of earlier daemons, for which nobody waits any more; called once guests are known."""
        probes, self._orphaned_probes = self._orphaned_probes, []
        for each in probes:
            if self._executions.running_one(int(each.id)) is not None:
                await self._kill(each)

    async def connection_closed(self, owner: object) -> None:
        """End what was put in by a client that has gone, or died."""
        await self._hang_up(self._executions.owned_by(owner))

    async def _hang_up(self, owned: Sequence[tuple[EnteredProcess, "asyncio.Future[int | None]"]]) -> None:
        ending = []
        for executed, end in owned:
            try:
                group = self._domains.by_uuid(UUID(executed.uuid)).require_run().container.group
            except (DomainNotFoundError, OperationInvalidError):
                continue  # the guest has ended, and all in it
            ending.append(hang_up(executed.pid, end, group.processes))
        await asyncio.gather(*ending)

    async def keeper_replaced(self) -> None:
        """Hand the programs that run to a keeper that has just begun."""
        for executed, born in self._executions.running():
            try:
                await self._engine.succession.adopt_execution(executed, born)
            except (OSError, InsulaError) as error:
                LOGGER.warning("how program %s ends will not be known: %s", executed.id, error)
                self._executions.see_to_end(executed)
            else:
                self._executions.leave_to_keeper(executed)


def require_alive(container: Running) -> None:
    """Refuse what was found by the number of a guest's init that has ended: it may be a process of the host's by then.

    Raises: OperationInvalidError.
    """
    if container.pidfd >= 0 and has_ended(container.pidfd):
        raise OperationInvalidError("domain is not running: its guest has just ended")


def check_signal(number: int, *, lowest: int) -> None:
    """Raises: InvalidArgumentError for what is no signal."""
    if not lowest <= number <= LAST_SIGNAL:
        raise InvalidArgumentError(f"there is no signal {number}; they go from 1 to {LAST_SIGNAL}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PidPair:
    """A process of a guest. host_pid, guest_pid: what the host and the guest call it."""

    host_pid: int
    guest_pid: int


def guest_processes(init: int, processes: Sequence[int]) -> list[PidPair]:
    """Return those of processes that live in init's pid namespace or below, as both sides call them.

    init: the guest's first process, as the host calls it. Source: NSpid in proc_pid_status(5).
    """
    depth = len(_pids_of(init))
    found = []
    for each in processes:
        pids = _pids_of(each)
        if depth and len(pids) >= depth:
            found.append(PidPair(host_pid=each, guest_pid=pids[depth - 1]))
    return found


def _pids_of(pid: int) -> list[int]:
    """The pids of a process from our namespace inwards; none if it is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("NSpid:"):
                    return [int(each) for each in line.split()[1:]]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return []


def _signal_inside(init: int, processes: Sequence[int], pid: int, number: int) -> None:
    target = next((each.host_pid for each in guest_processes(init, processes) if each.guest_pid == pid), None)
    if target is None:
        raise InvalidArgumentError(f"the guest has no process {pid}")
    try:
        descriptor = os.pidfd_open(target)
    except ProcessLookupError as error:
        raise InvalidArgumentError(f"the guest has no process {pid} any more") from error
    try:
        # Between the look and the opening, the number may have been given to another process: look again.
        if guest_processes(init, [target]) != [PidPair(host_pid=target, guest_pid=pid)]:
            raise InvalidArgumentError(f"the guest has no process {pid} any more")
        signal.pidfd_send_signal(descriptor, number)
    except OSError as error:
        raise OperationInvalidError(f"process {pid} cannot be sent signal {number}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _hostname_inside(pid: int) -> str:
    """The node name in a process's UTS namespace, which a thread of its own enters and ends in."""
    namespace = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    results: list[str] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            setns(namespace, CloneFlag.NEWUTS)
            results.append(socket.gethostname())
        except OSError as error:
            errors.append(error)

    try:
        thread = Thread(target=run, name="inside a guest")
        thread.start()
        thread.join()
    finally:
        os.close(namespace)
    if errors:
        raise errors[0]
    return results[0]
