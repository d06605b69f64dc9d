"""What the content of a view is told about a guest."""

import json

import pytest

from insula.kernel.cgroups.hierarchies import Hierarchies, V1Hierarchy
from insula.view.viewedfiles import ViewedGuest, ViewedIds, missing

GUEST = ViewedGuest(
    uuid="6c4e2a1e-0000-4000-8000-000000000001",
    launch="0123456789abcdef",
    name="web",
    hierarchies=Hierarchies(
        v1=(V1Hierarchy(mount="/sys/fs/cgroup/memory", controllers=("memory",)),),
        v2="/sys/fs/cgroup/unified",
        v2_controllers=("hugetlb",),
    ),
    group="machine.slice/machine-lxc\\x2d4711\\x2dweb.scope",
    pid=4711,
    born=99,
    uids=(ViewedIds(inside=0, outside=1_000_000, count=65536),),
    gids=(ViewedIds(inside=1, outside=7, count=1), ViewedIds(inside=0, outside=2_000_000, count=1)),
)


def test_a_guest_survives_json() -> None:
    assert ViewedGuest.decode(json.loads(json.dumps(GUEST.encode()))) == GUEST


def test_what_a_later_version_says_more_is_passed_over() -> None:
    assert ViewedGuest.decode({**GUEST.encode(), "colour": "red"}) == GUEST


@pytest.mark.parametrize(
    "data", [{}, {"uuid": "x"}, {**GUEST.encode(), "hierarchies": 3}, {**GUEST.encode(), "uids": 3}]
)
def test_what_describes_no_guest_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no guest"):
        ViewedGuest.decode(data)


def test_root_is_who_the_maps_have_at_zero_or_the_hosts() -> None:
    assert GUEST.root == (1_000_000, 2_000_000)
    privileged = {**GUEST.encode(), "uids": [], "gids": []}
    assert ViewedGuest.decode(privileged).root == (0, 0)


def test_what_is_missing_says_so_by_its_errno() -> None:
    assert missing("proc/nothing").errno == 2
