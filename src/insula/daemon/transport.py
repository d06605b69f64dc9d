"""One connection on the event loop: bytes and file descriptors, both ways, never blocking.

While it is not read, a second epoll instance watches only for the peer's hanging up, which is told in either state.
Each descriptor to send goes with a byte of its own, behind the packet that announces it.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable

from insula.daemon.channel import Channel
from insula.daemon.rounds import Turn
from insula.errors import RpcError
from insula.kernel.fds import close_all

READ_SIZE = 16 * 1024
"""Small enough for a read full of calls to be answered in some milliseconds, before others get their turn."""
_READS = 8
"""How often is read at once while a packet is not all there: each descriptor takes a read of its own."""


class Transport:
    """Reads as long as not paused, and keeps what the peer does not take yet.

    turn: when to read, once something has come.
    received: called with the bytes and descriptors of each read, returns whether a packet is not all there yet; the
    callee owns the descriptors.
    lost: called once, with what ended the connection (None if the peer closed it), unless close() was called.
    drained: called when the peer has taken everything that it had not taken at once.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        turn: Turn,
        received: Callable[[bytes, list[int]], bool],
        lost: Callable[[Exception | None], None],
        drained: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._socket = channel.socket
        self._turn = turn
        self._received = received
        self._lost = lost
        self._drained = drained
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[tuple[memoryview, int | None]] = deque()
        self._queued = 0
        self._sent = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._reading = False
        self._closed = False
        self._hang_up: select.epoll | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def reading(self) -> bool:
        return self._reading

    @property
    def backlog(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._queued - self._sent

    def resume_reading(self) -> None:
        if not self._reading and not self._closed:
            self._reading = True
            self._forget_hang_up()
            self._loop.add_reader(self._socket, self._readable)
            if self._channel.buffered:
                self._turn.take(self._read)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket)
            self._hang_up = select.epoll()
            self._hang_up.register(self._socket, select.EPOLLRDHUP)
            self._loop.add_reader(self._hang_up, self._hung_up)

    def send(self, data: bytes, fd: int | None = None) -> None:
        """Send data; with a descriptor, data is the byte that carries it, and the descriptor is closed once sent."""
        if self._closed:
            close_all([] if fd is None else [fd])
            return
        idle = not self._outgoing
        self._outgoing.append((memoryview(data), fd))
        self._queued += len(data)
        if idle:
            self._write()

    async def written(self) -> None:
        """Return once everything sent so far has been taken by the kernel.

        Raises: ConnectionError if the connection ends before that.
        """
        if self._closed:
            raise ConnectionError("the client is gone")
        if self._outgoing:
            waiter = self._loop.create_future()
            self._waiters.append((self._queued, waiter))
            await waiter

    def close(self) -> None:
        """End the connection; nothing is called back any more."""
        if self._closed:
            return
        self._closed = True
        self._forget_hang_up()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._channel.hang_up()
        close_all(fd for _, fd in self._outgoing if fd is not None)
        self._outgoing.clear()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(ConnectionError("the client is gone"))
                waiter.exception()  # nobody may be waiting any more: that is no error
        self._waiters.clear()

    def _hung_up(self) -> None:
        self._end(None)

    def _forget_hang_up(self) -> None:
        if self._hang_up is not None:
            self._loop.remove_reader(self._hang_up)
            self._hang_up.close()
            self._hang_up = None

    def _readable(self) -> None:
        self._turn.arrived(self._read)

    def _read(self) -> None:
        for _ in range(_READS):
            # Whether to read may be decided meanwhile; what has come stays where it is then.
            if not self._reading or not self._read_once():
                break
        if self._reading and self._channel.buffered:
            self._turn.take(self._read)

    def _read_once(self) -> bool:
        """Return whether the rest of a packet is on its way."""
        try:
            data, fds = self._channel.receive(READ_SIZE)
        except BlockingIOError:
            return False
        except (OSError, RpcError) as error:
            self._end(error)
            return False
        if data:
            return self._received(data, fds)
        self._end(None)
        return False

    def _writable(self) -> None:
        """Go on with what the peer did not take at once."""
        self._write()
        if not self._outgoing and not self._closed:
            self._loop.remove_writer(self._socket)
            self._drained()

    def _write(self) -> None:
        try:
            while self._outgoing:
                self._write_first()
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._writable)
        except OSError as error:
            self._loop.remove_writer(self._socket)
            self._loop.call_soon(self._end, error)  # the sender is in the middle of something: not under its feet
            return
        self._wake()

    def _write_first(self) -> None:
        data, fd = self._outgoing[0]
        count = self._channel.send(data, fd)
        self._sent += count
        if count < len(data):
            self._outgoing[0] = (data[count:], None)
        else:
            self._outgoing.popleft()

    def _wake(self) -> None:
        """Tell those whose bytes have gone."""
        while self._waiters and self._waiters[0][0] <= self._sent:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, error: Exception | None) -> None:
        if not self._closed:
            self.close()
            self._lost(error)
