"""Seats are dealt evenly, pins are kept, and nobody moves without need."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.model.sizes import format_cpuset
from insula.service.seats import (
    Claim,
    NoSeatError,
    Pin,
    Processors,
    Seated,
    load_of,
    moves,
    places,
    seats,
)
from insula.service.topology import read_topology
from tests.unit.service.hosttree import two_node_host


def host(nodes: int = 1, cores: int = 4, threads: int = 1) -> Processors:
    """Numbered as firmware mostly does: first threads of all cores, then second ones."""
    total = nodes * cores
    numbers = range(total * threads)
    return Processors(
        node_of={cpu: cpu % total // cores for cpu in numbers}, core_of={cpu: cpu % total for cpu in numbers}
    )


def sits(on: Processors, claims: list[Claim]) -> dict[int, Seated]:
    """Guests come one after the other."""
    seated: dict[int, Seated] = {}
    for key, claim in enumerate(claims):
        seated[key] = Seated(claim=claim, cpus=seats(on, load_of(seated), claim))
    return seated


def spread(on: Processors, seated: Mapping[int, Seated]) -> list[int]:
    """Return, node by node, by how many seats two processors of it differ."""
    load = load_of(seated)
    uses = [[load[cpu] for cpu in cpus] for cpus in on.nodes.values()]
    return [max(each) - min(each) for each in uses]


def after(seated: Mapping[int, Seated], changed: Mapping[int, frozenset[int]]) -> dict[int, Seated]:
    return {key: Seated(claim=each.claim, cpus=changed.get(key, each.cpus)) for key, each in seated.items()}


HOSTS = st.builds(host, st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))
FREE = st.lists(st.builds(Claim, free=st.integers(1, 5)), min_size=1, max_size=12)


@st.composite
def claims_on(draw: st.DrawFn) -> tuple[Processors, list[Claim]]:
    """A host, and guests of every kind on it."""
    on = draw(HOSTS)
    some = st.sets(st.sampled_from(sorted(on.online)), min_size=1).map(format_cpuset)
    pins = st.lists(some, max_size=3).map(
        lambda lists: tuple(Pin(vcpu=number, cpus=each) for number, each in enumerate(lists))
    )
    claim = st.builds(
        Claim,
        free=st.integers(0, 4),
        pins=pins,
        allowed=st.none() | some,
        nodes=st.none() | st.sampled_from(sorted(on.nodes)).map(str),
        whole=st.booleans(),
    ).filter(lambda claim: claim.number > 0)
    return on, draw(st.lists(claim, min_size=1, max_size=10))


@given(HOSTS, FREE)
def test_guests_that_come_lie_evenly_on_each_node(on: Processors, claims: list[Claim]) -> None:
    seated = sits(on, claims)

    assert all(len(each.cpus) == min(each.claim.free, len(on.online)) for each in seated.values())
    assert max(spread(on, seated)) <= 1


@given(HOSTS, FREE, st.data())
def test_when_guests_have_gone_those_that_stay_lie_evenly_again(
    on: Processors, claims: list[Claim], data: st.DataObject
) -> None:
    seated = sits(on, claims)
    for key in data.draw(st.sets(st.sampled_from(sorted(seated)), max_size=len(seated) - 1)):
        del seated[key]
    levelled = after(seated, moves(on, seated))

    assert max(spread(on, levelled)) <= 1
    assert all(len(levelled[key].cpus) == len(seated[key].cpus) for key in seated)
    use = [sum(load_of(levelled)[cpu] for cpu in cpus) / len(cpus) for cpus in on.nodes.values()]
    largest = max(len(each.cpus) for each in seated.values())
    assert max(use) - min(use) <= 1 + largest / min(map(len, on.nodes.values()))


@given(st.integers(1, 6), FREE, st.data())
def test_no_more_seats_move_than_have_become_free(cores: int, claims: list[Claim], data: st.DataObject) -> None:
    on = host(cores=cores)
    seated = sits(on, claims)
    gone = seated.pop(data.draw(st.sampled_from(sorted(seated))))
    changed = moves(on, seated)

    assert sum(len(cpus - seated[key].cpus) for key, cpus in changed.items()) <= len(gone.cpus)


@given(claims_on())
def test_pins_and_sets_are_kept_whatever_moves(drawn: tuple[Processors, list[Claim]]) -> None:
    on, claims = drawn
    seated = sits(on, claims)
    for each in (*seated.values(), *after(seated, moves(on, seated)).values()):
        claim, allowed = each.claim, on.online
        if claim.allowed is not None:
            allowed = on.there(claim.allowed)
        pinned = [on.there(pin.cpus) for pin in claim.pins]
        everywhere = frozenset().union(*pinned, *([allowed] if claim.free or not pinned else []))
        assert each.cpus <= everywhere
        if claim.whole:
            assert each.cpus == everywhere
            continue
        assert 1 <= len(each.cpus) <= claim.number
        found = places(on, claim, range(claim.number), each.cpus)
        assert sorted(found.values()) == sorted(each.cpus), "every processor is one virtual one's"
        assert all(found[pin.vcpu] in on.there(pin.cpus) for pin in claim.pins if pin.vcpu in found)
        assert all(cpu in allowed for vcpu, cpu in found.items() if vcpu >= len(claim.pins))


@given(claims_on())
def test_what_lies_evenly_stays(drawn: tuple[Processors, list[Claim]]) -> None:
    on, claims = drawn
    seated = sits(on, claims)
    levelled = after(seated, moves(on, seated))

    assert moves(on, levelled) == {}


@given(claims_on(), st.data())
def test_who_sat_on_a_processor_that_went_offline_sits_elsewhere(
    drawn: tuple[Processors, list[Claim]], data: st.DataObject
) -> None:
    on, claims = drawn
    seated = sits(on, claims)
    left = data.draw(st.sets(st.sampled_from(sorted(on.online)), min_size=1))
    fewer = Processors(node_of={cpu: on.node_of[cpu] for cpu in left}, core_of={cpu: on.core_of[cpu] for cpu in left})
    changed = after(seated, moves(fewer, seated))

    for key, each in changed.items():
        try:
            wanted = seats(fewer, {}, each.claim)
        except NoSeatError:
            assert each.cpus == seated[key].cpus, "who can be nowhere stays as it is"
        else:
            assert each.cpus <= fewer.online
            assert len(each.cpus) == len(wanted)
    assert moves(on, changed).keys() >= {
        key for key, each in changed.items() if len(each.cpus) < len(seated[key].cpus)
    }, "and gets back what it lost once they are there again"


def test_a_guest_gets_a_core_for_each_of_its_processors_as_long_as_there_are_any() -> None:
    on = host(cores=4, threads=2)

    assert seats(on, {}, Claim(free=4)) == {0, 1, 2, 3}
    assert seats(on, {0: 1, 1: 1}, Claim(free=2)) == {2, 3}, "not 4 and 5, which are the other threads of 0 and 1"


def test_a_guest_stays_in_one_node_where_it_fits_and_takes_as_few_as_can_be_else() -> None:
    on = host(nodes=3, cores=4)

    assert seats(on, {0: 1}, Claim(free=4)) == on.nodes[1]
    assert seats(on, {0: 1}, Claim(free=3)) <= on.nodes[1]
    six = seats(on, {}, Claim(free=6))
    assert six <= on.nodes[0] | on.nodes[1]


def test_a_guest_is_near_its_memory() -> None:
    on = host(nodes=2, cores=4)

    assert seats(on, dict.fromkeys(on.nodes[1], 3), Claim(free=2, nodes="1")) <= on.nodes[1]


def test_the_service_reads_processors_from_the_hosts_topology(tmp_path: object) -> None:
    on = Processors.of(read_topology(two_node_host(tmp_path)))  # type: ignore[arg-type]

    assert on.nodes == {0: frozenset({0, 1, 2, 3}), 1: frozenset({4, 5, 6})}
    assert on.core_of[3] == 2


def test_pins_that_lie_on_each_other_leave_fewer_processors() -> None:
    pins = tuple(Pin(vcpu=number, cpus="1") for number in range(2))

    assert seats(host(), {}, Claim(free=0, pins=pins)) == {1}
    assert places(host(), Claim(free=0, pins=pins), (0, 1), frozenset({1})) == {0: 1}


def test_a_pin_gives_way_to_one_that_has_no_choice() -> None:
    pins = (Pin(vcpu=0, cpus="0-1"), Pin(vcpu=1, cpus="0"))

    assert places(host(), Claim(free=0, pins=pins), (0, 1), seats(host(), {}, Claim(free=0, pins=pins))) == {0: 1, 1: 0}


def test_who_may_be_nowhere_is_refused() -> None:
    with pytest.raises(NoSeatError, match="none of the processors '9'"):
        seats(host(), {}, Claim(free=1, allowed="9"))
    with pytest.raises(NoSeatError, match="is there"):
        seats(host(), {}, Claim(free=1).within(frozenset({9})))


def test_a_guest_of_whose_pins_one_has_no_place_left_stays_whatever_the_others_could() -> None:
    pins = (Pin(vcpu=0, cpus="0-1"), Pin(vcpu=1, cpus="2"))
    seated = {
        0: Seated(claim=Claim(free=0, pins=pins), cpus=frozenset({0, 2})),
        1: Seated(claim=Claim(free=0, pins=(Pin(vcpu=0, cpus="0"),)), cpus=frozenset({0})),
    }

    assert moves(host(cores=2), seated) == {}


def test_guests_leave_a_processor_that_one_is_pinned_to_later() -> None:
    on = host(cores=2)
    seated = sits(on, [Claim(free=1), Claim(free=0, pins=(Pin(vcpu=0, cpus="0"),))])

    assert moves(on, seated) == {0: frozenset({1})}
