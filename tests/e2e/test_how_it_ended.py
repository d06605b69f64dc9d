"""How a domain's last run ended, and why a start failed, is told to everybody who asks, by the next daemon too."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

HUNGRY = "x=0123456789abcdef; while :; do x=$x$x; done"
"""Takes all the memory there is."""


def _info(insulad: Insulad, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(insula(insulad, "info", name, "--json").stdout)
    return told


def _define(insulad: Insulad, root: Path, script: str) -> None:
    words = ("-r", str(root), "-m", "64m", "--", "sh", "-c", script)
    insula(insulad, "create", "guest", *words)


def _ended(insulad: Insulad) -> dict[str, Any]:
    until(lambda: state(insulad, "guest") == "shut off", "the guest's end", 60)
    told: dict[str, Any] = _info(insulad, "guest")["last_end"]
    return told


def test_a_guest_without_memory_is_told_from_one_that_crashed(insulad: Insulad, busybox_root: Path) -> None:
    _define(insulad, busybox_root, HUNGRY)
    insulad.virsh("start", "guest")
    end = _ended(insulad)
    assert (end["reason"], end["signal"], end["out_of_memory"]) == ("crashed", 9, True) and end["oom_kills"] >= 1
    assert state(insulad, "guest", reason=True) == "shut off (crashed)"
    assert "crashed, killed by SIGKILL: out of memory" in insula(insulad, "info", "guest").stdout
    insulad.kill()
    insulad.start()
    assert _info(insulad, "guest")["last_end"] == end
    assert state(insulad, "guest", reason=True) == "shut off (crashed)"


def test_who_waits_for_it_is_told_as_well(insulad: Insulad, busybox_root: Path) -> None:
    words = ("-r", str(busybox_root), "-m", "64m", "--rm", "--name", "guest", "--", "sh", "-c", HUNGRY)
    result = insula(insulad, "run", *words, check=False)
    assert result.returncode == 137 and "guest: its init was killed: out of memory" in result.stderr


@pytest.mark.parametrize(
    ("script", "reason", "told"),
    [("exit 7", "crashed", ("exit_status", 7)), ("exit 0", "shutdown", ("exit_status", 0))],
)
def test_an_exit_status_is_kept(
    insulad: Insulad, busybox_root: Path, script: str, reason: str, told: tuple[str, object]
) -> None:
    _define(insulad, busybox_root, script)
    insulad.virsh("start", "guest")
    end = _ended(insulad)
    assert (end["reason"], end[told[0]], end["out_of_memory"]) == (reason, told[1], False)
    assert end["begun"] < end["ended"]


def test_why_a_start_failed_is_kept_until_one_succeeds(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("guest", busybox_root, init="/nosuch"))
    assert "did not fail" in insula(insulad, "log", "--start", "guest").stdout
    refused = insula(insulad, "start", "guest", check=False)
    assert refused.returncode != 0 and "no such program" in refused.stderr
    insulad.restart()
    assert "no such program in the guest" in insula(insulad, "log", "--start", "guest").stdout
    assert state(insulad, "guest", reason=True) == "shut off (failed)"
    insulad.define(
        domain_xml("guest", busybox_root).replace("<name>", f"<uuid>{_info(insulad, 'guest')['uuid']}</uuid><name>")
    )
    insulad.virsh("start", "guest")
    assert _info(insulad, "guest")["start_failure"] is None
    assert (insulad.layout.ends).is_dir()


def test_of_a_domain_that_is_no_more_nothing_is_kept(insulad: Insulad, busybox_root: Path) -> None:
    _define(insulad, busybox_root, "exit 0")
    insulad.virsh("start", "guest")
    _ended(insulad)
    assert len(list(insulad.layout.ends.iterdir())) == 1
    insulad.virsh("undefine", "guest")
    assert list(insulad.layout.ends.iterdir()) == []


def test_states_are_spelled_one_way(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("guest", busybox_root))
    listed = json.loads(insula(insulad, "ls", "--json").stdout)[0]["state"]
    assert listed == _info(insulad, "guest")["state"] == state(insulad, "guest") == "shut off"
    assert "shut off" in insula(insulad, "info", "guest").stdout
