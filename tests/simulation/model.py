"""What a domain may be after what was asked and answered: its states, and what each verb makes of them."""

import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from tests.simulation import possible
from tests.simulation.possible import Possible


class Run(Enum):
    OFF = "off"
    RUNNING = "running"
    PAUSED = "paused"
    KEPT = "kept"
    """It has ended, and is preserved."""

    __hash__ = object.__hash__  # in C: states are hashed a thousand times a walk


ON = (Run.RUNNING, Run.PAUSED)


class End(Enum):
    """How a guest may end by itself, as its on_… tell them apart."""

    SHUTDOWN = 0
    REBOOTED = 1
    CRASHED = 2

    __hash__ = object.__hash__


class Follows(Enum):
    """What on_poweroff, on_reboot or on_crash may want."""

    DESTROY = "destroy"
    RESTART = "restart"
    PRESERVE = "preserve"

    __hash__ = object.__hash__


USUAL = (Follows.DESTROY, Follows.RESTART, Follows.DESTROY)


class Definition(NamedTuple):
    """What a document says. title: no two have the same; memory: what it may use now, in MiB; shares: of processors;
    after: what follows each End; card: the network or the bridge that its card is in."""

    title: str
    memory: int = 64
    shares: int = 1024
    after: tuple[Follows, Follows, Follows] = USUAL
    devices: frozenset[str] = frozenset()
    card: str = ""


MEMORY, SHARES = (32, 64, 128), (256, 1024, 4096)
CACHE, FULL = "cache", "full"
DEVICES = (CACHE, FULL)
"""What comes and goes: a file system in memory at /cache, and the host's /dev/full."""


CARDS = ("", "", "br0")
"""No card, or one on a bridge of the host's own."""


def any_definition(chance: random.Random, title: str, *, networks: Sequence[str] = ()) -> Definition:
    """Return a definition with that title. networks: that a card may be in."""
    follows, after = tuple(Follows), USUAL
    if chance.random() < 0.5:
        after = (chance.choice(follows), chance.choice(follows), chance.choice(follows))
    return Definition(
        title, chance.choice(MEMORY), chance.choice(SHARES), after, card=chance.choice((*CARDS, *networks, *networks))
    )


LOST = Definition("?")
"""What runs is described by what nobody lived to write down, or by what was written before."""


class State(NamedTuple):
    """What a client can see of a domain. defined: what is defined, None for nothing; live: what runs, None for nothing;
    bound: it goes with the connection that started it."""

    defined: Definition | None = None
    autostart: bool = False
    run: Run = Run.OFF
    live: Definition | None = None
    bound: bool = False

    @property
    def exists(self) -> bool:
        return self.defined is not None or self.run is not Run.OFF

    @property
    def off(self) -> "State":
        return self._replace(run=Run.OFF, live=None, bound=False)

    def explains(self, seen: "State") -> bool:
        """Whether this is what was seen."""
        return self == seen or (self.live is LOST and self._replace(live=seen.live) == seen)

    def __str__(self) -> str:
        if not self.exists:
            return "no domain"
        kind = "transient" if self.defined is None else f"defined as {_told(self.defined)}"
        live = "" if self.live is None or self.live == self.defined else f" as {_told(self.live)}"
        flags = f"{', autostart' if self.autostart else ''}{', bound' if self.bound else ''}"
        return f"{kind}, {self.run.value}{live}{flags}"


def _told(definition: Definition) -> str:
    after = "" if definition.after == USUAL else f", then {'/'.join(each.value for each in definition.after)}"
    devices = "".join(f", {each}" for each in sorted(definition.devices))
    card = f", a card in {definition.card}" if definition.card else ""
    return f"'{definition.title}' ({definition.memory} MiB, {definition.shares} shares{devices}{card}{after})"


Effect = Callable[[State], State | None]
"""What a verb makes of a state, None if it must refuse."""


def define(definition: Definition) -> Effect:
    return lambda state: state._replace(defined=definition)


def undefine(state: State) -> State | None:
    return None if state.defined is None else state._replace(defined=None, autostart=False)


def autostart(on: bool) -> Effect:
    return lambda state: None if state.defined is None else state._replace(autostart=on)


def start(*, paused: bool, bound: bool = False) -> Effect:
    return lambda state: None if not state.exists or state.run in ON else _started(state, paused=paused, bound=bound)


def may_lack_its_network(state: State) -> bool:
    """A card may be for a network that is off, or a bridge that is not there."""
    described = state.defined or state.live
    return described is None or described is LOST or described.card != ""


def start_failed(state: State) -> State | None:
    """One that was kept for inspection is given up with the first attempt to start it."""
    return state.off if state.run is Run.KEPT else None


def start_again(*, paused: bool, bound: bool = False) -> Effect:
    """The guest has ended, is to be started again, and somebody is faster."""
    return lambda state: _started(state, paused=paused, bound=bound) if state.exists else None


def _started(state: State, *, paused: bool, bound: bool) -> State:
    live = state.defined or LOST  # one that is kept and not defined is what ran last
    return state._replace(run=Run.PAUSED if paused else Run.RUNNING, live=live, bound=bound)


def create(definition: Definition, *, paused: bool, bound: bool = False) -> Effect:
    run = Run.PAUSED if paused else Run.RUNNING
    return lambda state: None if state.run in ON else state._replace(run=run, live=definition, bound=bound)


def destroy(state: State) -> State | None:
    return None if state.run is Run.OFF else state.off


def reset(state: State) -> State | None:
    """It runs, or stands still, as before: another guest of the same domain."""
    return state if state.run in ON else None


def suspend(state: State) -> State | None:
    return state._replace(run=Run.PAUSED) if state.run in ON else None


def resume(state: State) -> State | None:
    return state._replace(run=Run.RUNNING) if state.run is Run.PAUSED else None


def asked(state: State) -> State | None:
    """The guest is asked for something, or given it; that it obeys is its own doing."""
    return state if state.run in ON else None


def entered(state: State) -> State | None:
    """Something is put into the guest; it waits if that is stopped then, or is refused."""
    return state if state.run is Run.RUNNING else None


class Where(Enum):
    """Which definition a change is about. CURRENT: the live one of what runs, else what is defined."""

    CURRENT = 0
    LIVE = 1
    CONFIG = 2
    BOTH = 3


def tune(where: Where, *, memory: int | None = None, shares: int | None = None) -> Effect:
    """Let the domain have another of both."""

    def tuned(definition: Definition) -> Definition:
        return definition._replace(memory=memory or definition.memory, shares=shares or definition.shares)

    return _changed(where, tuned)


def equip(where: Where, device: str, *, there: bool) -> Effect:
    """Let the domain have a device, or not have it any more."""

    def equipped(definition: Definition) -> Definition | None:
        if (device in definition.devices) == there:
            return None
        return definition._replace(devices=definition.devices ^ {device})

    return _changed(where, equipped)


def may_refuse_devices(device: str, *, there: bool) -> Callable[[State], bool]:
    """What stands still takes and gives nothing, and what a guest was started with at a place stays."""
    stays = device == CACHE and not there
    return lambda state: state.run is Run.PAUSED or state.live is LOST or (stays and state.run is Run.RUNNING)


def _changed(where: Where, change: Callable[[Definition], Definition | None]) -> Effect:
    """change: of one definition; None if that cannot be done."""

    def effect(state: State) -> State | None:
        on = state.run in ON
        live = where in (Where.LIVE, Where.BOTH) or (where is Where.CURRENT and on)
        config = where in (Where.CONFIG, Where.BOTH) or (where is Where.CURRENT and not on)
        if (live and not on) or (config and state.defined is None):
            return None
        if live and state.live is not None and state.live is not LOST:
            if (now := change(state.live)) is None:
                return None
            state = state._replace(live=now)
        if config and state.defined is not None:
            if (now := change(state.defined)) is None:
                return None
            state = state._replace(defined=now)
        return state

    return effect


def over(state: State) -> State:
    """The guest has ended, for good."""
    return state.off if state.run in ON else state


def ended(end: End, *, anew: bool = False) -> Effect:
    """The guest has ended by itself, and what follows is what its definition wants.

    anew: it was defined differently before it was started again.
    """

    def effect(state: State) -> State | None:
        if state.run not in ON or state.live is None:
            return state
        match state.live.after[end.value]:
            case Follows.DESTROY:
                return state.off
            case Follows.PRESERVE:
                return state._replace(run=Run.KEPT, live=None, bound=False)
            case Follows.RESTART:
                return state._replace(run=Run.RUNNING, live=(state.defined if anew else None) or state.live)

    return effect


def _kept_if_lost(state: State) -> State:
    """It may be preserved, where nobody knows what its definition wants."""
    lost = state.run in ON and state.live is LOST
    return state._replace(run=Run.KEPT, live=None, bound=False) if lost else state


def _again_if_lost(state: State) -> State:
    """It may be started again, likewise."""
    return state._replace(run=Run.RUNNING) if state.run in ON and state.live is LOST else state


def autostarted(state: State) -> State:
    """The first daemon of a boot has begun."""
    if not state.autostart or state.run is not Run.OFF:
        return state
    return state._replace(run=Run.RUNNING, live=state.defined)


def host_ended(state: State) -> State:
    """Nothing runs after the host's reboot, and nobody knows any more that something ran."""
    return state.off


def client_ended(state: State) -> State:
    """The connection has ended that it was to go with."""
    return state.off if state.bound else state


def written_or_not(state: State) -> State:
    """What was changed of what runs, and answered, is known to a daemon only that had nowhere to write it."""
    return state if state.live is None else state._replace(live=LOST)


Operation = possible.Operation[State]


def ending(ways: Sequence[End]) -> Operation:
    """Return what the end of a guest does, which may count as any of these.

    It may be the last of the domain whatever its definition wants: a restart may fail, and nobody may know how it was.
    """
    first, *others = (ended(each, anew=anew) for anew in (False, True) for each in ways)
    return Operation(
        name="ends", effect=first, others=(*others, over, _kept_if_lost, _again_if_lost), halves=(over,), by_guest=True
    )


class DomainModel(Possible[State]):
    """All states that one domain may be in."""

    def __init__(self) -> None:
        super().__init__(State())

    def _goes_on(self, state: State) -> bool:
        return state.run in ON
