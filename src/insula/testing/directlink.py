"""A way to a fake keeper without a socket: what is asked is heard at once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from insula.engine.keeper.link import KeeperEvent, raise_error
from insula.engine.keeper.protocol import Message, Verb
from insula.errors import KeeperError
from insula.kernel.fds import Fd, duplicate
from insula.testing.fakeheld import FakeClient
from insula.testing.fakehost import FakeHost


class DirectLink:
    """Fits `engine.link.KeeperLink`. on_event: called with what the keeper tells unasked."""

    def __init__(self, host: FakeHost, on_event: Callable[[KeeperEvent], None] = lambda _: None) -> None:
        self._host = host
        self._on_event = on_event
        self._client: FakeClient | None = None
        self._closed = False
        self._last = 0
        self._answers: dict[int, asyncio.Future[Message]] = {}

    def ask(self, verb: Verb, body: Mapping[str, Any], fds: Mapping[str, int]) -> int:
        """Raises: KeeperError once it is closed."""
        if self._closed:
            raise KeeperError("the link is closed")
        keeper = self._host.start_keeper()
        if self._client is None:
            self._client = keeper.connect(self._heard, self._lost)
        self._last += 1
        self._answers[self._last] = asyncio.get_running_loop().create_future()
        passed = {name: duplicate(Fd(fd)) for name, fd in fds.items()}
        keeper.hear(self._client, {"request": self._last, "verb": verb.value, **body}, passed)
        return self._last

    async def answer(self, number: int) -> Message:
        message = await self._answers.pop(number)
        raise_error(message)
        return message

    def close(self) -> None:
        """Leave the keeper, which goes on holding what it holds."""
        self._closed = True
        if self._client is not None and self._host.keeper is not None:
            self._host.keeper.disconnect(self._client)
        self._client = None

    def _heard(self, body: dict[str, Any], fds: dict[str, Fd]) -> None:
        if "event" in body:
            self._on_event(KeeperEvent(body))
        elif (waiter := self._answers.get(body["answer"])) is not None:
            waiter.set_result(Message(body, fds))

    def _lost(self) -> None:
        self._client = None
        for waiter in self._answers.values():
            if not waiter.done():
                waiter.set_exception(KeeperError("the keeper is gone"))
