"""A client that answers from a table: procedure → answer, error, or function of the arguments."""

from collections.abc import Callable
from typing import Any

from insula.errors import InsulaError
from insula.rpc.procedure import Procedure
from insula.rpc.types import DomainRef

WEB = DomainRef("web", bytes(range(16)), 4711)


class FakeClient:
    """Records the calls made, in order."""

    def __init__(self, answers: dict[Procedure, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[Procedure, tuple[Any, ...]]] = []

    def call(self, procedure: Procedure, *arguments: Any) -> Any:
        self.calls.append((procedure, arguments))
        answer = self.answers[procedure]
        if isinstance(answer, InsulaError):
            raise answer
        return answer(*arguments) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]

    def made(self, procedure: Procedure) -> list[tuple[Any, ...]]:
        return [arguments for each, arguments in self.calls if each is procedure]
