"""Looks into guests of a `FakeHost`: an init that lives hears whatever it is asked, if nothing else is said."""

import inspect
from collections.abc import Mapping
from typing import Any

from insula.engine.look.looking import Sight
from insula.testing.fakehost import FakeHost


class FakeLooker:
    """Fits `service.containers.Looking`. looks: what was to be seen, and with which arguments.

    sights: what is seen, one after the other, as a value, something to be awaited, or an error to be raised.
    """

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.looks: list[tuple[str, Mapping[str, Any]]] = []
        self.sights: list[Any] = []

    async def look(
        self,
        sight: Sight,
        look: str,
        arguments: Mapping[str, Any],
        fds: Mapping[str, int],
        *,
        seconds: float | None = 5,
    ) -> Any:
        """Raises: ProcessLookupError for a guest that has ended."""
        self.looks.append((look, arguments))
        if self.sights:
            seen = self.sights.pop(0)
            if isinstance(seen, Exception):
                raise seen
            return await seen if inspect.isawaitable(seen) else seen
        if look == "find-holders":
            return {"holders": [], "below": 0}
        if arguments.get("pid") not in self._host.processes:
            raise ProcessLookupError(3, "No such process")
        if look == "tell-system":
            return {"os": {}, "kernel": {}, "zone": None, "users": {}, "names": {}}
        if look == "ask-systemd":
            return {}
        return {"kind": arguments.get("kind"), "answer": "asked"}
