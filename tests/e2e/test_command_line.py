"""`insula` as people use it: at terminals, in pipes, with mistakes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
from insula.rpc.procedures import Insula
from insula.sdk.blocking import connect
from insula.sdk.blocking_domains import Host
from tests.e2e.guests import Terminal, domain_xml, inside, insula
from tests.insulad import Insulad
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped")


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path) -> str:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    return "bb"


@pytest.fixture
def at_terminal(insulad: Insulad) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.close()


def _command(insulad: Insulad, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "insula.cli.main", "--prefix", str(insulad.prefix), *words)


def _exec(insulad: Insulad, opened: list[Terminal], *words: str) -> Terminal:
    """Execute at a terminal of ours, and give the command none."""
    opened.append(Terminal(*_command(insulad, "exec", "-T", *words)))
    return opened[-1]


def _at_terminal(insulad: Insulad, opened: list[Terminal], *words: str) -> Terminal:
    opened.append(Terminal(*_command(insulad, *words)))
    return opened[-1]


def test_a_command_without_a_terminal_of_its_own_never_holds_ours(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    script = 'for fd in 0 1 2; do test -t $fd && echo "terminal $fd"; done; echo none of them; exit 5'
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", script)
    terminal.expect("^none of them")
    assert terminal.end() == 5


def test_keys_and_their_end_reach_a_command_behind_the_relay(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", "while read line; do echo [$line]; done; exit 3")
    terminal.type("one\r")
    terminal.expect(r"\[one\]")
    terminal.type("two\r")
    terminal.expect(r"\[two\]")
    terminal.type("\x04")
    assert terminal.end() == 3


def test_output_and_errors_come_in_their_order_and_to_the_last_byte(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    script = "for i in 1 2 3; do echo out$i; echo err$i >&2; done; echo again >/dev/stdout; seq 20000; echo the end"
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", script)
    terminal.expect(r"out1\s+err1\s+out2\s+err2\s+out3\s+err3\s+again\s")
    terminal.expect(r"\s20000\s+the end")
    assert terminal.end() == 0


def test_what_a_command_leaves_behind_neither_holds_us_nor_ends(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", "sleep 1000 & echo started")
    terminal.expect("started")
    assert terminal.end() == 0
    assert "sleep 1000" in inside(insulad, guest, "ps")


def test_an_interrupt_at_the_terminal_is_for_the_command(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", script)
    terminal.expect("ready")
    terminal.process.send_signal(2)
    terminal.expect("caught")
    assert terminal.end() == 9


def test_in_the_background_a_command_is_not_stopped_by_what_is_typed(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    command = (
        f"{sys.executable} -m insula.cli.main --prefix {insulad.prefix} exec -T {guest} -- sh -c 'echo up; sleep 2'"
    )
    job = ("setsid", "--wait", "--ctty", "bash", "-c", f"set -m; {command} & wait $!; echo status $?")
    at_terminal.append(Terminal(*job))
    at_terminal[-1].expect("up")
    at_terminal[-1].type("for somebody else\r")
    at_terminal[-1].expect("status 0")


@pytest.mark.parametrize("text", ["hello\n", "hello"])
def test_the_end_of_what_is_piped_in_ends_a_terminals_input(insulad: Insulad, guest: str, text: str) -> None:
    assert insula(insulad, "exec", "-t", guest, "--", "cat", stdin=text).stdout.count("hello") == 2


def test_what_a_guest_said_cannot_command_the_terminal_that_shows_it(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    inside(insulad, guest, "sh", "-c", r"printf 'where \033[6n \302\2336n \033[1mis\033[0m it\n' > /dev/console")
    until(
        lambda: "is it" in insula(insulad, "log", guest).stdout.replace("\x1b[1m", "").replace("\x1b[0m", ""), "the log"
    )
    at_terminal.append(Terminal(*_command(insulad, "log", guest)))
    at_terminal[-1].expect(r"where \\x1b\[6n \\x9b6n is it\s")
    assert at_terminal[-1].end() == 0 and "\x1b" not in at_terminal[-1].seen
    assert "where \x1b[6n \x9b6n \x1b[1mis\x1b[0m it" in insula(insulad, "log", guest).stdout


def test_who_stands_on_a_terminal_gets_one_and_nothing_that_was_typed_early_is_lost(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    terminal = _at_terminal(
        insulad, at_terminal, "exec", guest, "--", "sh", "-c", "test -t 0 && read line; echo [$line]"
    )
    terminal.type("early\r")
    terminal.expect(r"\[early\]")
    assert terminal.end() == 0


@pytest.mark.parametrize("words", [("-it", "bb", "tty"), ("-t", "-i", "bb", "--", "tty"), ("bb", "tty")])
def test_what_people_are_used_to_type_gives_a_terminal(
    insulad: Insulad, guest: str, at_terminal: list[Terminal], words: tuple[str, ...]
) -> None:
    terminal = _at_terminal(insulad, at_terminal, "exec", *words)
    terminal.expect("/dev/pts/")
    assert terminal.end() == 0


def test_a_terminal_is_left_by_three_times_the_key_and_takes_its_command_along(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    script = "trap '' INT QUIT TERM; stty raw -echo; echo up; exec sleep 4321"
    terminal = _at_terminal(insulad, at_terminal, "exec", guest, "--", "sh", "-c", script)
    terminal.expect("up")
    terminal.type("\x1d\x1d\x1d")
    assert terminal.end() == 130
    until(lambda: "sleep 4321" not in inside(insulad, guest, "ps"), "the command being gone")


def test_three_interrupts_leave_a_command_that_does_not_mind_them(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    terminal = _exec(insulad, at_terminal, guest, "--", "sh", "-c", "trap '' INT; echo up; exec sleep 4322")
    terminal.expect("up")
    terminal.type("\x03\x03")  # the terminal makes a signal of each

    def has_left() -> bool:
        terminal.process.send_signal(signal.SIGINT)
        return terminal.process.poll() is not None

    until(has_left, "it having left")
    assert terminal.process.returncode in (130, -signal.SIGINT)  # one more may have come while it went
    until(lambda: "sleep 4322" not in inside(insulad, guest, "ps"), "the command being gone")


def test_a_command_begins_as_a_login_would(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    (busybox_root / "home/alice").mkdir(parents=True)
    with (busybox_root / "etc/passwd").open("a") as passwd:
        passwd.write("alice:x:1000:1000::/home/alice:/bin/ash\nghost:x:1001:1001::/nowhere:\n")
    script = "echo $USER $LOGNAME $HOME $SHELL $LANG $PWD"
    assert inside(insulad, guest, "sh", "-c", script) == "root root /root /bin/sh C.UTF-8 /root\n"
    asked = insula(insulad, "exec", "-u", "alice", guest, "sh", "-c", script).stdout
    assert asked == "alice alice /home/alice /bin/ash C.UTF-8 /home/alice\n"
    asked = insula(insulad, "exec", "-u", "ghost", "-e", "LANG=C", guest, "sh", "-c", script).stdout
    assert asked == "ghost ghost /nowhere /bin/sh C /\n"


def test_the_input_can_be_kept_from_a_command(insulad: Insulad, guest: str) -> None:
    assert insula(insulad, "exec", "-n", guest, "--", "cat", stdin="mine").stdout == ""


# Who goes, and who stays


def _lives(insulad: Insulad, guest: str, words: str) -> bool:
    return words in inside(insulad, guest, "ps")


def test_a_command_ends_with_its_client_unless_asked_otherwise(insulad: Insulad, guest: str) -> None:
    client = subprocess.Popen(_command(insulad, "exec", guest, "--", "sh", "-c", "sleep 5001 & exec sleep 5002"))
    insula(insulad, "exec", "-d", guest, "--", "sleep", "5003")
    until(lambda: _lives(insulad, guest, "sleep 5001") and _lives(insulad, guest, "sleep 5002"), "the commands running")
    client.kill()
    client.wait()
    until(lambda: not _lives(insulad, guest, "sleep 5001") and not _lives(insulad, guest, "sleep 5002"), "their end")
    assert _lives(insulad, guest, "sleep 5003")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_how_a_command_ends_is_known_although_the_daemon_was_not_there(insulad: Insulad, guest: str, how: str) -> None:
    script = "echo up; while ! test -e /go; do sleep 0.1; done; echo last; exit 42"
    client = subprocess.Popen(
        _command(insulad, "exec", guest, "--", "sh", "-c", script),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert client.stdout is not None and client.stdout.readline() == "up\n"
    if how == "killed":
        insulad.kill()
    else:
        insulad.stop()
    insulad.start()
    assert client.poll() is None
    inside(insulad, guest, "touch", "/go")
    output, _ = client.communicate(timeout=patience(60))
    assert (output, client.returncode) == ("last\n", 42)


def test_a_command_that_ended_while_there_was_no_daemon_is_told_too(
    insulad: Insulad, guest: str, busybox_root: Path
) -> None:
    script = "echo up; while ! test -e /go; do sleep 0.1; done; touch /gone; exit 43"
    client = subprocess.Popen(
        _command(insulad, "exec", guest, "--", "sh", "-c", script),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with client:
        assert client.stdout is not None and client.stdout.readline() == "up\n"
        insulad.kill()
        (busybox_root / "go").touch()
        until((busybox_root / "gone").exists, "the command having ended")
        insulad.start()
        assert client.wait(timeout=patience(60)) == 43


# Streams


def _shell(insulad: Insulad, script: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of the host's in which "$@" is our command line with these words."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *_command(insulad, *words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=patience(120), cwd=cwd,
    )  # fmt: skip


STREAMS = 'kinds=$(ls -lL /proc/$$/fd); names=$(ls -l /proc/$$/fd); echo "$kinds" > /kinds; echo "$names" > /streams'
"""Writes down what a command inside has as its descriptors."""


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_caller_without_some_stream_gives_none_of_our_descriptors_away(
    insulad: Insulad, guest: str, busybox_root: Path, redirections: str
) -> None:
    result = _shell(insulad, f'"$@" {redirections}', "exec", guest, "--", "sh", "-c", STREAMS)
    assert result.returncode == 0, result.stderr
    seen = (busybox_root / "streams").read_text()
    assert "socket:" not in seen
    assert seen.count("/dev/null") >= len(redirections.split())


def test_whatever_the_caller_has_a_command_holds_pipes_and_null_devices(
    insulad: Insulad, guest: str, busybox_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "input").write_text("typed")
    (tmp_path / "secret").mkdir(mode=0o700)
    (tmp_path / "secret/file").write_text("before\n")
    (tmp_path / "secret/file").chmod(0o644)
    script = '"$@" < input >> secret/file 2> /dev/full'
    words = ("exec", guest, "--", "sh", "-c", f"{STREAMS}; cat; echo")
    assert _shell(insulad, script, *words, cwd=tmp_path).returncode == 0
    assert (tmp_path / "secret/file").read_text() == "before\ntyped\n"
    assert str(tmp_path) not in (busybox_root / "streams").read_text()
    kinds = [line[0] for line in (busybox_root / "kinds").read_text().splitlines()[1:4]]
    assert kinds == ["p", "p", "p"]


def test_a_directory_is_nobodys_input(insulad: Insulad, guest: str) -> None:
    result = _shell(insulad, '"$@" < /etc', "exec", guest, "--", "ls", "/proc/self/fd/0/")
    assert result.returncode in (1, 2) and result.stdout == ""  # 1: the interpreter refuses it before we do
    assert "is a directory" in result.stderr


def test_a_client_that_speaks_the_wire_itself_passes_pipes_only(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    null = os.open(os.devnull, os.O_RDWR)
    one, other = socket.socketpair()
    with connect(insulad.layout) as client:
        ref = Host(client).domain(guest).ref
        given = {
            client.fileno(): "a socket",
            one.fileno(): "a socket",
            os.open(tmp_path, os.O_RDONLY): "a directory",
            os.open(tmp_path, os.O_PATH): "a path that is not open",
            os.open(tmp_path / "file", os.O_RDONLY): "a file",
            os.open("/dev/full", os.O_RDWR): "a device node",
        }
        for fd, kind in given.items():
            for number in range(3):
                fds = [null, null, null]
                fds[number] = fd
                with pytest.raises(InvalidArgumentError, match=f"is {kind}, which no guest is given"):
                    client.call_with_fds(Insula.DOMAIN_EXEC, ref, '{"argv": ["true"]}', 0, fds=fds)
        started, _ = client.call_with_fds(Insula.DOMAIN_EXEC, ref, '{"argv": ["true"]}', 0, fds=[null, null, null])
        assert client.call(Insula.EXEC_WAIT, started.exec) == 0
        for fd in [each for each in given if each not in (client.fileno(), one.fileno())]:
            os.close(fd)
    for each in (one, other):
        each.close()
    os.close(null)


def test_a_command_leaves_the_input_that_it_does_not_read(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    script = 'while read name; do "$@" echo $name; done'
    (tmp_path / "names").write_text("one\ntwo\nthree\n")
    for loop in (f"{script} < names", f"cat names | {script}"):
        result = _shell(insulad, loop, "exec", guest, "--", cwd=tmp_path)
        assert (result.stdout, result.stderr) == ("one\ntwo\nthree\n", "")


def test_much_goes_through_both_ways_whole(insulad: Insulad, guest: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(os.urandom(8 << 20))
    for script in ('cat data | "$@" | cat > copy', '"$@" < data > copy', 'cat data | "$@" >> copy'):
        (tmp_path / "copy").unlink(missing_ok=True)
        assert _shell(insulad, script, "exec", guest, "--", "cat", cwd=tmp_path).returncode == 0
        assert (tmp_path / "copy").read_bytes() == (tmp_path / "data").read_bytes(), script


def test_a_reader_that_has_enough_ends_the_command(insulad: Insulad, guest: str) -> None:
    result = _shell(insulad, '{ "$@"; echo $? >&2; } | head -n 1', "exec", guest, "--", "sh", "-c", "yes; exit 3")
    assert (result.stdout, result.stderr) == ("y\n", "3\n")


def test_output_that_cannot_be_written_is_a_failure_of_ours(insulad: Insulad, guest: str) -> None:
    result = _shell(insulad, '"$@" > /dev/full', "exec", guest, "--", "echo", "lost")
    assert result.returncode == 125
    assert result.stderr == "insula: bb: standard output cannot be written: No space left on device\n"


def test_what_a_command_says_cannot_command_the_terminal(
    insulad: Insulad, guest: str, at_terminal: list[Terminal]
) -> None:
    terminal = _exec(insulad, at_terminal, guest, "--", "printf", r"where \033[6n is it\n")
    terminal.expect(r"where \\x1b\[6n is it\s")
    assert terminal.end() == 0


def _run(insulad: Insulad, root: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return insula(insulad, "run", "--rm", "-r", str(root), "--", *command, stdin=stdin, check=False)


def test_a_program_that_cannot_be_run_has_a_shells_status(insulad: Insulad, busybox_root: Path) -> None:
    missing = _run(insulad, busybox_root, "/nosuch")
    assert missing.returncode == 127 and "no such program" in missing.stderr
    assert _run(insulad, busybox_root, "/etc/passwd").returncode == 126
    relative = _run(insulad, busybox_root, "bin/sh", "-c", "true")
    assert relative.returncode == 2 and "'bin/sh' is a relative path" in relative.stderr
    assert insula(insulad, "ls", "-q").stdout == ""


def test_a_program_is_looked_for_in_the_guests_path(insulad: Insulad, busybox_root: Path) -> None:
    assert _run(insulad, busybox_root, "sh", "-c", "exit 3").returncode == 3
    missing = _run(insulad, busybox_root, "nosuch")
    assert missing.returncode == 127 and "not found in the guest's PATH" in missing.stderr


def test_what_the_options_say_wrongly_is_told_by_them(insulad: Insulad, busybox_root: Path) -> None:
    def told(*words: str) -> tuple[int, str]:
        result = insula(insulad, "create", *words, check=False)
        return result.returncode, result.stderr

    root = ("-r", str(busybox_root))
    for words, expected in (
        (("a/b", *root), "insula: the name: found 'a/b'"),
        (("web", *root, "--vcpus", "0"), "insula: --vcpus: found '0'"),
        (("web", *root, "-w", "here"), "insula: --cwd: found 'here'"),
        (("web", "-r", "/no/such"), "insula: --root: there is no directory '/no/such'"),
    ):
        status, text = told(*words)
        assert status == 2 and text.startswith(expected) and "/domain" not in text
    assert told("web", "nosuch")[0] == 4
    assert insula(insulad, "ls", "-q").stdout == ""


def test_whoever_runs_a_guest_at_a_terminal_knows_how_to_leave(
    insulad: Insulad, busybox_root: Path, at_terminal: list[Terminal]
) -> None:
    words = (
        "run",
        "--name",
        "deaf",
        "-r",
        str(busybox_root),
        "--",
        "sh",
        "-c",
        "trap '' INT; echo up; exec sleep 1000",
    )
    terminal = _at_terminal(insulad, at_terminal, *words)
    terminal.expect(r"Ctrl-\] leaves")
    terminal.expect("up")
    terminal.type("\x03\x03\x03")
    terminal.expect(r"Ctrl-\] leaves")
    terminal.type("\x1d")
    assert terminal.end() == 0
    assert insula(insulad, "stop", "-f", "-t", "0", "deaf").returncode == 0


def test_an_error_names_the_domain(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("off", busybox_root))
    for words in (("exec", "off", "--", "ls"), ("console", "off")):
        assert "off: domain is not running" in insula(insulad, *words, check=False).stderr


@pytest.mark.parametrize("text", ["hello\n", "hello\nno line's end"])
def test_the_end_of_what_is_piped_in_ends_a_guests_input(insulad: Insulad, busybox_root: Path, text: str) -> None:
    done = _run(insulad, busybox_root, "/bin/cat", stdin=text)
    assert done.returncode == 0 and done.stdout.count("hello") == 2  # the guest's terminal echoes it


def test_running_without_a_command_fails_as_other_verbs_do(insulad: Insulad) -> None:
    assert insula(insulad, "run", "-i", "no-such-image", check=False).returncode == 4
