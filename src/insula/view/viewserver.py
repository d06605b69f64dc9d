"""All guests' connections, and the daemon that tells of them, in one loop.

Each turn takes one request of each connection that has any, so no guest waits for more than one request of each other;
and whoever asks for more than its share of the processor (`answershare`) is left alone for a while.
"""

import contextlib
import errno
import heapq
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from insula.view.answershare import AnswerShare
from insula.view.guestconnection import GuestConnection
from insula.view.nodenumbers import NodeNumbers
from insula.view.viewedfiles import ViewedContent, ViewedGuest, ViewedTree
from insula.view.viewprotocol import MESSAGE_MAX, VERSION, ViewMessage, ViewVerb, receive_words, send_words

logger = logging.getLogger(__name__)

LINGERING = 10.0
"""Seconds that it stays with no guest and nobody connected: a daemon that restarts finds it."""
_CLIENTS_MAX = 16
_ESCAPED = 6
"""Bytes that one of a content may take in a message."""


class ViewServer:
    """The loop. content: what guests' views say; listener: where the daemon comes. Both are its own from now on."""

    def __init__(self, content: ViewedContent, listener: socket.socket) -> None:
        self._content = content
        self._listener = listener
        self._numbers = NodeNumbers()
        self._epoll = select.epoll()
        self._served: dict[str, GuestConnection] = {}
        """By launch."""
        self._by_device: dict[int, GuestConnection] = {}
        self._shares: dict[int, AnswerShare] = {}
        self._resting: list[tuple[float, int]] = []
        """When a connection is to be answered again, as a heap."""
        self._wakes = frozenset(content.wakes())
        self._clients: dict[int, socket.socket] = {}
        self._leaving = False
        """Told to end: at once if nothing is served, else with the last guest."""
        self._over = False
        self._idle_since = time.monotonic()
        listener.setblocking(False)
        for fd in (listener.fileno(), *self._wakes):
            self._epoll.register(fd, select.EPOLLIN)
        self._verbs: dict[str, Callable[[ViewMessage], dict[str, Any]]] = {
            ViewVerb.HELLO.value: self._hello,
            ViewVerb.SHOW.value: self._show,
            ViewVerb.HIDE.value: self._hide,
            ViewVerb.READ.value: self._read,
            ViewVerb.TELL.value: self._tell,
            ViewVerb.PING.value: lambda message: {},
            ViewVerb.QUIT.value: self._quit,
        }

    def run(self) -> None:
        """Serve until told to end, or until there has been nothing to serve, and nobody connected, for a while."""
        try:
            while not self._is_over():
                for fd, _ in self._epoll.poll(self._pause()):
                    self._handle(fd)
                self._wake_rested()
        finally:
            self.close()

    def leave_when_over(self) -> None:
        """End as soon as no guest is served; a signal's handler may call this."""
        self._leaving = True

    def close(self) -> None:
        """Let go of everything. Guests wait for the next view."""
        for connection in self._served.values():
            connection.close()
        for client in self._clients.values():
            client.close()
        self._served.clear()
        self._clients.clear()
        self._content.close()
        self._epoll.close()
        self._listener.close()

    def _is_over(self) -> bool:
        if self._over:
            return True
        if self._served:
            self._idle_since = time.monotonic()
            return False
        if self._leaving:
            return True
        if self._clients:
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since >= LINGERING

    def _pause(self) -> float:
        """Seconds to wait for anything at most; a signal is looked at every second."""
        until = 1.0 if self._leaving or not self._served else 60.0
        if self._resting:
            until = min(until, self._resting[0][0] - time.monotonic())
        return max(0.0, until)

    def _handle(self, fd: int) -> None:
        connection = self._by_device.get(fd)
        if connection is not None:
            self._take_turn(fd, connection)
        elif fd in self._wakes:
            self._stir(self._content.stirred(fd))
        elif fd in self._clients:
            self._listen(self._clients[fd])
        elif fd == self._listener.fileno():
            self._welcome()

    # Guests

    def _take_turn(self, fd: int, connection: GuestConnection) -> None:
        before = time.thread_time()
        if not connection.turn():
            self._drop(connection)
            return
        rest = self._shares[fd].spend(time.thread_time() - before, time.monotonic())
        if rest:
            self._epoll.unregister(fd)
            heapq.heappush(self._resting, (time.monotonic() + rest, fd))

    def _wake_rested(self) -> None:
        while self._resting and self._resting[0][0] <= time.monotonic():
            _, fd = heapq.heappop(self._resting)
            if fd in self._by_device:
                with contextlib.suppress(FileExistsError):  # the number is another connection's by now
                    self._epoll.register(fd, select.EPOLLIN)

    def _stir(self, trees: Sequence[ViewedTree]) -> None:
        """Have those served who wait for what has become readable in these trees."""
        stirred = {id(tree) for tree in trees}
        for connection in self._served.values() if stirred else ():
            if id(connection.tree) in stirred:
                connection.stirred()

    def _drop(self, connection: GuestConnection) -> None:
        """Serve a connection no more: it has ended, or is to be left alone."""
        self._served.pop(connection.guest.launch, None)
        self._by_device.pop(connection.device, None)
        self._shares.pop(connection.device, None)
        with contextlib.suppress(OSError):  # it rests
            self._epoll.unregister(connection.device)
        connection.close()

    # The daemon

    def _welcome(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # it went meanwhile, or there is no descriptor for it now
        if len(self._clients) >= _CLIENTS_MAX:
            client.close()
            return
        client.setblocking(False)
        self._clients[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def _listen(self, client: socket.socket) -> None:
        try:
            message = receive_words(client)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            logger.warning("a client cannot be understood: %s", error)
            message = None
        if message is None:
            self._part(client)
            return
        answer = {"answer": message.body.get("request"), **self._answer_to(message)}
        message.close()
        try:
            send_words(client, answer)
        except OSError:  # it has gone, or reads nothing: then it learns by the end
            self._part(client)

    def _part(self, client: socket.socket) -> None:
        self._epoll.unregister(client)
        del self._clients[client.fileno()]
        client.close()

    def _answer_to(self, message: ViewMessage) -> dict[str, Any]:
        verb = self._verbs.get(str(message.body.get("verb")))
        if verb is None:
            return {"error": f"the view does not know the verb {message.body.get('verb')!r}"}
        try:
            return verb(message)
        except OSError as error:
            return {"error": error.strerror or str(error), "errno": error.errno}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _hello(self, message: ViewMessage) -> dict[str, Any]:
        return {"version": VERSION, "pid": os.getpid(), "launches": list(self._served)}

    def _show(self, message: ViewMessage) -> dict[str, Any]:
        """guest; device, memory → (its connection is served, or its guest described anew)"""
        guest = ViewedGuest.decode(message.body["guest"])
        served = self._served.get(guest.launch)
        if served is not None:
            served.redirect(guest, self._content)
            return {}
        if len(message.fds) != 2:
            raise ValueError("a connection and its memory are to come with a guest")
        device, memory = message.fds
        connection = GuestConnection(guest, self._content, device, memory, self._numbers)
        message.fds.clear()
        self._served[guest.launch] = self._by_device[device] = connection
        self._shares[device] = AnswerShare()
        try:
            connection.resume()
            self._epoll.register(device, select.EPOLLIN)
        except BaseException:
            self._drop(connection)
            raise
        return {}

    def _hide(self, message: ViewMessage) -> dict[str, Any]:
        """launch → (it is not served any more, which ends it where nobody else holds it)"""
        served = self._served.get(str(message.body["launch"]))
        if served is not None:
            self._drop(served)
        return {}

    def _read(self, message: ViewMessage) -> dict[str, Any]:
        """launch, path → content, as far as it fits"""
        content = self._found(message).tree.content(str(message.body["path"]))
        return {"content": content[: MESSAGE_MAX // _ESCAPED - 100].decode(errors="replace")}

    def _tell(self, message: ViewMessage) -> dict[str, Any]:
        """launch, text → (a line of the guest's kernel log)"""
        served = self._found(message)
        served.tree.tell(str(message.body["text"]))
        served.stirred()
        return {}

    def _found(self, message: ViewMessage) -> GuestConnection:
        served = self._served.get(str(message.body["launch"]))
        if served is None:
            raise OSError(errno.ESRCH, "no such guest is served")
        return served

    def _quit(self, message: ViewMessage) -> dict[str, Any]:
        """→ (it ends, whatever it serves: another is to take over)"""
        self._over = True
        return {}
