"""What a fake keeper knows of what it holds."""

import os
from collections.abc import Iterator

import pytest

from insula.engine.keeper.held import StartPhase
from insula.kernel.fds import close_all
from insula.kernel.process import has_ended
from insula.testing import FakeHost
from insula.testing.fakeheld import FakeClient, FakeHeld

GROUP = "machine.slice/web"


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    made.make_group(GROUP)
    yield made
    made.close()


def held_on(host: FakeHost) -> FakeHeld:
    process = host.clone(uuid="1", launch="a", group=GROUP)
    client = FakeClient(tell=lambda body, fds: None, lost=lambda: None)
    return FakeHeld(
        process=process,
        uuid="1",
        launch="a",
        pid=process.pid,
        born=process.born,
        phase=StartPhase.RUNNING,
        requester=client,
    )


def test_a_guest_is_meant_by_its_launch_or_by_none(host: FakeHost) -> None:
    held = held_on(host)
    assert (held.is_of("a"), held.is_of(None), held.is_of("b")) == (True, True, False)
    assert held.described() == {"uuid": "1", "id": None, "pid": held.pid, "state": "RUNNING", "status": None}


def test_what_is_handed_out_tells_the_end_and_leads_to_one_that_waits(host: FakeHost) -> None:
    held = held_on(host)
    held.channel, held.phase = host.hold(held.process), StartPhase.HELD
    fds = held.fds(host)
    assert sorted(fds) == ["channel", "pidfd"]
    assert not has_ended(fds["pidfd"])
    host.end(held.process, 0)
    assert has_ended(fds["pidfd"])
    close_all(fds.values())
    os.close(held.channel)
    held.phase = StartPhase.EXITED
    late = held.fds(host)
    assert has_ended(late["pidfd"])
    close_all(late.values())
