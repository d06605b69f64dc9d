"""Audit records of real guests: in the daemon's log at least, whatever the host's kernel keeps."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


def records(insulad: Insulad) -> list[str]:
    lines = insulad.log_text(1 << 20).splitlines()
    return [line.partition("insula.audit: ")[2] for line in lines if "insula.audit: " in line]


def test_starts_ends_and_devices_are_recorded_with_their_outcome(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    insulad.layout.settings.parent.mkdir(parents=True, exist_ok=True)
    insulad.layout.settings.write_text("audit_logging = true\n")
    insulad.restart()
    insulad.define(domain_xml("web", busybox_root))
    insulad.virsh("start", "web")
    uuid = insulad.virsh("domuuid", "web").stdout.strip()
    number = insulad.virsh("domid", "web").stdout.strip()
    started = records(insulad)
    assert f'virt=lxc op=start reason=booted vm="web" uuid={uuid} vm-pid={number} res=success' in started
    fs = f'virt=lxc resrc=fs reason=start vm="web" uuid={uuid} old-fs=? new-fs="{busybox_root}" res=success'
    memory = f'virt=lxc resrc=mem reason=start vm="web" uuid={uuid} old-mem=0 new-mem=524288 res=success'
    assert fs in started and memory in started

    (scratch / "data").mkdir()
    device = scratch / "device.xml"
    filesystem = "<filesystem type='mount'><source dir='{}'/><target dir='/mnt'/></filesystem>"
    device.write_text(filesystem.format(scratch / "data"))
    insulad.virsh("attach-device", "web", str(device), "--live")
    insulad.virsh("detach-device", "web", str(device), "--live")
    device.write_text(filesystem.format(scratch / "absent"))
    assert insulad.virsh("attach-device", "web", str(device), "--live", check=False).returncode
    told = [each.replace(f' vm="web" uuid={uuid}', "") for each in records(insulad)]
    there = f'"{scratch / "data"}"'
    assert f"virt=lxc resrc=fs reason=attach old-fs=? new-fs={there} res=success" in told
    assert f"virt=lxc resrc=fs reason=detach old-fs={there} new-fs=? res=success" in told
    assert "virt=lxc resrc=fs reason=attach old-fs=? new-fs=? res=failed" in told

    insulad.virsh("destroy", "web")
    ended = f'virt=lxc op=stop reason=destroyed vm="web" uuid={uuid} vm-pid={number} res=success'
    until(lambda: any(each.replace("vm-pid=-1", f"vm-pid={number}") == ended for each in records(insulad)), ended, 30)

    subprocess.run(["mv", str(busybox_root), f"{busybox_root}-away"], check=True)
    assert insulad.virsh("start", "web", check=False).returncode
    assert f'virt=lxc op=start reason=booted vm="web" uuid={uuid} vm-pid=-1 res=failed' in records(insulad)
    insulad.virsh("undefine", "web")
