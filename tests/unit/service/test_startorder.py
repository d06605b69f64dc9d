"""Who starts before whom."""

from hypothesis import given
from hypothesis import strategies as st

from insula.model.bootorder import StartPlace
from insula.service.startorder import OrderedDomain, StartStage, cycle_through, start_order, stop_stages


def domain(name: str, *needs: str, order: int | None = None, group: str | None = None) -> OrderedDomain:
    return OrderedDomain(name=name, needs=needs, place=StartPlace(order=order, group=group))


def started(*domains: OrderedDomain, placed: bool = True) -> list[str]:
    """The names as they start, those that may start together joined."""
    sorter = start_order(domains, placed=placed).sorter()
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        if names := sorted(each for each in ready if isinstance(each, str)):
            found.append("+".join(names))
        sorter.done(*ready)
    return found


def test_who_is_needed_starts_first() -> None:
    assert started(domain("web", "app"), domain("db"), domain("app", "db")) == ["db", "app", "web"]


def test_lower_places_start_first_and_those_without_one_last() -> None:
    assert started(domain("c"), domain("b", order=20), domain("a", order=3), domain("d", order=3)) == ["a+d", "b", "c"]


def test_only_domains_of_one_group_have_an_order_among_each_other() -> None:
    assert started(domain("a", order=1, group="x"), domain("b", order=2, group="y")) == ["a+b"]


def test_places_count_nothing_where_only_needs_are_asked_for() -> None:
    assert started(domain("a", order=1), domain("b", order=2), placed=False) == ["a+b"]


def test_a_need_counts_more_than_a_place() -> None:
    assert started(domain("web", "db", order=1), domain("db", order=2)) == ["db", "web"]


def test_needs_and_places_that_contradict_each_other_across_groups_leave_nobody_out() -> None:
    found = started(
        domain("a", order=20, group="x"),
        domain("b", "y", order=10, group="x"),
        domain("y", order=20, group="z"),
        domain("w", "a", order=10, group="z"),
    )
    assert sorted("+".join(found).split("+")) == ["a", "b", "w", "y"]


def test_who_needs_each_other_is_named_and_who_needs_nobody_of_them_starts() -> None:
    order = start_order([domain("a", "b"), domain("b", "c"), domain("c", "a"), domain("x", "y"), domain("y")])
    (cycle,) = order.cycles
    assert cycle[0] == cycle[-1] and set(cycle) == {"a", "b", "c"}
    assert set(order.in_cycle) == {"a", "b", "c"}
    assert order.before["x"] == {"y"}


def test_a_domain_that_needs_itself_is_a_cycle() -> None:
    assert start_order([domain("a", "a")]).cycles == (("a", "a"),)


def test_two_cycles_are_both_found() -> None:
    order = start_order([domain("a", "b"), domain("b", "a"), domain("c", "d"), domain("d", "c")])
    assert sorted(sorted(set(each)) for each in order.cycles) == [["a", "b"], ["c", "d"]]


def test_an_unknown_domain_is_waited_for_by_nobody() -> None:
    assert started(domain("web", "db")) == ["web"]


def test_domains_stop_in_the_reverse_order() -> None:
    domains = (domain("web", "db"), domain("db"), domain("a", order=1), domain("b", order=2), domain("c", order=2))
    assert stop_stages([*domains[:2]]) == (("web",), ("db",))
    assert stop_stages([*domains[2:]]) == (("b", "c"), ("a",))
    assert stop_stages([domain("first", order=1), domain("any")]) == (("any",), ("first",))
    assert stop_stages([]) == ()


def test_a_stage_waits_for_its_domains_and_the_stage_before() -> None:
    order = start_order([domain("a", order=1), domain("b", order=2)])
    assert order.before[StartStage(group="", order=2)] == {"b", StartStage(group="", order=1)}


names = st.sampled_from("abcdefgh")
any_domains = st.dictionaries(
    names,
    st.tuples(st.lists(names, max_size=3), st.none() | st.integers(0, 3), st.sampled_from([None, "x", "y"])),
)


@given(any_domains)
def test_everybody_starts_once_and_stops_once_whatever_is_asked_for(
    wanted: dict[str, tuple[list[str], int | None, str | None]],
) -> None:
    domains = [domain(name, *needs, order=order, group=group) for name, (needs, order, group) in wanted.items()]
    assert sorted("+".join(started(*domains)).split("+")) == (sorted(wanted) or [""])
    assert sorted(name for stage in stop_stages(domains) for name in stage) == sorted(wanted)


@given(any_domains)
def test_nobody_starts_before_whom_he_needs_unless_they_need_each_other(
    wanted: dict[str, tuple[list[str], int | None, str | None]],
) -> None:
    domains = [domain(name, *needs, order=order, group=group) for name, (needs, order, group) in wanted.items()]
    order = start_order(domains)
    place = {name: number for number, names in enumerate(started(*domains)) for name in names.split("+")}
    for each in domains:
        if each.name not in order.in_cycle:
            assert all(place[need] < place[each.name] for need in each.needs if need in wanted)


def test_a_way_back_to_itself_is_found_through_domains_that_are_known() -> None:
    known = {"db": ("store",), "store": ("web", "else"), "loop": ("loop",)}

    def needs_of(name: str) -> tuple[str, ...]:
        return known.get(name, ())

    assert cycle_through("web", ("x", "db"), needs_of) == ("web", "db", "store", "web")
    assert cycle_through("web", ("web",), needs_of) == ("web", "web")
    assert cycle_through("mail", ("db", "loop"), needs_of) == ()
