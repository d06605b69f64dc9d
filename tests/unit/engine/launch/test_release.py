"""The walk that takes holdings away: each kind, in reverse, whatever is gone or another's."""

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.holdings import ControlGroup, Holding, Interfaces, ScopeGroup
from insula.engine.launch.placement import ScopePlacement
from insula.engine.launch.release import RELEASES, Release
from insula.kernel.cgroups import Cgroup, Hierarchies, set_maker
from tests.unit.engine.desk import CONNECTED, Network

PATH = "machine.slice/web.scope"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A walk over directories that stand for a hierarchy, whose groups have no control files."""
    monkeypatch.setattr(Cgroup, "kill", lambda group: None)
    return Release(hierarchies=Hierarchies(v2=str(tmp_path)), interfaces=Network())


def group(release: Release, path: str = PATH, maker: str | None = None, *, inhabited: bool = False) -> Path:
    made = Cgroup(release.hierarchies, path)
    directory = Path(made.directories[0])
    directory.mkdir(parents=True)
    if maker is not None:
        set_maker(made, maker)
    if inhabited:
        (directory / "cgroup.procs").write_text("4711\n")
    return directory


def walk(release: Release, *holdings: Holding, launch: str | None = "a1") -> list[str]:
    return [str(each) for each in asyncio.run(release.walk(holdings, launch))]


def test_every_kind_of_holding_can_be_taken_away() -> None:
    assert set(RELEASES) == set(get_args(Holding))


@pytest.mark.parametrize("maker", ["a1", None])
@pytest.mark.parametrize("made", [True, False])
def test_a_group_of_ours_goes_whether_it_was_made_or_only_announced(
    release: Release, maker: str | None, made: bool
) -> None:
    directory = group(release, maker=maker)
    for _ in range(2):
        assert walk(release, ControlGroup(path=PATH, made=made)) == []
    assert not directory.exists()
    assert directory.parent.exists(), "the partition stays for the next container"


def test_a_group_that_another_launch_made_is_left_alone(release: Release) -> None:
    directory = group(release, maker="b2")
    assert walk(release, ControlGroup(path=PATH), ControlGroup(path=PATH, made=False)) == []
    assert directory.exists()


def test_a_group_that_was_only_announced_and_is_somebodys_is_left_alone_and_told(release: Release) -> None:
    directory = group(release, inhabited=True)
    (text,) = walk(release, ControlGroup(path=PATH, made=False))
    assert "processes are in the group, and it does not tell who made it" in text
    assert directory.exists()


def test_a_group_that_somebody_is_in_is_emptied_before_it_is_removed(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []
    monkeypatch.setattr(Cgroup, "removed_at_once", lambda group: False)  # the kernel removes none that is in use
    monkeypatch.setattr(Cgroup, "kill", lambda group: killed.append(group.path))
    group(release, maker="a1")
    assert walk(release, ControlGroup(path=PATH, made=False)) == []
    assert killed == [PATH]


def test_a_scope_is_ended_with_its_group(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(ScopePlacement, "released_at_once", lambda _, group: False)
    monkeypatch.setattr(ScopePlacement, "release", lambda _, group: ended.append(group.path))
    assert walk(release, ScopeGroup(path=f"{PATH}/insula")) == []
    assert ended == [f"{PATH}/insula"]


def test_interfaces_are_left_to_who_made_them(release: Release) -> None:
    held = Interfaces(connected=(CONNECTED,))
    assert walk(release, held) == []
    assert isinstance(release.interfaces, Network)
    assert release.interfaces.disconnected == [CONNECTED]
    assert walk(Release(hierarchies=release.hierarchies), held) == []


def test_what_was_made_last_goes_first_and_what_stays_holds_up_nothing(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Stubborn(Network):
        async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
            order.append("interfaces")
            raise OSError(errno.EBUSY, "still in use")

    def remove(group: Cgroup, **options: object) -> None:
        order.append(group.path)

    monkeypatch.setattr(Cgroup, "remove", remove)
    monkeypatch.setattr(Cgroup, "removed_at_once", lambda group: False)
    stubborn = Release(hierarchies=release.hierarchies, interfaces=Stubborn())
    (text,) = walk(stubborn, ControlGroup(path="a"), ControlGroup(path="b"), Interfaces(connected=(CONNECTED,)))
    assert "still in use" in text
    assert order == ["interfaces", "b", "a"]
