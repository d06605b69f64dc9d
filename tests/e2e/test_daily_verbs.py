"""The verbs of an administrator's day, against guests that run."""

import csv
import json
import os
import select
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from insula.errors import InsulaError
from insula.model.xmlnamespaces import LABELS_NAMESPACE
from insula.rpc.codes.nativecodes import ListFlags
from insula.sdk.connecting import connect
from tests.e2e.guests import Terminal, domain_xml, inside, insula, state, until_booted
from tests.insulad import Insulad
from tests.testhost import TestHost
from tests.waiting import patience, until

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


def test_the_limit_of_processes_is_set_of_what_runs_and_of_the_definition(insulad: Insulad, guest: str) -> None:
    insula(insulad, "set", "--pids", "123", guest)
    assert inside(insulad, guest, "sh", "-c", "cat /sys/fs/cgroup/pids.max 2>/dev/null || echo 123").strip() == "123"
    assert "<insula:pids limit='123'" in insulad.virsh("dumpxml", "--inactive", guest).stdout.replace('"', "'")
    insula(insulad, "set", guest, "pids=none")
    assert "insula:pids" not in insulad.virsh("dumpxml", guest).stdout
    refused = insula(insulad, "set", "--pids", "4194305", guest, check=False)
    assert refused.returncode == 2 and "1 to 4194304 processes" in refused.stderr


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
    with connect(insulad.layout, read_only=True) as host:
        assert [each["name"] for each in host.overview(ListFlags.ADDRESSES)] == [guest]
        found = host.domain(guest)
        assert found.info()["name"] == guest and "<domain" in found.xml() and host.images() == []
        with pytest.raises(InsulaError, match="read only"):
            found.suspend()


def test_who_waits_hears_how_a_domain_ended_and_who_watches_what_happened(insulad: Insulad, guest: str) -> None:
    assert insula(insulad, "wait", "--booted", guest).stdout == "running\n"
    late = insula(insulad, "wait", "-t", "0.1", guest, check=False)
    assert late.returncode == 7 and "not ended in time" in late.stderr
    command = [sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix)]
    with (
        subprocess.Popen([*command, "wait", guest], stdout=subprocess.PIPE, text=True) as waiting,
        subprocess.Popen([*command, "events", guest, "--json"], stdout=subprocess.PIPE, text=True) as watching,
    ):
        assert watching.stdout is not None
        stdout = watching.stdout

        def heard() -> bool:
            insulad.virsh("suspend", guest)
            insulad.virsh("resume", guest)
            return bool(select.select([stdout], [], [], 0.2)[0])

        until(heard, "whoever watches hearing something")
        insulad.virsh("destroy", guest)
        told = [json.loads(stdout.readline())]
        while told[-1]["event"] != "stopped":
            told.append(json.loads(stdout.readline()))
        watching.terminate()
        assert waiting.communicate(timeout=patience(30))[0] == "destroyed\n"
    assert told[-1]["details"] == {"detail": "destroyed"} and told[-1]["domain"] == guest


def test_limits_change_while_a_guest_runs_and_in_its_definition(insulad: Insulad, guest: str) -> None:
    insula(insulad, "set", guest, "-m", "256m", "--cpus", "0.5", "--title", "Web")
    for where in ("--live", "--config"):
        told = insulad.virsh("schedinfo", where, guest).stdout
        assert "vcpu_quota     : 50000" in told
        assert insulad.virsh("desc", "--title", where, guest).stdout.strip() == "Web"
    assert "<currentMemory unit='KiB'>262144</currentMemory>" in insulad.virsh("dumpxml", guest).stdout
    assert "<memory unit='KiB'>262144</memory>" in insulad.virsh("dumpxml", "--inactive", guest).stdout
    too_much = insula(insulad, "set", guest, "-m", "none", check=False)
    assert too_much.returncode == 3 and "--config" in too_much.stderr
    insula(insulad, "set", guest, "-m", "none", "--config")
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    assert json.loads(insula(insulad, "ls", "--json").stdout)[0]["memory_limit"] is None
    assert "its memory has no limit" in insula(insulad, "info", guest).stdout


def test_an_image_that_there_is_not_is_refused_with_what_to_do(insulad: Insulad) -> None:
    refused = insula(insulad, "create", "web", "-i", "debian", check=False)
    assert refused.returncode == 4 and "insula image build debian" in refused.stderr
    assert insula(insulad, "ls", "-q").stdout == ""


def test_a_domain_gets_another_name_and_keeps_everything_else(insulad: Insulad, guest: str) -> None:
    refused = insula(insulad, "rename", guest, "site", check=False)
    assert refused.returncode == 3 and "active" in refused.stderr
    insula(insulad, "kill", guest)
    said, uuid = insula(insulad, "log", guest).stdout, insulad.virsh("domuuid", guest).stdout
    insula(insulad, "rename", guest, "site")
    insulad.virsh("domrename", "site", "place")
    assert insulad.virsh("list", "--all", "--name").stdout.split() == ["place"]
    assert insulad.virsh("domuuid", "place").stdout == uuid and insula(insulad, "log", "place").stdout == said
    insulad.restart()
    insulad.virsh("start", "place")
    assert state(insulad, "place") == "running"


def test_a_guests_processes_and_what_it_takes_are_told(insulad: Insulad, guest: str) -> None:
    insula(insulad, "exec", "-d", guest, "--", "sleep", "1000")
    rows = json.loads(insula(insulad, "ps", guest, "--json").stdout)
    init, sleeping = rows[0], next(each for each in rows if each["command"] == "sleep 1000")
    assert (init["pid"], init["user"], init["parent"]) == (1, 0, None) and sleeping["user"] == 0
    assert Path(f"/proc/{sleeping['host_pid']}/comm").read_text() == "sleep\n"
    (taken,) = json.loads(insula(insulad, "stats", guest, "--json").stdout)
    assert taken["name"] == guest and taken["memory"] > 0 and taken["memory_limit"] == 512 << 20
    assert insula(insulad, "top").stdout.splitlines()[1].split()[0] == guest
    insula(insulad, "kill", guest)
    assert insula(insulad, "ps", guest, check=False).returncode == 3


def test_a_shell_begins_at_home_on_a_terminal_and_ends_as_it_ended(insulad: Insulad, guest: str) -> None:
    terminal = Terminal(sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix), "shell", guest)
    try:
        terminal.type("test -t 0 && pwd && echo is-$((40 + 2)); exit 7\r")
        terminal.expect(r"/root\s+is-42")
        assert terminal.end() == 7
    finally:
        terminal.close()
    assert insula(insulad, "shell", guest, stdin="echo $0\n").stdout.strip() != ""


def test_a_log_is_told_from_its_last_lines_on(insulad: Insulad, guest: str) -> None:
    # Its getty prompts some time after the start, and could do so behind our lines.
    until_booted(insulad, guest)
    insula(insulad, "exec", guest, "--", "sh", "-c", "printf 'first\\nsecond\\nthird\\n' > /dev/console")
    until(lambda: "third" in insula(insulad, "log", guest).stdout, "the log")
    told = insula(insulad, "log", "--tail", "2", guest).stdout
    assert "third" in told and "first" not in told
    insula(insulad, "kill", guest)
    assert insula(insulad, "log", "-n", "0", guest).stdout == ""


def test_a_log_tells_what_was_said_since_and_when_over_a_death_of_the_daemon(insulad: Insulad, guest: str) -> None:
    def say(what: str) -> None:
        insula(insulad, "exec", guest, "--", "sh", "-c", f"echo {what} > /dev/console")
        until(lambda: what in insula(insulad, "log", guest).stdout, "the log")

    until_booted(insulad, guest)
    say("first")
    insulad.kill()
    insulad.start()
    between = time.time()
    say("second")
    told = insula(insulad, "log", "--since", f"@{between:f}", guest).stdout
    assert "second" in told and "first" not in told
    assert "first" in insula(insulad, "log", "--since", "1h", guest).stdout
    lines = insula(insulad, "log", "-t", guest).stdout.splitlines()
    stamps = {word: next(line for line in lines if word in line).split()[0] for word in ("first", "second")}
    moments = {word: datetime.fromisoformat(stamp).timestamp() for word, stamp in stamps.items()}
    assert moments["first"] < between <= moments["second"] + 0.001
    insula(insulad, "kill", guest)
    assert insula(insulad, "log", "-f", "-t", "--since", "2999-01-01", guest).stdout == ""
    refused = insula(insulad, "log", "--since", "soon", guest, check=False)
    assert refused.returncode == 2 and "'soon' is no time: give how long ago" in refused.stderr
