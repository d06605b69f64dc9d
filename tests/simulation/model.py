"""What a domain may be after what was asked and answered: every state that some order of the verbs explains.

Verbs overlap, fail and are cut short, so one state would be a guess. The model keeps all that are possible: a verb that
is under way may have happened already or not; one that has been answered has, and states that contradict the answer
are dropped. When none is left, nothing explains what was seen. (Wing and Gong's check of linearizability, done as the
history grows.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple


class Run(Enum):
    OFF = "off"
    RUNNING = "running"
    PAUSED = "paused"

    __hash__ = object.__hash__  # in C: states are hashed a thousand times a walk


class State(NamedTuple):
    """What a client can see of a domain. defined: the title of what is defined, None for none; title: of what runs."""

    defined: str | None = None
    autostart: bool = False
    run: Run = Run.OFF

    @property
    def exists(self) -> bool:
        return self.defined is not None or self.run is not Run.OFF

    def __str__(self) -> str:
        if not self.exists:
            return "no domain"
        kind = "transient" if self.defined is None else f"defined '{self.defined}'"
        return f"{kind}, {self.run.value}{', autostart' if self.autostart else ''}"


class Result(Enum):
    DONE = "done"
    FAILED = "failed"

    __hash__ = object.__hash__


Outcome = tuple[Result, State]
Effect = Callable[[State], State | None]
"""What a verb makes of a state, None if it must refuse."""


def define(title: str) -> Effect:
    return lambda state: state._replace(defined=title)


def undefine(state: State) -> State | None:
    return None if state.defined is None else state._replace(defined=None, autostart=False)


def autostart(on: bool) -> Effect:
    return lambda state: None if state.defined is None else state._replace(autostart=on)


def start(paused: bool) -> Effect:
    run = Run.PAUSED if paused else Run.RUNNING
    return lambda state: None if state.defined is None or state.run is not Run.OFF else state._replace(run=run)


def start_again(paused: bool) -> Effect:
    """The guest has ended, is to be started again, and somebody is faster."""
    run = Run.PAUSED if paused else Run.RUNNING
    return lambda state: state._replace(run=run) if state.exists else None


def create(paused: bool) -> Effect:
    run = Run.PAUSED if paused else Run.RUNNING
    return lambda state: None if state.run is not Run.OFF else state._replace(run=run)


def destroy(state: State) -> State | None:
    return None if state.run is Run.OFF else state._replace(run=Run.OFF)


def suspend(state: State) -> State | None:
    return None if state.run is Run.OFF else state._replace(run=Run.PAUSED)


def resume(state: State) -> State | None:
    return state._replace(run=Run.RUNNING) if state.run is Run.PAUSED else None


def shutdown(state: State) -> State | None:
    """The guest is asked; that it obeys is its own doing."""
    return None if state.run is Run.OFF else state


def over(state: State) -> State:
    """The guest has ended by itself."""
    return state._replace(run=Run.OFF)


def again(state: State) -> State:
    """The guest has rebooted: a new run."""
    return state if state.run is Run.OFF else state._replace(run=Run.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation:
    """One verb, or what a guest does. may_fail: something outside was broken, so that it may refuse anything;
    half: what it may leave when it fails all the same; meanwhile: what it may do when the guest has just ended;
    by_guest: nobody asked for it, and no daemon's death undoes it.
    """

    name: str
    effect: Effect
    may_fail: bool = False
    half: Effect | None = None
    meanwhile: Effect | None = None
    by_guest: bool = False

    def outcomes(self, state: State) -> Iterator[Outcome]:
        after = self.effect(state)
        if after is not None:
            yield Result.DONE, after
        if after is None or self.may_fail:
            yield Result.FAILED, state
        if self.meanwhile is not None and self.may_fail and (done := self.meanwhile(state)) is not None:
            yield Result.DONE, done
        if self.half is not None and self.may_fail and (left := self.half(state)) is not None:
            yield Result.FAILED, left


Done = frozenset[tuple[int, Result]]


class UnexplainedError(AssertionError):
    """What was answered or seen is the outcome of no order of what was asked."""


class DomainModel:
    """All states that one domain may be in."""

    def __init__(self) -> None:
        self._possible: set[tuple[State, Done]] = {(State(), frozenset())}
        self._pending: dict[int, Operation] = {}
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

    def states(self) -> set[State]:
        """Return what it may be now."""
        return {state for state, _ in self._explored()}

    def invoke(self, operation: Operation) -> int:
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

    def see(self, state: State) -> None:
        """This is what it is now. Raises: UnexplainedError."""
        self.history.append(f"seen: {state}")
        explained = {(known, done) for known, done in self._explored() if known == state}
        self._settle(explained, [], f"seeing it as '{state}'")

    def finish(self) -> None:
        """What guests did has had its effect, one way or the other."""
        numbers = [number for number, each in self._pending.items() if each.by_guest]
        self._settle(self._explored(all_of=frozenset(numbers)), numbers, "what its guest did")

    def _settle(self, explained: set[tuple[State, Done]], over: list[int], what: str) -> None:
        if not explained:
            possible = ", ".join(sorted({str(state) for state, _ in self._explored()}))
            lines = "\n  ".join(self.history)
            raise UnexplainedError(f"nothing explains {what}; it may be: {possible}\n  {lines}")
        gone = set(over)
        for number in gone:
            self._pending.pop(number, None)
        self._possible = {(state, frozenset(each for each in done if each[0] not in gone)) for state, done in explained}

    def _explored(self, all_of: frozenset[int] = frozenset()) -> set[tuple[State, Done]]:
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
