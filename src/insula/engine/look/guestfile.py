"""A file of a running guest's, as an object of Python's: its content comes and goes by a look's hand (`filelooks`).

    ours                          pipe          the look's child, with the rights of the guest's root
    GuestFile.read, .write  ◄───────────────►   the file

So whatever the guest has laid there, nothing of ours is opened, and nothing of ours waits: a reading or writing that
does not move is given up.
"""

import io
import os
import select
from typing import TYPE_CHECKING, Any, NamedTuple

from insula.engine.keeper.protocol import Message
from insula.engine.look.looking import Child, Sight, seen
from insula.engine.look.privatelooker import PrivateLooker, dismiss, said_next
from insula.engine.look.visiting import visiting
from insula.errors import InvalidArgumentError, OperationFailedError, OperationTimeoutError
from insula.kernel.fds import close_all

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from insula.engine.launch.runningcontainer import Running

OPENING = 10.0
"""Seconds in which a file is opened, a looker's start among them."""


class Opening(NamedTuple):
    """What is to be opened. how: r, w, a or x, as for `open`; mode, user, group: of what is written, None for as is;
    new_mode: of a file that was not there, where mode says nothing.

    patience: seconds without any progress after which it is given up.
    """

    path: str
    how: str
    mode: int | None = None
    new_mode: int = 0o644
    user: str | None = None
    group: str | None = None
    patience: float = 60.0


class GuestFile(io.RawIOBase):
    """An open file, for reading or for writing, from its beginning to its end.

    What was written is whole once `close` has returned; one that is read is let go of by it. permissions, size: of the
    file when it was opened, in bytes. Raises: OperationTimeoutError if nothing moves; OSError.
    """

    def __init__(self, child: Child, stream: int, sight: Sight, opening: Opening, facts: dict[str, Any]) -> None:
        super().__init__()
        self.name = opening.path
        self.permissions, self.size = int(facts["mode"]), int(facts["size"])
        self._child = child
        self._stream = stream
        self._sight = sight
        self._reading = opening.how == "r"
        self._patience = opening.patience
        self._ended = False
        os.set_blocking(stream, False)
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN if self._reading else select.POLLOUT)

    def readable(self) -> bool:
        return self._reading

    def writable(self) -> bool:
        return not self._reading

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._reading:
            raise io.UnsupportedOperation("it was opened for writing")
        if self._ended:
            return 0
        self._await_turn()
        count = os.readv(self._stream, [buffer])
        if not count:
            self._end()
        return count

    def write(self, data: "ReadableBuffer") -> int:
        if self._reading:
            raise io.UnsupportedOperation("it was opened for reading")
        while True:
            self._await_turn()
            try:
                return os.write(self._stream, data)
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._end()
                raise

    def close(self) -> None:
        if self.closed:
            return
        try:
            if not self._reading and not self._ended:
                self._end()
        finally:
            self._let_go()
            super().close()

    def give_up(self) -> None:
        """Close it without waiting for anything; what was written may be there or not."""
        self._ended = True
        self.close()

    def _await_turn(self) -> None:
        if self._ended or not self._poll.poll(self._patience * 1000):
            self._ended = True
            raise self._sight.no_answer()

    def _end(self) -> None:
        """See the look's end. Raises: what it says went wrong."""
        self._ended = True
        if not self._reading:
            os.close(self._stream)
            self._stream = -1
        seen(said_next(self._child, self._sight, self._patience))

    def _let_go(self) -> None:
        dismiss(self._child)
        close_all([self._stream] if self._stream >= 0 else [])
        self._stream = -1


def open_guest_file(looker: PrivateLooker, running: "Running", sight: Sight, opening: Opening) -> GuestFile:
    """Open a file of a container that runs.

    Raises: OSError as `open`; OperationInvalidError if it is paused or has ended; OperationTimeoutError.
    """
    if "\0" in opening.path:
        raise InvalidArgumentError(f"{opening.path!r} is no path")
    arguments: dict[str, Any] = {"path": opening.path}
    reading, writing = os.pipe2(os.O_CLOEXEC)
    if opening.how == "r":
        look, ours, theirs = "read-file", reading, writing
    else:
        look, ours, theirs = "write-file", writing, reading
        asked = ("how", "mode", "new_mode", "user", "group")
        arguments |= {each: getattr(opening, each) for each in asked}
    try:
        try:
            with visiting(running) as (whom, fds):
                child = looker.begin(look, {**whom, **arguments}, {**fds, "stream": theirs})
        finally:
            os.close(theirs)
    except BaseException:
        os.close(ours)
        raise
    try:
        try:
            message = said_next(child, sight, OPENING)
        except OperationTimeoutError:
            running.refuse_unless_entered()  # it may have been paused, or have ended, since
            raise
        if "opened" not in message.body:
            raise _refusal(message, opening.path)
        return GuestFile(child, ours, sight, opening, message.body["opened"])
    except BaseException:
        dismiss(child)
        os.close(ours)
        raise


def _refusal(message: Message, path: str) -> Exception:
    """Return why a file was not opened, as `open` says it."""
    try:
        seen(message)
    except OSError as error:
        return OSError(error.errno, error.strerror, path)
    except OperationFailedError as error:
        return error
    return OperationFailedError(f"'{path}' was not opened, and nothing says why")
