"""What the host has for device classes and described devices."""

import grp
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insula.engine.spec import Access, BindMount, Device, DeviceKind
from insula.errors import UnsupportedConfigError
from insula.layout import Layout
from insula.model.devicegrants import DeviceGrant, HookPolicy
from insula.model.devices import StartupPolicy
from insula.service.cdidirectories import CdiDirectories
from insula.service.grantednodes import DeviceGrants, GrantedDevices, grants_of

DEVICE = Device(kind=DeviceKind.CHARACTER, major=1, minor=3, host="/dev/null", guest="x")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Host":
    return Host(tmp_path, monkeypatch)


class Host:
    """A host's /dev, terminals and descriptions; a plain file stands for a node whose numbers are its size."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dev, self.tty, self.cdi = directory / "dev", directory / "tty", directory / "cdi"
        for each in (self.dev, self.tty / "console", self.cdi):
            each.mkdir(parents=True)
        (self.tty / "console/active").write_text("tty0 ttyS0\n")
        self.grants = DeviceGrants(CdiDirectories((self.cdi,)), self.dev, self.tty)
        self.nodes: dict[str, os.stat_result] = {}
        for name in ("stat", "lstat"):
            original = getattr(os, name)

            def known(path: Any, *rest: Any, _original: Any = original, **more: Any) -> os.stat_result:
                return self.nodes.get(str(path)) or _original(path, *rest, **more)

            monkeypatch.setattr(os, name, known)

    def node(self, name: str, major: int, minor: int, *, kind: int = stat.S_IFCHR, gid: int = 0) -> None:
        path = self.dev / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        device = {"st_rdev": os.makedev(major, minor)}
        self.nodes[str(path)] = os.stat_result((kind | 0o660, 0, 0, 0, 0, gid, 0, 0, 0, 0), device)

    def describe(self, **edits: Any) -> None:
        document = {"cdiVersion": "0.7.0", "kind": "v.com/x", "devices": [{"name": "0", "containerEdits": edits}]}
        (self.cdi / "v.json").write_text(json.dumps(document))

    def described(self, **more: Any) -> GrantedDevices:
        return self.grants.resolve([DeviceGrant(cdi="v.com/x=0", **more)])

    def of_class(self, name: str) -> list[tuple[str, int, int]]:
        granted = self.grants.resolve([DeviceGrant(device_class=name)])
        return [(each.guest, each.major, each.minor) for each in granted.devices]


def test_a_class_is_the_nodes_that_the_host_has_of_it(host: Host) -> None:
    host.node("dri/card0", 226, 0)
    host.node("dri/renderD128", 226, 128)
    host.node("nvidia-uvm", 511, 0)
    host.node("dri/by-path", 1, 1)
    host.node("dri/card-odd", 1, 1)
    host.node("dri/card1", 8, 0, kind=stat.S_IFBLK)
    assert host.of_class("gpu") == [("dri/card0", 226, 0), ("dri/renderD128", 226, 128), ("nvidia-uvm", 511, 0)]
    card, render, uvm = host.grants.resolve([DeviceGrant(device_class="gpu")]).devices
    assert (card.groups, card.mode, card.access) == (("video",), 0o660, "rw")
    assert (render.groups, uvm.groups, uvm.mode) == (("render", "video"), (), 0o666)
    assert {each.asked_by for each in (card, render, uvm)} == {("class gpu",)}
    assert card.host == str(host.dev / "dri/card0")


def test_a_serial_line_that_is_the_hosts_console_or_leads_nowhere_is_not_given(host: Host) -> None:
    for number, kind in ((0, "4"), (1, "4"), (2, "0")):
        host.node(f"ttyS{number}", 4, 64 + number)
        (host.tty / f"ttyS{number}").mkdir()
        (host.tty / f"ttyS{number}/type").write_text(f"{kind}\n")
    host.node("ttyUSB0", 188, 0)
    assert host.of_class("serial") == [("ttyUSB0", 188, 0), ("ttyS1", 4, 65)]


def test_a_class_that_the_host_has_nothing_of_refuses_the_start_unless_it_is_optional(host: Host) -> None:
    grant = DeviceGrant(device_class="kvm")
    with pytest.raises(
        UnsupportedConfigError, match=r"'kvm' \(/dev/kvm\); .*, or make the grant startupPolicy='optional'$"
    ):
        host.grants.resolve([grant])
    granted = host.grants.resolve([replace(grant, startup_policy=StartupPolicy.OPTIONAL)])
    assert not granted.devices and "it is without the device class kvm" in granted.remarks[0]
    assert "load its driver" in granted.remarks[0] and "optional" not in granted.remarks[0]


def test_a_link_in_dev_is_no_node_of_a_class(host: Host) -> None:
    (host.dev / "kvm").symlink_to("/dev/null")
    with pytest.raises(UnsupportedConfigError):
        host.of_class("kvm")


def test_a_described_node_has_the_hosts_numbers_and_the_name_of_its_group(host: Host) -> None:
    audio = grp.getgrnam("audio").gr_gid
    host.node("vendor0", 195, 7, gid=audio)
    host.describe(deviceNodes=[{"path": "/dev/v/0", "hostPath": f"{host.dev}/vendor0", "permissions": "r"}])
    (device,) = host.described().devices
    assert (device.guest, device.major, device.minor, device.access) == ("v/0", 195, 7, "r")
    assert (device.groups, device.gid, device.mode) == (("audio",), 0, 0o660)


def test_a_description_may_say_all_of_a_node(host: Host) -> None:
    node = {"path": "/dev/v0", "type": "b", "major": 259, "minor": 3, "fileMode": 384, "uid": 7, "gid": 4242}
    host.describe(deviceNodes=[node])
    (device,) = host.described().devices
    assert (device.kind, device.major, device.minor) == (DeviceKind.BLOCK, 259, 3)
    assert (device.mode, device.uid, device.gid, device.groups) == (0o600, 7, 4242, ())


def test_mounts_are_read_only_whatever_a_description_says(host: Host) -> None:
    host.describe(mounts=[{"hostPath": "/etc/passwd", "containerPath": "/opt/v", "options": ["rw", "rbind"]}])
    assert host.described().mounts == (
        BindMount(
            source="/etc/passwd",
            target="/opt/v",
            access=Access.READ_ONLY,
            idmapped=False,
            asked_by=("cdi v.com/x=0",),
        ),
    )


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        ({"deviceNodes": [{"path": "/dev/no-such-node"}]}, "the host has no '/dev/no-such-node': No such file"),
        ({"deviceNodes": [{"path": "/dev/x", "hostPath": "/etc/passwd"}]}, "'/etc/passwd' is no such device node"),
        ({"deviceNodes": [{"path": "/dev/null", "type": "b"}]}, "'/dev/null' is no such device node"),
        ({"mounts": [{"hostPath": "/", "containerPath": "/host"}]}, "hostPath: '/' is no absolute path"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/"}]}, "containerPath: '/' is no absolute path"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/proc/x"}]}, "shown at '/proc/x'"),
        ({"mounts": [{"hostPath": "/no-such", "containerPath": "/x"}]}, "the host has no '/no-such'"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/x", "type": "tmpfs"}]}, "a mount 'tmpfs': only binds"),
        ({"mounts": [{"hostPath": "/etc", "containerPath": "/x", "options": ["remount"]}]}, "a mount 'remount'"),
        ({"intelRdt": {}}, "asks for a class of the processor's cache"),
        ({"hooks": [{"hookName": "prestart", "path": "/opt/v/setup"}]}, "programs of the host's run as root"),
        (
            {"hooks": [{"hookName": "x", "path": "/usr/bin/nvidia-ctk", "args": ["n", "hook", "other"]}]},
            "nvidia-ctk hook",
        ),
    ],
)
def test_what_cannot_be_given_is_named(host: Host, edits: dict[str, Any], problem: str) -> None:
    host.describe(**edits)
    with pytest.raises(UnsupportedConfigError) as raised:
        host.described()
    assert problem in str(raised.value)


def test_a_device_that_nobody_describes_is_refused_with_what_is_wrong_with_the_files(host: Host) -> None:
    (host.cdi / "broken.json").write_text("{")
    with pytest.raises(
        UnsupportedConfigError, match=r"no file in .*/cdi describes the CDI device 'v.com/x=0' .*broken"
    ):
        host.described()


def test_no_program_of_the_host_is_run_and_that_is_told(host: Host) -> None:
    toolkit = {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook"}
    host.describe(
        hooks=[
            {**toolkit, "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib"]},
            {**toolkit, "args": ["nvidia-cdi-hook", "disable-device-node-modification"]},
        ]
    )
    (remark,) = host.described().remarks
    assert "run ldconfig in the guest once" in remark and "disable" not in remark
    host.describe(hooks=[{"hookName": "prestart", "path": "/opt/v/setup", "args": ["setup", "now"]}])
    (remark,) = host.described(hooks=HookPolicy.SKIP).remarks
    assert remark == "the CDI device 'v.com/x=0': skipped are /opt/v/setup now"


def test_what_two_grants_share_is_given_once_and_asked_for_by_both(host: Host) -> None:
    edits = {"containerEdits": {"deviceNodes": [{"path": "/dev/null"}], "env": ["A=1"]}}
    document = {"cdiVersion": "0.7.0", "kind": "v.com/x", "devices": [{"name": name, **edits} for name in "01"]}
    (host.cdi / "v.json").write_text(json.dumps(document))
    granted = host.grants.resolve([DeviceGrant(cdi="v.com/x=0"), DeviceGrant(cdi="v.com/x=1")])
    assert [each.asked_by for each in granted.devices] == [("cdi v.com/x=0", "cdi v.com/x=1")]
    assert granted.environment == (("A", "1"),)


def test_a_device_that_the_definition_names_stays_as_that_says() -> None:
    named = replace(DEVICE, mode=0o600)
    (device,) = GrantedDevices(devices=(replace(DEVICE, asked_by=("class x",)),)).beside([named])
    assert device == replace(named, asked_by=("class x",))


def test_an_installation_reads_what_is_below_its_own_prefix(tmp_path: Path) -> None:
    assert grants_of(Layout.prefix(tmp_path)).cdi.directories == (tmp_path / "etc/cdi", tmp_path / "var/run/cdi")
    assert grants_of(Layout.system()).cdi.directories == (Path("/etc/cdi"), Path("/var/run/cdi"))
