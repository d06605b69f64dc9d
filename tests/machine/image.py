"""The emulated machine's disk, kernel and initramfs, built once and kept in the tests' cache by content.

Debian 13 without its kernel package (whose update-initramfs would cost a minute), the modules of the cloud kernel
unpacked beside it, and an initramfs of busybox and one module.
"""

import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests import cache, debianpackage, roots, sideload
from tests.debian_mirror import host_mirror

SUITE = "trixie"
PYTHON = "3.13"
KERNEL = "linux-image-cloud-amd64"
GUEST = Path(__file__).with_name("guest")
CHECKOUT = Path(__file__).parents[2]
DISK_SIZE = 4 << 30
ROOT_DISK_SIZE = 1 << 30
PACKAGES_DISK_SIZE = 64 << 20

PACKAGES = (
    "systemd-sysv",  # a whole init system for the systemd boot
    "systemd-container",  # machined, machinectl
    "dbus",  # what systemd's tools speak over
    "udev",  # device names under systemd
    "kmod",  # loads the kernel's modules
    "python3",  # runs the suite, as the newest supported version
    "python3-libvirt",  # a stranger for e2e tests
    "libvirt-clients",  # virsh 11
    "libseccomp2",  # what filters are compared with, by pyseccomp
    "libnftables1",  # the firewall's library
    "busybox-static",  # guest roots
    "iproute2",  # links and namespaces in tests
    "nftables",  # firewall rules in tests
    "dnsmasq-base",  # leases
    "openvswitch-switch",  # a switch by the kernel's datapath
    "systemd-resolved",  # the host's resolver, which networks tell of their domains
    "firewalld",  # zones of networks
    "procps",  # ps
    "uidmap",  # newuidmap for session mode
    "btrfs-progs",  # btrfs on loop devices
    "e2fsprogs",  # ext4 on loop devices
    "apparmor",  # profiles
    "criu",  # checkpoints; 4.1 suffices on this kernel
    "strace",  # for whoever looks for a fault
)

STARTED_BY_TESTS = ("firewalld.service", "openvswitch-switch.service", "systemd-resolved.service")
"""Services that the systemd boot does not start by itself."""

NOT_IN_THE_MACHINE = ("ruff", "mypy", "import-linter", "types-lxml")
"""Development dependencies that check the source, which is done on the host."""

_PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(41, 4, -1)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """The files that QEMU boots."""

    kernel: Path
    initramfs: Path
    disk: Path


def image() -> Image:
    """Return the machine's image, building it first if its recipe changed."""
    directory = cache.built("machine", _recipe(), _build)
    return Image(kernel=directory / "vmlinuz", initramfs=directory / "initramfs", disk=directory / "disk")


def image_is_there() -> bool:
    """Return whether image() would not have to build."""
    return cache.place("machine", _recipe()).exists()


def root_disk(name: str) -> Path:
    """Return what the machine is given as the image of an ext4 file system.

    name: a guest's root (`debian-12`), a host's (`host-13`), or two versions of our package (`packages-13`).
    """
    kind, _, release = name.partition("-")
    if kind == "packages":
        return _packages_disk(release)
    root = {"debian": roots.debian, "host": roots.host}[kind](release)

    def build(work: Path, _final: Path) -> None:
        _make_file_system(root, work / "disk", ROOT_DISK_SIZE)

    return cache.built(f"disk-{name}", str(root), build) / "disk"


def _packages_disk(release: str) -> Path:
    packages = debianpackage.versions(release)

    def build(work: Path, _final: Path) -> None:
        (work / "tree").mkdir()
        for each in packages:
            shutil.copy(each, work / "tree")
        _make_file_system(work / "tree", work / "disk", PACKAGES_DISK_SIZE)

    return cache.built(f"disk-packages-{release}", " ".join(map(str, packages)), build) / "disk"


def python_requirements() -> list[str]:
    """Return what the suite imports: all dependencies but those that only check the source."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    names = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [name for name in names if name not in NOT_IN_THE_MACHINE]


def _recipe() -> str:
    parts = [SUITE, PYTHON, KERNEL, str(DISK_SIZE), *PACKAGES, *STARTED_BY_TESTS, *python_requirements()]
    parts.append((CHECKOUT / "constraints.txt").read_text())
    parts += [path.read_text() for path in sorted((*GUEST.iterdir(), Path(__file__)))]
    return "\0".join(parts)


def _build(work: Path, _final: Path) -> None:
    root = work / "root"
    roots.bootstrap(SUITE, root, PACKAGES)
    _run("systemctl", f"--root={root}", "--quiet", "disable", *STARTED_BY_TESTS)
    _install_kernel(work, root)
    _install_python_packages(root)
    _install_guest_files(root)
    _make_initramfs(work, root)
    _make_file_system(root, work / "disk", DISK_SIZE)
    shutil.rmtree(root)


def _install_kernel(work: Path, root: Path) -> None:
    """Unpack the kernel that the metapackage stands for: modules into the root, the kernel itself beside it."""
    package = sideload.download_dependency(host_mirror(), SUITE, KERNEL, "linux-image-", work / "apt")
    _run("dpkg-deb", "-x", str(package), str(work / "kernel"))
    shutil.copytree(work / "kernel/usr/lib/modules", root / "usr/lib/modules", dirs_exist_ok=True)
    release = _kernel_release(root)
    _run("chroot", str(root), "depmod", release)
    shutil.copy(work / f"kernel/boot/vmlinuz-{release}", work / "vmlinuz")
    shutil.rmtree(work / "kernel")
    shutil.rmtree(work / "apt")


def _kernel_release(root: Path) -> str:
    return next((root / "usr/lib/modules").iterdir()).name


def _install_python_packages(root: Path) -> None:
    """Put wheels for the machine's Python where it finds them; the host's pip and its settings fetch them."""
    target = root / f"usr/local/lib/python{PYTHON}/dist-packages"
    platforms = [f"--platform={platform}" for platform in _PLATFORMS]
    versions = [
        f"--python-version={PYTHON}",
        "--implementation=cp",
        f"--abi=cp{PYTHON.replace('.', '')}",
        "--abi=abi3",
        "--abi=none",
    ]
    _run(
        sys.executable, "-m", "pip", "install", "-qq", "--no-compile", "--only-binary=:all:", f"--target={target}",
        *platforms, *versions, "-c", str(CHECKOUT / "constraints.txt"), *python_requirements(),
    )  # fmt: skip
    (target / "insula-checkout.pth").write_text("/srv/job/checkout/src\n/srv/job/metadata\n")


def _install_guest_files(root: Path) -> None:
    (root / "opt/insula").mkdir(parents=True)
    for name in ("init", "job"):
        shutil.copy(GUEST / name, root / "opt/insula" / name)
        (root / "opt/insula" / name).chmod(0o755)
    shutil.copy(GUEST / "insula-test.service", root / "etc/systemd/system/insula-test.service")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")  # a first boot would take longer
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # systemd-resolved's, which does not run unless a test starts it
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n")
    for name, module in (("insula", "insula.cli.main"), ("insulad", "insula.daemon.entry")):
        script = root / "usr/local/bin" / name
        script.write_text(f"#!/usr/bin/python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)


def _make_initramfs(work: Path, root: Path) -> None:
    """Pack busybox, the disk driver and the first init script into a cpio archive: kernel document on initramfs."""
    tree = work / "initramfs.tree"
    for name in ("bin", "dev", "proc", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", tree / "bin/busybox")
    shutil.copy(GUEST / "initramfs-init", tree / "init")
    (tree / "init").chmod(0o755)
    driver = next((root / "usr/lib/modules").glob("*/kernel/drivers/block/virtio_blk.ko*"))
    content = driver.read_bytes()
    (tree / "virtio_blk.ko").write_bytes(lzma.decompress(content) if driver.suffix == ".xz" else content)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        [root / "bin/busybox", "cpio", "-o", "-H", "newc"],
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=True,
    ).stdout
    with gzip.open(work / "initramfs", "wb") as file:
        shutil.copyfileobj(io.BytesIO(archive), file)
    shutil.rmtree(tree)


def _make_file_system(root: Path, disk: Path, size: int) -> None:
    """Make an ext4 file system with the tree in it, in a sparse file. size: bytes."""
    disk.touch()
    os.truncate(disk, size)
    _run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", "-d", str(root), str(disk))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)
