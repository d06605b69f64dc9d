"""What libvirt's clients are told of the module that confines guests, on a host with AppArmor."""

from pathlib import Path

import pytest

from insula.engine.policy.apparmorprofiles import profile_for
from tests.e2e.guests import domain_xml
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("apparmor", "virsh", "userns", "busybox", "overlay.idmapped")

NAME = profile_for(privileged=False).name


def labelled(root: Path, label: str) -> str:
    return domain_xml("held", root).replace("</domain>", f"{label}</domain>")


def test_a_guest_has_the_label_that_virsh_shows_and_enters_by(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("held", busybox_root, settings="<insula:opennamespace/>"))
    insulad.virsh("start", "held")
    facts = [line.split(":", 1) for line in insulad.virsh("dominfo", "held").stdout.splitlines() if ":" in line]
    told = {name.strip(): value.strip() for name, value in facts}
    assert told["Security model"] == "apparmor"
    assert told["Security label"] == f"{NAME} (enforcing)"
    assert "<model>apparmor</model>" in insulad.virsh("capabilities").stdout
    assert f"<label>{NAME}</label>" in insulad.virsh("dumpxml", "held").stdout
    assert "seclabel" not in insulad.virsh("dumpxml", "--inactive", "held").stdout
    (busybox_root.parent / "live.xml").write_text(insulad.virsh("dumpxml", "held").stdout)
    insulad.virsh("define", str(busybox_root.parent / "live.xml"))
    assert "seclabel" not in insulad.virsh("dumpxml", "--inactive", "held").stdout
    command = ("lxc-enter-namespace", "held", "--", "/bin/cat", "/proc/self/attr/current")
    assert insulad.virsh(*command).stdout.strip() == f"{NAME} (enforce)"


def test_a_guest_that_wants_no_label_has_none(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(labelled(busybox_root, "<seclabel type='none' model='apparmor'/>"))
    insulad.virsh("start", "held")
    assert "unconfined (permissive)" in insulad.virsh("dominfo", "held").stdout


def test_a_model_that_the_host_has_not_is_refused_at_the_start(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(labelled(busybox_root, "<seclabel type='dynamic' model='selinux'/>"))
    refused = insulad.virsh("start", "held", check=False)
    assert refused.returncode and "whose model is 'apparmor'" in refused.stderr
