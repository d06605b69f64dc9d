"""Others' rules by a program that stands in for iptables."""

from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.network.firewall import iptables
from insula.network.firewall.iptables import Iptables


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the stand-in writes how it was called; it lists one rule, and refuses chains called NOPE."""
    monkeypatch.setattr(iptables, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "iptables"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n'
        'case "$*" in *NOPE*) echo "iptables: No chain by that name." >&2; exit 1;; esac\n'
        "echo '-P FORWARD DROP'\n"
    )
    program.chmod(0o755)
    return tmp_path / "calls"


def test_it_is_listed_added_to_and_taken_from_and_waits_for_others(calls: Path) -> None:
    program = Iptables(4)
    listing = program.listing()
    assert listing is not None
    assert listing.policies == {"FORWARD": "DROP"}
    program.insert(("DOCKER-USER", "-i", "br0", "-j", "ACCEPT"), "insula: network n")
    program.delete(("DOCKER-USER", "-i", "br0", "-j", "ACCEPT"))
    assert calls.read_text().splitlines() == [
        "-w 5 -S",
        "-w 5 -I DOCKER-USER -m comment --comment insula: network n -i br0 -j ACCEPT",
        "-w 5 -D DOCKER-USER -i br0 -j ACCEPT",
    ]


def test_what_it_refuses_is_told(calls: Path) -> None:
    with pytest.raises(OperationFailedError, match="No chain by that name"):
        Iptables(4).insert(("NOPE", "-j", "ACCEPT"), "c")
    assert calls.exists()


def test_a_host_without_it_has_no_such_rules(calls: Path) -> None:
    assert Iptables(6).listing() is None
    assert not calls.exists()
