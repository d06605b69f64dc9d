"""What something may be after what was asked and answered: every state that some order of the verbs explains.

Verbs overlap, fail and are cut short, so one state would be a guess. All are kept that are possible: a verb that
is under way may have happened already or not; one that has been answered has, and states that contradict the answer
are dropped. When none is left, nothing explains what was seen. (Wing and Gong's check of linearizability, done as the
history grows.)
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar


class Explaining(Hashable, Protocol):
    """A state of something."""

    def explains(self, seen: Any) -> bool:
        """Whether this is what was seen."""


S = TypeVar("S", bound=Explaining)


class Result(Enum):
    DONE = "done"
    FAILED = "failed"

    __hash__ = object.__hash__


@dataclass(frozen=True, kw_only=True, eq=False)  # slots, and the class could not be named with its parameter
class Operation(Generic[S]):
    """One verb, or what a guest does.

    may_fail: something outside was broken, so that it may refuse anything; others: what it may do as well as its
    effect; halves: what it may leave when it fails all the same; meanwhile: what it may do when the guest has just
    ended; refuses: whether it may be refused as well; by_guest: nobody asked for it, and no daemon's death undoes it;
    lingers: it may come as long as the guest lives; effect: what a verb makes of a state, None if it must refuse.
    """

    name: str
    effect: Callable[[S], S | None]
    may_fail: bool = False
    others: tuple[Callable[[S], S | None], ...] = ()
    halves: tuple[Callable[[S], S | None], ...] = ()
    meanwhile: Callable[[S], S | None] | None = None
    refuses: Callable[[S], bool] = lambda state: False
    by_guest: bool = False
    lingers: bool = False
    _known: dict[S, tuple[tuple[Result, S], ...]] = field(default_factory=dict, init=False)

    def outcomes(self, state: S) -> tuple[tuple[Result, S], ...]:
        """Return what it may answer, and leave."""
        known = self._known.get(state)
        if known is None:
            known = self._known[state] = tuple(set(self._outcomes(state)))
        return known

    def _outcomes(self, state: S) -> Iterator[tuple[Result, S]]:
        after = self.effect(state)
        if after is not None:
            yield Result.DONE, after
        if after is None or self.may_fail or self.refuses(state):
            yield Result.FAILED, state
        for each in self.others:
            if (other := each(state)) is not None:
                yield Result.DONE, other
        if self.meanwhile is not None and self.may_fail and (done := self.meanwhile(state)) is not None:
            yield Result.DONE, done
        for each in self.halves if self.may_fail or self.refuses(state) else ():
            if (left := each(state)) is not None:
                yield Result.FAILED, left


Done = frozenset[tuple[int, Result]]


class UnexplainedError(AssertionError):
    """What was answered or seen is the outcome of no order of what was asked."""


class Possible(Generic[S]):
    """All states that one thing may be in. first: the one that it is in before anything happens."""

    def __init__(self, first: S) -> None:
        self._possible: set[tuple[S, Done]] = {(first, frozenset())}
        self._pending: dict[int, Operation[S]] = {}
        self._last = 0
        self.history: list[str] = []

    @property
    def quiet(self) -> bool:
        """Whether no verb is under way."""
        return all(each.by_guest for each in self._pending.values())

    @property
    def guest_acts(self) -> bool:
        """Whether its guest has done something whose effect may not have come yet."""
        return any(each.by_guest for each in self._pending.values())

    def pending(self, verb: str) -> bool:
        """Whether a verb whose name begins like this is under way."""
        return any(each.name.startswith(verb) for each in self._pending.values())

    def states(self) -> set[S]:
        """Return what it may be now."""
        return {state for state, _ in self._explored()}

    def befall(
        self,
        name: str,
        effect: Callable[[S], S | None],
        *,
        others: tuple[Callable[[S], S | None], ...] = (),
        may_fail: bool = False,
    ) -> None:
        """Something happens that nobody asked for, if it makes any difference."""
        if any(each(state) != state for state in self.states() for each in (effect, *others)):
            self.invoke(Operation(name=name, effect=effect, others=others, may_fail=may_fail, by_guest=True))

    def invoke(self, operation: Operation[S]) -> int:
        """A verb is asked for. Return its number."""
        self._last += 1
        self._pending[self._last] = operation
        self.history.append(f"{self._last}: {operation.name} …")
        return self._last

    def respond(self, number: int, result: Result) -> None:
        """It was answered. Raises: UnexplainedError."""
        self.history.append(f"{number}: … {self._pending[number].name} {result.value}")
        explained = {(state, done) for state, done in self._explored() if (number, result) in done}
        self._settle(explained, [number], f"'{self._pending[number].name}' {result.value}")

    def abandon(self, number: int) -> None:
        """Nobody waits for its answer any more: it happens, or not, or half, whenever it may."""
        self.history.append(f"{number}: … nobody waits for {self._pending[number].name}")
        self._pending[number] = replace(self._pending[number], by_guest=True, may_fail=True)

    def trouble(self) -> None:
        """Something outside is broken: whatever is under way may fail."""
        for number, each in self._pending.items():
            if not each.may_fail:
                self._pending[number] = replace(each, may_fail=True)

    def crash(self) -> None:
        """Whoever was to do what is under way is gone: each has happened, or not, or half."""
        self.history.append("the daemon dies")
        self.trouble()
        verbs = [number for number, each in self._pending.items() if not each.by_guest]
        self._settle(self._explored(), verbs, "the daemon's death")

    def see(self, state: S) -> None:
        """This is what it is now. Raises: UnexplainedError."""
        self.history.append(f"seen: {state}")
        explained = {(state, done) for known, done in self._explored() if known.explains(state)}
        over = [] if self._goes_on(state) else [number for number, each in self._pending.items() if each.lingers]
        self._settle(explained, over, f"seeing it as '{state}'")

    def _goes_on(self, state: S) -> bool:
        """Whether what lingers may still come."""
        return True

    def finish(self) -> None:
        """What guests did has had its effect, one way or the other, but for what lingers."""
        numbers = [number for number, each in self._pending.items() if each.by_guest and not each.lingers]
        self._settle(self._explored(all_of=frozenset(numbers)), numbers, "what its guest did")

    def _settle(self, explained: set[tuple[S, Done]], over: list[int], what: str) -> None:
        if not explained:
            possible = ", ".join(sorted({str(state) for state, _ in self._explored()}))
            lines = "\n  ".join(self.history)
            raise UnexplainedError(f"nothing explains {what}; it may be: {possible}\n  {lines}")
        gone = set(over)
        for number in gone:
            self._pending.pop(number, None)
        self._possible = {(state, frozenset(each for each in done if each[0] not in gone)) for state, done in explained}

    def _explored(self, all_of: frozenset[int] = frozenset()) -> set[tuple[S, Done]]:
        """Return every configuration that can be reached by letting some of what is under way happen, in any order."""
        if not self._pending:
            return self._possible
        found, open_ones, pending = set(self._possible), list(self._possible), self._pending.items()
        while open_ones:
            state, done = open_ones.pop()
            happened = {number for number, _ in done}
            for number, operation in pending:
                if number in happened:
                    continue
                for result, after in operation.outcomes(state):
                    configuration = (after, done | {(number, result)})
                    if configuration not in found:
                        found.add(configuration)
                        open_ones.append(configuration)
        if all_of:
            return {(state, done) for state, done in found if all_of <= {number for number, _ in done}}
        return found
