"""What a launched container is, seen from inside and from outside."""

import contextlib
import fcntl
import os
import re
import resource
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.exitstatus import ExitMeaning
from insula.engine.interfacespec import NetworkKind
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.keeper.startup import spawn_keeper
from insula.engine.launch.launcher import Launcher
from insula.engine.spec import Access, DirectoryRoot, OverlayRoot, Process, ResourceLimit, TmpfsRoot
from insula.errors import InvalidArgumentError, OperationInvalidError, StepError
from tests.guests import FIRST_ID, Guests, facts_of, id_map, kill_keeper, namespace_ids, read_until, spec
from tests.keys import session_key

KINDS = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup")
_NS_GET_OWNER_UID = 0xB704


def overlay_on(lower: Path, scratch: Path) -> OverlayRoot:
    for name in ("upper", "work"):
        (scratch / "clone" / name).mkdir(parents=True)
    return OverlayRoot(lower=(str(lower),), upper=str(scratch / "clone/upper"), work=str(scratch / "clone/work"))


def test_an_unprivileged_guest_is_root_of_namespaces_of_its_own(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "echo pid=$$ uid=$(id -u) groups=$(id -G)", "hostname", "sleep 1000"))
    said = read_until(running.consoles[0], b"guest")
    assert b"pid=1 uid=0 groups=0" in said
    assert not set(namespace_ids(running.pid, KINDS).items()) & set(namespace_ids("self", KINDS).items())
    status = Path(f"/proc/{running.pid}/status").read_text()
    assert f"Uid:\t{FIRST_ID}\t{FIRST_ID}\t{FIRST_ID}\t{FIRST_ID}" in status


def test_the_user_namespace_belongs_to_the_first_id_of_its_range(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    with open(f"/proc/{running.pid}/ns/user") as namespace:
        owner = struct.unpack("I", fcntl.ioctl(namespace, _NS_GET_OWNER_UID, bytes(4)))[0]
    assert owner == FIRST_ID


def test_the_id_is_inits_pid_and_names_the_control_group(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    assert running.id == running.pid
    assert running.group.path == f"machine.slice/machine-lxc\\x2d{running.id}\\x2dguest.scope"
    groups = Path(f"/proc/{running.pid}/cgroup").read_text().splitlines()
    assert groups
    assert [line for line in groups if f"x2d{running.id}\\x2dguest.scope" not in line] == []


@pytest.mark.machine("capabilities")
def test_a_pid_that_is_taken_meanwhile_is_passed_over(
    guests: Guests, busybox_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = guests.launcher._pids.next
    choices = iter([os.getpid(), guests.keeper_pid])
    monkeypatch.setattr(guests.launcher._pids, "next", lambda: next(choices, None) or free())
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    assert running.id not in {os.getpid(), guests.keeper_pid}


@pytest.mark.machine("mounts")
def test_a_directory_root_is_shown_under_the_guests_owners_and_written_unshifted(
    guests: Guests, busybox_root: Path
) -> None:
    said, status = guests.output(spec(busybox_root, "stat -c owner=%u:%g /bin", "mkdir /made", "chown 7:8 /made"))
    assert (facts_of(said)["owner"], status.code) == ("0:0", 0)
    made = (busybox_root / "made").stat()
    assert (made.st_uid, made.st_gid) == (7, 8)


@pytest.mark.machine("mounts")
@pytest.mark.requires("overlay.idmapped")
def test_an_overlay_root_keeps_the_image_as_it_is(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    script = ("echo changed > /etc/hostname", "rm /etc/hosts", "stat -c owner=%u /etc/hostname /etc/passwd | sort -u")
    said, status = guests.output(spec(overlay_on(busybox_root, scratch), *script))
    assert (said, status.code) == ("owner=0\n", 0)
    assert (busybox_root / "etc/hostname").read_text() == "busybox\n"
    assert (busybox_root / "etc/hosts").exists()
    written = scratch / "clone/upper/etc/hostname"
    assert (written.read_text(), written.stat().st_uid) == ("changed\n", 0)


@pytest.mark.machine("mounts")
@pytest.mark.requires("overlay.idmapped")
def test_a_root_of_many_layers_starts_where_overlays_know_layers_by_path_only(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    above = [scratch / "layers" / str(number) for number in range(30)]
    for each in above:
        each.mkdir(parents=True)
        (each / f"layer{each.name}").touch()
    one = overlay_on(busybox_root, scratch)
    root = replace(one, lower=(*map(str, above), *one.lower))
    launcher = Launcher(facts=replace(guests.facts, detached_layers=False), link=guests.link)
    running = completed(launcher.launch(spec(root, "touch /made", "ls -d /layer* | wc -l", "sleep 1000")))
    try:
        read_until(running.consoles[0], b"30")
        assert (scratch / "clone/upper/made").stat().st_uid == 0
    finally:
        completed(launcher.teardown.destroy(running))


@pytest.mark.machine("mounts")
@pytest.mark.requires("overlay.idmapped")
def test_a_root_in_memory_forgets_what_was_written(guests: Guests, busybox_root: Path) -> None:
    root = TmpfsRoot(lower=(str(busybox_root),))
    for _ in range(2):
        said, status = guests.output(spec(root, "test -e /made || echo fresh=yes", "echo x > /made", "cat /made"))
        assert (said, status.code) == ("fresh=yes\nx\n", 0)
    assert not (busybox_root / "made").exists()


@pytest.mark.machine("mounts")
def test_a_privileged_guest_runs_over_its_directory_too(guests: Guests, busybox_root: Path) -> None:
    said, status = guests.output(spec(busybox_root, "echo uid=$(id -u)", "touch /made", privileged=True))
    assert (facts_of(said)["uid"], status.code) == ("0", 0)
    assert (busybox_root / "made").stat().st_uid == 0


@pytest.mark.machine("mounts")
def test_a_read_only_root_refuses_writes_and_stays_so(guests: Guests, busybox_root: Path) -> None:
    root = DirectoryRoot(path=str(busybox_root), access=Access.READ_ONLY)
    script = ("touch /made && echo written", "mount -o remount,bind,rw / && echo remounted", "touch /made && echo made")
    said, _ = guests.output(spec(root, *script))
    assert "written" not in said
    assert "remounted" not in said
    assert not (busybox_root / "made").exists()


def test_the_hosts_root_is_refused_as_a_root_by_name_and_by_identity(guests: Guests, scratch: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="host's own root"):
        guests.launch(spec(DirectoryRoot(path="/../"), "true"))
    link = scratch / "innocent"
    link.symlink_to("/")
    with pytest.raises(StepError, match="host's own root"):
        guests.launch(spec(DirectoryRoot(path=str(link)), "true"))


def test_init_has_exactly_the_environment_of_the_interface_and_the_spec(guests: Guests, busybox_root: Path) -> None:
    wanted = spec(busybox_root)
    process = Process(argv=("/usr/bin/env",), env=(("TERM", "vt220"), ("COLOUR", "blue")))
    said, _ = guests.output(spec(busybox_root, init=process, uuid=wanted.uuid))
    assert facts_of(said) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container": "lxc-libvirt",
        "container_uuid": wanted.uuid,
        "LIBVIRT_LXC_UUID": wanted.uuid,
        "LIBVIRT_LXC_NAME": "guest",
        "TERM": "vt220",
        "COLOUR": "blue",
    }


def test_init_has_only_its_console_open(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, init=Process(argv=("/bin/ls", "-l", "/proc/self/fd/"))))
    assert dict(re.findall(r" (\d+) -> (\S+)", said)) == dict.fromkeys("012", "/dev/pts/0")
    # The last is the directory that ls itself reads, closed before its name is looked up.
    assert re.findall(r" (\d+)(?: -> \S+)?$", said, re.MULTILINE)[-4:] == ["0", "1", "2", "3"]


def test_init_begins_with_default_signals_umask_directory_and_fd_limits(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, init=Process(argv=("/bin/grep", "Sig", "/proc/self/status"))))
    signals = {name: int(mask, 16) for name, mask in re.findall(r"(Sig\w+):\s+(\w+)", said)}
    assert (signals["SigBlk"], signals["SigIgn"], signals["SigCgt"]) == (0, 0, 0)
    process = Process(argv=("/bin/sh", "-c", "echo mask=$(umask) dir=$(pwd) fds=$(ulimit -n)"), cwd="/tmp")
    said, _ = guests.output(spec(busybox_root, init=process))
    assert said == f"mask=0022 dir=/tmp fds={resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\n"


def test_an_init_of_another_user_has_its_groups_and_no_capability(guests: Guests, busybox_root: Path) -> None:
    (busybox_root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n")
    (busybox_root / "etc/group").write_text("root:x:0:\nweb:x:33:\naudio:x:29:nobody,web\n")
    process = Process(
        argv=("/bin/sh", "-c", "echo ids=$(id -u):$(id -g):$(id -G); grep CapEff /proc/1/status"), user="web"
    )
    said, _ = guests.output(spec(busybox_root, init=process))
    assert facts_of(said)["ids"] == "33:33:33 29"
    assert "CapEff:\t0000000000000000" in said


def test_a_user_that_the_guest_does_not_know_is_named(guests: Guests, busybox_root: Path) -> None:
    with pytest.raises(StepError, match="no user 'stranger'"):
        guests.launch(spec(busybox_root, init=Process(argv=("/bin/true",), user="stranger")))


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("/sbin/nothing",), "no such program in the guest"),
        (("nothing",), "not found in the guest's PATH"),
        (("/etc/passwd",), "cannot execute: Permission denied"),
        (("/bin/dangling",), "it is a link to nowhere"),
        (("/bin/script",), "its interpreter or loader is missing"),
    ],
)
def test_an_init_that_cannot_be_executed_is_told_with_the_reason(
    guests: Guests, busybox_root: Path, argv: tuple[str, ...], complaint: str
) -> None:
    (busybox_root / "bin/dangling").symlink_to("/gone")
    (busybox_root / "bin/script").write_text("#!/no/such/interpreter\n")
    (busybox_root / "bin/script").chmod(0o755)
    with pytest.raises(StepError, match=complaint) as caught:
        guests.launch(spec(busybox_root, init=Process(argv=argv)))
    assert caught.value.step.startswith("execute")


def test_a_program_without_a_slash_is_found_in_the_guests_path(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, init=Process(argv=("echo", "found"))))
    assert said == "found\n"


@pytest.mark.parametrize(
    ("script", "meaning", "code"),
    [
        ("exit 7", ExitMeaning.EXITED, 7),
        ("kill -9 $$; reboot -f", ExitMeaning.REBOOTED, None),
        ("poweroff -f", ExitMeaning.POWERED_OFF, None),
        ("halt -f", ExitMeaning.POWERED_OFF, None),
    ],
)
def test_the_ways_to_end_from_inside_are_told_apart(
    guests: Guests, busybox_root: Path, script: str, meaning: ExitMeaning, code: int | None
) -> None:
    _, status = guests.output(spec(busybox_root, script))
    assert (status.meaning, status.code) == (meaning, code)


@pytest.mark.machine("cgroups")
def test_destroying_kills_and_says_so_and_may_be_repeated(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    assert (guests.destroy(running).meaning, guests.destroy(running).signal) == (ExitMeaning.KILLED, 9)
    assert not os.path.exists(f"/proc/{running.pid}")
    assert not running.group.exists()


def test_passed_fds_reach_init_from_three_on(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    files = [scratch / "first", scratch / "second"]
    for file in files:
        file.write_text(file.name)
    script = (
        "echo three=$(cat <&3) four=$(cat <&4)",
        "echo fds=$LISTEN_FDS pid=$LISTEN_PID",
        "(ls /proc/1/fd > /listed)",  # by a child: init itself would hold a pipe, or the file, meanwhile
        "wc -l < /listed",
        "sleep 9",
    )
    with contextlib.ExitStack() as opened:
        fds = [opened.enter_context(file.open()).fileno() for file in files]
        running = guests.launch(spec(busybox_root, *script, inherited_fds=2), inherited=fds)
    said = read_until(running.consoles[0], b"5\r\n")
    assert b"three=first four=second\r\nfds=2 pid=1" in said


def test_fds_that_the_spec_does_not_announce_are_refused(guests: Guests, busybox_root: Path) -> None:
    with pytest.raises(OperationInvalidError, match=r"0 fd\(s\), and 1 are passed"):
        guests.launch(spec(busybox_root, "true"), inherited=[0])


def test_resource_limits_hold_and_impossible_ones_are_explained(guests: Guests, busybox_root: Path) -> None:
    limits = (ResourceLimit(name="NOFILE", soft=77, hard=88), ResourceLimit(name="CORE", soft=0, hard=0))
    said, _ = guests.output(spec(busybox_root, "echo soft=$(ulimit -Sn) hard=$(ulimit -Hn)", resource_limits=limits))
    assert "soft=77 hard=88" in said
    beyond = (ResourceLimit(name="NOFILE", soft=1 << 40, hard=1 << 40),)
    with pytest.raises(StepError, match=r"limit NOFILE .*above the host's fs\.nr_open"):
        guests.launch(spec(busybox_root, "true", resource_limits=beyond))


@pytest.mark.machine("capabilities")
@pytest.mark.parametrize("most", [0, 3, 4])
@pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])
def test_a_limit_of_descriptors_that_leaves_none_for_us_holds_for_init_and_for_who_enters(
    guests: Guests, busybox_root: Path, privileged: bool, most: int
) -> None:
    limits = (ResourceLimit(name="NOFILE", soft=most, hard=1024),)
    init = Process(argv=("/bin/sleep", "1000"), cwd="/etc")
    running = guests.launch(spec(busybox_root, init=init, privileged=privileged, resource_limits=limits))
    assert re.search(rf"Max open files +{most} +1024 ", Path(f"/proc/{running.pid}/limits").read_text())
    assert guests.execute(running, "/bin/readlink", "/proc/1/cwd")[0] == "/etc\n"
    assert guests.execute(running, "/bin/sh", "-c", "ulimit -n")[0] == f"{most}\n"
    with pytest.raises(StepError, match="cannot execute /bin/nothing: no such program in the guest"):
        guests.execute(running, "/bin/nothing")


def test_guests_start_also_where_programs_are_to_have_few_descriptors(guests: Guests, busybox_root: Path) -> None:
    kill_keeper(guests)
    with guests.log.open("ab") as log:
        spawn_keeper(guests.socket, log=log.fileno(), soft_limit=64)
    guests.connect()
    said, _ = guests.output(spec(busybox_root, "ulimit -Sn"))
    assert "1024" in said


@pytest.mark.requires("cap.sys_resource")
def test_hard_limits_may_be_above_those_that_the_keeper_has_for_init_and_for_who_enters(
    guests: Guests, busybox_root: Path
) -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    limits = (
        ResourceLimit(name="NOFILE", soft=1024, hard=most),
        ResourceLimit(name="MEMLOCK", soft=1 << 40, hard=None),
    )
    running = guests.launch(spec(busybox_root, "sleep 1000", resource_limits=limits))
    wanted = {"NOFILE": (1024, most), "MEMLOCK": (1 << 40, resource.RLIM_INFINITY)}
    own = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in wanted}
    assert any(own[name][1] not in (hard, resource.RLIM_INFINITY) for name, (_, hard) in wanted.items())
    assert {name: resource.prlimit(running.pid, getattr(resource, f"RLIMIT_{name}")) for name in wanted} == wanted
    said, _ = guests.execute(running, "cat", "/proc/self/limits")
    assert re.search(rf"Max open files +1024 +{most} ", said)
    assert re.search(rf"Max locked memory +{1 << 40} +unlimited ", said)


def test_settings_of_its_own_are_made_and_what_cannot_be_is_explained(guests: Guests, busybox_root: Path) -> None:
    settings = (("net.ipv4.ip_forward", "1"), ("net.ipv4.ip_local_port_range", "20000\t30000"), ("kernel.shmmni", "77"))
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shmmni"
    said, _ = guests.output(spec(busybox_root, script, sysctls=settings))
    assert said.split() == ["1", "20000", "30000", "77"]
    for name, value, why in (
        ("net.no.such", "1", "has no such setting"),
        ("net.ipv4.ip_forward", "x", "not take the value"),
    ):
        with pytest.raises(StepError, match=rf"set .*{why}.*{name.replace('.', '/')}"):
            guests.launch(spec(busybox_root, "true", sysctls=((name, value),)))


def test_a_paused_guest_has_not_executed_anything_until_it_is_resumed(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "echo begun", "sleep 1000"), paused=True)
    assert running.awaiting_exec
    assert running.group.frozen
    assert os.readlink(f"/proc/{running.pid}/exe") != "/bin/busybox"
    completed(guests.launcher.resume(running))
    assert b"begun" in read_until(running.consoles[0], b"begun")
    completed(guests.launcher.suspend(running))
    assert running.group.frozen
    completed(guests.launcher.resume(running))
    assert not running.group.frozen


def test_a_paused_guest_whose_init_is_missing_ends_at_its_resume(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, init=Process(argv=("/gone",))), paused=True)
    with pytest.raises(StepError, match="no such program"):
        completed(guests.launcher.resume(running))


@pytest.mark.machine("cgroups")
def test_a_paused_and_a_suspended_guest_can_be_destroyed(guests: Guests, busybox_root: Path) -> None:
    held = guests.launch(spec(busybox_root, "sleep 1000"), paused=True)
    suspended = guests.launch(spec(busybox_root, "sleep 1000"))
    completed(guests.launcher.suspend(suspended))
    for running in (held, suspended):
        assert guests.destroy(running).signal == 9


def test_clocks_are_shifted_in_a_time_namespace(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, "cut -d. -f1 /proc/uptime", time_offsets=(0, 1_000_000)))
    assert int(said) > 1_000_000


def test_a_guest_may_share_the_hosts_network_on_request(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "ls /sys/class/net", "sleep 1000", network=NetworkKind.HOST))
    assert b"lo" in read_until(running.consoles[0], b"lo")
    assert namespace_ids(running.pid, ("net",)) == namespace_ids("self", ("net",))


def test_loopback_is_up_before_init_runs(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, "cat /sys/class/net/lo/flags"))
    assert int(said, 16) & 1


def test_keys_of_the_hosts_session_are_out_of_reach(guests: Guests, busybox_root: Path) -> None:
    with session_key("insula-test-key"):
        assert "insula-test-key" in Path("/proc/keys").read_text()
        for privileged in (False, True):
            said, status = guests.output(spec(busybox_root, "cat /proc/keys", privileged=privileged))
            assert status.code in {0, 1}
            assert "insula-test-key" not in said


@pytest.mark.machine("cgroups")
def test_control_groups_look_like_roots_and_the_unified_one_is_writable(guests: Guests, busybox_root: Path) -> None:
    script = ("cut -d: -f3 /proc/1/cgroup | sort -u", "mkdir /sys/fs/cgroup/own && echo made=yes")
    said, _ = guests.output(spec(busybox_root, *script))
    assert said == "/\nmade=yes\n"


def test_guests_end_and_begin_independently_of_each_other(guests: Guests, busybox_root: Path) -> None:
    several = [
        guests.launch(spec(busybox_root, "sleep 1000", name=f"guest{n}", idmap=id_map(FIRST_ID + n * 65536)))
        for n in range(4)
    ]
    guests.destroy(several[1])
    assert [os.path.exists(f"/proc/{each.pid}") for each in several] == [True, False, True, True]
    assert len(guests.ask(Verb.HELLO)["guests"]) == 3


@pytest.mark.machine("cgroups")
def test_what_others_put_into_its_groups_ends_with_the_container(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    with contextlib.ExitStack() as strangers:
        for directory in running.group.directories:
            stranger = strangers.enter_context(subprocess.Popen(["sleep", "1000"]))
            strangers.callback(stranger.kill)
            inside = running.group.payload if directory == running.group.scope else directory
            Path(f"{inside}/cgroup.procs").write_text(str(stranger.pid))
        guests.destroy(running)
        assert not running.group.exists()
