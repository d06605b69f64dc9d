"""What a guest finds mounted, and that nothing it brings along leads a mount out of its root."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from insula.engine.enter.callinside import call_inside
from insula.engine.guestroot import looked_through
from insula.engine.spec import (
    Access,
    BindMount,
    Device,
    DeviceKind,
    GuestBindMount,
    ImageMount,
    InitKind,
    OverlayRoot,
    Process,
    Seccomp,
    TmpfsMount,
)
from insula.errors import InsulaError, StepError, UnsupportedConfigError
from tests.guests import FIRST_ID, Guests, facts_of, read_until, spec

MOUNTS = "cut -d' ' -f 5 /proc/self/mountinfo | sort"


def tree_of(scratch: Path) -> Path:
    """Return a directory of root's with a file in it."""
    source = scratch / "source"
    (source / "below").mkdir(parents=True)
    (source / "file").write_text("content\n")
    return source


@pytest.mark.machine("mounts")
def test_nothing_of_the_host_is_mounted_in_a_guest(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, MOUNTS))
    assert said.splitlines() == sorted(
        [
            "/",
            "/proc",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/pts",
            "/dev/shm",
            "/dev/mqueue",
            "/dev/console",
            "/dev/tty1",
        ]
    )


@pytest.mark.parametrize("privileged", [{}, {"privileged": True, "seccomp": Seccomp(new_mounts=True)}])
def test_its_mounts_are_shared_among_its_own_namespaces_and_with_nobody_else(
    guests: Guests, busybox_root: Path, scratch: Path, privileged: dict[str, Any]
) -> None:
    mounts = (BindMount(source=str(tree_of(scratch)), target="/mnt"),)
    script = "sed 's/ - .*//' /proc/self/mountinfo"
    said, _ = guests.output(spec(busybox_root, script, mounts=mounts, **privileged))
    outside = {word for line in Path("/proc/self/mountinfo").read_text().splitlines() for word in line.split()}
    for line in said.splitlines():
        group = [word for word in line.split() if word.partition(":")[0] in {"shared", "master", "propagate_from"}]
        assert [word.partition(":")[0] for word in group] == ["shared"], line
        assert group[0] not in outside, line


@pytest.mark.machine("mounts")
@pytest.mark.requires("overlay.idmapped")
def test_a_directory_of_the_image_is_renamed_and_stays_so_wherever_the_layers_go(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    """By the system's own rename: mv copies where that is refused."""
    (busybox_root / "image/deep").mkdir(parents=True)
    (busybox_root / "image/deep/file").write_text("of the image\n")
    for name in ("upper", "work"):
        (scratch / "first" / name).mkdir(parents=True)

    def clone(where: str, image: Path) -> OverlayRoot:
        return OverlayRoot(
            lower=(str(image),), upper=str(scratch / where / "upper"), work=str(scratch / where / "work")
        )

    def rename() -> int:
        os.rename("/image", "/renamed")
        return len({os.lstat(path).st_dev for path in ("/", "/bin", "/bin/busybox", "/renamed", "/renamed/deep")})

    running = guests.launch(spec(clone("first", busybox_root), "sleep 1000"))
    assert call_inside(running, rename) == 1, "it is one file system"
    said, _ = guests.execute(running, "df", "/")
    assert said.splitlines()[-1].split()[0] == "overlay"
    guests.destroy(running)

    subprocess.run(["cp", "-a", str(scratch / "first"), str(scratch / "second")], check=True)
    subprocess.run(["cp", "-a", str(busybox_root), str(scratch / "image")], check=True)
    said, _ = guests.output(spec(clone("second", scratch / "image"), "cat /renamed/deep/file; ls -d /image"))
    assert said.startswith("of the image\n")
    assert "/image: No such file or directory" in said


def test_proc_shows_only_the_guests_own_processes(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, "cd /proc; ls -d [0-9]*"))
    assert set(map(int, said.split())) <= set(range(10))


def test_sys_is_read_only_and_shows_only_its_own_interfaces(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(
        spec(busybox_root, "grep ' /sys sysfs ' /proc/mounts | cut -d' ' -f4 | cut -c1-2", "ls /sys/class/net")
    )
    assert said == "ro\nlo\n"


def test_the_standard_devices_work_and_belong_to_the_guests_root(guests: Guests, busybox_root: Path) -> None:
    script = (
        "head -c 4 /dev/zero | wc -c",
        "head -c 8 /dev/urandom | wc -c",
        "echo x > /dev/null && echo null=written",
        "echo x > /dev/full || echo full=refused",
        "stat -c '%n %u:%g' /dev/null /dev/tty | tr '\\n' ' '",
        "for link in fd stdin ptmx; do readlink /dev/$link; done",
    )
    said, _ = guests.output(spec(busybox_root, *script))
    assert said.startswith("4\n8\nnull=written\n")
    assert "full=refused" in said
    assert said.endswith("/dev/null 0:0 /dev/tty 0:0 /proc/self/fd\n/proc/self/fd/0\npts/ptmx\n")


@pytest.mark.machine("devices")
def test_a_device_of_the_spec_has_the_owner_and_the_mode_it_asks_for(guests: Guests, busybox_root: Path) -> None:
    device = Device(
        kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="sub/fuse", mode=0o640, uid=3, gid=44
    )
    said, _ = guests.output(spec(busybox_root, "stat -c '%u:%g %a %t:%T' /dev/sub/fuse", devices=(device,)))
    assert said == "3:44 640 a:e5\n"


def test_a_device_owned_outside_the_id_map_is_refused(guests: Guests, busybox_root: Path) -> None:
    device = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse", uid=70000)
    with pytest.raises(InsulaError, match="not in the id map"):
        guests.launch(spec(busybox_root, "true", devices=(device,)))


def test_the_guest_cannot_make_device_nodes(guests: Guests, busybox_root: Path) -> None:
    said, _ = guests.output(spec(busybox_root, "mknod /disk b 254 0 && cat /disk", "mknod /dev/mem c 1 1 && echo made"))
    assert "made" not in said
    assert said.count("Operation not permitted") == 2


def test_every_console_speaks_both_ways_under_each_of_its_names(guests: Guests, busybox_root: Path) -> None:
    script = (
        "tty",
        "read word; echo heard $word",
        "read word < /dev/tty2; echo second $word > /dev/tty2",
        "sleep 1000",
    )
    running = guests.launch(spec(busybox_root, *script, consoles=2))
    assert b"/dev/pts/0" in read_until(running.consoles[0], b"/dev/pts/0")
    os.write(running.consoles[0], b"hello\n")
    read_until(running.consoles[0], b"heard hello")
    os.write(running.consoles[1], b"again\n")
    read_until(running.consoles[1], b"second again")


def test_a_guest_without_consoles_runs_on_nothing(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "readlink /proc/1/fd/0 > /where", "sleep 1000", consoles=0))
    assert running.consoles == []
    said, _ = guests.execute(running, "/bin/sh", "-c", "while ! test -s /where; do sleep 0.01; done; cat /where")
    assert said == "/dev/null\n"


def test_systemds_container_interface_is_found_below_run(guests: Guests, busybox_root: Path) -> None:
    wanted = spec(busybox_root, "cat /run/host/container-manager /run/host/container-uuid", init_kind=InitKind.SYSTEMD)
    said, _ = guests.output(wanted)
    assert said == f"lxc-libvirt\n{wanted.uuid}\n"


def test_a_directory_of_the_host_is_shown_under_the_guests_owners(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    source = tree_of(scratch)
    script = ("stat -c owner=%u /mnt/deep/file", "touch /mnt/deep/made", "cat /mnt/deep/file")
    said, _ = guests.output(spec(busybox_root, *script, mounts=(BindMount(source=str(source), target="/mnt/deep"),)))
    assert said == "owner=0\ncontent\n"
    assert (source / "made").stat().st_uid == 0


def test_a_mount_without_id_mapping_shows_its_owners_as_nobody(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    mount = BindMount(source=str(tree_of(scratch)), target="/mnt", idmapped=False)
    said, _ = guests.output(spec(busybox_root, "stat -c owner=%u /mnt/file", mounts=(mount,)))
    assert facts_of(said)["owner"] == "65534"


def test_a_file_can_be_shown_over_a_file_that_is_made_for_it(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    mount = BindMount(source=str(tree_of(scratch) / "file"), target="/etc/new/config")
    said, _ = guests.output(spec(busybox_root, "cat /etc/new/config", mounts=(mount,)))
    assert said == "content\n"


@pytest.mark.machine("mounts")
def test_a_read_only_mount_cannot_be_made_writable_by_the_guests_root(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    source = tree_of(scratch)
    script = (
        "touch /mnt/made && echo written",
        "mount -o remount,bind,rw /mnt && echo remounted",
        "mount -o bind /mnt /tmp && mount -o remount,bind,rw /tmp && echo copied",
        "touch /mnt/made /tmp/made; exit 0",
    )
    mount = BindMount(source=str(source), target="/mnt", access=Access.READ_ONLY)
    said, _ = guests.output(spec(busybox_root, *script, mounts=(mount,)))
    assert "written" not in said
    assert "remounted" not in said
    assert "copied" not in said
    assert not (source / "made").exists()


@pytest.mark.machine("mounts")
def test_read_only_reaches_what_is_mounted_below_the_source(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    source = tree_of(scratch)
    subprocess.run(["mount", "-t", "tmpfs", "below", str(source / "below")], check=True)
    try:
        mount = BindMount(source=str(source), target="/mnt", access=Access.READ_ONLY)
        said, _ = guests.output(spec(busybox_root, "touch /mnt/below/made || echo refused", mounts=(mount,)))
    finally:
        subprocess.run(["umount", str(source / "below")], check=True)
    assert "refused" in said


def test_links_in_a_mounts_target_stay_inside_the_root(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    outside = scratch / "outside"
    outside.mkdir()
    (busybox_root / "absolute").symlink_to(outside)
    (busybox_root / "upwards").symlink_to("../../../../../../../../" + str(outside))
    (busybox_root / str(outside).lstrip("/")).mkdir(parents=True)
    source = tree_of(scratch)
    for link in ("absolute", "upwards"):
        mount = BindMount(source=str(source), target=f"/{link}")
        said, _ = guests.output(spec(busybox_root, f"cat /{link}/file", f"cat {outside}/file", mounts=(mount,)))
        assert said == "content\ncontent\n"
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("target", ["/link", "/proc", "/proc/sys/kernel", "/sys/class"])
def test_a_mount_that_would_land_in_the_kernels_files_is_refused(
    guests: Guests, busybox_root: Path, scratch: Path, target: str
) -> None:
    (busybox_root / "link").symlink_to("/proc/self")
    mount = BindMount(source=str(tree_of(scratch)), target=target)
    with pytest.raises(StepError, match="may not take from nor land in"):
        guests.launch(spec(busybox_root, "true", mounts=(mount,)))


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_root_whose_system_directories_are_links_is_refused(guests: Guests, busybox_root: Path, name: str) -> None:
    (busybox_root / name).rmdir()
    (busybox_root / name).symlink_to("/tmp")
    with pytest.raises(StepError, match=f"show .* at /{name}: .*symbolic links"):
        guests.launch(spec(busybox_root, "true"))


def test_missing_system_directories_are_made(guests: Guests, busybox_root: Path) -> None:
    for name in ("proc", "sys", "dev"):
        (busybox_root / name).rmdir()
    said, _ = guests.output(spec(busybox_root, "test -e /proc/1 && test -e /dev/null && echo there"))
    assert said == "there\n"


def test_memory_is_mounted_with_its_size_and_mode(guests: Guests, busybox_root: Path) -> None:
    mounts = (
        TmpfsMount(target="/memory", size=1 << 20, mode=0o1777),  # type: ignore[arg-type]
        TmpfsMount(target="/fixed", access=Access.READ_ONLY),
    )
    script = (
        "stat -c %a /memory",
        "head -c 3000000 /dev/zero > /memory/big || echo full",
        "touch /fixed/x || echo fixed",
    )
    said, _ = guests.output(spec(busybox_root, *script, mounts=mounts))
    assert said.startswith("1777\n")
    assert "full" in said
    assert "fixed" in said


@pytest.mark.machine("mounts")
def test_a_place_inside_is_shown_elsewhere_inside(guests: Guests, busybox_root: Path) -> None:
    mounts = (
        GuestBindMount(source="/etc", target="/mnt/etc"),
        GuestBindMount(source="/etc/hostname", target="/name", access=Access.READ_ONLY),
    )
    said, _ = guests.output(
        spec(busybox_root, "cat /mnt/etc/hostname /name", "echo x > /name || echo fixed", mounts=mounts)
    )
    assert said.startswith("busybox\nbusybox\n")
    assert "fixed" in said


@pytest.mark.machine("mounts")
@pytest.mark.requires("loop")
def test_the_file_system_in_an_image_file_is_mounted_and_let_go(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    content, image = tree_of(scratch), scratch / "image"
    subprocess.run(["mkfs.ext4", "-q", "-d", str(content), str(image), "8M"], check=True)
    for access, expected in ((Access.READ_WRITE, "written\n"), (Access.READ_ONLY, "")):
        mount = ImageMount(source=str(image), target="/mnt", access=access)
        script = ("stat -c owner=%u /mnt/file", "cat /mnt/file", "touch /mnt/x 2> /dev/null && echo written", "exit 0")
        said, _ = guests.output(spec(busybox_root, *script, mounts=(mount,)))
        assert said == f"owner=0\ncontent\n{expected}"


def test_an_image_without_a_file_system_is_named(guests: Guests, busybox_root: Path, scratch: Path) -> None:
    (scratch / "noise").write_bytes(bytes(1 << 20))
    with pytest.raises(StepError, match="no file system known to us is on it"):
        guests.launch(spec(busybox_root, "true", mounts=(ImageMount(source=str(scratch / "noise"), target="/mnt"),)))


def test_names_are_told_whatever_the_image_has_and_what_it_has_stays(guests: Guests, busybox_root: Path) -> None:
    link, hosts = busybox_root / "etc/resolv.conf", busybox_root / "etc/hosts"
    link.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    hosts.write_text("127.0.0.1 localhost\n")
    wanted = looked_through(
        spec(
            busybox_root,
            "cat /etc/resolv.conf /etc/hosts",
            nameservers=("192.0.2.1", "2001:db8::1"),
            search_domains=("example",),
            hosts=(("192.0.2.9", ("db", "db.example")),),
        )
    )
    said, _ = guests.output(wanted)
    assert said == (
        "search example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n127.0.0.1 localhost\n192.0.2.9\tdb db.example\n"
    )
    assert os.readlink(link) == "../run/systemd/resolve/stub-resolv.conf"
    assert hosts.read_text() == "127.0.0.1 localhost\n"


def test_settings_of_its_own_namespaces_are_written_others_refused(guests: Guests, busybox_root: Path) -> None:
    settings = (("net.ipv4.ip_forward", "1"), ("kernel.msgmax", "12345"))
    said, _ = guests.output(
        spec(busybox_root, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", sysctls=settings)
    )
    assert said == "1\n12345\n"
    with pytest.raises(UnsupportedConfigError, match="would be the host's"):
        guests.launch(spec(busybox_root, "true", sysctls=(("kernel.panic", "1"),), privileged=True))


def test_an_unprivileged_guest_cannot_touch_the_hosts_settings_and_memory(guests: Guests, busybox_root: Path) -> None:
    before = Path("/proc/sys/kernel/panic").read_text()
    script = (
        "echo 77 > /proc/sys/kernel/panic && echo changed",
        "echo h > /proc/sysrq-trigger && echo commanded",
        "head -c 1 /proc/kcore > /dev/null && echo read",
        "exit 0",
    )
    said, _ = guests.output(spec(busybox_root, *script))
    assert not {"changed", "commanded", "read"} & set(said.split("\n"))
    assert Path("/proc/sys/kernel/panic").read_text() == before


def test_a_privileged_guest_sees_the_hosts_settings_but_changes_only_its_networks(
    guests: Guests, busybox_root: Path
) -> None:
    script = (
        "echo 1 > /proc/sys/kernel/panic || echo refused",
        "echo 1 > /proc/sys/net/ipv4/ip_forward && echo allowed",
        "cat /proc/timer_list | wc -c",
        "ls /sys/firmware | wc -l",
    )
    said, _ = guests.output(spec(busybox_root, *script, privileged=True))
    assert "refused" in said
    assert said.endswith("allowed\n0\n0\n")


def test_the_ids_outside_the_map_are_nobody_to_the_guest(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    maps = Path(f"/proc/{running.pid}/uid_map").read_text().split()
    assert maps == ["0", str(FIRST_ID), "65536"]
    said, _ = guests.execute(running, "chown", "70000", "/etc/hostname", process=None)
    assert "Invalid argument" in said


def test_the_working_directory_of_init_must_exist(guests: Guests, busybox_root: Path) -> None:
    with pytest.raises(StepError, match="cannot go to /gone: No such file or directory"):
        guests.launch(spec(busybox_root, init=Process(argv=("/bin/true",), cwd="/gone")))
