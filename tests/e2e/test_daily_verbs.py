"""The verbs of an administrator's day, against guests that run."""

import os
from pathlib import Path

import pytest

from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import Insulad

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def test_all_that_run_are_paused_resumed_and_killed_at_once(insulad: Insulad, guest: str) -> None:
    insula(insulad, "pause", "--all")
    assert state(insulad, guest) == "paused"
    insula(insulad, "resume", "--all")
    assert state(insulad, guest) == "running"
    insula(insulad, "kill", "--all")
    assert state(insulad, guest) == "shut off"


def test_a_definition_is_printed_edited_and_started_with_the_daemon(
    insulad: Insulad, guest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = insula(insulad, "xml", "--inactive", guest).stdout
    assert shown == insulad.virsh("dumpxml", "--inactive", guest).stdout.rstrip("\n") + "\n"
    monkeypatch.setenv("EDITOR", "sed -i s,</name>,</name><title>Web</title>,")
    assert "is changed" in insula(insulad, "edit", guest).stdout
    assert insulad.virsh("desc", "--title", "--config", guest).stdout.strip() == "Web"
    monkeypatch.setenv("EDITOR", "sed -i s,</name>,</nam>,")
    refused = insula(insulad, "edit", guest, check=False)
    assert refused.returncode == 2 and refused.stderr.startswith(f"insula: {guest}: ")
    insula(insulad, "autostart", guest)
    assert (insulad.layout.autostart / f"{guest}.xml").is_symlink()
    insula(insulad, "autostart", "--disable", guest)
    assert not os.path.lexists(insulad.layout.autostart / f"{guest}.xml")
