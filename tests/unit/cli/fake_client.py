"""A host whose daemon answers from a table: procedure → answer, error, or function of the arguments."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from insula.errors import InsulaError
from insula.rpc.procedure import Procedure
from insula.rpc.wiretypes import DomainRef
from insula.sdk.blocking import Blocking
from insula.sdk.blocking_domains import Host
from insula.sdk.conversation import Answer, Conversation, Request

T = TypeVar("T")
WEB = DomainRef("web", bytes(range(16)), 4711)


class FakeClient:
    """Records the calls made, in order."""

    def __init__(self, answers: dict[Procedure, Any]) -> None:
        self.answers = answers
        self.calls: list[tuple[Procedure, tuple[Any, ...]]] = []

    @property
    def host(self) -> Host:
        return Host(cast("Blocking", self))

    def run(self, conversation: Conversation[T]) -> T:
        try:
            request = next(conversation)
            while True:
                try:
                    answer = self.answer(request)
                except InsulaError as error:
                    request = conversation.throw(error)
                else:
                    request = conversation.send(answer)
        except StopIteration as stop:
            outcome: T = stop.value
            return outcome

    def answer(self, request: Request) -> Answer:
        self.calls.append((request.procedure, request.arguments))
        answer = self.answers[request.procedure]
        if isinstance(answer, InsulaError):
            raise answer
        value = answer(*request.arguments) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]
        return Answer(() if value is None else (value,), (), None)

    def made(self, procedure: Procedure) -> list[tuple[Any, ...]]:
        return [arguments for each, arguments in self.calls if each is procedure]
