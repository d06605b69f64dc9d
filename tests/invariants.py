"""What holds of Insula at every instant, whatever was asked of it and whatever broke: written once, for every test.

A test brings a `View`: what the daemon shows, and what there is in truth. The simulation looks at it after every
callback, the system tests after each test.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

STARTING = frozenset(
    {"start", "create", "restart", "start again", "react to the guest's end", "conclude", "take over", "destroy"}
)
"""Verbs during which a guest may live that is not shown yet, or not any more: nobody was told about it either way."""
ENDING = 2.0
"""Seconds in which destroy ends a guest when nothing is broken, whatever that guest does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A domain as the daemon shows it. id: its guest's pid, -1 when off; busy: the verb that is changing it now."""

    active: bool
    id: int = -1
    paused: bool = False
    persistent: bool = False
    busy: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Living:
    """A guest as the kernel has it."""

    uuid: UUID
    pid: int
    frozen: bool = False


@dataclass(kw_only=True, slots=True)
class Mirror:
    """What somebody knows who asked once and has only listened to events since. off, paused, persistent by UUID."""

    active: set[UUID] = field(default_factory=set)
    paused: set[UUID] = field(default_factory=set)
    persistent: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, shown: Mapping[UUID, Shown]) -> "Mirror":
        return cls(
            active={uuid for uuid, each in shown.items() if each.active},
            paused={uuid for uuid, each in shown.items() if each.paused},
            persistent={uuid for uuid, each in shown.items() if each.persistent},
        )

    def hear(self, uuid: UUID, event: str) -> None:
        """event: the lower-case name of libvirt's lifecycle event.

        Raises: AssertionError for one that cannot come after what was heard before.
        """
        possible = {
            "undefined": uuid in self.persistent,
            "started": uuid not in self.active,
            "suspended": uuid in self.active - self.paused,
            "resumed": uuid in self.active & self.paused,
        }
        assert possible.get(event, True), f"'{event}' is told of domain {uuid}, which {self._known_as(uuid)}"
        match event:
            case "defined":
                self.persistent.add(uuid)
            case "undefined":
                self.persistent.discard(uuid)
            case "started":
                self.active.add(uuid)
                self.paused.discard(uuid)
            case "suspended":
                self.paused.add(uuid)
            case "resumed":
                self.paused.discard(uuid)
            case "stopped" | "crashed":
                self.active.discard(uuid)
                self.paused.discard(uuid)

    def _known_as(self, uuid: UUID) -> str:
        words = [word for word in ("active", "paused", "persistent") if uuid in getattr(self, word)]
        return f"was told to be {' and '.join(words) or 'off'}"


def a_living_guest_is_shown(living: Iterable[Living], shown: Mapping[UUID, Shown]) -> None:
    """Whatever happened to daemon, keeper or disk: who lives is never shown as off."""
    for guest in living:
        domain = shown.get(guest.uuid)
        if (domain is None or not domain.active) and (domain is None or domain.busy not in STARTING):
            busy = "" if domain is None or domain.busy is None else f" (during '{domain.busy}')"
            raise AssertionError(f"guest {guest.uuid} lives as process {guest.pid}, and is shown as off{busy}")


def nobody_lives_twice(living: Iterable[Living]) -> None:
    """One domain has one guest: two would share a disk."""
    pids: dict[UUID, int] = {}
    for guest in living:
        other = pids.setdefault(guest.uuid, guest.pid)
        assert other == guest.pid, f"domain {guest.uuid} has two guests at once: processes {other} and {guest.pid}"


def what_is_shown_lives(living: Collection[Living], shown: Mapping[UUID, Shown]) -> None:
    """When nothing is under way, who is shown as running lives, and stands still if it is shown as paused."""
    by_uuid = {guest.uuid: guest for guest in living}
    for uuid, domain in shown.items():
        if domain.busy is not None or not domain.active:
            continue
        assert uuid in by_uuid, f"domain {uuid} is shown as running, and no guest lives"
        frozen = by_uuid[uuid].frozen
        assert frozen == domain.paused, f"domain {uuid} is shown with paused={domain.paused}, and has frozen={frozen}"


def every_change_was_told(mirror: Mirror, shown: Mapping[UUID, Shown]) -> None:
    """Who only listens to events knows as much as who asks."""
    now = Mirror.of(shown)
    for word in ("active", "paused", "persistent"):
        known, true = getattr(mirror, word), getattr(now, word)
        missed = ", ".join(str(uuid) for uuid in sorted(known ^ true))
        assert known == true, f"no event told that it is {word} now, or not any more: {missed}"


def limits_told_are_in_force(
    told: Mapping[int, tuple[int | None, ...]], held: Mapping[int, tuple[int | None, int]]
) -> None:
    """When nothing is under way, what is told of a guest's limits is what its control group has.

    told: by pid, what the record and the live definition have for memory, then for shares; held: memory and shares.
    """
    for pid, (*memory, recorded, defined) in told.items():
        if pid in held:
            kept, shares = held[pid]
            assert set(memory) == {kept}, f"guest {pid} is told to have {memory} bytes of memory, and has {kept}"
            assert {recorded, defined} == {shares}, f"guest {pid} is told {recorded}, {defined} shares; it has {shares}"


def devices_told_are_there(told: Mapping[int, tuple[frozenset[str], frozenset[str]]]) -> None:
    """When nothing is under way, a definition tells what its guest has. told: by pid, what it has, and is told to."""
    for pid, (has, defined) in told.items():
        assert has == defined, f"guest {pid} has the devices {sorted(has)}, and is told to have {sorted(defined)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkThere:
    """What there is of a network, or is told to be. ruled: the bridge that its rules are for; served: what its server
    was told."""

    bridge: str | None
    index: int | None
    ruled: str | None
    server: object | None
    served: str | None


def networks_told_are_there(told: Mapping[str, NetworkThere], there: Mapping[str, NetworkThere]) -> None:
    """When nothing is under way, an active network is whole, and nothing is there of another. By their names."""
    for name in sorted(told.keys() | there.keys()):
        one, other = told.get(name), there.get(name)
        assert one == other, f"network {name} is told to be {one}, and there is {other}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CardTold:
    """A running guest's card. end: its end on the host; possible: whether what it belongs on is there; right: whether
    what it is plugged into is what it was for; notices: of its guest."""

    end: str
    plugged: bool
    possible: bool
    right: bool
    notices: Sequence[str]


def cards_are_plugged_in_or_named(cards: Iterable[CardTold]) -> None:
    """When nothing is under way, a guest's card is on its bridge, or its guest's notices name it."""
    for card in cards:
        assert card.right, f"{card.end} is plugged into what it was not for"
        named = any(f"({card.end} on the host) is plugged into nothing" in each for each in card.notices)
        state = "plugged in" if card.plugged else "plugged into nothing"
        assert card.plugged or not card.possible, f"{card.end} is {state}, and what it belongs on is there"
        assert named != card.plugged, f"{card.end} is {state}, and its guest has the notices {list(card.notices)}"


def a_program_end_is_told(program: str, told: Collection[int | None], *, status: int | None, keeper_died: bool) -> None:
    """Of a program that was put into a guest, when nothing is under way: its end is known once it has ended, as it was.

    told: what is known of it, and to whoever waits; status: its wait status, None if it lives; keeper_died: since it
    began, so that nobody may know how it ended.
    """
    if status is None:
        assert not told, f"{program} lives, and is told to have ended: {told}"
        return
    assert told, f"{program} has ended with {status:#x}, and nobody was told"
    possible = {status, None} if keeper_died else {status}
    assert set(told) <= possible, f"{program} has ended with {status:#x}, and is told to have with {told}"


def each_is_told_once(what: str, told: Mapping[str, int]) -> None:
    """told: how often, by name."""
    twice = sorted(name for name, count in told.items() if count > 1)
    assert not twice, f"the {what} was told more than once: {', '.join(twice)}"


def destroy_waits_for_no_guest(seconds: float) -> None:
    """seconds: from the request to the answer, while nothing but the guest held anything up."""
    assert seconds <= ENDING, f"destroy took {seconds:g} s, and nothing but a guest was in its way"


def nothing_is_left(left: Mapping[str, Iterable[object]]) -> None:
    """When every domain is gone. left: what is there still, by its kind."""
    found = {kind: sorted(map(str, things)) for kind, things in left.items() if things}
    assert not found, "left over: " + "; ".join(f"{kind}: {', '.join(things)}" for kind, things in found.items())


def a_viewer_sees_what_was_printed(seen: Sequence[int], printed: Collection[int]) -> None:
    """A viewer of a console sees what that guest printed, in its order, and nothing twice. By their numbers."""
    assert all(one < next_one for one, next_one in itertools.pairwise(seen)), f"a viewer saw {list(seen)}"
    assert set(seen) <= set(printed), f"a viewer saw {list(seen)}, and the guest printed {list(printed)}"


def what_is_shown_is_kept(shown: bytes, kept: bytes | None) -> None:
    """What a viewer is shown is where a later daemon finds it already."""
    assert kept is not None and shown in kept, f"a viewer is shown {shown!r}, and kept is {kept!r}"


def what_was_seen_is_seen_again(seen: Collection[int], now: Collection[int]) -> None:
    """Whoever comes later sees all that anybody has seen of a guest, as long as that is little."""
    lost = set(seen) - set(now)
    assert not lost, f"viewers have seen {sorted(lost)}, and who comes now does not"


def what_is_typed_arrives_in_order(arrived: Sequence[int]) -> None:
    """What is typed reaches the guest in its order, and nothing twice. By its numbers."""
    assert all(one < next_one for one, next_one in itertools.pairwise(arrived)), f"the guest read {list(arrived)}"
