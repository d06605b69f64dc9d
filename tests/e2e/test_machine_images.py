"""One document and one image, as a container of ours and as a virtual machine of libvirt's QEMU driver, in turns."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import inside, state, wait_state
from tests.insulad import Insulad
from tests.libvirtqemu import LibvirtQemu, libvirt_qemu
from tests.machine.image import image as machine_image
from tests.machine.image import root_disk
from tests.waiting import until

pytestmark = pytest.mark.requires(
    "virsh", "loop", "userns", "qemu", "libvirtd", "machine-image", "debian-13-image", "two-processors"
)

UPGRADE = """\
#!/bin/sh
dpkg -i /root/word_$1.deb && systemd-detect-virt >> /root/lives
"""

CONTROL = """\
Package: word
Version: {version}
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a word
"""


def document(kind: str, image: Path, emulator: Path) -> str:
    """The same text for either life but for the type."""
    booted = machine_image()
    command = 'console=ttyS0 panic=-1 systemd.run="/root/upgrade 2" systemd.run_success_action=poweroff'
    return f"""<domain type='{kind}'>
  <name>both</name>
  <uuid>4b2b5c4c-6d2f-4c7b-9e39-2c4f3a1c8d01</uuid>
  <memory unit='MiB'>768</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{booted.kernel}</kernel>
    <initrd>{booted.initramfs}</initrd>
    <cmdline>{command.replace('"', "&quot;")}</cmdline>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{image}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <console type='pty'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""


@pytest.fixture
def image(scratch: Path) -> Path:
    """Debian 13 on a disk, with three versions of a package to be installed one after the other."""
    path = scratch / "debian.img"
    shutil.copyfile(root_disk("debian-13"), path)
    commands = []
    for version in "123":
        tree = scratch / f"word-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(CONTROL.format(version=version))
        (tree / "usr/share/word").mkdir(parents=True)
        (tree / "usr/share/word/word").write_text(f"{version}\n")
        package = scratch / f"word_{version}.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(tree), str(package)], check=True)
        commands.append(f"write {package} /root/word_{version}.deb")
    script = scratch / "upgrade"
    script.write_text(UPGRADE)
    commands += [f"write {script} /root/upgrade", "set_inode_field /root/upgrade mode 0100755"]
    subprocess.run(["debugfs", "-w", "-f", "-", str(path)], input="\n".join(commands), text=True, check=True)
    return path


def installed(insulad: Insulad) -> str:
    return inside(insulad, "both", "/usr/bin/dpkg-query", "-W", "-f", "${Version}", "word").strip()


@pytest.mark.timeout(900)
def test_an_image_lives_as_a_container_and_as_a_virtual_machine_and_is_upgraded_in_either(
    insulad: Insulad, image: Path, scratch: Path
) -> None:
    (scratch / "libvirt").mkdir()
    with libvirt_qemu(scratch / "libvirt") as machines:
        as_container, as_machine = (scratch / f"{kind}.xml" for kind in ("lxc", "qemu"))
        as_container.write_text(document("lxc", image, machines.emulator))
        as_machine.write_text(document("qemu", image, machines.emulator))

        insulad.virsh("define", str(as_container))
        machines.virsh("define", str(as_machine))
        insulad.virsh("start", "both")
        inside(insulad, "both", "/root/upgrade", "1")
        assert installed(insulad) == "1"

        refused = machines.virsh("start", "both", check=False)
        assert "lock" in refused.stderr, refused
        insulad.virsh("shutdown", "both")
        wait_state(insulad, "both", "shut off", 60)

        machines.virsh("start", "both")
        refused = insulad.virsh("start", "both", check=False)
        assert "in use by another guest, a virtual machine or a loop device" in refused.stderr, refused
        until(lambda: machine_state(machines) == "shut off", "the machine's power-off", 600)

        insulad.virsh("start", "both")
        assert installed(insulad) == "2"
        inside(insulad, "both", "/root/upgrade", "3")
        assert installed(insulad) == "3"
        lives = inside(insulad, "both", "/bin/cat", "/root/lives").split()
        assert lives == ["lxc-libvirt", "qemu", "lxc-libvirt"]
        assert state(insulad, "both") == "running"
        insulad.virsh("destroy", "both")


def machine_state(machines: LibvirtQemu) -> str:
    return machines.virsh("domstate", "both").stdout.strip()
