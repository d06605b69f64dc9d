"""What a program says to the keeper, and what it receives."""

import errno
import json
import socket
import struct
from collections.abc import Mapping, Sequence

from insula.engine.program.assembly import Argument, Assembly, Loaded, Pointer, Result
from insula.engine.program.image import CHANNEL_OFFSET, GO
from insula.engine.program.late import Late, Template
from insula.engine.program.program import Program

CHANNEL = Loaded(Pointer(CHANNEL_OFFSET, whole=True))
"""The fd of the channel to the keeper, wherever it is."""

_FDS_MAX = 253
"""What one datagram may carry. Source: the kernel's SCM_MAX_FD."""
_CONTROL = struct.Struct("<Qii")
"""struct cmsghdr. Source: cmsg(3)."""
_MESSAGE_SIZE = 56
_CONTROL_SIZE_OFFSET = 40
_FLAGS_OFFSET = 48
"""In struct msghdr. Source: recvmsg(2), on machines with 64 bits."""
_CUT = socket.MSG_TRUNC | socket.MSG_CTRUNC


class KeeperExchange(Assembly):
    """Adds the channel's words.

    Fds that are passed come in one message; which ones is known only once every step has said what it needs.
    """

    def __init__(self, *, machine: str | None = None, lates: Sequence[Late] = ()) -> None:
        super().__init__(machine=machine, lates=lates)
        self._passed: list[str] = []
        self._control: Pointer | None = None
        self._message = Pointer(0)
        self._length = Result(0)

    def receive_fds(self, *first: str) -> None:
        """Wait for the message with all fds that later records ask for by `passed`. first: those it begins with."""
        self._control = self.room(socket.CMSG_SPACE(4 * _FDS_MAX))
        self._message = self.words([0, 0, self._vector(self.room(len(GO)), len(GO)), 1, self._control, 0, 0])
        self._passed.extend(first)
        self._received(self._message)
        # Fewer fds than were asked for must not be taken for others: the control message has that very length.
        self._length = self.require(self._control, 0, means="the keeper passed too few fds", code=errno.EBADMSG)

    def wait_for_word(self) -> None:
        """Wait for a message without fds."""
        self._received(self.words([0, 0, self._vector(self.room(len(GO)), len(GO)), 1, 0, 0, 0]))

    def _received(self, message: Pointer) -> None:
        """A record that receives one message whole; the end of the channel is none."""
        means = "the keeper has gone"
        self.call("recvmsg", CHANNEL, message, socket.MSG_CMSG_CLOEXEC, wanted=len(GO), means=means, code=errno.EPIPE)
        flags = message.beyond(_FLAGS_OFFSET)
        self.require(flags, 0, mask=_CUT, means="the keeper's message was cut on its way", code=errno.EMSGSIZE)

    def passed(self, name: str) -> Argument:
        """Return a passed fd. Raises: ValueError before `receive_fds`, and for too many."""
        if self._control is None:
            raise ValueError(f"nothing is received yet, so there is no {name}")
        if name not in self._passed:
            if len(self._passed) == _FDS_MAX:
                raise ValueError(f"no more than {_FDS_MAX} fds can be passed")
            self._passed.append(name)
        return Loaded(self._control.beyond(_CONTROL.size + 4 * self._passed.index(name)))

    def say(self, body: Mapping[str, object], fds: Mapping[str, Argument] | None = None) -> None:
        """Send a message with fds to the keeper."""
        fds = fds or {}
        content = {**body, "fds": list(fds)} if fds else body
        encoded = json.dumps(content, separators=(",", ":")).encode()
        control: Pointer | int = 0
        size = 0
        if fds:
            size = socket.CMSG_SPACE(4 * len(fds))
            control = self.room(size)
            self._fill_control(control, len(fds))
            for position, fd in enumerate(fds.values()):
                self.store(control.beyond(_CONTROL.size + 4 * position), fd)
        vector = self._vector(self.constant(encoded), len(encoded))
        message = self.words([0, 0, vector, 1, control, size, 0])
        means = "the keeper has gone: {error}"
        self.call("sendmsg", CHANNEL, message, socket.MSG_NOSIGNAL, wanted=len(encoded), means=means)

    def _fill_control(self, control: Pointer, count: int) -> None:
        header = _CONTROL.pack(socket.CMSG_LEN(4 * count), socket.SOL_SOCKET, socket.SCM_RIGHTS)
        self._data[control.offset : control.offset + len(header)] = header

    def _vector(self, content: Pointer, size: int) -> Pointer:
        return self.words([content, size])

    def finished(self) -> Program:
        """Return the program, which receives what has been asked for by now. Raises: ValueError as `template`."""
        return self.filled(self.finished_template())

    def finished_template(self) -> Template:
        """Return all of it but the late texts."""
        if self._control is not None:
            count = len(self._passed)
            self.put_word(self._message.beyond(_CONTROL_SIZE_OFFSET), socket.CMSG_SPACE(4 * count) if count else 0)
            self.expect(self._length, socket.CMSG_LEN(4 * count) if count else 0)
        return self.template(self._passed)
