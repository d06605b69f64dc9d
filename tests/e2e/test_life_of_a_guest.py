"""The whole life of unmodified guests, unprivileged, seen through virsh and from inside."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.guests import (
    copy_tree,
    domain_id,
    domain_xml,
    inside,
    insula,
    state,
    until_init_listens,
    virsh_console,
    wait_state,
)
from tests.insulad import Insulad
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def busybox(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    return "bb"


@pytest.mark.machine("cgroups")
def test_a_busybox_guest_lives_its_whole_life(insulad: Insulad, busybox: str) -> None:
    insulad.virsh("start", busybox)
    first = domain_id(insulad, busybox)
    assert first is not None and state(insulad, busybox, reason=True) == "running (booted)"
    with virsh_console(insulad, busybox) as console:
        console.type("\r")
        console.expect("login: ")
        console.type("root\r")
        console.expect("# ")
        console.type("echo $((6*7)) $(tty)\r")
        console.expect(r"42 /dev/(console|pts/0|tty1)")
        assert console.leave() == 0
    uid_map = inside(insulad, busybox, "cat", "/proc/self/uid_map").split()
    assert uid_map[0] == "0" and int(uid_map[1]) >= 65536 and int(uid_map[2]) >= 65536, (
        "the guest's root is not the host's"
    )
    assert (uid_map[3], uid_map[5]) == ("100000", "65536"), "its users may run containers"
    insulad.virsh("suspend", busybox)
    assert state(insulad, busybox, reason=True) == "paused (user)"
    insulad.virsh("resume", busybox)
    inside(insulad, busybox, "reboot", check=False)  # its init may end it before it ends itself
    until(lambda: domain_id(insulad, busybox) not in (None, first), "a new id after the reboot from inside", 20)
    wait_state(insulad, busybox, "running")
    insulad.virsh("shutdown", busybox)
    wait_state(insulad, busybox, "shut off")
    assert state(insulad, busybox, reason=True) == "shut off (shutdown)"


def test_poweroff_from_inside_is_a_shutdown_and_a_kill_is_not(insulad: Insulad, busybox: str) -> None:
    insulad.virsh("start", busybox)
    until_init_listens(domain_id(insulad, busybox))
    inside(insulad, busybox, "poweroff", check=False)
    wait_state(insulad, busybox, "shut off")
    assert state(insulad, busybox, reason=True) == "shut off (shutdown)"
    insulad.virsh("start", busybox)
    insulad.virsh("destroy", busybox)
    assert state(insulad, busybox, reason=True) == "shut off (destroyed)"


@pytest.mark.machine("cgroups")
def test_a_memory_limit_is_changed_live_and_seen_from_inside(insulad: Insulad, busybox_root: Path) -> None:
    """A program that takes 64 MiB lives under 128 MiB and is killed under 32 MiB."""
    hungry = "dd if=/dev/zero of=/dev/null bs=64M count=1"
    insulad.define(domain_xml("mem", busybox_root, memory=128))
    insulad.virsh("start", "mem")
    assert insula(insulad, "exec", "mem", "--", "sh", "-c", hungry, check=False).returncode == 0
    insulad.virsh("setmem", "mem", "32M", "--live")
    assert insula(insulad, "exec", "mem", "--", "sh", "-c", hungry, check=False).returncode != 0
    assert re.search(r"actual\s+32768", insulad.virsh("dommemstat", "mem").stdout)
    insulad.virsh("setmem", "mem", "128M", "--live")
    assert insula(insulad, "exec", "mem", "--", "sh", "-c", hungry, check=False).returncode == 0


def test_a_limit_below_what_a_guest_keeps_in_shared_memory_is_refused_and_the_guest_lives(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("shm", busybox_root, memory=128))
    insulad.virsh("start", "shm")
    insula(insulad, "exec", "shm", "--", "dd", "if=/dev/zero", "of=/dev/shm/held", "bs=1M", "count=30")
    for words in (("setmem", "shm", "16M"), ("memtune", "shm", "--hard-limit", "16M")):
        refusal = insulad.virsh(*words, "--live", check=False)
        assert refusal.returncode == 1 and "neither dropped nor swapped out" in refusal.stderr
    usable = re.search(r"usable (\d+)", insulad.virsh("dommemstat", "shm").stdout)
    assert usable is not None and int(usable[1]) <= (128 - 30) * 1024
    assert insula(insulad, "exec", "shm", "--", "rm", "/dev/shm/held").returncode == 0
    insulad.virsh("setmem", "shm", "16M", "--live")
    assert state(insulad, "shm") == "running"


def test_the_command_line_passes_status_signals_user_and_environment(insulad: Insulad, busybox: str) -> None:
    insulad.virsh("start", busybox)
    assert insula(insulad, "exec", busybox, "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert insula(insulad, "exec", busybox, "--", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert insula(insulad, "exec", busybox, "--", "/no/such/program", check=False).returncode == 127
    assert insula(insulad, "exec", busybox, "--", "/etc/passwd", check=False).returncode == 126
    assert insula(insulad, "exec", "nobody-there", "--", "true", check=False).returncode == 125
    told = insula(
        insulad,
        "exec",
        "-u",
        "nobody",
        "-e",
        "A=b c",
        "-w",
        "/tmp",
        busybox,
        "--",
        "sh",
        "-c",
        'id -un; pwd; echo "$A"',
    )
    assert told.stdout.splitlines() == ["nobody", "/tmp", "b c"]
    assert insula(insulad, "exec", busybox, "--", "cat", stdin="through\n").stdout == "through\n"


def test_run_passes_a_programs_output_and_status_and_leaves_nothing(insulad: Insulad, busybox_root: Path) -> None:
    done = insula(
        insulad,
        "run",
        "--rm",
        "--name",
        "once",
        "-r",
        str(busybox_root),
        "--",
        "/bin/sh",
        "-c",
        "echo said; exit 5",
        check=False,
    )
    assert done.returncode == 5 and "said" in done.stdout
    assert insula(insulad, "ls", "-q").stdout == ""


def settled(insulad: Insulad, name: str) -> str:
    """Wait until the guest's systemd has finished booting; return the state it says it is in."""

    def state_inside() -> str:
        told = insula(insulad, "exec", name, "--", "systemctl", "is-system-running", check=False).stdout.strip()
        return told if told in ("running", "degraded", "maintenance", "stopping") else ""

    return until(state_inside, "systemd having booted", 60)


@pytest.mark.parametrize("release", ["12", "13"])
@pytest.mark.timeout(300)
def test_a_stock_debian_lives_its_whole_life(
    insulad: Insulad, release: str, debian_root: Callable[[str], Path], scratch: Path
) -> None:
    name = f"debian-{release}"
    root = scratch / name
    root.mkdir()
    insulad.define(domain_xml(name, copy_tree(debian_root(release), root)))
    insulad.virsh("start", name)
    first = domain_id(insulad, name)
    ready = insula(insulad, "wait", "--booted", "--time", f"{scaled(60)}", name).stdout.strip()
    failed = inside(insulad, name, "systemctl", "--failed", "--no-legend", "--plain")
    assert ready == "running", f"units that failed: {failed}"
    with virsh_console(insulad, name) as console:
        console.type("\r")
        console.expect("login: ")
        assert console.leave() == 0
    assert inside(insulad, name, "systemd-detect-virt").strip() in ("lxc-libvirt", "lxc", "container-other")
    assert inside(insulad, name, "hostname").strip() == name
    insulad.virsh("setmem", name, "300M", "--live")
    assert state(insulad, name, reason=True) == "running (booted)"
    insulad.virsh("suspend", name)
    assert state(insulad, name) == "paused"
    insulad.virsh("resume", name)
    insula(insulad, "exec", name, "--", "systemctl", "reboot", check=False)
    until(lambda: domain_id(insulad, name) not in (None, first), "a new id after the reboot from inside", 60)
    assert settled(insulad, name) == "running"
    insulad.virsh("shutdown", name)
    wait_state(insulad, name, "shut off", 60)
    assert state(insulad, name, reason=True) == "shut off (shutdown)"


@pytest.mark.parametrize(
    ("name", "hostname"), [("é" * 64, "guest-"), ("has space", "has-space\n")], ids=["letters", "space"]
)
def test_a_name_that_no_host_could_have_starts(insulad: Insulad, busybox_root: Path, name: str, hostname: str) -> None:
    plain = busybox_root / "sbin" / "plain"
    plain.write_text("#!/bin/sh\nexec sleep 1000\n")
    plain.chmod(0o755)
    insulad.define(domain_xml(name, busybox_root, init="/sbin/plain"))
    insulad.virsh("start", name)
    assert inside(insulad, name, "hostname").startswith(hostname)
    insulad.virsh("destroy", name)
