"""What is read of a host is what there is, and nothing is changed by it."""

import os
from pathlib import Path

import pytest

from insula.layout import Layout
from insula.service import hostreadings
from insula.service.hostreadings import HostReadings, own_descriptors, read_host


def read(layout: Layout) -> HostReadings:
    return read_host(layout, None, unseen="not looked at", now=5, descriptors=7)


def test_directories_are_read_where_they_are_or_would_be(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    layout.run.mkdir(parents=True)
    found = {each.name: each for each in read(layout).directories}
    assert (found["run"].there, found["images"].there) == (True, False)
    assert all(each.writable and each.free for each in found.values())
    assert not layout.images.exists()


def test_definitions_that_were_set_aside_are_found(tmp_path: Path) -> None:
    layout = Layout.prefix(tmp_path)
    layout.definitions.mkdir(parents=True)
    (layout.definitions / "web.xml").touch()
    (layout.definitions / "mail.xml.broken").touch()
    assert [Path(each).name for each in read(layout).set_aside] == ["mail.xml.broken"]


def test_programs_settings_and_nodes_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostreadings, "PROGRAM_PLACES", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nft").touch(mode=0o755)
    found = read(Layout.prefix(tmp_path))
    assert found.has_program("nft") and not found.has_program("dnsmasq")
    assert found.setting("kernel/pid_max") and found.setting("no/such") is None
    assert (found.now, found.descriptors, found.unseen, found.prefix) == (5, 7, "not looked at", True)


def test_an_installation_beside_the_hosts_own_is_in_no_daemons_way(tmp_path: Path) -> None:
    assert read(Layout.prefix(tmp_path)).other_daemons == ()
    assert own_descriptors() > 0 and isinstance(read(Layout.system()).other_daemons, tuple)
    assert os.geteuid() == 0 or not read(Layout.system()).root
