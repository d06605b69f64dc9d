"""A looker that says what a test has it say."""

from collections.abc import Mapping
from typing import Any

_VISITOR = {"pid", "namespaces"}


class ScriptedLooker:
    """answers: by look, what it sees or raises; asked: which looks were, with what, but for whom they visit."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def look(self, sight: object, look: str, arguments: Any, fds: Any, *, seconds: float | None = 5.0) -> Any:
        assert set(arguments) >= _VISITOR and "init" in fds
        self.asked.append((look, {name: value for name, value in arguments.items() if name not in _VISITOR}))
        answer = self.answers[look]
        if isinstance(answer, Exception):
            raise answer
        return answer
