"""Looks into guests of a `FakeHost`: an init that lives hears whatever it is asked."""

from collections.abc import Mapping
from typing import Any

from insula.engine.look.looking import Sight
from insula.testing.fakehost import FakeHost


class FakeLooker:
    """Fits `service.containers.Looking`. looks: what was to be seen, and with which arguments."""

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.looks: list[tuple[str, Mapping[str, Any]]] = []

    async def look(
        self, sight: Sight, look: str, arguments: Mapping[str, Any], fds: Mapping[str, int], *, seconds: float = 5
    ) -> Any:
        """Raises: ProcessLookupError for a guest that has ended."""
        self.looks.append((look, arguments))
        if arguments.get("pid") not in self._host.processes:
            raise ProcessLookupError(3, "No such process")
        return {"kind": arguments.get("kind"), "answer": "asked"}
