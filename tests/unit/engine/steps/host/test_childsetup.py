"""Tests of insula.engine.steps.host.childsetup."""

import os
import resource
import struct
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from insula.engine.accounts import UID_OFFSET
from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace
from insula.engine.interfacespec import Interface, SwitchPort, UserInterface, VethInterface
from insula.engine.launch.holdings import CardHelpers, ControlGroup, Interfaces
from insula.engine.spec import IdRange
from insula.engine.steps.host.childsetup import (
    AllowLimit,
    ConnectInterfaces,
    FetchNetlink,
    FindAccount,
    MapIds,
    ResetOutOfMemoryScore,
    SetClockOffsets,
)
from insula.engine.steps.host.groups import GroupRequest
from insula.errors import OperationFailedError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd, contents
from tests.descriptors import open_fds
from tests.nolinks import NoLinks
from tests.unit.engine.steps.host.sites import Offload, context, perform, site_of_process, take_away

RANGES = (IdRange(inside=0, outside=100000, count=1000), IdRange(inside=1000, outside=5000, count=1))


def test_each_map_goes_into_its_file(tmp_path: Path) -> None:
    for name in ("uid_map", "gid_map"):
        (tmp_path / name).touch()
    at = site_of_process(tmp_path)
    assert perform(MapIds(why="test", uids=RANGES, gids=RANGES[:1]), at) == ()
    assert (tmp_path / "uid_map").read_text() == "0 100000 1000\n1000 5000 1\n"
    assert (tmp_path / "gid_map").read_text() == "0 100000 1000\n"
    at.close()


def test_clock_offsets_are_written_as_the_kernel_reads_them(tmp_path: Path) -> None:
    (tmp_path / "timens_offsets").touch()
    (tmp_path / "ns").mkdir()
    (tmp_path / "ns/time_for_children").touch()
    at = site_of_process(tmp_path)
    perform(SetClockOffsets(why="test", monotonic=-3600, boottime=86400), at)
    assert (tmp_path / "timens_offsets").read_text() == "monotonic -3600 0\nboottime 86400 0\n"
    at.close()


def test_the_hosts_own_clocks_are_never_shifted_but_the_childs_namespace_waited_for(tmp_path: Path) -> None:
    offsets, namespace = tmp_path / "timens_offsets", tmp_path / "ns/time_for_children"
    offsets.touch()
    namespace.parent.mkdir()
    namespace.symlink_to("/proc/self/ns/time")
    seen: list[str] = []

    def make_it() -> None:
        seen.append(offsets.read_text())
        (tmp_path / "new").touch()
        (tmp_path / "new").replace(namespace)

    child = threading.Timer(0.05, make_it)
    child.start()
    at = site_of_process(tmp_path)
    perform(SetClockOffsets(why="test", monotonic=1, boottime=2), at)
    child.join()
    assert seen == [""] and offsets.read_text() == "monotonic 1 0\nboottime 2 0\n"
    at.close()


@pytest.mark.requires("cap.sys_resource")
def test_a_hard_limit_is_raised_and_never_lowered_and_the_soft_one_stays() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (3, 10))
            at = context()
            at.child = child.pid
            perform(AllowLimit(why="test", name="CORE", hard=5), at)
            assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == (3, 10)
            for hard, becomes in ((20, 20), (None, resource.RLIM_INFINITY), (7, resource.RLIM_INFINITY)):
                perform(AllowLimit(why="test", name="CORE", hard=hard), at)
                assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == (3, becomes)
        finally:
            child.kill()


def test_where_no_limit_can_be_raised_the_child_is_left_as_it_is() -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            before = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
            at = context()
            at.child = child.pid
            assert perform(AllowLimit(why="test", name="NOFILE", hard=most + 1), at) == ()
            assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == before
        finally:
            child.kill()


def test_the_score_becomes_everybodys(tmp_path: Path) -> None:
    (tmp_path / "oom_score_adj").write_text("-900\n")
    at = site_of_process(tmp_path)
    perform(ResetOutOfMemoryScore(why="test"), at)
    assert (tmp_path / "oom_score_adj").read_text().startswith("0")
    at.close()


@pytest.mark.parametrize(
    "step",
    [
        MapIds(why="test", uids=RANGES, gids=RANGES),
        SetClockOffsets(why="test", monotonic=0, boottime=0),
        ResetOutOfMemoryScore(why="test"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_child_that_is_gone_is_an_error_and_no_fd_is_left(tmp_path: Path, step: MapIds) -> None:
    at = site_of_process(tmp_path)
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        perform(step, at)
    assert open_fds() == before
    at.close()


def test_the_netlink_socket_is_waited_for_and_kept() -> None:
    async def fetch() -> Fd:
        return Fd(os.open("/dev/null", os.O_RDONLY))

    at = context()
    at.fetch_netlink = fetch
    assert perform(FetchNetlink(why="test"), at) == ()
    assert os.readlink(f"/proc/self/fd/{at.netlink}") == "/dev/null"
    at.close()


class Performer(NoLinks):
    """Connects by writing down what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], int, int]] = []
        self.there: list[ConnectedInterface] = []

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        self.asked.append((tuple(each.guest for each in interfaces), netns_pid, netlink))
        self.there = [
            ConnectedInterface(guest=each.guest, host="vnet0", host_index=9, bridge=None, mac="") for each in interfaces
        ]
        return tuple(self.there)

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        for each in connected:
            self.there.remove(each)


class Joining(Performer):
    """Has ports of switches too, or none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.joined: list[str] = []

    def join(
        self, made: Sequence[tuple[ConnectedInterface, Interface]], place: HelperPlace, *, network: int
    ) -> tuple[ConnectedInterface, ...]:
        self.joined += (wanted.guest for _, wanted in made)
        return tuple(connected for connected, _ in made)


def test_ports_of_a_switch_that_takes_its_time_are_joined_aside_and_no_others() -> None:
    performer = Joining()
    cards = (VethInterface(guest="eth0", bridge="br0"), VethInterface(guest="eth1", bridge="o", switch=SwitchPort()))
    at = context(performer=performer)
    at.group, at.process = Cgroup(Hierarchies(), "web"), Fd(os.open("/proc/self", os.O_PATH | os.O_CLOEXEC))
    perform(ConnectInterfaces(why="test", interfaces=cards), at)
    at.close()
    assert performer.joined == ["eth1"]


def test_interfaces_are_connected_in_the_childs_network_and_taken_back() -> None:
    performer = Performer()
    at = context(performer=performer)
    at.child, at.netlink = 4711, Fd(77)
    held = perform(ConnectInterfaces(why="test", interfaces=(VethInterface(guest="eth0"),)), at)
    assert performer.asked == [(("eth0",), 4711, 77)]
    assert held == (Interfaces(connected=tuple(performer.there)),)
    take_away(held, at)
    assert performer.there == []


def test_where_nobody_connects_interfaces_the_launch_fails() -> None:
    with pytest.raises(OperationFailedError, match="nobody here to connect"):
        perform(ConnectInterfaces(why="test", interfaces=(VethInterface(guest="eth0"),)), context())


def test_a_user_is_found_in_the_root_or_in_what_is_shown_above_its_files(tmp_path: Path) -> None:
    for name, uid in (("root", 1), ("etc", 2), ("file", 3)):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc/passwd").write_text(f"web:x:{uid}:{uid}::/home/{name}:\n")
    (tmp_path / "etc/passwd").write_text("web:x:2:2::/home/etc:\n")
    for mounts, uid in (
        ((), 1),
        ((("mount0", "/srv"),), 1),
        ((("mount0", "/etc"),), 2),
        ((("mount0", "/etc"), ("mount1", "/etc/passwd")), 3),
        ((("mount1", "/etc/passwd"), ("mount0", "/etc")), 2),
    ):
        at = context()
        for name, path in (("root", "root"), ("mount0", "etc"), ("mount1", "file/etc/passwd")):
            at.fds[name] = Fd(os.open(tmp_path / path, os.O_PATH))
        perform(FindAccount(why="test", user="web", group=None, root="root", mounts=mounts), at)
        assert contents(at.fds["account"])[UID_OFFSET : UID_OFFSET + 4] == struct.pack("<I", uid)
        at.close()


def test_a_user_that_the_guest_does_not_know_fails_the_step(tmp_path: Path) -> None:
    at = context()
    at.fds["root"] = Fd(os.open(tmp_path, os.O_PATH))
    with pytest.raises(FileNotFoundError, match="the guest has no user 'web'"):
        perform(FindAccount(why="test", user="web", group=None, root="root"), at)
    at.close()


def test_a_users_search_is_nothing_that_others_wait_for(tmp_path: Path) -> None:
    at, offload = context(), Offload()
    at.offload = offload
    at.fds["root"] = Fd(os.open(tmp_path, os.O_PATH))
    perform(FindAccount(why="test", user="7", group=None, root="root"), at)
    assert offload.count == 1
    at.close()


def test_helpers_of_cards_are_announced_with_the_group_that_is_theirs() -> None:
    guest = GroupRequest(partition="machine.slice", domain="web", name="web-{id}")
    card = UserInterface(guest="eth0")
    announced = ConnectInterfaces(why="test", interfaces=(card,), guest=guest).announce(7)
    assert announced == (ControlGroup(path="machine.slice/web-7.helpers", made=False), CardHelpers())
    assert ConnectInterfaces(why="test", interfaces=(card,)).announce(7) == (CardHelpers(),)
    assert ConnectInterfaces(why="test", interfaces=(VethInterface(guest="eth0"),), guest=guest).announce(7) == ()
