"""Unmodified Debian systems as unprivileged guests, confined as by default: nothing in them fails for it."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from insula import Container, Engine, ExitMeaning
from insula.engine.guestinit import PowerAction
from insula.engine.spec import Bytes, Limits, Microseconds, OverlayRoot, Seccomp, SeccompProfile, TmpfsMount
from tests import hosts, leaks
from tests.enclosure import Enclosure
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("userns", "overlay.idmapped")

RELEASES = [pytest.param(release, marks=pytest.mark.requires(f"debian-{release}-image")) for release in ("12", "13")]


@pytest.fixture(scope="module", autouse=True)
def enclosed_and_checked(world: Enclosure) -> Iterator[None]:
    """The leak check of the file as a whole: in a guest that several tests share, services come and go as they like."""
    before = leaks.snapshot()
    yield
    left = leaks.left_behind(before)
    leaks.clean_up(left)
    assert not left, "\n".join(map(str, left))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture(scope="module", params=RELEASES)
def root(request: pytest.FixtureRequest, debian_root: Callable[[str], Path]) -> Path:
    release: str = request.param
    return debian_root(release)


@pytest.fixture(scope="module")
def guest(root: Path, engine: Engine) -> Iterator[Container]:
    """A Debian whose systemd has finished its boot, one for all tests that leave it as they found it."""
    with booted(root, engine) as made:
        yield made


@contextmanager
def booted(root: Path, engine: Engine, **settings: Any) -> Iterator[Container]:
    with Container(root, name="debian", ephemeral=True, engine=engine, **settings) as made:
        assert finished_boot(made) == "running", shell(made, "systemctl --failed; journalctl -b -p warning --no-pager")
        yield made


def shell(guest: Container, script: str) -> str:
    """Return what a shell script inside says, errors too."""
    return guest.run(["sh", "-c", f"exec 2>&1; {script}"]).stdout.decode()


def finished_boot(guest: Container) -> str:
    """Return what systemd says of the system once it has come up."""

    def state() -> str:
        said = guest.run(["systemctl", "is-system-running"]).stdout.decode().strip()
        return said if said in {"running", "degraded", "maintenance"} else ""

    return until(state, "the guest's systemd having finished its boot", 30)


def test_the_system_comes_up_whole_and_goes_down_when_asked(root: Path, engine: Engine) -> None:
    with booted(root, engine) as guest:
        assert shell(guest, "systemctl --failed --no-legend") == ""
        assert shell(guest, "systemd-detect-virt").strip() == "lxc-libvirt"
        assert guest.shutdown(patience(30)).meaning is ExitMeaning.POWERED_OFF


def test_a_reboot_from_inside_is_told_from_a_power_off(root: Path, engine: Engine) -> None:
    with booted(root, engine) as guest:
        guest.run(["systemctl", "reboot"])
        assert guest.wait(patience(30)).meaning is ExitMeaning.REBOOTED
        guest.start()
        assert finished_boot(guest) == "running"
        assert guest.shutdown(patience(30), PowerAction.REBOOT).meaning is ExitMeaning.REBOOTED


BEGIN = "systemd-run --quiet -p Type=exec"
"""Begins a service, and returns once its program is executed: in its group, with its mounts."""
HARDENED = (
    "DynamicUser=yes",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "PrivateTmp=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelTunables=yes",
    "ProtectSystem=strict",
    "RestrictNamespaces=yes",
    "SystemCallFilter=@system-service",
    "MemoryDenyWriteExecute=yes",
)


@pytest.mark.machine("systemd")
def test_a_hardened_service_runs(guest: Container) -> None:
    settings = [word for setting in HARDENED for word in ("-p", setting)]
    result = guest.run(["systemd-run", "--wait", "--pipe", "--quiet", *settings, "id", "-u"])
    assert result.returncode == 0, result.stderr.decode()
    assert int(result.stdout) > 60000


CREDENTIALS = ("DynamicUser=yes", "SetCredential=set:one", "LoadCredential=loaded:/etc/passwd")


@pytest.mark.machine("systemd")
def test_a_service_is_given_its_credentials(guest: Container) -> None:
    settings = [word for setting in CREDENTIALS for word in ("-p", setting)]
    script = 'cd "$CREDENTIALS_DIRECTORY" && cat set && cmp loaded /etc/passwd'
    result = guest.run(["systemd-run", "--wait", "--pipe", "--quiet", *settings, "sh", "-c", script])
    assert (result.returncode, result.stdout) == (0, b"one"), result.stderr.decode()


@pytest.mark.machine("systemd")
def test_a_mount_that_comes_later_is_seen_by_services_with_mounts_of_their_own(guest: Container) -> None:
    sandbox = "-p PrivateTmp=yes -p ProtectSystem=strict -p ProtectHome=read-only"
    shell(guest, f"{BEGIN} --unit=sandboxed {sandbox} sleep 1000")
    mounts = "grep -c ' /mnt/later ' /proc/$(systemctl show -P MainPID sandboxed)/mountinfo"
    assert shell(guest, mounts).strip() == "0"
    guest.attach_mount(TmpfsMount(target="/mnt/later"))
    assert shell(guest, mounts).strip() == "1"
    guest.detach_mount("/mnt/later")
    assert shell(guest, mounts).strip() == "0"
    shell(guest, "mkdir -p /mnt/later; mount -t tmpfs none /mnt/later")
    assert shell(guest, mounts).strip() == "1"
    assert shell(guest, "umount /mnt/later; systemctl stop sandboxed") == ""


@pytest.mark.machine("systemd")
def test_services_have_groups_of_their_own_and_are_killed_by_them(guest: Container) -> None:
    shell(guest, f"{BEGIN} --unit=sleeper sleep 1000")
    pid = shell(guest, "systemctl show -P MainPID sleeper").strip()
    assert shell(guest, f"cat /proc/{pid}/cgroup").splitlines()[-1] == "0::/system.slice/sleeper.service"
    assert shell(guest, "systemctl freeze sleeper && systemctl show -P FreezerState sleeper").strip() == "frozen"
    assert (
        shell(guest, "systemctl kill -s KILL sleeper; systemctl thaw sleeper 2>/dev/null; systemctl stop sleeper") == ""
    )


@pytest.mark.machine("systemd")
@pytest.mark.requires("cgroup.unified")
@pytest.mark.parametrize("root", RELEASES if hosts.full() else RELEASES[1:], indirect=True)  # what the machine is given
def test_the_guests_systemd_limits_its_services(guest: Container) -> None:
    shell(guest, f"{BEGIN} --unit=limited -p MemoryMax=50M -p TasksMax=7 -p CPUQuota=50% sleep 1000")
    limits = "cd /sys/fs/cgroup/system.slice/limited.service && cat memory.max pids.max cpu.max"
    assert shell(guest, limits).split() == ["52428800", "7", "50000", "100000"]


@pytest.mark.machine("systemd")
@pytest.mark.requires("cgroup.unified")
@pytest.mark.parametrize("root", RELEASES if hosts.full() else RELEASES[1:], indirect=True)
def test_who_enters_before_systemd_has_begun_keeps_it_from_no_controller(root: Path, engine: Engine) -> None:
    started = Container(root, name="debian", ephemeral=True, engine=engine)
    with started as guest, guest.popen(["sleep", "1000"]) as sleeper:
        assert finished_boot(guest) == "running"
        assert {"memory", "pids"} <= set(shell(guest, "cat /sys/fs/cgroup/cgroup.subtree_control").split())
        sleeper.kill()


FILL = """
useradd -u 1000 someone
systemctl start user-runtime-dir@1000
for place in /tmp /var/tmp /dev/shm /run/user/1000; do
    su someone -c "cd $place && head -c 1G /dev/zero > large" 2>&1
done
"""
CROWD = """
for place in /dev/shm /run/user/1000; do
    su someone -c "cd $place && rm large && seq -f empty%.0f 200000 | xargs touch" 2>&1 | head -n 1
done
"""


@pytest.mark.machine("systemd", "cgroups")
@pytest.mark.parametrize("root", RELEASES if hosts.full() else RELEASES[1:], indirect=True)
def test_a_user_who_fills_all_memory_that_there_is_to_fill_meets_full_disks(root: Path, engine: Engine) -> None:
    with booted(root, engine, memory=256 << 20) as guest:
        said = shell(guest, FILL)
        assert said.count("No space left on device") == 4, said
        said = shell(guest, CROWD)
        assert said.count("No space left on device") == 2, said
        assert guest.stats().oom_kills == 0
        assert finished_boot(guest) == "running"


@pytest.mark.machine("systemd", "cgroups")
@pytest.mark.requires("cgroup.unified")
@pytest.mark.parametrize("root", RELEASES if hosts.full() else RELEASES[1:], indirect=True)
def test_the_guest_sees_its_limits_and_systemd_counts_with_them(root: Path, engine: Engine) -> None:
    limits = Limits(memory=Bytes(256 << 20), cpu_quota=Microseconds(150_000), pids=1000)
    with booted(root, engine, limits=limits) as guest:
        seen = shell(guest, "cd /sys/fs/cgroup && cat memory.max memory.swap.max pids.max cpu.max").split()
        assert seen == ["268435456", "0", "1000", "150000", "100000"]
        assert shell(guest, "systemctl show -P DefaultTasksMax").strip() == "150"
        guest.limit(Limits(memory=Bytes(300 << 20), pids=2000))
        assert shell(guest, "cd /sys/fs/cgroup && cat memory.max pids.max").split() == ["314572800", "2000"]


@pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])
def test_each_boot_has_an_id_of_its_own(root: Path, engine: Engine, privileged: bool) -> None:
    host = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with booted(root, engine, privileged=privileged) as guest:
        first = shell(guest, "cat /proc/sys/kernel/random/boot_id").strip()
        boots = shell(guest, "journalctl --list-boots --no-pager").split()
        assert first.replace("-", "") in boots
        assert host.replace("-", "") not in boots
        assert guest.run(["sh", "-c", "echo x > /proc/sys/kernel/random/boot_id"]).returncode != 0
        guest.shutdown(patience(30))
        guest.start()
        assert shell(guest, "cat /proc/sys/kernel/random/boot_id").strip() not in {first, host}


def test_an_ordinary_user_may_ping(guest: Container) -> None:
    def ping() -> int:
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as echo:
            echo.settimeout(patience(10))
            echo.sendto(bytes((8, 0, 0, 0, 0, 1, 0, 1)), ("127.0.0.1", 0))
            return echo.recv(100)[0]

    assert guest.enter(ping) == 0, "no echo reply came"


NESTED = {
    "a guest of root's": "unshare -Urpf --mount-proc true",
    "a guest of a user's": "su nobody -s /bin/sh -c 'unshare -Urpf --mount-proc true'",
    "a guest with a network": "unshare -Urmn sh -c 'umount -l /sys; mount -t sysfs none /sys && ls /sys/class/net/lo'",
    "a network's name": "ip netns add tried && ip netns exec tried ls /sys/class/net/lo && ip netns del tried",
    "a service": "systemd-run --wait --pipe --quiet -p ProtectProc=invisible -p ProcSubset=pid true",
}


@pytest.mark.machine("systemd", "mounts")
@pytest.mark.parametrize("what", NESTED)
def test_what_has_its_own_proc_and_sys_mounts_them(guest: Container, what: str) -> None:
    result = guest.run(["sh", "-c", NESTED[what]])
    assert result.returncode == 0, result.stderr.decode()


MACHINES_FSTAB = r"""
UUID=1b6a5c3e-1111-4c1f-9d2f-aaaaaaaaaaaa / ext4 errors=remount-ro 0 1
UUID=ABCD-1234 /boot/efi vfat umask=0077 0 1
UUID=1b6a5c3e-2222-4c1f-9d2f-aaaaaaaaaaaa none swap sw 0 0
/dev/mapper/vg-home /home ext4 defaults 0 2
LABEL=data /data xfs defaults 0 2
/swapfile none swap sw 0 0
nas:/export /mnt/nas\040of-ours nfs defaults 0 0
//nas/share /mnt/smb cifs guest 0 0
tmpfs /scratch tmpfs size=1M 0 0
proc /proc proc defaults 0 0
/srv /mnt/bound none bind 0 0
"""


@pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])
def test_a_former_machines_root_comes_up_whole(root: Path, engine: Engine, scratch: Path, privileged: bool) -> None:
    for name in ("upper/etc", "work"):
        (scratch / name).mkdir(parents=True)
    (scratch / "upper/etc/fstab").write_text(MACHINES_FSTAB)
    (scratch / "upper/swapfile").touch()
    machine = OverlayRoot(lower=(str(root),), upper=str(scratch / "upper"), work=str(scratch / "work"))
    with Container(machine, name="machine", engine=engine, privileged=privileged) as guest:
        assert finished_boot(guest) == "running", shell(guest, "systemctl --failed")
        name = shell(guest, "systemd-escape --path --suffix=mount '/mnt/nas of-ours'").strip()
        assert shell(guest, f"systemctl show -P ConditionResult '{name}'").strip() == "no"
        assert shell(guest, "systemctl is-active local-fs.target remote-fs.target").split() == ["active", "active"]
        mounted = {line.split()[4] for line in shell(guest, "cat /proc/self/mountinfo").splitlines()}
        assert mounted & {"/mnt/bound", "/scratch"} == ({"/mnt/bound"} if privileged else {"/mnt/bound", "/scratch"})


@pytest.mark.machine("systemd")
def test_users_switch_and_setuid_programs_work(guest: Container) -> None:
    assert shell(guest, "su nobody -s /bin/sh -c 'id -un'").strip() == "nobody"
    shell(guest, "cp /usr/bin/id /usr/local/bin/whoever && chmod 4755 /usr/local/bin/whoever")
    assert shell(guest, "su nobody -s /bin/sh -c '/usr/local/bin/whoever -u'").strip() == "0"


@pytest.mark.machine("systemd")
def test_a_guest_may_hold_guests_of_its_own(guest: Container) -> None:
    assert shell(guest, "unshare --user --map-root-user --mount --pid --fork --uts --ipc --net id -u").strip() == "0"
    assert shell(guest, "su nobody -s /bin/sh -c 'unshare --user --map-root-user id -u'").strip() == "0"


PACKAGE = """
set -e
mkdir -p /tmp/p/DEBIAN
cat > /tmp/p/DEBIAN/control <<END
Package: tried
Version: 1
Architecture: all
Maintainer: A <a@b>
Description: tried
END
cat > /tmp/p/DEBIAN/postinst <<END
#!/bin/sh
echo "u tried -" | systemd-sysusers -
install -d -o tried /var/lib/tried
END
chmod 755 /tmp/p/DEBIAN/postinst
dpkg-deb --root-owner-group --build /tmp/p /tmp/tried.deb
apt-get -q -y -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null install /tmp/tried.deb
stat -c %U /var/lib/tried
apt-get -q -y purge tried
"""


def test_packages_are_installed_and_removed(guest: Container) -> None:
    result = guest.run(["sh", "-c", PACKAGE], env={"DEBIAN_FRONTEND": "noninteractive"})
    assert result.returncode == 0, (result.stdout + result.stderr).decode()
    assert b"\ntried\n" in result.stdout


@pytest.mark.machine("systemd")
def test_the_host_is_out_of_reach(guest: Container) -> None:
    attempts = {
        "dmesg": "dmesg",
        "loading a module": "insmod /dev/null",
        "the clock": "date -s 2000-01-01",
        "swap": "swapon /tmp/nothing",
        "a kernel setting": "echo 1 > /proc/sys/kernel/panic",
        "sysrq": "echo h > /proc/sysrq-trigger",
        "a device node": "mknod /tmp/disk b 8 0",
        "the host's limits": "echo 1 > /sys/fs/cgroup/cgroup.max.depth",
        "freezing itself": "echo 1 > /sys/fs/cgroup/cgroup.freeze",
    }
    assert [what for what, script in attempts.items() if guest.run(["sh", "-c", script]).returncode == 0] == []


def test_a_migratable_guest_comes_up_as_well(root: Path, engine: Engine) -> None:
    migratable = Seccomp(profile=SeccompProfile.MIGRATABLE)
    with booted(root, engine, seccomp=migratable) as guest:
        assert guest.run(["unshare", "--uts", "true"]).returncode != 0
        namespaces = shell(guest, "for p in /proc/[0-9]*; do readlink $p/ns/uts $p/ns/ipc $p/ns/net $p/ns/user; done")
        assert len(set(namespaces.split())) == 4
