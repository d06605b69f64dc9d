"""What a look is asked with that visits a guest."""

import pytest

from insula.engine.look.visiting import visiting
from insula.errors import OperationInvalidError
from tests.descriptors import open_fds
from tests.plans import UNIFIED
from tests.unit.engine.desk import Desk, desk_of


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_of(monkeypatch, UNIFIED)


def test_a_visitor_takes_on_namespaces_and_limits_and_nothing_stays_open(desk: Desk) -> None:
    running, before = desk.running(), open_fds()
    with visiting(running) as (whom, fds):
        assert whom["pid"] == running.pid
        assert "net" in whom["namespaces"] and not {"mnt", "pid", "time"} & set(whom["namespaces"])
        assert sorted(fds) == ["cgroup", "init", "join0", "join1"] and fds["init"] == running.pidfd
    assert open_fds() == before
    running.close()


def test_a_guest_that_stands_still_is_visited_beside_its_groups_where_asked_for(desk: Desk) -> None:
    running = desk.running()
    running.group.freeze()
    with pytest.raises(OperationInvalidError, match="is paused"), visiting(running):
        pass
    with visiting(running, frozen=True) as (_, fds):
        assert fds == {"init": running.pidfd}
    running.close()
