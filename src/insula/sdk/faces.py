"""The two faces of the verbs: from a verb's conversation, a method that blocks or one that is awaited, in one line.

    class Domain:                                   class AsyncDomain:
        start = thing_verb(verbs.start, renewed)       start = async_thing_verb(verbs.start, renewed)
        state = thing_verb(verbs.state)                state = async_thing_verb(verbs.state)

The method has the verb's parameters, less the domain, its documentation, and its outcome, or what `then` makes of it.
It is a function like any other: it binds, `help` and `inspect.signature` show it, and type checkers see its exact type.

Written out in both faces is what is more than a conversation: `execute` and what waits for its program (a thread relays
what that says, and is ended otherwise by a task than by a thread), iteration over events, and `with` blocks.
"""

import inspect
from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, get_args, overload

from insula.sdk.conversation import Conversation

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
Ref = TypeVar("Ref")
Ref_co = TypeVar("Ref_co", covariant=True)


class Blocks(Protocol):
    """A client that has conversations while its caller waits."""

    def run(self, conversation: Conversation[T], /) -> T: ...


class Awaits(Protocol):
    """A client that has conversations for a task."""

    async def run(self, conversation: Conversation[T], /) -> T: ...


class HostNoun(Protocol):
    """What a blocking verb of the host is a method of."""

    @property
    def client(self) -> Blocks: ...


class AsyncHostNoun(Protocol):
    """What an async verb of the host is a method of."""

    @property
    def client(self) -> Awaits: ...


class ThingNoun(Protocol[Ref_co]):
    """What a blocking verb of a domain, or another thing, is a method of. ref: how the wire refers to it."""

    @property
    def _client(self) -> Blocks: ...

    @property
    def ref(self) -> Ref_co: ...


class AsyncThingNoun(Protocol[Ref_co]):
    """What an async verb of a domain, or another thing, is a method of."""

    @property
    def _client(self) -> Awaits: ...

    @property
    def ref(self) -> Ref_co: ...


H = TypeVar("H", bound=HostNoun)
AH = TypeVar("AH", bound=AsyncHostNoun)
D = TypeVar("D")
AD = TypeVar("AD")


@overload
def host_verb(verb: Callable[P, Conversation[T]]) -> Callable[Concatenate[HostNoun, P], T]: ...
@overload
def host_verb(verb: Callable[P, Conversation[T]], then: Callable[[H, T], R]) -> Callable[Concatenate[H, P], R]: ...
def host_verb(verb: Callable[..., Conversation[Any]], then: Callable[[Any, Any], Any] | None = None) -> Any:
    """A blocking method of a host. then: makes of the host and the verb's outcome what the method returns."""

    def method(self: HostNoun, *positional: Any, **named: Any) -> Any:
        outcome = self.client.run(verb(*positional, **named))
        return outcome if then is None else then(self, outcome)

    return _Line(cast("FunctionType", method), verb, then, instead_of_self=0)


@overload
def thing_verb(
    verb: Callable[Concatenate[Ref, P], Conversation[T]],
) -> Callable[Concatenate[ThingNoun[Ref], P], T]: ...
@overload
def thing_verb(
    verb: Callable[Concatenate[Ref, P], Conversation[T]], then: Callable[[D, T], R]
) -> Callable[Concatenate[D, P], R]: ...
def thing_verb(verb: Callable[..., Conversation[Any]], then: Callable[[Any, Any], Any] | None = None) -> Any:
    """A blocking method of a thing. then: makes of it and the verb's outcome what the method returns."""

    def method(self: ThingNoun[Any], *positional: Any, **named: Any) -> Any:
        outcome = self._client.run(verb(self.ref, *positional, **named))
        return outcome if then is None else then(self, outcome)

    return _Line(cast("FunctionType", method), verb, then, instead_of_self=1)


@overload
def async_host_verb(
    verb: Callable[P, Conversation[T]],
) -> Callable[Concatenate[AsyncHostNoun, P], Coroutine[Any, Any, T]]: ...
@overload
def async_host_verb(
    verb: Callable[P, Conversation[T]], then: Callable[[AH, T], R]
) -> Callable[Concatenate[AH, P], Coroutine[Any, Any, R]]: ...
def async_host_verb(verb: Callable[..., Conversation[Any]], then: Callable[[Any, Any], Any] | None = None) -> Any:
    """The async twin of `host_verb`."""

    async def method(self: AsyncHostNoun, *positional: Any, **named: Any) -> Any:
        outcome = await self.client.run(verb(*positional, **named))
        return outcome if then is None else then(self, outcome)

    return _Line(cast("FunctionType", method), verb, then, instead_of_self=0)


@overload
def async_thing_verb(
    verb: Callable[Concatenate[Ref, P], Conversation[T]],
) -> Callable[Concatenate[AsyncThingNoun[Ref], P], Coroutine[Any, Any, T]]: ...
@overload
def async_thing_verb(
    verb: Callable[Concatenate[Ref, P], Conversation[T]], then: Callable[[AD, T], R]
) -> Callable[Concatenate[AD, P], Coroutine[Any, Any, R]]: ...
def async_thing_verb(verb: Callable[..., Conversation[Any]], then: Callable[[Any, Any], Any] | None = None) -> Any:
    """The async twin of `thing_verb`."""

    async def method(self: AsyncThingNoun[Any], *positional: Any, **named: Any) -> Any:
        outcome = await self._client.run(verb(self.ref, *positional, **named))
        return outcome if then is None else then(self, outcome)

    return _Line(cast("FunctionType", method), verb, then, instead_of_self=1)


class _Line:
    """Stands in a class body for a method until the class tells its name, and puts the method there.

    instead_of_self: how many of the verb's first parameters the object stands for.
    """

    def __init__(
        self,
        method: FunctionType,
        verb: Callable[..., Any],
        then: Callable[[Any, Any], Any] | None,
        *,
        instead_of_self: int,
    ) -> None:
        outcome = _outcome(verb) if then is None else then.__annotations__["return"]
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = [own, *list(inspect.signature(verb).parameters.values())[instead_of_self:]]
        method.__signature__ = inspect.Signature(parameters, return_annotation=outcome)  # type: ignore[attr-defined]
        method.__annotations__ = {each.name: each.annotation for each in parameters[1:]} | {"return": outcome}
        method.__doc__ = verb.__doc__
        self._method = method

    def __set_name__(self, owner: type, name: str) -> None:
        self._method.__name__ = name
        self._method.__qualname__ = f"{owner.__qualname__}.{name}"
        self._method.__module__ = owner.__module__
        setattr(owner, name, self._method)


def _outcome(verb: Callable[..., Any]) -> Any:
    """What the verb's conversation comes to, as its signature would say it."""
    _, _, outcome = get_args(verb.__annotations__["return"])
    return None if outcome is type(None) else outcome
