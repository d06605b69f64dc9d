"""Processes between their clone and the exec of their program, watched by the keeper without ever waiting for them.

ORDERED ── cloned ──► CLONED ── go ──► STARTING ── executing ──► EXECUTING ── end of file ──► RUNNING
                                                      └────────► HELD ── proceed ──┘
anything else: killed, reaped, answered with an error, and forgotten
"""

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from insula.engine.keeper.clients import Clients, KeeperClient, PendingRequest, RefusalError
from insula.engine.keeper.cloning import Begun
from insula.engine.keeper.eventloop import HUNG_UP, READABLE, EventLoop
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.protocol import Message, send_go
from insula.engine.keeper.sayings import receive_saying
from insula.kernel.fds import NO_FD, Fd
from insula.kernel.process import is_child, pid_of

PATIENCE = 30.0
"""Seconds a process has to perform its steps."""
SAYINGS_MAX = 16
"""Messages of one process; there are five kinds."""
LAST_WORD = 5.0
"""Seconds that are waited for the end of the channel of a process that has ended."""
ORDER_PATIENCE = 10.0
"""Seconds that a process of a guest to be may take until it says that it is there."""

_NOBODY = {"text": "what was to clone it has ended, or it was killed at once", "errno": errno.ECHILD}
"""Of an order whose channel ended without a word: nothing has begun, and it may be given again."""


class Starting:
    """One process on its way.

    launching: the request to answer when it is there; pending: the one to answer when its program runs; asking: the one
    that wants the netlink socket; failure: what it said went wrong.
    """

    __slots__ = (
        "asking",
        "begun",
        "channel",
        "deadline",
        "failure",
        "launching",
        "netlink",
        "pending",
        "process",
        "requester",
        "said",
    )

    def __init__(self, begun: Begun, requester: KeeperClient) -> None:
        self.begun = begun
        self.process = begun.process
        self.channel = begun.channel
        self.requester = requester
        self.launching: PendingRequest | None = None
        self.pending: PendingRequest | None = None
        self.asking: PendingRequest | None = None
        self.netlink = NO_FD
        self.deadline: int | None = None
        self.said = 0
        self.failure: dict[str, Any] | None = None


class StartingProcesses:
    """All that are on their way.

    cloned: called when a process that was ordered is there; never: when it is known that it will not be; settled: when
    a program runs or is held right before it; ended: when one has ended, and its channel after it; give_up: ends one of
    which nothing was heard in time.
    """

    def __init__(
        self,
        loop: EventLoop,
        clients: Clients,
        *,
        cloned: Callable[[HeldProcess], None],
        never: Callable[[HeldProcess], None],
        settled: Callable[[HeldProcess], None],
        ended: Callable[[HeldProcess], None],
        give_up: Callable[[Begun], None],
    ) -> None:
        self._loop = loop
        self._clients = clients
        self._cloned = cloned
        self._never = never
        self._settled = settled
        self._ended = ended
        self._give_up_order = give_up
        self._starting: dict[HeldProcess, Starting] = {}

    def attend(self, begun: Begun, requester: KeeperClient, *, to_its_end: bool = False) -> Starting:
        """Follow a process from now on.

        to_its_end: nothing of what it says is to be answered before its channel ends, so that is waited for alone: who
        is on the way to its program is not held up by our waking up.
        """
        begun.channel.setblocking(False)
        starting = self._starting[begun.process] = Starting(begun, requester)
        events = HUNG_UP if to_its_end else READABLE
        self._loop.watch(begun.channel.fileno(), events, lambda _: self._listen(starting))
        return starting

    def answer_when_cloned(self, process: HeldProcess, request: PendingRequest) -> None:
        """Answer request with the pid, once there is one."""
        starting = self._starting[process]
        starting.launching = request
        if process.is_known:
            self._answer_launch(starting)
        else:
            starting.deadline = self._loop.after(ORDER_PATIENCE, lambda: self._give_up(starting))

    def _answer_launch(self, starting: Starting) -> None:
        if starting.launching is not None:
            self._unlimit(starting)
            self._clients.answer(starting.launching, {"pid": starting.process.pid})
            starting.launching = None

    def expect(self, process: HeldProcess, request: PendingRequest, seconds: float) -> None:
        """Answer request once the program runs, or the process has failed to get there in time."""
        starting = self._starting[process]
        starting.pending = request
        process.phase = StartPhase.STARTING
        starting.deadline = self._loop.after(seconds, lambda: self._give_up(starting))

    def _unlimit(self, starting: Starting) -> None:
        if starting.deadline is not None:
            self._loop.cancel(starting.deadline)
            starting.deadline = None

    def _give_up(self, starting: Starting) -> None:
        starting.deadline = None
        self.listen_to(starting.process)
        if starting.process not in self._starting:
            return  # it got there in the last moment
        phase = StartPhase.ORDERED if not starting.process.is_known else starting.process.phase
        starting.failure = {"text": f"it did not get past '{phase.value}' in time", "errno": 0}
        if not starting.process.is_known:
            self._give_up_order(starting.begun)
        self.kill(starting.process)

    def send_netlink(self, process: HeldProcess, request: PendingRequest) -> None:
        """Answer request with the netlink socket that the process opens inside, as soon as it has."""
        starting = self._starting_of(process, StartPhase.CLONED)
        starting.asking = request
        self._hand_out_netlink(starting)

    def _hand_out_netlink(self, starting: Starting) -> None:
        if starting.asking is not None and starting.netlink >= 0:
            self._clients.answer(starting.asking, {}, {"netlink": starting.netlink})
            os.close(starting.netlink)
            starting.netlink = NO_FD
            starting.asking = None

    def go(self, process: HeldProcess, request: PendingRequest, fds: Sequence[Fd], seconds: float) -> None:
        """Hand a process what it waits for; request is answered when its program runs."""
        starting = self._starting_of(process, StartPhase.CLONED)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # One that is dead already has said why, or its end will tell.
            send_go(starting.channel, fds)
        self.expect(process, request, seconds)

    def proceed(self, process: HeldProcess, request: PendingRequest) -> None:
        """Let a process that is held execute its program; request is answered when it has.

        Also for one that has done so: who asks may have asked a keeper that died meanwhile.
        """
        if process.phase is StartPhase.RUNNING:
            self._clients.answer(request, {"pid": process.pid}, {"pidfd": process.pidfd, **process.masters()})
            return
        starting = self._starting_of(process, StartPhase.HELD)
        send_go(starting.channel, ())
        self.expect(process, request, PATIENCE)
        process.phase = StartPhase.EXECUTING

    def channel(self, process: HeldProcess) -> dict[str, Fd]:
        """Return the way to a process that is held, by its name in messages; nothing for any other.

        Who has a copy keeps the process waiting when we die, and can hand it to the next keeper.
        """
        starting = self._starting.get(process)
        if starting is None or process.phase is not StartPhase.HELD or starting.channel.fileno() < 0:
            return {}
        return {"channel": Fd(starting.channel.fileno())}

    def hold(self, process: HeldProcess, channel: Fd, requester: KeeperClient) -> None:
        """Take over a process that a former keeper held."""
        process.phase = StartPhase.HELD
        self.attend(Begun(process, socket.socket(fileno=channel), 0), requester)

    def _starting_of(self, process: HeldProcess, wanted: StartPhase) -> Starting:
        starting = self._starting.get(process)
        if starting is None or process.phase is not wanted:
            raise RefusalError(f"the guest is not {wanted.value}: it is {process.phase.value}")
        return starting

    def abandon(self, client: KeeperClient) -> None:
        """Kill what a client that is gone had not told to go."""
        for starting in list(self._starting.values()):
            if starting.requester is client and starting.process.phase in (StartPhase.ORDERED, StartPhase.CLONED):
                self.kill(starting.process)

    def kill(self, process: HeldProcess) -> None:
        """Kill a process; one that has ended is fine. Of one that is only ordered, the end of its channel is the end:
        it says that it is there before anything else, and cannot any more."""
        if not process.is_known:
            self.listen_to(process)
        if process.is_known:
            kill(process)
        elif process in self._starting:
            self._hang_up(self._starting[process])
            self._never(process)

    def awaits_end_of(self, process: HeldProcess) -> bool:
        """Tell whether the channel of a process that has ended is still open; `ended` is called when it is no more.

        Who cloned it has it for a moment too, and only its end tells that the program was executed.
        """
        starting = self._starting.get(process)
        if starting is None or process.phase is not StartPhase.EXECUTING or starting.channel.fileno() < 0:
            return False
        self._unlimit(starting)
        starting.deadline = self._loop.after(LAST_WORD, lambda: self._ended(process))
        return True

    def listen_to_ordered(self) -> None:
        """Take in what has been said by processes that are not known yet: one may have ended since."""
        for starting in [each for each in self._starting.values() if not each.process.is_known]:
            self._listen(starting)

    def listen_to(self, process: HeldProcess) -> None:
        """Take in what a process said before it ended."""
        starting = self._starting.get(process)
        if starting is not None and starting.channel.fileno() >= 0:
            self._listen(starting)

    def conclude_failed(self, process: HeldProcess) -> dict[str, Any] | None:
        """Answer for a process that ended before it executed its program; return what went wrong if nobody asked."""
        starting = self._starting.pop(process)
        self._unlimit(starting)
        self._hang_up(starting)
        if starting.netlink >= 0:
            os.close(starting.netlink)
        how = f"it ended while {process.phase.value}: {_how(process.status)}"
        failure = starting.failure or {"text": how, "errno": 0}
        requests = [each for each in (starting.launching, starting.asking, starting.pending) if each is not None]
        for request in requests:
            self._clients.answer(request, {"error": failure})
        return None if requests else failure

    def _listen(self, starting: Starting) -> None:
        """Take in all that a process says, up to its last word. It says little: one that says much is no more ours."""
        while True:
            try:
                message = receive_saying(starting.channel)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It ended without reading all; what it said itself comes after this.
                continue
            except (OSError, ValueError) as error:
                self._misunderstood(starting, error)
                return
            if message is None:
                self._hang_up(starting)
                if not starting.process.is_known:
                    starting.failure = _NOBODY
                    self._never(starting.process)
                    return
                # One that was held has been told to go on by a keeper that died meanwhile.
                if starting.process.phase in (StartPhase.EXECUTING, StartPhase.HELD) and starting.failure is None:
                    self._begun(starting)
                return
            starting.said += 1
            try:
                if starting.said > SAYINGS_MAX:
                    raise ValueError("too many messages")
                if not starting.process.is_known:
                    self._heard_of(starting, message)
                    if not starting.process.is_known:
                        return
                else:
                    self._heard(starting, message)
            except Exception as error:  # whatever it says, all others go on
                self._misunderstood(starting, error)
                return
            finally:
                message.close()

    def _misunderstood(self, starting: Starting, error: Exception) -> None:
        """End a process that says what none of our steps does: somebody has got hold of it."""
        starting.failure = {"text": f"it cannot be understood: {type(error).__name__}: {error}", "errno": 0}
        self._hang_up(starting)
        self.kill(starting.process)

    def _hang_up(self, starting: Starting) -> None:
        if starting.channel.fileno() >= 0:
            self._loop.unwatch(starting.channel.fileno())
            starting.channel.close()

    def _heard_of(self, starting: Starting, message: Message) -> None:
        """Hear for the first time of a process that was ordered: whether there is one."""
        process = starting.process
        if "not_cloned" in message.body:
            number = int(message.body["not_cloned"])
            starting.failure = {"text": os.strerror(number), "errno": number}
            self._hang_up(starting)
            self._never(process)
            return
        if "cloned" not in message.body:
            raise ValueError("it says something before it says that it is there")
        pidfd = message.fds["pidfd"]
        pid = pid_of(pidfd)
        if pid is None or not is_child(pidfd):
            raise ValueError("what it says it is, is no child of the keeper's")
        process.pid, process.pidfd = pid, message.fds.pop("pidfd")
        if process.phase is StartPhase.ORDERED:
            process.phase = StartPhase.CLONED
        self._cloned(process)
        self._answer_launch(starting)

    def _heard(self, starting: Starting, message: Message) -> None:
        process = starting.process
        if process.execution is not None and _is_an_inits(message):
            raise ValueError("this is for a guest's first process to say")
        if "netlink" in message.body and starting.netlink < 0:
            starting.netlink = message.fds.pop("netlink")
            self._hand_out_netlink(starting)
        elif "consoles" in message.body and process.phase is StartPhase.STARTING and not process.consoles:
            process.hold_consoles(message.fds)
        elif "executing" in message.body and process.phase is StartPhase.STARTING:
            process.phase = StartPhase.HELD if message.body["hold"] else StartPhase.EXECUTING
            if process.phase is StartPhase.HELD:
                self._settle(starting)
        elif "performed" in message.body and process.phase is StartPhase.STARTING and starting.pending is not None:
            self._clients.answer(starting.pending, {"pid": process.pid})
            starting.pending = None
        elif "failed" in message.body:
            # Of a process and another that it has made, the first to fail says what is wrong.
            starting.failure = starting.failure or _failure_at(message.body["failed"], message.body["errno"])
        else:
            raise ValueError(f"not expected while {process.phase.value}")

    def _begun(self, starting: Starting) -> None:
        """The program runs: the end of the channel, which closes on exec, has said so."""
        starting.process.phase = StartPhase.RUNNING
        del self._starting[starting.process]
        self._settle(starting)
        if starting.process.status is not None:
            self._ended(starting.process)

    def _settle(self, starting: Starting) -> None:
        self._unlimit(starting)
        process = starting.process
        if starting.pending is not None:
            fds = {"pidfd": process.pidfd, **process.masters(), **self.channel(process)}
            self._clients.answer(starting.pending, {"pid": process.pid}, fds)
            starting.pending = None
        self._settled(process)


def _is_an_inits(message: Message) -> bool:
    """Tell whether no process that enters says this: it has one terminal, and nobody asks it to wait."""
    return "netlink" in message.body or len(message.fds) > 1 or bool(message.body.get("hold"))


def kill(process: HeldProcess) -> None:
    """Kill a process, by its pidfd; one that has ended is fine."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)


def _failure_at(record: Any, number: Any) -> dict[str, Any]:
    """Return what is answered for a program that failed; who made the program knows which step a record is of."""
    record, number = int(record), int(number)
    if record < 0:
        return {"text": f"its program cannot be played: {os.strerror(number)}", "errno": number}
    return {"text": f"record {record} of its program failed: {os.strerror(number)}", "errno": number, "step": record}


def _how(status: int | None) -> str:
    return f"killed by signal {status & 0x7F}" if status and status & 0x7F else "it gave up"
