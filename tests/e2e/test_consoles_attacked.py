"""Consoles whose guests hang them up, close them, have dozens of them, or fill the disk that their logs are on."""

import os
from pathlib import Path

import pytest

from insula.sdk.blocking import connect
from insula.sdk.blocking_domains import Host
from tests.e2e.guests import domain_xml, inside, insula, insula_terminal, state, virsh_console
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")

MANY = 50


def with_consoles(xml: str, count: int) -> str:
    return xml.replace("<console type='pty'/>", "<console type='pty'/>" * count)


def test_a_terminal_that_the_guest_hangs_up_and_closes_again_and_again_goes_on(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(with_consoles(domain_xml("bb", busybox_root), 2))
    insulad.virsh("start", "bb")
    with virsh_console(insulad, "bb", "--devname", "console1") as console:
        for number in range(5):
            # Who leads a session that the terminal controls hangs it up by ending: tty_vhangup_session() of the kernel.
            inside(insulad, "bb", "setsid", "sh", "-c", f"exec <>/dev/tty2 >&0 2>&1; echo round {number}; sleep 0")
            console.expect(f"round {number}")
        # What is typed while nobody has the terminal open is nobody's.
        reading = "(exec </dev/tty2; touch /tmp/reads; read line; echo got $line > /dev/tty2) >/dev/null 2>&1 &"
        inside(insulad, "bb", "sh", "-c", f"{reading} until [ -e /tmp/reads ]; do sleep 1; done", check=True)
        console.type("typed afterwards\r")
        console.expect("got typed afterwards")
        assert console.leave() == 0
    assert state(insulad, "bb") == "running"


def test_fifty_consoles_are_looked_at_at_once_and_each_says_its_own(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(with_consoles(domain_xml("bb", busybox_root), MANY))
    insulad.virsh("start", "bb")
    places = range(1, MANY)

    def all_say(word: str) -> None:
        with connect(insulad.layout) as client:
            found = Host(client).domain("bb")
            streams = {place: found.console(f"console{place}") for place in places}
            inside(insulad, "bb", "sh", "-c", f"for n in $(seq 2 {MANY}); do echo {word} $n > /dev/tty$n; done")
            for place, stream in streams.items():
                seen = bytearray()

                def came(stream: object = stream, seen: bytearray = seen, place: int = place) -> bool:
                    while piece := stream.take():  # type: ignore[attr-defined]
                        seen.extend(piece if isinstance(piece, bytes) else b"")
                    return f"{word} {place + 1}\r\n".encode() in seen

                assert client.wait_for(came, patience(30)), (place, bytes(seen))

    all_say("before")
    insulad.kill()
    insulad.start()
    until(lambda: insulad.log_text().count("everything is taken over") == 2, "the taking over")
    all_say("after")


def test_a_full_disk_under_a_log_holds_nobody_and_the_log_tells_what_it_misses(
    insulad: Insulad, busybox_root: Path
) -> None:
    logs = insulad.layout.logs
    logs.mkdir(parents=True, exist_ok=True)
    insulad.host.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", os.fspath(logs))
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    with insula_terminal(insulad, "log", "--tail", "0", "--follow", "bb") as follower:
        inside(insulad, "bb", "sh", "-c", "yes 0123456789 | head -n 50000 > /dev/console")
        until(lambda: "cannot write the console log" in insula(insulad, "info", "bb").stdout, "the notice", 30)

        def still_shown() -> bool:
            inside(insulad, "bb", "sh", "-c", "echo still here > /dev/console")
            try:
                follower.expect("still here", 2)
            except AssertionError:
                return False
            return True

        until(still_shown, "what no disk takes", 60)
    assert state(insulad, "bb") == "running"
    insulad.host.run("umount", "-l", os.fspath(logs))

    def told() -> bool:
        inside(insulad, "bb", "sh", "-c", "echo well again > /dev/console")
        said = insula(insulad, "log", "bb").stdout
        return "bytes are missing here, the disk did not keep up" in said and "well again" in said

    until(told, "the log going on", 30)
