"""The verbs of an administrator's day, against guests that run."""

import csv
import os
from pathlib import Path

import pytest

from insula.errors import InsulaError
from insula.model.xmlnamespaces import LABELS_NAMESPACE
from insula.rpc.codes.nativecodes import ListFlags
from insula.sdk.blocking_domains import open_host
from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import until

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


def test_domains_are_labelled_and_found_by_labels_and_patterns(
    insulad: Insulad, guest: str, busybox_root: Path
) -> None:
    insulad.define(domain_xml("other", busybox_root))
    insula(insulad, "label", guest, "role=www & more", "stage=test")
    insula(insulad, "label", guest, "stage-")
    assert insula(insulad, "label", guest).stdout == "role=www & more\n"
    assert LABELS_NAMESPACE in insulad.virsh("dumpxml", "--inactive", guest).stdout
    assert insula(insulad, "ls", "-q", "--filter", "label=role=www*").stdout == "bb\n"
    assert insula(insulad, "ls", "-q", "--filter", "label!=role").stdout == "other\n"
    assert insula(insulad, "ls", "--format", "{name}:{state}", "--sort=-name").stdout == "other:shut off\nbb:running\n"
    rows = list(csv.DictReader(insula(insulad, "ls", "--format", "csv").stdout.splitlines()))
    assert int(rows[0]["memory"]) > 0 and rows[0]["root"] == str(busybox_root) and rows[1]["memory"] == ""


def test_a_list_tells_addresses_and_images(insulad: Insulad, test_host: TestHost, busybox_root: Path) -> None:
    test_host.run("ip", "link", "add", "br0", "type", "bridge")
    card = "<interface type='bridge'><source bridge='br0'/><ip address='10.7.0.2' prefix='24'/></interface>"
    insulad.define(domain_xml("bb", busybox_root, extra=card))
    insulad.virsh("start", "bb")
    until(lambda: "10.7.0.2" in insula(insulad, "ls").stdout, "its address")
    test_host.run("ip", "link", "del", "br0")


def test_who_only_looks_is_told_all_that_looking_verbs_show_and_may_do_no_more(insulad: Insulad, guest: str) -> None:
    with open_host(insulad.layout, read_only=True) as host:
        assert [each["name"] for each in host.overview(ListFlags.ADDRESSES)] == [guest]
        found = host.domain(guest)
        assert found.info()["name"] == guest and "<domain" in found.xml() and host.images() == []
        with pytest.raises(InsulaError, match="read only"):
            found.suspend()
