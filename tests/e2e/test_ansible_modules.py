"""Ansible's modules for libvirt, of its collection: domains and networks become what a play says they are."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml, state
from tests.insulad import Insulad
from tests.waiting import patience, scaled

pytestmark = [
    pytest.mark.requires("virsh", "ansible", "libvirt-python", "python3-lxml", "nft", "dnsmasq"),
    pytest.mark.timeout(scaled(240)),
]

NETWORK = (
    "<network><name>lan</name><bridge name='lan0'/><ip address='10.9.0.1' netmask='255.255.255.0'>"
    "<dhcp><range start='10.9.0.2' end='10.9.0.9'/></dhcp></ip></network>"
)


def told(insulad: Insulad, place: Path, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """Have Ansible do tasks `{module: arguments}` on this host; return what each tells. A task may fail."""
    python = place / "python"
    python.write_text('#!/bin/sh\nunset PYTHONHOME\nexec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    named = [
        {f"community.libvirt.{module}": {"uri": insulad.uri, **arguments}, "ignore_errors": True}
        for task in tasks
        for module, arguments in task.items()
    ]
    play = [{"hosts": "all", "gather_facts": False, "tasks": named}]
    (place / "play.json").write_text(json.dumps(play))
    known = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    (place / "hosts.json").write_text(json.dumps({"all": {"hosts": {"here": known}}}))
    settings = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_HOME": str(place / "home")}
    settings |= {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sideload.found("ansible"), "-i", place / "hosts.json", place / "play.json"],
        cwd=place,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(200),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [each["hosts"]["here"] for each in json.loads(done.stdout)["plays"][0]["tasks"]]


@pytest.mark.client("Ansible's `community.libvirt.virt`")
def test_a_play_defines_runs_and_removes_a_domain(insulad: Insulad, busybox_root: Path, tmp_path: Path) -> None:
    xml = domain_xml("web", busybox_root, memory=128)
    answers = told(
        insulad,
        tmp_path,
        {"virt": {"command": "define", "xml": xml}},
        {"virt": {"name": "web", "state": "running"}},
        {"virt": {"name": "web", "state": "running"}},
        {"virt": {"command": "list_vms"}},
        {"virt": {"name": "web", "command": "info"}},
        {"virt": {"name": "web", "command": "status"}},
        {"virt": {"name": "web", "command": "get_xml"}},
        {"virt": {"command": "nodeinfo"}},
        {"virt": {"command": "virttype"}},
        {"virt": {"command": "freemem"}},
        {"virt": {"name": "web", "command": "pause"}},
        {"virt": {"name": "web", "command": "unpause"}},
        {"virt": {"name": "web", "autostart": True, "state": "running"}},
        {"virt": {"name": "web", "state": "destroyed"}},
        {"virt": {"name": "nobody", "state": "running"}},
    )
    assert [each["failed"] for each in answers if each.get("failed")] == [True], answers
    assert [answers[number]["changed"] for number in (0, 1, 2, 13)] == [True, True, False, True]
    assert answers[3]["list_vms"] == ["web"]
    assert answers[4]["web"]["state"] == "running" and answers[4]["web"]["maxMem"] == "131072"
    assert answers[5]["status"] == "running" and "<name>web</name>" in answers[6]["get_xml"]
    assert answers[8]["virttype"] == "LXC" and int(answers[9]["freemem"]) > 0
    assert "nobody" in answers[14]["msg"]
    assert state(insulad, "web") == "shut off"
    assert "enable" in insulad.virsh("dominfo", "web").stdout
    (removed,) = told(insulad, tmp_path, {"virt": {"name": "web", "command": "undefine"}})
    assert not removed.get("failed"), removed
    assert insulad.virsh("list", "--all", "--name").stdout.strip() == ""


@pytest.mark.client("Ansible's `community.libvirt.virt_net`")
@pytest.mark.client("Ansible's `community.libvirt.virt_pool`", "meaningless here", "there are no storage pools")
def test_a_play_defines_starts_changes_and_removes_a_network_and_has_no_pools(insulad: Insulad, tmp_path: Path) -> None:
    host = "<host mac='52:54:00:00:00:05' name='web' ip='10.9.0.5'/>"
    answers = told(
        insulad,
        tmp_path,
        {"virt_net": {"name": "lan", "command": "define", "xml": NETWORK}},
        {"virt_net": {"name": "lan", "state": "active"}},
        {"virt_net": {"name": "lan", "state": "active"}},
        {"virt_net": {"name": "lan", "autostart": True}},
        {"virt_net": {"command": "list_nets"}},
        {"virt_net": {"command": "info"}},
        {"virt_net": {"name": "lan", "command": "get_xml"}},
        {"virt_net": {"name": "lan", "command": "modify", "xml": host}},
        {"virt_net": {"name": "lan", "state": "inactive"}},
        {"virt_net": {"name": "lan", "state": "absent"}},
        {"virt_pool": {"command": "list_pools"}},
        {"virt_pool": {"name": "p", "command": "define", "xml": "<pool type='dir'><name>p</name></pool>"}},
    )
    assert [number for number, each in enumerate(answers) if each.get("failed")] == [11], answers
    assert [answers[number]["changed"] for number in (0, 1, 2, 3, 8)] == [True, True, False, True, True]
    assert answers[4]["list_nets"] == ["lan"] and answers[5]["networks"]["lan"]["bridge"] == "lan0"
    assert "10.9.0.1" in answers[6]["get_xml"]
    assert answers[10]["list_pools"] == [] and "not supported" in answers[11]["msg"]
    assert insulad.virsh("net-list", "--all", "--name").stdout.strip() == ""
