"""Tests of insula.storage.builders.debiannetwork."""

import os
from pathlib import Path

import pytest

from insula.storage.builders.debiannetwork import configure_network, resolver_packages


def root(tmp_path: Path, *services: str) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    for service in services:
        (tmp_path / "usr/lib/systemd" / service).touch()
    return tmp_path


def test_cards_ask_for_addresses_and_the_resolver_answers(tmp_path: Path) -> None:
    made = root(tmp_path, "systemd-networkd", "systemd-resolved")
    configure_network(made)
    configure_network(made)
    assert "DHCP=yes\n" in (made / "etc/systemd/network/80-insula-dhcp.network").read_text()
    wanted = made / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
    assert os.readlink(wanted) == "/usr/lib/systemd/system/systemd-networkd.service"
    assert os.readlink(made / "etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"


def test_a_root_without_either_is_left_without(tmp_path: Path) -> None:
    made = root(tmp_path)
    configure_network(made)
    assert not (made / "etc/systemd").exists()
    assert (made / "etc/resolv.conf").read_text() == ""


@pytest.mark.parametrize(
    ("suite", "packages"), [("bookworm", ("systemd-resolved",)), ("trixie", ("systemd-resolved",)), ("jammy", ())]
)
def test_the_resolver_is_a_package_of_its_own_since_debian_12(suite: str, packages: tuple[str, ...]) -> None:
    assert resolver_packages(suite) == packages
