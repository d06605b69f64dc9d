"""Configuration of other programs: a guest moves in from each of them, and back, and they read what we write."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.guests import inside, insula
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

LXC = """\
# as a template of LXC 4 made it
lxc.include = {directory}/common.conf
lxc.uts.name = web.example
lxc.arch = linux64
lxc.rootfs.path = dir:{root}
lxc.init.cmd = /sbin/init
lxc.net.0.type = empty
lxc.cgroup2.memory.max = 256M
lxc.prlimit.nofile = 1000:2000
lxc.environment = GREETING=hello
lxc.tty.max = 1
lxc.hook.pre-start = /bin/true
"""
COMMON = """\
lxc.cap.drop = sys_boot sys_time
lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
lxc.mount.entry = tmpfs srv tmpfs size=8m,create=dir 0 0
"""


@pytest.fixture
def lxc_container(scratch: Path, busybox_root: Path) -> Path:
    """A directory as LXC keeps one for each container."""
    directory = scratch / "web"
    directory.mkdir()
    (directory / "common.conf").write_text(COMMON)
    (directory / "config").write_text(LXC.format(directory=directory, root=busybox_root))
    return directory


def test_a_container_of_lxc_moves_in_with_all_that_its_files_say(insulad: Insulad, lxc_container: Path) -> None:
    told = insula(insulad, "config", "import", "lxc-tools", str(lxc_container), "--define")
    assert told.stdout == "web\n"
    assert re.search(r"line 12: lost: lxc\.hook\.pre-start: ", told.stderr)
    assert "common.conf" not in told.stderr

    insulad.virsh("start", "web")
    assert "<insula:hostname>web.example</insula:hostname>" in insulad.virsh("dumpxml", "web").stdout
    assert inside(insulad, "web", "sh", "-c", "ulimit -n") == "1000\n"
    assert "tmpfs /srv tmpfs" in inside(insulad, "web", "cat", "/proc/mounts")
    assert "Max memory:     262144 KiB" in insulad.virsh("dominfo", "web").stdout
    insulad.virsh("destroy", "web")


def test_virsh_tells_in_comments_what_a_text_loses(insulad: Insulad, lxc_container: Path, scratch: Path) -> None:
    xml = insulad.virsh("domxml-from-native", "lxc-tools", str(lxc_container / "config")).stdout
    assert "<!-- line 2: lost: lxc.include: " in xml and "<!-- line 12: lost: lxc.hook.pre-start: " in xml
    (scratch / "web.xml").write_text(xml)
    insulad.virsh("define", str(scratch / "web.xml"))
    insulad.virsh("start", "web.example")
    insulad.virsh("destroy", "web.example")


def test_what_is_no_such_format_is_refused_with_those_there_are(insulad: Insulad, lxc_container: Path) -> None:
    refused = insulad.virsh("domxml-from-native", "vmware-vmx", str(lxc_container / "config"), check=False)
    assert refused.returncode != 0 and "lxc-tools" in refused.stderr


@pytest.mark.requires("lxc-tools")
def test_lxc_reads_what_is_written_for_it(insulad: Insulad, lxc_container: Path, scratch: Path) -> None:
    insula(insulad, "config", "import", "lxc-tools", str(lxc_container), "--define")
    written = insulad.virsh("domxml-to-native", "lxc-tools", "--domain", "web").stdout
    assert "# changed: uuid: " in written
    place = scratch / "lxc"
    (place / "web").mkdir(parents=True)
    (place / "web/config").write_text(written)
    for key, value in (
        ("lxc.uts.name", "web.example"),
        ("lxc.cgroup2.memory.max", str(256 << 20)),
        ("lxc.prlimit.nofile", "1000:2000"),
        ("lxc.cap.drop", "sys_boot"),
        ("lxc.tty.max", "1"),
    ):
        told = subprocess.run(
            ["lxc-info", "-P", place, "-n", "web", "-c", key],
            capture_output=True,
            text=True,
            check=True,
            timeout=patience(60),
        )
        assert value in told.stdout, key


OURS = """\
<domain type='lxc'>
  <name>plain</name>
  <metadata>
    <insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>
      <insula:rlimit name='nofile' soft='1000' hard='2000'/>
    </insula:domain>
  </metadata>
  <memory unit='MiB'>256</memory>
  <os>
    <type>exe</type>
    <init>/root/say</init>
    <initarg>once</initarg>
    <initenv name='GREETING'>hello</initenv>
  </os>
  <devices>
    <filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem>
    <console type='pty'/>
  </devices>
</domain>
"""
SAY = "#!/bin/sh\necho $1 $GREETING $(ulimit -n) > /root/said\n"
"""What its first program is: it says by what words, variables and limits it runs, and ends."""


@pytest.fixture
def plain(insulad: Insulad, scratch: Path, busybox_root: Path) -> Path:
    """The root of a defined domain, `plain`, which writes `said` into /root."""
    (scratch / "plain.xml").write_text(OURS.format(root=busybox_root))
    insulad.virsh("define", str(scratch / "plain.xml"))
    (busybox_root / "root/say").write_text(SAY)
    (busybox_root / "root/say").chmod(0o755)
    return busybox_root


def _exported(insulad: Insulad, name: str) -> str:
    return insula(insulad, "config", "export", name, "plain", "--secure").stdout


def _in_own_mounts(script: str) -> str:
    """What a script says that may mount what it likes: it ends with it."""
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--uts", "--ipc", "sh", "-euc", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def without_groups_of_lxc() -> Iterator[None]:
    """LXC leaves an empty control group behind, for the monitors of later containers."""
    yield
    for place in Path("/sys/fs/cgroup").glob("**/lxc.pivot"):
        place.rmdir()


@pytest.mark.requires("lxc-tools", "newuidmap")
@pytest.mark.usefixtures("without_groups_of_lxc")
def test_lxc_runs_what_is_written_for_it(insulad: Insulad, plain: Path, scratch: Path) -> None:
    place = scratch / "lxc"
    (place / "plain").mkdir(parents=True)
    # Relative: process 1, whose groups LXC else goes by, is outside of the tests' own.
    (place / "plain/config").write_text(_exported(insulad, "lxc-tools") + "lxc.cgroup.relative = 1\n")
    (place / "ids").write_text("root:100000:65536\n")
    _in_own_mounts(
        f"mount --bind {place}/ids /etc/subuid; mount --bind {place}/ids /etc/subgid\n"
        f"mount -t tmpfs x /run; mount -t tmpfs x /var/log\n"
        f"lxc-start -P {place} -n plain -F -o {place}/log -l INFO || {{ cat {place}/log >&2; exit 1; }}"
    )
    assert (plain / "root/said").read_text() == "once hello 1000\n"
    assert (plain / "root/said").stat().st_uid == 0  # shown under the guest's ids, as a domain's root is


@pytest.mark.requires("nspawn")
def test_systemd_nspawn_runs_what_is_written_for_it(insulad: Insulad, plain: Path, scratch: Path) -> None:
    settings = _exported(insulad, "nspawn").replace("PrivateUsers=pick", "PrivateUsers=no")
    (plain.parent / "plain.nspawn").write_text(settings)
    said = _in_own_mounts(
        f"mount -t tmpfs x /run; mkdir -p {plain}/usr; touch {plain}/etc/os-release\n"
        f"systemd-nspawn --settings=trusted -D {plain} -M plain --register=no --keep-unit"
    )
    assert not re.search(r"Unknown|[Ff]ailed to parse|ignoring", said), said
    assert (plain / "root/said").read_text() == "once hello 1000\n"


OPENVZ = """\
ONBOOT="no"
PHYSPAGES="0:65536"
SWAPPAGES="0:65536"
NUMPROC="200"
CPUUNITS="1000"
VE_PRIVATE="{place}/$VEID"
HOSTNAME="old.example"
NAME="old"
CAPABILITY="SYS_BOOT:off"
FEATURES="nfs:on"
"""
NSPAWN = """\
[Exec]
Boot=yes
Environment=GREETING=hello
LimitNOFILE=1000:2000
PrivateUsers=pick

[Files]
TemporaryFileSystem=/srv:size=8m

[Network]
Private=yes
"""


def test_a_container_of_openvz_moves_in(insulad: Insulad, scratch: Path, busybox_root: Path) -> None:
    busybox_root.rename(scratch / "101")
    (scratch / "101.conf").write_text(OPENVZ.format(place=scratch))
    told = insula(insulad, "config", "import", "openvz", str(scratch / "101.conf"), "--define")
    assert told.stdout == "old\n" and "line 10: lost: FEATURES: " in told.stderr

    insulad.virsh("start", "old")
    assert inside(insulad, "old", "sh", "-c", "cat /proc/1/comm") == "init\n"
    assert "Max memory:     262144 KiB" in insulad.virsh("dominfo", "old").stdout
    insulad.virsh("destroy", "old")


def test_a_container_of_nspawn_moves_in(insulad: Insulad, scratch: Path, busybox_root: Path) -> None:
    (scratch / "web.nspawn").write_text(NSPAWN)
    told = insula(insulad, "config", "import", "nspawn", str(scratch / "web.nspawn"))
    xml = told.stdout.replace("/var/lib/machines/web", str(busybox_root))
    assert xml != told.stdout and "/var/lib/machines/web" in told.stderr
    (scratch / "web.xml").write_text(xml)
    insulad.virsh("define", str(scratch / "web.xml"))
    insulad.virsh("start", "web")
    assert inside(insulad, "web", "sh", "-c", "ulimit -n") == "1000\n"
    assert "tmpfs /srv tmpfs" in inside(insulad, "web", "cat", "/proc/mounts")
    insulad.virsh("destroy", "web")


@pytest.mark.requires("crun")
def test_crun_runs_what_is_written_for_it(insulad: Insulad, plain: Path, scratch: Path) -> None:
    (scratch / "bundle").mkdir()
    (scratch / "bundle/config.json").write_text(_exported(insulad, "oci"))
    # The tree is given to the range that is written, as the finding on its ids advises.
    for place in (plain, *plain.rglob("*")):
        os.chown(place, 100000, 100000, follow_symlinks=False)
    _in_own_mounts(
        # Hosts with both versions of control groups are none that crun knows.
        f"mount -t tmpfs x /run; mount -t tmpfs x /sys/fs/cgroup\n"
        f"crun --root {scratch}/state --cgroup-manager=disabled run --bundle {scratch}/bundle plain"
    )
    assert (plain / "root/said").read_text() == "once hello 1000\n"


def test_a_bundle_moves_in(insulad: Insulad, scratch: Path, busybox_root: Path) -> None:
    bundle = scratch / "bundle"
    bundle.mkdir()
    busybox_root.rename(bundle / "rootfs")
    namespaces = [{"type": each} for each in ("pid", "mount", "network", "ipc", "uts")]
    described = {
        "ociVersion": "1.0.2",
        "hostname": "old.example",
        "root": {"path": "rootfs"},
        "process": {
            "args": ["/sbin/init"],
            "env": ["GREETING=hello"],
            "cwd": "/",
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1000, "hard": 2000}],
        },
        "mounts": [{"destination": "/srv", "type": "tmpfs", "source": "tmpfs", "options": ["size=8m"]}],
        "hooks": {"poststop": [{"path": "/bin/true"}]},
        "linux": {"namespaces": namespaces, "resources": {"memory": {"limit": 256 << 20}}},
    }
    (bundle / "config.json").write_text(json.dumps(described))
    told = insula(insulad, "config", "import", "oci", str(bundle), "--name", "old", "--define")
    assert told.stdout == "old\n" and "lost: hooks: " in told.stderr

    insulad.virsh("start", "old")
    assert inside(insulad, "old", "sh", "-c", "ulimit -n") == "1000\n"
    assert "tmpfs /srv tmpfs" in inside(insulad, "old", "cat", "/proc/mounts")
    assert "Max memory:     262144 KiB" in insulad.virsh("dominfo", "old").stdout
    insulad.virsh("destroy", "old")


INCUS = """\
name: old
type: container
architecture: x86_64
config:
  limits.memory: 256MiB
  limits.kernel.nofile: "1000:2000"
  environment.GREETING: hello
  security.nesting: "true"
devices:
  root: {type: disk, path: /, pool: default}
  scratch: {type: disk, path: /srv, source: "tmpfs:", size: 8MiB}
profiles: []
"""


def test_an_instance_of_incus_moves_in(insulad: Insulad, scratch: Path, busybox_root: Path) -> None:
    (scratch / "index.yaml").write_text(INCUS)
    told = insula(insulad, "config", "import", "incus", str(scratch))
    xml = told.stdout.replace("/var/lib/incus/storage-pools/default/containers/old/rootfs", str(busybox_root))
    assert xml != told.stdout and "line 8: lost: config.security.nesting: " in told.stderr
    (scratch / "old.xml").write_text(xml)
    insulad.virsh("define", str(scratch / "old.xml"))
    insulad.virsh("start", "old")
    assert inside(insulad, "old", "sh", "-c", "ulimit -n") == "1000\n"
    assert "tmpfs /srv tmpfs" in inside(insulad, "old", "cat", "/proc/mounts")
    assert "Max memory:     262144 KiB" in insulad.virsh("dominfo", "old").stdout
    insulad.virsh("destroy", "old")


@pytest.mark.requires("virsh")
def test_no_document_ends_the_daemon_or_keeps_it_from_others(insulad: Insulad, scratch: Path) -> None:
    """Each is refused in words, whatever it would take to read it."""
    hostile = {
        "incus": ["a: " + "[" * 200_000, "a: &a [x]\nb: [*a, *a]\n", "? " * 50_000],
        "oci": ["[" * 200_000, '{"a":' * 50_000, "{}{}"],
        "lxc-tools": ["lxc.net =\n" * 60_000, "x" * 900_000],
        "openvz": ["=" * 900_000],
        "nspawn": ["[Exec]\n" + "Boot\n" * 60_000, "[Exec]\nParameters=" + "x\\\n" * 60_000 + "'"],
    }
    for name, texts in hostile.items():
        for number, text in enumerate(texts):
            file = scratch / f"{name}-{number}"
            file.write_text(text)
            insulad.virsh("domxml-from-native", name, str(file), check=False)
            assert insulad.virsh("list", "--all").returncode == 0
    assert insulad.virsh("domxml-from-native", "oci", str(scratch / "oci-0"), check=False).returncode != 0
