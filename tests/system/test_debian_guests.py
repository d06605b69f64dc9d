"""Unmodified Debian systems as unprivileged guests, confined as by default: nothing in them fails for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from insula import Container, Engine, ExitMeaning
from insula.engine.guestinit import PowerAction
from insula.engine.spec import Seccomp, SeccompProfile, TmpfsMount
from tests import hosts, leaks
from tests.enclosure import Enclosure
from tests.waiting import scaled, until

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
        assert guest.shutdown(scaled(30)).meaning is ExitMeaning.POWERED_OFF


def test_a_reboot_from_inside_is_told_from_a_power_off(root: Path, engine: Engine) -> None:
    with booted(root, engine) as guest:
        guest.run(["systemctl", "reboot"])
        assert guest.wait(scaled(30)).meaning is ExitMeaning.REBOOTED
        guest.start()
        assert finished_boot(guest) == "running"
        assert guest.shutdown(scaled(30), PowerAction.REBOOT).meaning is ExitMeaning.REBOOTED


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
    shell(guest, f"systemd-run --quiet --unit=sandboxed {sandbox} sleep 1000")
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
    shell(guest, "systemd-run --quiet --unit=sleeper sleep 1000")
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
    shell(guest, "systemd-run --quiet --unit=limited -p MemoryMax=50M -p TasksMax=7 -p CPUQuota=50% sleep 1000")
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
