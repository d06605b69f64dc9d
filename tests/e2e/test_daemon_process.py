"""insulad as a process: one a prefix, on demand, told by signals, gone without a trace."""

import contextlib
import os
import random
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from insula.engine.launch.runningcontainer import boot_id
from insula.rpc.arrivals import Role
from insula.rpc.connection import Connection
from insula.rpc.procedures import Remote
from insula.sdk.startingdaemon import is_locked
from tests.e2e.guests import domain_xml, insula, state
from tests.insulad import START, Insulad
from tests.waiting import patience, scaled, stop, until

pytestmark = pytest.mark.requires("virsh")


def run_daemon(insulad: Insulad, *options: str) -> subprocess.CompletedProcess[str]:
    """Run another daemon on the same prefix to its end."""
    return insulad.host.run(sys.executable, "-c", START, "--prefix", str(insulad.prefix), *options, check=False)


def descriptor_limits(pid: int) -> tuple[int, int]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    soft, hard = next(each.split()[3:5] for each in lines if each.startswith("Max open files"))
    return int(soft), int(hard)


def _connections(insulad: Insulad) -> int:
    """How many clients the daemon has accepted and not let go of."""
    table = [line.split() for line in Path(f"/proc/{insulad.pid}/net/unix").read_text().splitlines()]
    accepted = {f"socket:[{row[6]}]" for row in table if row[-1] == str(insulad.socket) and row[3] == "00000000"}
    links = set()
    for each in Path(f"/proc/{insulad.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            links.add(os.readlink(each))
    return len(accepted & links)


def test_a_second_daemon_on_the_prefix_is_refused_and_told_who_is_there(insulad: Insulad) -> None:
    second = run_daemon(insulad)
    assert second.returncode == 2 and f"process {insulad.pid}" in second.stderr
    insulad.virsh("list")


def test_a_host_whose_control_groups_are_covered_is_told_at_once_and_without_a_trace(
    insulad: Insulad, scratch: Path
) -> None:
    script = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
    command = (sys.executable, "-c", START, "--prefix", str(scratch / "other"))
    result = insulad.host.run("unshare", "-m", "sh", "-c", script, "sh", *command, check=False)
    assert result.returncode == 2 and result.stderr.startswith("insulad: ") and result.stderr.count("\n") == 1
    assert "/sys/fs/cgroup" in result.stderr and "Traceback" not in result.stderr


def test_a_client_waits_for_a_daemon_that_is_on_its_way(insulad: Insulad) -> None:
    insulad.stop()
    with insulad.log.open("ab") as log:
        command = (sys.executable, "-c", START, "--prefix", str(insulad.prefix))
        insulad.process = insulad.host.start(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    until(lambda: is_locked(insulad.layout.lock), "the daemon having its lock")
    assert insula(insulad, "ls", "-q").stdout == ""


def test_sigterm_ends_it_and_removes_its_sockets(insulad: Insulad) -> None:
    assert insulad.socket.exists() and insulad.layout.socket_read_only.exists()
    assert insulad.stop() == 0
    assert not insulad.socket.exists() and not insulad.layout.socket_read_only.exists()
    until(lambda: insulad.keeper_pid() is None, "the end of a keeper that holds nothing, with its daemon's")
    insulad.start()


def test_sockets_have_the_modes_that_keep_strangers_out(insulad: Insulad) -> None:
    assert insulad.socket.stat().st_mode & 0o777 == 0o660
    assert insulad.layout.socket_read_only.stat().st_mode & 0o777 == 0o666


def test_a_stranger_may_look_through_the_read_only_socket_and_not_come_in_by_the_other(insulad: Insulad) -> None:
    for path in (insulad.prefix, insulad.prefix / "run", insulad.prefix / "run/libvirt"):
        path.chmod(0o755)

    def as_nobody(uri: str, *words: str) -> subprocess.CompletedProcess[str]:
        return insulad.host.run(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "virsh", "-c", uri, *words, check=False
        )

    assert as_nobody(insulad.uri_read_only, "list", "--all").returncode == 0
    assert as_nobody(insulad.uri, "list", "--all").returncode != 0


@pytest.mark.requires("overlay.idmapped")
def test_guests_go_on_when_the_daemon_is_stopped_and_it_knows_them_again(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("stays", busybox_root))
    insulad.virsh("start", "stays")
    number = insulad.virsh("domid", "stays").stdout.strip()
    assert insulad.stop() == 0
    assert Path(f"/proc/{number}").exists() and insulad.keeper_pid() is not None
    insulad.start()
    assert state(insulad, "stays") == "running" and insulad.virsh("domid", "stays").stdout.strip() == number


@pytest.mark.requires("overlay.idmapped")
@pytest.mark.parametrize("verb", ["start", "destroy"])
def test_told_to_end_amid_a_verb_it_brings_that_to_its_end(insulad: Insulad, busybox_root: Path, verb: str) -> None:
    xml = domain_xml("bb", busybox_root)
    insulad.define(xml.replace("<devices>", "<on_crash>restart</on_crash><devices>", 1))
    insulad.virsh("start", "bb")
    if verb == "start":
        insulad.virsh("destroy", "bb")
    keeper, daemon = insulad.keeper_pid(), insulad.process
    assert keeper is not None and daemon is not None
    stop(keeper)
    try:
        client = subprocess.Popen(["virsh", "-c", insulad.uri, verb, "bb"], stderr=subprocess.PIPE)
        until(lambda: any(insulad.layout.running.glob("*/record.json")), "the verb being under way")
        record = next(insulad.layout.running.glob("*/record.json"))
        until(lambda: '"running"' not in record.read_text(), "the verb being written down")
        daemon.send_signal(signal.SIGTERM)
        client.communicate(timeout=patience(15))
    finally:
        os.kill(keeper, signal.SIGCONT)
    assert daemon.wait(patience(15)) == 0
    insulad.process = None
    insulad.start()
    assert state(insulad, "bb") == ("running" if verb == "start" else "shut off"), insulad.log_text()


@pytest.mark.requires("overlay.idmapped")
def test_a_guest_gets_what_its_client_passed_although_that_hangs_up_amid_the_start(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    insulad.virsh("destroy", "bb")
    keeper = insulad.keeper_pid()
    assert keeper is not None
    reader, writer = os.pipe()
    stop(keeper)
    with contextlib.ExitStack() as strangers:
        try:
            words = ["virsh", "-c", insulad.uri, "start", "bb", "--pass-fds", str(reader)]
            with subprocess.Popen(words, pass_fds=[reader]) as client:
                until(lambda: any(insulad.layout.running.glob("*/record.json")), "the start being written down")
                client.kill()
            until(lambda: _connections(insulad) == 0, "the client being gone")
            for _ in range(8):
                strangers.enter_context(socket.socket(socket.AF_UNIX)).connect(str(insulad.socket))
        finally:
            os.kill(keeper, signal.SIGCONT)
        until(lambda: state(insulad, "bb") == "running", "the start's end")
    init = insulad.virsh("domid", "bb").stdout.strip()
    assert os.readlink(f"/proc/{init}/fd/3") == os.readlink(f"/proc/self/fd/{reader}")
    os.close(reader)
    os.close(writer)


@pytest.mark.requires("overlay.idmapped")
def test_autostart_happens_once_a_boot_and_not_with_every_daemon(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("autostart", "bb")
    mark = insulad.layout.run / "autostarted"
    mark.write_text("an earlier boot")
    insulad.restart()
    until(lambda: state(insulad, "bb") == "running", "the domain that starts with the host")
    insulad.virsh("destroy", "bb")
    until(lambda: mark.read_text() == boot_id(), "the autostart being done")
    insulad.restart()
    insulad.virsh("autostart", "--disable", "bb")
    assert state(insulad, "bb") == "shut off"


@pytest.mark.requires("overlay.idmapped")
def test_with_a_timeout_it_ends_when_nobody_is_there_and_nothing_runs(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    insulad.restart("--timeout", f"{scaled(1):g}")
    assert insulad.process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        insulad.process.wait(scaled(2.5))
    insulad.virsh("destroy", "bb")
    assert insulad.process.wait(patience(15)) == 0
    insulad.process = None
    assert not insulad.socket.exists()
    insulad.start()


def test_a_client_keeps_a_daemon_with_a_timeout_alive(insulad: Insulad) -> None:
    insulad.restart("--timeout", f"{scaled(1):g}")
    assert insulad.process is not None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(insulad.socket))
        with pytest.raises(subprocess.TimeoutExpired):
            insulad.process.wait(scaled(2.5))
    assert insulad.process.wait(patience(15)) == 0
    insulad.process = None
    insulad.start()


@pytest.mark.requires("overlay.idmapped")
def test_the_daemon_has_all_descriptors_it_may_and_guests_as_many_as_it_was_started_with(
    insulad: Insulad, busybox_root: Path
) -> None:
    insulad.stop()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2777, before[1]))
    try:
        insulad.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    guest = int(insulad.virsh("domid", "bb").stdout)
    assert descriptor_limits(insulad.pid) == (before[1], before[1])
    assert descriptor_limits(guest) == (2777, before[1])
    insulad.virsh("destroy", "bb")


@pytest.mark.requires("overlay.idmapped")
def test_guests_do_not_inherit_how_the_daemon_is_scheduled(insulad: Insulad, busybox_root: Path, scratch: Path) -> None:
    insulad.stop()
    keeper = insulad.keeper_pid()
    if keeper is not None:
        os.kill(keeper, signal.SIGTERM)
        until(lambda: insulad.keeper_pid() is None, "the keeper's end")
    python = scratch / "python"
    python.write_text(f'#!/bin/sh\numask 077\nexec nice -n 7 taskset -c 0 {sys.executable} "$@"\n')
    python.chmod(0o755)
    insulad.start(python=python)
    assert os.getpriority(os.PRIO_PROCESS, insulad.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    insulad.define(domain_xml("bb", busybox_root))
    insulad.virsh("start", "bb")
    init = int(insulad.virsh("domid", "bb").stdout)
    assert os.getpriority(os.PRIO_PROCESS, init) == 0
    assert os.sched_getaffinity(init) == os.sched_getaffinity(0)
    script = "cut -d ' ' -f 19 /proc/self/stat; umask; cat /proc/self/oom_score_adj"
    assert insula(insulad, "exec", "bb", "--", "sh", "-c", script).stdout.split() == ["0", "0022", "0"]


def test_a_mistake_in_the_settings_is_named_with_its_line(insulad: Insulad) -> None:
    insulad.stop()
    settings = insulad.prefix / "etc/insula/insulad.toml"
    settings.write_text("log_level = 'info'\nmax_client = 5\n")
    wrong = run_daemon(insulad)
    assert wrong.returncode == 2
    assert f"insulad: {settings} line 2: unknown key 'max_client'; known here: log_level, max_clients" in wrong.stderr
    settings.unlink()
    insulad.start()


def test_settings_are_read_again_on_sighup_and_a_mistake_there_ends_nothing(insulad: Insulad) -> None:
    settings = insulad.prefix / "etc/insula/insulad.toml"
    settings.write_text("log_level = 'debug'\n")
    os.kill(insulad.pid, signal.SIGHUP)
    until(lambda: "settings were read again" in insulad.log_text(), "the settings being read")
    insulad.virsh("list")
    until(lambda: "connected" in insulad.log_text(), "what only the debug level tells")
    settings.write_text("nonsense = 1\n")
    os.kill(insulad.pid, signal.SIGHUP)
    until(lambda: "stay as they were" in insulad.log_text(), "the refusal of the mistake")
    insulad.virsh("list")
    settings.unlink()


def test_a_reload_while_it_begins_does_not_end_it(insulad: Insulad) -> None:
    insulad.stop()
    beginning = threading.Thread(target=insulad.start)
    beginning.start()
    try:
        until(lambda: is_locked(insulad.layout.lock), "the daemon having its lock")
        while beginning.is_alive():
            os.kill(insulad.pid, signal.SIGHUP)
            time.sleep(0.01)
    finally:
        beginning.join()
    insulad.virsh("list")


def test_readiness_is_told_to_the_service_manager(insulad: Insulad, scratch: Path) -> None:
    insulad.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(scratch / "notify"))
        manager.settimeout(patience(15))
        os.environ["NOTIFY_SOCKET"] = str(scratch / "notify")
        try:
            insulad.start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert manager.recv(100) == b"READY=1"
        insulad.stop()
        assert manager.recv(100) == b"STOPPING=1"
    insulad.start()


@pytest.mark.machine("sockets")
def test_systemds_sockets_are_used_and_left_in_place(insulad: Insulad, scratch: Path) -> None:
    insulad.stop()
    path = scratch / "activated-sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code = f"import os; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); {START}"
        with insulad.log.open("ab") as log:
            daemon = insulad.host.start(
                sys.executable, "-c", code, "--prefix", str(insulad.prefix), "--timeout", "1",
                pass_fds=[listener.fileno()],
                env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "virtlxcd.socket"},
                stdout=log, stderr=log,
            )  # fmt: skip
        listed = subprocess.run(
            ["virsh", "-c", f"lxc+unix:///system?socket={path}", "list"], capture_output=True, text=True, check=False
        )
        assert listed.returncode == 0, listed.stderr + insulad.log_text()
        assert daemon.wait(patience(15)) == 0
        assert path.exists() and not insulad.socket.exists()
    insulad.start()


@pytest.mark.timeout(300)
def test_no_client_of_an_activated_daemon_is_ever_reset(insulad: Insulad, scratch: Path) -> None:
    """The daemon goes as soon as it is idle; clients come all the time, so some come in its last moment."""
    insulad.stop()
    path = scratch / "activated-sock"
    begun = 0
    with socket.socket(socket.AF_UNIX) as listener, insulad.log.open("ab") as log:
        listener.bind(str(path))
        listener.listen(64)
        code = f"import os; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); {START}"
        daemon: subprocess.Popen[bytes] | None = None
        for number in range(30):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(patience(30))
                client.connect(str(path))
                wire = Connection(Role.CLIENT)
                wire.call(Remote.AUTH_LIST)
                client.sendall(b"".join(data for data, _ in wire.data_to_send()))
                answer = b""
                while not answer:
                    if daemon is None or daemon.poll() is not None:  # what systemd does while somebody waits
                        begun += 1
                        daemon = insulad.host.start(
                            sys.executable, "-c", code, "--prefix", str(insulad.prefix), "--timeout", "0.002",
                            pass_fds=[listener.fileno()], env={**os.environ, "LISTEN_FDS": "1"}, stdout=log, stderr=log,
                        )  # fmt: skip
                    if select.select([client], [], [], 0.05)[0]:
                        answer = client.recv(65536)
                        assert answer, f"client {number} was reset\n{insulad.log_text()}"
            time.sleep(random.Random(number).uniform(0, 0.006))
        assert daemon is not None and daemon.wait(patience(15)) == 0
    assert begun > 1, "the daemon never went, so nothing was tried"
    insulad.start()


def test_the_log_is_one_line_an_event_with_the_time_and_in_the_journal_with_its_priorities(
    insulad: Insulad, monkeypatch: pytest.MonkeyPatch
) -> None:
    insulad.virsh("list")
    before = [line for line in insulad.log_text().splitlines() if line]
    assert before and all(re.match(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ insula", line) for line in before), before
    found = insulad.log.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    insulad.stop()
    there = len(insulad.log_text().splitlines())
    insulad.start()
    insulad.virsh("list")
    lines = [line for line in insulad.log_text().splitlines()[there:] if line]
    assert lines and all(re.match(r"<\d>insula", line) for line in lines), lines
