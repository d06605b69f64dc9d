"""Ansible enters domains by our connection plugin: commands, users, files both ways, and what it says if it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sideload
from tests.e2e.guests import domain_xml
from tests.insulad import Insulad
from tests.waiting import patience

pytestmark = [pytest.mark.requires("virsh", "ansible"), pytest.mark.client("Ansible's connection, by our plugin")]

PLUGINS = Path(__file__).parents[2] / "share/ansible/plugins/connection"
PULL = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        self._connection.fetch_file(self._task.args["src"], self._task.args["dest"])
        return {"changed": True}
"""
"""Ansible's own `fetch` needs a Python inside."""


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    (busybox_root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/tmp:/bin/sh\n")
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def played(insulad: Insulad, place: Path, tasks: list[object], **variables: str) -> subprocess.CompletedProcess[str]:
    """Have Ansible play tasks in a domain; each printed line of a task's is told as JSON."""
    command = place / "insula"
    command.write_text(f'#!/bin/sh\nunset PYTHONHOME\nexec {sys.executable} -m insula.cli.main "$@"\n')
    command.chmod(0o755)
    (place / "action_plugins").mkdir(exist_ok=True)
    (place / "action_plugins/pull.py").write_text(PULL)
    (place / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    known = {"ansible_connection": "insula", "ansible_insula_prefix": str(insulad.prefix)}
    known |= {"ansible_insula_executable": str(command), **variables}
    hosts = {"all": {"hosts": {"bb": known}}}
    (place / "hosts.json").write_text(json.dumps(hosts))
    settings = {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS), "ANSIBLE_HOME": str(place / "home"), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sideload.found("ansible"), "-i", place / "hosts.json", place / "play.json", "-v"],
        cwd=place,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(180),
    )


def test_commands_and_files_of_a_play_arrive_in_a_guest_without_python(
    insulad: Insulad, guest: str, tmp_path: Path
) -> None:
    script = b'#!/bin/sh\ncp "$0" "/tmp/ma de"; exit 0\n\0\xff'
    (tmp_path / "script.sh").write_bytes(script)
    done = played(
        insulad,
        tmp_path,
        [
            {"raw": "echo user=$(id -u) home=$HOME"},
            {"script": str(tmp_path / "script.sh")},
            {"pull": {"src": "/tmp/ma de", "dest": str(tmp_path / "fetched")}},
            {"raw": "echo told >&2; exit 3", "ignore_errors": True},
        ],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "user=0 home=/root" in done.stdout
    assert '"rc": 3' in done.stdout and "told" in done.stdout
    assert (tmp_path / "fetched").read_bytes() == script


def test_a_user_of_the_guests_is_who_ansible_is_told_to_be(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    done = played(insulad, tmp_path, [{"raw": "echo $(id -u) $(id -g) $HOME"}], ansible_user="web")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "33 34 /tmp" in done.stdout


def test_a_domain_that_does_not_run_counts_as_unreachable_with_our_words(
    insulad: Insulad, guest: str, tmp_path: Path
) -> None:
    insulad.virsh("destroy", guest)
    done = played(insulad, tmp_path, [{"raw": "true"}])
    assert done.returncode == 4, done.stdout + done.stderr
    assert "UNREACHABLE!" in done.stdout and "insula: " in done.stdout
    named = played(insulad, tmp_path, [{"raw": "true"}], ansible_host="nobody")
    assert named.returncode == 4 and "nobody" in named.stdout
