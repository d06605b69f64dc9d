"""info: first what people want to know, in readable lines; all of it for programs."""

import json
from typing import Any

import pytest

from insula.cli import infocommand
from insula.cli.infocommand import duration, ended, health_line, readiness_line, system_line
from insula.rpc.procedures import Insula, Remote
from tests.unit.cli.fake_client import WEB, FakeClient
from tests.unit.cli.options import options_of

END = {
    "reason": "crashed",
    "status": 9,
    "exit_status": None,
    "signal": 9,
    "out_of_memory": True,
    "oom_kills": 2,
    "begun": 0,
    "ended": 3_600_000_000_000,
}
FACTS: dict[str, Any] = {
    "name": "web",
    "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "title": "the shop",
    "description": "sells things\nby night\n",
    "labels": {"role": "web", "tier": "front"},
    "id": 4711,
    "state": "running",
    "reason": "booted",
    "memory": {"maximum": 1 << 30, "current": 1 << 30},
    "memory_used": 1 << 20,
    "memory_limit": 1 << 29,
    "addresses": ["10.0.0.2", "fd00::2"],
    "image": "debian-12",
    "root": None,
    "disk": {"path": "/var/lib/insula/clones/x", "used": 3 << 20, "partial": False},
    "last_end": END,
    "start_failure": {"text": "there is no bridge 'br0'", "at": 0},
    "run": {
        "begun": 86_400_000_000_000,
        "argv": ["/sbin/init", "-x"],
        "idmap": {"uids": [{"inside": 0, "outside": 100000, "count": 65536}], "gids": []},
        "unbound": ["its memory has no limit", "its root may fill the file system it lies on"],
    },
    "persistent": True,
    "notices": [],
}


def _info(facts: dict[str, Any], *words: str) -> None:
    client = FakeClient({Remote.DOMAIN_LOOKUP_BY_NAME: WEB, Insula.DOMAIN_INFO: json.dumps(facts)})
    infocommand.RUN["info"](options_of(infocommand.ARGUMENTS["info"], "web", *words), client.host)


def test_what_people_want_to_know_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    _info(FACTS)
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    shown = {name: value.strip() for name, value in lines.items()}
    assert shown["state"] == "running (booted)" and shown["addresses"] == "10.0.0.2"
    assert "since 1970-01-0" in shown["uptime"]
    assert shown["memory"] == "1.0 MiB of 512.0 MiB" and shown["image"] == "debian-12" and "root" not in shown
    assert shown["disk"] == "3.0 MiB written in /var/lib/insula/clones/x"
    assert shown["last end"].endswith(": crashed, killed by SIGKILL: out of memory, after 1 h")
    assert shown["start failed"].endswith(": there is no bridge 'br0'")
    assert shown["argv"] == "/sbin/init -x" and shown["notices"] == "-" and shown["persistent"] == "yes"
    assert shown["idmap"] == "uids 0-65535 are 100000-165535 of the host"
    assert shown["unbound"] == "its memory has no limit"


def test_what_people_call_it_is_told_where_there_is_something(capsys: pytest.CaptureFixture[str]) -> None:
    _info(FACTS)
    words = capsys.readouterr().out.split()
    assert "title: the shop description: sells things by night labels: role=web tier=front" in " ".join(words)
    _info({**FACTS, "title": None, "description": None, "labels": {}})
    assert not {"title:", "description:", "labels:"} & set(capsys.readouterr().out.split())


def test_what_is_off_has_no_figures_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    off = {**FACTS, "run": None, "state": "shut off", "memory_used": None, "memory_limit": None, "last_end": None}
    _info(off)
    shown = capsys.readouterr().out
    assert "uptime" not in shown and "1.0 GiB, no limit" in shown and "addresses" not in shown


def test_programs_get_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    _info(FACTS, "--json")
    assert json.loads(capsys.readouterr().out) == FACTS


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reason": "destroyed"}, "destroyed: out of memory"),
        ({"out_of_memory": False, "signal": None, "exit_status": 7}, "exit status 7; 2 of its processes were killed"),
        ({"out_of_memory": False, "oom_kills": 0, "signal": 64}, "crashed, killed by SIGRTMAX, after"),
        ({"out_of_memory": False, "oom_kills": 0, "signal": 2, "reason": "shutdown"}, ": shutdown, after 1 h"),
        ({"out_of_memory": False, "oom_kills": 0, "signal": 1, "reason": "rebooted"}, ": rebooted, after 1 h"),
        ({"out_of_memory": False, "oom_kills": 0, "signal": 15, "reason": "shutdown"}, "killed by SIGTERM, after"),
        ({"out_of_memory": False, "oom_kills": 0, "signal": None, "reason": "shutdown"}, ": shutdown, after 1 h"),
    ],
)
def test_an_end_is_one_line(changes: dict[str, Any], told: str) -> None:
    assert told in str(ended({**END, **changes}))


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (61, "1 min 1 s"), (11_520, "3 h 12 min"), (90_000, "1 d 1 h"), (-5, "0 s")]
)
def test_a_duration_has_its_two_largest_units(seconds: int, told: str) -> None:
    assert duration(seconds * 1_000_000_000) == told


def test_a_job_is_told_with_how_far_it_is_and_the_last_with_why_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"verb": "set memory", "state": "going on", "elapsed": 6_000_000_000, "total": 4 << 20, "done": 1 << 20}
    last = {**job, "state": "failed", "error": "it holds more"}
    _info({**FACTS, "job": {**job, "error": None}, "last_job": last})
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if line[0] != " ")
    assert lines["job"].strip() == "set memory: going on, 1.0 MiB of 4.0 MiB, for 6 s"
    assert lines["last job"].strip() == "set memory: failed, 1.0 MiB of 4.0 MiB, for 6 s: it holds more"


def test_who_was_killed_for_want_of_memory_is_told_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    run = {**FACTS["run"], "oom_kills": 9, "oom_victims": [{"program": "dd", "pid": 7, "at": 0}]}
    _info({**FACTS, "run": run})
    told = capsys.readouterr().out
    assert "killed for want of memory: 9" in " ".join(told.split()) and "dd (7) at 1970-01-01" in told


@pytest.mark.parametrize(
    ("readiness", "line"),
    [
        (None, None),
        ({"state": "ready", "since": 0, "says": None}, "since 1970-01-01"),
        ({"state": "ready", "since": 0, "says": "all is well"}, ": all is well"),
        ({"state": "starting", "since": None, "says": "port 80: Connection refused"}, "not yet: port 80: Connection"),
        ({"state": "late", "since": None, "says": None}, "not in time"),
    ],
)
def test_whether_a_guest_is_ready_is_told_in_a_line(readiness: dict[str, Any] | None, line: str | None) -> None:
    told = readiness_line(readiness)
    assert told is None if line is None else line in str(told)


@pytest.mark.parametrize(
    ("failed", "units", "line"),
    [
        (0, [], "degraded"),
        (1, ["a.service"], "degraded: 1 failed unit: a.service"),
        (2, ["a.service", "b.service"], "degraded: 2 failed units: a.service, b.service"),
        (9, ["a.service"], "degraded: 9 failed units: a.service, …"),
        (9, [], "degraded: 9 failed units"),
    ],
)
def test_a_guests_system_is_told_in_a_line(failed: int, units: list[str], line: str) -> None:
    assert system_line({"state": "degraded", "failed": failed, "units": units}) == line


def test_a_guest_that_does_not_tell_its_systems_state_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    _info({**FACTS, "system": None})
    assert "system:" not in capsys.readouterr().out
    _info({**FACTS, "system": {"state": "running", "failed": 0, "units": []}})
    assert "system:" in capsys.readouterr().out


def test_idle_memory_that_was_taken_is_told_where_there_is_some(capsys: pytest.CaptureFixture[str]) -> None:
    _info({**FACTS, "run": {**FACTS["run"], "reclaimed_memory": 0}})
    assert "idle memory" not in capsys.readouterr().out
    _info({**FACTS, "run": {**FACTS["run"], "reclaimed_memory": 5 << 20}})
    assert "idle memory taken: 5.0 MiB" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("restarts", "told"), [(0, ""), (1, "; restarted for it once"), (2, "; restarted for it 2 times in a row")]
)
def test_how_often_a_guest_was_restarted_for_its_health_is_told(restarts: int, told: str) -> None:
    health = {"state": "healthy", "says": None, "failures": 0, "restarts": restarts, "restart_at": None}
    assert health_line(health) == f"healthy{told}"
