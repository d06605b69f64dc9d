"""Who has which processors, as a daemon knows it."""

from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Hierarchies
from insula.model.domain import DomainDefinition
from insula.service.host import HostNode
from insula.service.seating import Seating
from tests.unit.service.fakes import domain_xml
from tests.unit.service.hosttree import two_node_host, write


def seating(tmp_path: Path, *, possible: bool = True) -> Seating:
    host = HostNode(root=two_node_host(tmp_path / "host"))
    hierarchies = Hierarchies(v2=str(tmp_path / "groups"), v2_controllers=("cpuset",) if possible else ())
    return Seating(topology=host.topology, hierarchies=lambda: hierarchies)


def domain(number: int, vcpu: str = "<vcpu>2</vcpu>") -> DomainDefinition:
    return DomainDefinition.load(domain_xml(f"guest{number}", UUID(int=number)).replace("<vcpu>2</vcpu>", vcpu))


def test_guests_are_given_what_others_have_least(tmp_path: Path) -> None:
    seats = seating(tmp_path)
    given = [seats.seat(domain(number), "/machine") for number in range(1, 4)]

    assert [sorted(each.cpus) for each in given if each] == [[0, 2], [4, 6], [1, 3]]
    seats.take(UUID(int=1))
    again = seats.seat(domain(4), "/machine")
    assert again is not None and again.cpus == {0, 2}
    assert set(seats.guests()) == {UUID(int=number) for number in (2, 3, 4)}


def test_a_partition_whose_group_has_fewer_processors_gives_its_guests_those(tmp_path: Path) -> None:
    write(tmp_path / "groups", {"machine.slice/cpuset.cpus.effective": "4-5\n"})
    seats = seating(tmp_path)
    given = seats.seat(domain(1, "<vcpu>3</vcpu>"), "/machine")

    assert given is not None and given.cpus == {4, 5}
    assert seats.written(given) == "4-5"
    with pytest.raises(InvalidArgumentError, match="'guest2' is pinned to processors that are offline, or that"):
        seats.seat(domain(2, "<vcpu cpuset='0'>1</vcpu>"), "/machine")


def test_who_has_all_processors_is_left_to_the_group_above(tmp_path: Path) -> None:
    seats = seating(tmp_path)
    given = seats.seat(domain(1, "<vcpu>9</vcpu>"), "/machine")

    assert given is not None and given.cpus == frozenset(range(7))
    assert seats.written(given) == ""


def test_nothing_is_given_where_groups_cannot_be_held_to_processors(tmp_path: Path) -> None:
    assert seating(tmp_path, possible=False).seat(domain(1), "/machine") is None


def test_processors_are_read_again_when_one_went_offline(tmp_path: Path) -> None:
    seats = seating(tmp_path)
    assert 6 in seats.host.online
    write(tmp_path / "host", {"sys/devices/system/cpu/online": "0-5\n"})
    assert seats.host.online == frozenset(range(6))
