"""Processes between their clone and the exec of their program, watched by the keeper without ever waiting for them.

CLONED ── go ──► STARTING ── executing ──► EXECUTING ── end of file ──► RUNNING
                                └────────► HELD ── proceed ──┘
anything else: killed, reaped, answered with an error, and forgotten
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from insula.engine.clients import Client, Clients, RefusalError, Request
from insula.engine.custody import Stage, Ward
from insula.engine.handshake import Message, receive, send
from insula.engine.loop import READABLE, Loop
from insula.kernel.fds import NO_FD, Fd

PATIENCE = 30.0
"""Seconds a process has to perform its steps."""
SAYINGS_MAX = 16
"""Messages of one process; there are three kinds."""


class Birth:
    """One process on its way. pending: the request to answer when its program runs; asking: the one that wants the
    netlink socket; failure: what it said went wrong."""

    __slots__ = ("asking", "channel", "deadline", "failure", "netlink", "pending", "requester", "said", "ward")

    def __init__(self, ward: Ward, channel: socket.socket, requester: Client) -> None:
        self.ward = ward
        self.channel = channel
        self.requester = requester
        self.pending: Request | None = None
        self.asking: Request | None = None
        self.netlink = NO_FD
        self.deadline: int | None = None
        self.said = 0
        self.failure: dict[str, Any] | None = None


class Births:
    """All that are on their way. settled: called when a program runs or is held right before it."""

    def __init__(self, loop: Loop, clients: Clients, settled: Callable[[Ward], None]) -> None:
        self._loop = loop
        self._clients = clients
        self._settled = settled
        self._births: dict[Ward, Birth] = {}

    def attend(self, ward: Ward, channel: socket.socket, requester: Client) -> Birth:
        """Follow a process from now on."""
        channel.setblocking(False)
        birth = self._births[ward] = Birth(ward, channel, requester)
        self._loop.watch(channel.fileno(), READABLE, lambda _: self._listen(birth))
        return birth

    def expect(self, ward: Ward, request: Request, seconds: float) -> None:
        """Answer request once the program runs, or the process has failed to get there in time."""
        birth = self._births[ward]
        birth.pending = request
        ward.stage = Stage.STARTING
        birth.deadline = self._loop.after(seconds, lambda: self._give_up(birth))

    def _unlimit(self, birth: Birth) -> None:
        if birth.deadline is not None:
            self._loop.cancel(birth.deadline)
            birth.deadline = None

    def _give_up(self, birth: Birth) -> None:
        birth.deadline = None
        birth.failure = {"text": f"it did not get past '{birth.ward.stage.value}' in time", "errno": 0}
        slay(birth.ward)

    def send_netlink(self, ward: Ward, request: Request) -> None:
        """Answer request with the netlink socket that the process opens inside, as soon as it has."""
        birth = self._birth(ward, Stage.CLONED)
        birth.asking = request
        self._hand_out_netlink(birth)

    def _hand_out_netlink(self, birth: Birth) -> None:
        if birth.asking is not None and birth.netlink >= 0:
            self._clients.answer(birth.asking, {}, {"netlink": birth.netlink})
            os.close(birth.netlink)
            birth.netlink = NO_FD
            birth.asking = None

    def go(self, ward: Ward, request: Request, body: dict[str, Any], fds: dict[str, Fd], seconds: float) -> None:
        """Hand a process what it waits for; request is answered when its program runs."""
        birth = self._birth(ward, Stage.CLONED)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # One that is dead already has said why, or its end will tell.
            send(birth.channel, body, fds)
        self.expect(ward, request, seconds)

    def proceed(self, ward: Ward, request: Request) -> None:
        """Let a process that is held execute its program; request is answered when it has.

        Also for one that has done so: who asks may have asked a keeper that died meanwhile.
        """
        if ward.stage is Stage.RUNNING:
            self._clients.answer(request, {"pid": ward.pid}, {"pidfd": ward.pidfd, **ward.masters()})
            return
        birth = self._birth(ward, Stage.HELD)
        send(birth.channel, {"proceed": True})
        self.expect(ward, request, PATIENCE)
        ward.stage = Stage.EXECUTING

    def channel(self, ward: Ward) -> dict[str, Fd]:
        """Return the way to a process that is held, by its name in messages; nothing for any other.

        Who has a copy keeps the process waiting when we die, and can hand it to the next keeper.
        """
        birth = self._births.get(ward)
        if birth is None or ward.stage is not Stage.HELD or birth.channel.fileno() < 0:
            return {}
        return {"channel": Fd(birth.channel.fileno())}

    def hold(self, ward: Ward, channel: Fd, requester: Client) -> None:
        """Take over a process that a former keeper held."""
        ward.stage = Stage.HELD
        self.attend(ward, socket.socket(fileno=channel), requester)

    def _birth(self, ward: Ward, wanted: Stage) -> Birth:
        birth = self._births.get(ward)
        if birth is None or ward.stage is not wanted:
            raise RefusalError(f"the guest is not {wanted.value}: it is {ward.stage.value}")
        return birth

    def abandon(self, client: Client) -> None:
        """Kill what a client that is gone had not told to go."""
        for birth in self._births.values():
            if birth.requester is client and birth.ward.stage is Stage.CLONED:
                slay(birth.ward)

    def listen_to(self, ward: Ward) -> None:
        """Take in what a process said before it ended."""
        birth = self._births.get(ward)
        if birth is not None and birth.channel.fileno() >= 0:
            self._listen(birth)

    def bury(self, ward: Ward) -> dict[str, Any] | None:
        """Answer for a process that ended before it executed its program; return what went wrong if nobody asked."""
        birth = self._births.pop(ward)
        self._unlimit(birth)
        self._hang_up(birth)
        if birth.netlink >= 0:
            os.close(birth.netlink)
        failure = birth.failure or {"text": f"it ended while {ward.stage.value}: {_how(ward.status)}", "errno": 0}
        requests = [each for each in (birth.asking, birth.pending) if each is not None]
        for request in requests:
            self._clients.answer(request, {"error": failure})
        return None if requests else failure

    def _listen(self, birth: Birth) -> None:
        """Take in all that a process says, up to its last word. It says little: one that says much is no more ours."""
        while True:
            try:
                message = receive(birth.channel)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It ended without reading all; what it said itself comes after this.
                continue
            except (OSError, ValueError) as error:
                self._misunderstood(birth, error)
                return
            if message is None:
                self._hang_up(birth)
                # One that was held has been told to go on by a keeper that died meanwhile.
                if birth.ward.stage in (Stage.EXECUTING, Stage.HELD) and birth.failure is None:
                    self._begun(birth)
                return
            birth.said += 1
            try:
                if birth.said > SAYINGS_MAX:
                    raise ValueError("too many messages")
                self._heard(birth, message)
            except Exception as error:  # whatever it says, all others go on
                self._misunderstood(birth, error)
                return
            finally:
                message.close()

    def _misunderstood(self, birth: Birth, error: Exception) -> None:
        """End a process that says what none of our steps does: somebody has got hold of it."""
        birth.failure = {"text": f"it cannot be understood: {type(error).__name__}: {error}", "errno": 0}
        self._hang_up(birth)
        slay(birth.ward)

    def _hang_up(self, birth: Birth) -> None:
        if birth.channel.fileno() >= 0:
            self._loop.unwatch(birth.channel.fileno())
            birth.channel.close()

    def _heard(self, birth: Birth, message: Message) -> None:
        ward = birth.ward
        if "netlink" in message.body and birth.netlink < 0:
            birth.netlink = message.fds.pop("netlink")
            self._hand_out_netlink(birth)
        elif "executing" in message.body and ward.stage is Stage.STARTING:
            ward.hold_consoles(message.fds)
            ward.stage = Stage.HELD if message.body["hold"] else Stage.EXECUTING
            if ward.stage is Stage.HELD:
                self._settle(birth)
        elif "failed" in message.body:
            birth.failure = {
                "text": str(message.body["text"]),
                "errno": int(message.body["errno"]),
                "step": int(message.body["failed"]),
            }
        else:
            raise ValueError(f"not expected while {ward.stage.value}")

    def _begun(self, birth: Birth) -> None:
        """The program runs: the end of the channel, which closes on exec, has said so."""
        birth.ward.stage = Stage.RUNNING
        del self._births[birth.ward]
        self._settle(birth)

    def _settle(self, birth: Birth) -> None:
        self._unlimit(birth)
        ward = birth.ward
        if birth.pending is not None:
            fds = {"pidfd": ward.pidfd, **ward.masters(), **self.channel(ward)}
            self._clients.answer(birth.pending, {"pid": ward.pid}, fds)
            birth.pending = None
        self._settled(ward)


def slay(ward: Ward) -> None:
    """Kill a process, by its pidfd; one that has ended is fine."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(ward.pidfd, signal.SIGKILL)


def _how(status: int | None) -> str:
    return f"killed by signal {status & 0x7F}" if status and status & 0x7F else "it gave up"
