"""A group of the v1 hierarchy named systemd, made as on a host that has that hierarchy mounted nowhere.

No process in a control group namespace of its own, as the tests are in, may make such a hierarchy: so it is one that
the host has, of which the launch is not told.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.keeper.startup import ENDS
from insula.engine.launch.holdings import NamedGroup
from insula.engine.launch.launcher import Launcher
from insula.engine.spec import GroupLayout
from insula.kernel.cgroups.namedhierarchy import make_named
from tests.guests import Guests, facts_of, spec
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped", "cgroup.hybrid")

_NAMED = "/sys/fs/cgroup/systemd"
_SCRIPT = (
    f"mkdir -p {_NAMED}/a.slice/b && echo $$ >{_NAMED}/a.slice/cgroup.procs; echo made=$?",
    "echo own=$(grep -c ':name=systemd:/a.slice$' /proc/self/cgroup)",
    f"(echo /x >{_NAMED}/release_agent) 2>/dev/null; echo agent=$?",
)


@pytest.fixture
def untold(guests: Guests) -> Guests:
    """Guests on a host that seems to have no such hierarchy."""
    hierarchies = guests.facts.hierarchies
    left = tuple(each for each in hierarchies.v1 if each.controllers != ("name=systemd",))
    guests.launcher.close()
    guests.facts = replace(guests.facts, hierarchies=replace(hierarchies, v1=left))
    guests.launcher = Launcher(facts=guests.facts, link=guests.link, keeper_ends=guests.socket.with_name(ENDS))
    return guests


def groups() -> list[str]:
    return [each.name for each in Path(_NAMED).iterdir() if each.name.startswith("insula-")]


def test_a_guest_divides_its_own_group_and_that_goes_with_it(untold: Guests, busybox_root: Path) -> None:
    wanted = spec(busybox_root, *_SCRIPT, "sleep 1000", group_layout=GroupLayout.V1)
    running = untold.launch(wanted)
    assert NamedGroup() in running.record.holdings
    (group,) = groups()
    until((Path(_NAMED) / group / "a.slice/b").is_dir, "the guest's group")
    untold.destroy(running)
    assert groups() == []


def test_what_it_sees_is_its_own_and_runs_nothing_of_the_hosts(untold: Guests, busybox_root: Path) -> None:
    said, _ = untold.output(spec(busybox_root, *_SCRIPT, group_layout=GroupLayout.V1))
    told = facts_of(said)
    assert (told["made"], told["own"]) == ("0", "1")
    assert told["agent"] != "0", "what the kernel would run for an empty group is the host's to say"
    assert groups() == []


def test_a_launch_that_fails_takes_its_group_away(
    untold: Guests, busybox_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(group: str, pid: int, owner: tuple[int, int] | None) -> None:
        make_named(group, pid, owner)
        raise OSError(5, "made, and then failed")

    monkeypatch.setattr("insula.engine.steps.host.namedgroup.make_named", failing)
    with pytest.raises(Exception, match="made, and then failed"):
        untold.launch(spec(busybox_root, *_SCRIPT, group_layout=GroupLayout.V1))
    assert groups() == []
