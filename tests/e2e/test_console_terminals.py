"""The terminals of the host at which consoles are shown: what `virsh ttyconsole` and the XML name."""

import os
import re
import select
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
from insula.sdk.blocking import connect
from insula.sdk.blocking_domains import Host
from tests import leaks
from tests.e2e.guests import domain_xml, inside, insula, state, until_booted, virsh_console
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


def terminal_of(insulad: Insulad, name: str) -> str:
    return insulad.virsh("ttyconsole", name).stdout.strip()


@contextmanager
def opened(path: str) -> Iterator[int]:
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        yield terminal
    finally:
        os.close(terminal)


def read_until(terminal: int, pattern: bytes, seconds: float = 20) -> bytes:
    seen = b""
    deadline = time.monotonic() + patience(seconds)
    while not re.search(pattern, seen):
        left = deadline - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], (
            f"{pattern!r} did not come; seen: {seen[-500:]!r}"
        )
        seen += os.read(terminal, 65536)
    return seen


def taken_at_once(path: str) -> bytes:
    """What a program gets that opens a terminal now and then and takes what is there, as OpenStack's Nova does."""
    with open(path, "rb") as file:
        os.set_blocking(file.fileno(), False)
        return file.read() or b""


def until_taken(path: str, wanted: bytes) -> bytes:
    """Take what is there until that has come; return all of it."""
    taken = b""

    def come() -> bool:
        nonlocal taken
        taken += taken_at_once(path)
        return wanted in taken

    until(come, f"{wanted!r} at the terminal")
    return taken


def test_the_terminal_is_one_of_the_hosts_for_root_alone(insulad: Insulad, guest: str) -> None:
    path = terminal_of(insulad, guest)
    assert re.fullmatch(r"/dev/pts/\d+", path)
    found = os.stat(path)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, 0)
    assert found.st_dev == os.stat("/dev/pts").st_dev
    xml = insulad.virsh("dumpxml", guest).stdout
    assert f"<console type='pty' tty='{path}'>" in xml and f"<source path='{path}'/>" in xml
    assert "tty=" not in insulad.virsh("dumpxml", "--inactive", guest).stdout
    insulad.virsh("destroy", guest)
    until(lambda: not os.path.exists(path), "the terminal's end")


def test_a_program_of_the_host_logs_in_at_the_terminal(insulad: Insulad, guest: str) -> None:
    with opened(terminal_of(insulad, guest)) as terminal:
        os.write(terminal, b"\r")
        read_until(terminal, b"login: ")
        os.write(terminal, b"root\r")
        read_until(terminal, b"# ")
        os.write(terminal, b"echo $((6*7))\r")
        read_until(terminal, b"\n42\r")


@pytest.mark.parametrize("place", ["/dev/pts/0", "/dev/console", "/dev/tty1"])
def test_what_a_guest_puts_in_its_terminals_place_leads_nobody_on_the_host_anywhere(
    insulad: Insulad, guest: str, scratch: Path, place: str
) -> None:
    victim = scratch / "victim"
    victim.write_text("precious")
    told = terminal_of(insulad, guest)
    inside(insulad, guest, "sh", "-c", "umount -l /dev/pts; umount -l /dev/console; umount -l /dev/tty1; true")
    inside(insulad, guest, "sh", "-c", f"mkdir -p {os.path.dirname(place)} && ln -sfn {victim} {place}", check=False)
    assert terminal_of(insulad, guest) == told
    with opened(told) as terminal:
        os.write(terminal, b"typed\r")
    assert b"precious" not in taken_at_once(told)
    assert victim.read_text() == "precious"
    said = [insulad.virsh("dumpxml", guest).stdout, insula(insulad, "info", guest).stdout]
    said += [insula(insulad, "plan", guest).stdout, insulad.virsh("domfsinfo", guest, check=False).stdout]
    assert not [each for each in said if re.search(r"/proc/\d+|/root/", each)]


@pytest.mark.requires("libvirt-python")
def test_a_console_is_opened_by_the_name_of_its_terminal(insulad: Insulad, guest: str) -> None:
    connection = insulad.connect()
    try:
        stream = connection.newStream()
        domain = connection.lookupByName(guest)
        domain.openConsole(terminal_of(insulad, guest), stream)
        stream.send(b"\r")
        seen = b""
        while b"login: " not in seen:
            seen += stream.recv(4096)
        stream.abort()
    finally:
        connection.close()


def test_a_program_that_has_the_terminal_open_sees_the_end_with_the_guest(insulad: Insulad, guest: str) -> None:
    with opened(terminal_of(insulad, guest)) as terminal:
        insulad.virsh("destroy", guest)

        def ended() -> bool:
            with suppress(BlockingIOError):
                return not os.read(terminal, 65536)
            return False

        os.set_blocking(terminal, False)
        until(ended, "the end of the terminal")


def test_virsh_and_a_program_of_the_host_may_both_type(insulad: Insulad, guest: str) -> None:
    with opened(terminal_of(insulad, guest)) as terminal, virsh_console(insulad, guest) as console:
        console.type("\r")
        console.expect("login: ")
        os.write(terminal, b"root\r")
        console.expect("# ")
        console.type("echo $((5*5))\r")
        read_until(terminal, b"\n25\r")


def test_who_opens_it_now_and_then_finds_what_was_printed_meanwhile(insulad: Insulad, guest: str) -> None:
    path = terminal_of(insulad, guest)
    log = insulad.layout.logs / f"{guest}.console0.log"
    until_booted(insulad, guest)
    assert until_taken(path, b"login: ")
    inside(insulad, guest, "sh", "-c", "echo between the looks > /dev/console")
    until(lambda: b"between the looks" in log.read_bytes(), "the line in the log")
    assert until_taken(path, b"between the looks").strip() == b"between the looks"
    inside(insulad, guest, "sh", "-c", "yes 0123456789 | head -c 200000 > /dev/console; echo newest > /dev/console")
    until(lambda: b"newest" in log.read_bytes(), "the line in the log")
    assert until_taken(path, b"newest").strip().endswith(b"newest")


def test_the_path_is_the_same_after_the_daemon_was_killed_and_it_still_works(insulad: Insulad, guest: str) -> None:
    path = terminal_of(insulad, guest)
    with opened(path) as terminal:
        os.write(terminal, b"\r")
        read_until(terminal, b"login: ")
        insulad.kill()
        os.write(terminal, b"root\r")  # waits in the terminal for a daemon
        insulad.start()
        assert terminal_of(insulad, guest) == path
        read_until(terminal, b"# ")
        os.write(terminal, b"echo $((6*7))\r")
        read_until(terminal, b"\n42\r")


def test_the_path_is_the_same_after_keeper_and_then_daemon_were_killed(insulad: Insulad, guest: str) -> None:
    path = terminal_of(insulad, guest)
    keeper = insulad.keeper_pid()
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    until(lambda: leaks.is_gone(keeper), "the keeper's end")
    until(lambda: insulad.keeper_pid() not in (None, keeper), "another keeper")
    until(lambda: "a new keeper serves" in insulad.log_text(), "the handing over")
    insulad.kill()
    insulad.start()
    assert terminal_of(insulad, guest) == path
    with opened(path) as terminal:
        os.write(terminal, b"\r")
        read_until(terminal, b"login: ")


def test_a_domain_starts_without_a_terminal_where_the_host_gives_none(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.host.run("mount", "--bind", "/dev/null", "/dev/ptmx")
    insulad.virsh("start", "bb")
    insulad.host.run("umount", "/dev/ptmx")
    assert "tty=" not in insulad.virsh("dumpxml", "bb").stdout
    assert "no terminal of the host" in insulad.log_text()
    with virsh_console(insulad, "bb") as console:
        console.type("\r")
        console.expect("login: ")


def test_a_log_that_the_definition_names_is_written_and_emptied_as_it_says(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    kept, emptied = scratch / "kept.log", scratch / "emptied.log"
    consoles = "".join(
        f"<console type='pty'><log file='{file}' append='{append}'/></console>"
        for file, append in ((kept, "on"), (emptied, "off"))
    )
    insulad.define(domain_xml("bb", busybox_root).replace("<console type='pty'/>", consoles))
    kept.write_text("before\n")
    emptied.write_text("before\n")
    insulad.virsh("start", "bb")
    inside(insulad, "bb", "sh", "-c", "echo hello > /dev/console; echo other > /dev/tty2")
    until(lambda: "hello" in kept.read_text() and "other" in emptied.read_text(), "both lines in the logs")
    assert kept.read_text().startswith("before\n")
    assert "before" not in emptied.read_text()
    insulad.kill()
    insulad.start()
    inside(insulad, "bb", "sh", "-c", "echo after > /dev/tty2")
    until(lambda: "after" in emptied.read_text(), "the line in the log")
    assert emptied.read_text().count("other") == 1
    assert f"<log file='{kept}' append='on'/>" in insulad.virsh("dumpxml", "bb").stdout


def test_a_log_below_a_link_or_in_place_of_a_pipe_is_refused_and_the_guest_runs(
    insulad: Insulad, busybox_root: Path, scratch: Path
) -> None:
    real = scratch / "real"
    real.mkdir()
    (scratch / "link").symlink_to(real)
    os.mkfifo(scratch / "pipe")
    consoles = "".join(
        f"<console type='pty'><log file='{file}'/></console>" for file in (scratch / "link" / "log", scratch / "pipe")
    )
    insulad.define(domain_xml("bb", busybox_root).replace("<console type='pty'/>", consoles))
    insulad.virsh("start", "bb")
    inside(insulad, "bb", "sh", "-c", "echo hello > /dev/console; echo other > /dev/tty2")
    until(lambda: insula(insulad, "info", "bb").stdout.count("cannot write the console log") == 2, "both notices")
    assert list(real.iterdir()) == []
    assert state(insulad, "bb") == "running"


def test_a_console_is_not_made_larger_than_a_terminal_can_be(insulad: Insulad, guest: str) -> None:
    with connect(insulad.layout) as client:
        domain = Host(client).domain(guest)
        domain.resize_console(40, 132)
        with pytest.raises(InvalidArgumentError, match="at most 65535 rows and columns, not 65536 rows"):
            domain.resize_console(65536, 80)
    assert inside(insulad, guest, "sh", "-c", "stty size < /dev/console").split() == ["40", "132"]


def test_the_daemon_and_the_keeper_hold_few_descriptors_for_a_guest(insulad: Insulad, busybox_root: Path) -> None:
    def held(pid: int) -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    def settled(pid: int) -> int:
        """What it holds once that is the same for a while: some are opened behind a start."""
        seen = [held(pid)]
        while len(seen) < 4 or len(set(seen[-4:])) > 1:
            time.sleep(0.2)
            seen.append(held(pid))
        return seen[-1]

    names = [f"g{number}" for number in range(6)]
    for name in names:
        insulad.define(
            domain_xml(name, busybox_root, init="/bin/sleep").replace("</init>", "</init><initarg>1000</initarg>")
        )
    insulad.virsh("start", names[0])
    keeper = insulad.keeper_pid()
    assert keeper is not None
    counts = (settled(insulad.pid), settled(keeper))
    for name in names[1:]:
        insulad.virsh("start", name)
    for pid, before, each in zip((insulad.pid, keeper), counts, (4, 3), strict=True):
        most = before + each * len(names[1:])
        until(lambda pid=pid, most=most: held(pid) <= most, f"at most {each} for each guest")  # type: ignore[misc]


@pytest.mark.parametrize(("flood", "told"), [("cat /dev/zero", True), ("yes", False)])
def test_a_flood_at_the_console_is_the_guests_own_time(
    insulad: Insulad, busybox_root: Path, flood: str, *, told: bool
) -> None:
    insulad.define(domain_xml("bb", busybox_root, init="/bin/sh").replace(
        "</init>", f"</init><initarg>-c</initarg><initarg>stty raw; exec {flood}</initarg>"
    ))  # fmt: skip
    insulad.virsh("start", "bb")
    older = insulad.layout.logs / "bb.console0.log.1"
    until(older.exists, "two MiB in the log", 60)
    if told:
        until(lambda: "prints more" in insula(insulad, "info", "bb").stdout, "the notice", 60)

    def used(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before, began = used(insulad.pid), time.monotonic()
    time.sleep(2)  # the length of the observation, not a wait for something
    share = (used(insulad.pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    assert share < 0.5, "an unlimited flood takes a whole processor"
    with virsh_console(insulad, "bb") as console:
        console.expect(
            "(y\\s*|\\x00){4}"
        )  # virsh's own words are cooked, and what is typed before the guest's may be lost
        assert console.leave() == 0
