"""A balloon frees what a guest holds above what it is to have, and says what it holds where that fails."""

from typing import cast

import pytest

from insula.engine.launch.balloon import Balloon
from insula.engine.spec import Bytes
from insula.errors import OperationAbortedError, OperationFailedError, ResourceBusyError
from insula.kernel.cgroups import Cgroup
from insula.testing import FakeGroup

MIB = 1 << 20


@pytest.fixture
def group() -> FakeGroup:
    made = FakeGroup("web", before=lambda _: None, empty=lambda _: None)
    made.memory.freed = MIB
    return made


def balloon(group: FakeGroup, told: list[int], *, enough: bool = False) -> Balloon:
    return Balloon(cast("Cgroup", group), Bytes(16 * MIB), rest=lambda _: enough, tell=told.append)


def test_it_tells_what_the_guest_holds_until_that_is_no_more_than_it_is_to_have(group: FakeGroup) -> None:
    told: list[int] = []
    blown = balloon(group, told)
    blown.inflate()
    assert (blown.excess, told) == (4 * MIB, [each * MIB for each in (20, 19, 18, 17, 16)])
    assert group.memory.squeezed == 16 * MIB
    blown.let_out(limited=True)
    assert group.memory.squeezed is None


def test_who_does_not_shrink_is_told_by_kinds(group: FakeGroup) -> None:
    group.memory.stuck = 18 * MIB
    with pytest.raises(ResourceBusyError, match=r"do not shrink to 16384 KiB.*its programs 8192 KiB.*caches of files"):
        balloon(group, []).inflate()


def test_who_is_guaranteed_more_is_told_so(group: FakeGroup) -> None:
    group.memory.stuck = 18 * MIB
    group.memory.guarantee(18 * MIB)
    with pytest.raises(ResourceBusyError, match="18432 KiB are guaranteed to it"):
        balloon(group, []).inflate()


def test_it_stops_once_programs_take_what_cannot_be_had_back(group: FakeGroup) -> None:
    group.memory.freed = 0
    told: list[int] = []

    def taken(used: int) -> None:
        told.append(used)
        group.memory.shared = 64 * MIB

    with pytest.raises(OperationFailedError, match="tmpfs and shared memory 65536 KiB"):
        Balloon(cast("Cgroup", group), Bytes(16 * MIB), rest=lambda _: False, tell=taken).inflate()
    assert told == [20 * MIB]


def test_it_stops_once_a_program_was_killed(group: FakeGroup) -> None:
    group.memory.freed = 0
    blown = balloon(group, [])
    group.oom_kills = 1
    with pytest.raises(OperationFailedError, match="1 of the guest's programs were killed"):
        blown.inflate()


def test_it_is_given_up_when_asked_to(group: FakeGroup) -> None:
    group.memory.freed = 0
    with pytest.raises(OperationAbortedError, match="given up"):
        balloon(group, [], enough=True).inflate()
