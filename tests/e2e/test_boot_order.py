"""Domains that start with the host in their order, against a running insulad that may be killed amid it."""

import json
from pathlib import Path

import pytest

from insula.engine.launch.runningcontainer import boot_id
from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


def define(insulad: Insulad, root: Path, name: str, settings: str, *, autostart: bool = True) -> None:
    insulad.define(domain_xml(name, root, settings=settings))
    if autostart:
        insulad.virsh("autostart", name)


def boot(insulad: Insulad) -> None:
    """Let the next daemon be the first of a boot."""
    insulad.stop()
    mark(insulad).write_text("an earlier boot")
    insulad.start()


def mark(insulad: Insulad) -> Path:
    return insulad.layout.run / "autostarted"


def is_done(insulad: Insulad) -> bool:
    return mark(insulad).read_text() == boot_id()


def told(insulad: Insulad, name: str) -> dict[str, dict[str, int | str]]:
    found: dict[str, dict[str, int | str]] = json.loads(insula(insulad, "info", "--json", name).stdout)
    return found


def test_what_is_depended_on_starts_before_and_stops_after_those_that_need_it(
    insulad: Insulad, busybox_root: Path
) -> None:
    define(insulad, busybox_root, "web", "<insula:depends-on domain='app'/>")
    define(insulad, busybox_root, "app", "<insula:depends-on domain='db'/>", autostart=False)
    define(insulad, busybox_root, "db", "<insula:autostart order='50'/>", autostart=False)
    boot(insulad)
    until(lambda: is_done(insulad), "the host's start being done", 60)

    begun = {name: told(insulad, name)["run"]["begun"] for name in ("web", "app", "db")}
    assert sorted(begun, key=lambda name: int(begun[name])) == ["db", "app", "web"]

    insula(insulad, "stop", "--all", "--time", "60", "--force")
    ended = {name: told(insulad, name)["last_end"]["ended"] for name in ("web", "app", "db")}
    assert sorted(ended, key=lambda name: int(ended[name])) == ["web", "app", "db"]
    assert {told(insulad, name)["last_end"]["reason"] for name in ended} == {"shutdown"}


def test_what_a_killed_daemon_had_started_and_was_stopped_stays_off_and_the_rest_starts(
    insulad: Insulad, busybox_root: Path
) -> None:
    define(insulad, busybox_root, "db", "<insula:autostart order='1' delay='3600'/>")
    define(insulad, busybox_root, "web", "<insula:depends-on domain='app'/>")
    define(insulad, busybox_root, "app", "<insula:autostart order='2'/>")
    boot(insulad)
    underway = mark(insulad).with_name("autostarted.underway")
    until(underway.exists, "the first domain having been tried", 60)
    assert state(insulad, "db") == "running" and state(insulad, "app") == "shut off"
    insulad.virsh("destroy", "db")
    insulad.kill()
    insulad.start()

    until(lambda: is_done(insulad), "the host's start being done", 60)
    assert [state(insulad, name) for name in ("db", "app", "web")] == ["shut off", "running", "running"]
    assert not underway.exists()


def test_one_that_cannot_start_is_named_by_those_that_need_it(insulad: Insulad, busybox_root: Path) -> None:
    define(insulad, busybox_root / "nowhere", "db", "")
    define(insulad, busybox_root, "web", "<insula:depends-on domain='db'/>")
    define(insulad, busybox_root, "mail", "<insula:depends-on domain='db' required='no'/>")
    boot(insulad)
    until(lambda: is_done(insulad), "the host's start being done", 60)
    assert [state(insulad, name) for name in ("db", "web", "mail")] == ["shut off", "shut off", "running"]
    failure = str(told(insulad, "web")["start_failure"]["text"])
    assert "it depends on domain 'db', which could not be started" in failure

    refused = insula(insulad, "start", "--with-dependencies", "web", check=False)
    assert refused.returncode != 0 and "it depends on domain 'db'" in refused.stderr
    insulad.virsh("start", "web")  # what is started by name alone starts
    assert state(insulad, "web") == "running"


def test_domains_that_would_depend_on_each_other_are_refused(insulad: Insulad, busybox_root: Path) -> None:
    define(insulad, busybox_root, "db", "<insula:depends-on domain='web'/>", autostart=False)
    with pytest.raises(AssertionError, match="domain 'web' would depend on itself: web → db → web"):
        define(insulad, busybox_root, "web", "<insula:depends-on domain='db'/>", autostart=False)
